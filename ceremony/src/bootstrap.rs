//! `bootstrap`: the whole hierarchy of a demo deployment, from nothing, in one go.
//!
//! For deployment test/demo and no other. Every step looks first whether an earlier run did it: keys
//! are found again by the CKA_ID that the hierarchy file and the step give them, certificates and
//! the CRL by their files. So a run that was broken off at any point is simply run again.
//!
//! Nothing that exists is drawn or written anew. Once the ceremony came to its end no token is
//! logged in to; what is there is compared, and what differs is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ca::algorithms::{AlgorithmPolicy, KeyPurpose};
use ca::deployment::{Deployment, Environment, Instance, Pki, Place, RoleName};
use ca::fields::RequestedFields;
use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::KeyPeriod;
use ca::prepare::{KeySource, Signer};
use ca::profile::ProfileSet;
use ceremony_core::plan::DELEGATE_AFTER_CRL;
use ceremony_core::transcript::{Fact, Kind, Phase};
use hsm::note::SoftwareNoteKey;
use hsm::{KeyId, KeyOrder, Module, Removal, Token, TokenSigner};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::NoteSigner as _;
use ledger::origin::DeploymentName;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey};
use x509::name::{AttributeType, Name};
use x509::time::UnixTime;
use zeroize::Zeroizing;

use crate::addresses::{self, Asked};
use crate::finished;
use crate::hierarchy::{Hierarchy, PlannedAuthority};
use crate::home::{Home, replace, replace_secret};
use crate::kept::{self, Existing, Keeper};
use crate::lists::List;
use crate::outputs::{self, Made, MadeAuthority, MadeClient, Ports};
use crate::refusal::Refusal;
use crate::surroundings;
use crate::tokens::{self, Role};
use crate::transcript::Transcript;
use crate::works::{Unattended, Work, Works, issuer, now, random};

/// Longest wait for a key: RSA 4096 takes seconds, and much more on a slow token.
const KEY_DEADLINE: Duration = Duration::from_secs(600);

/// What bootstrap is asked.
pub(crate) struct Order {
    pub(crate) home: PathBuf,
    pub(crate) hierarchy: PathBuf,
    pub(crate) profiles: PathBuf,
    pub(crate) module: PathBuf,
    pub(crate) addresses: Asked,
    pub(crate) existing: Existing,
}

/// What bootstrap comes to.
pub(crate) struct Done {
    pub(crate) made: Made,
    /// A line for each file that was kept though it differs, or written anew.
    pub(crate) said: Vec<String>,
}

/// Makes everything that is missing.
///
/// # Errors
///
/// Says which step did not succeed; running it again goes on from there.
pub(crate) fn run(order: &Order) -> anyhow::Result<Done> {
    let hierarchy = Hierarchy::read(&order.hierarchy)?;
    only_demo(&hierarchy)?;
    let home = Home::open(&order.home)?;
    let lock = std::fs::File::create(home.join("state/bootstrap.lock"))?;
    lock.try_lock().context("another bootstrap is at work in this home")?;
    let ports = addresses::settle(&home, &order.addresses)?;
    let deployment = deployment(&home, &hierarchy)?;
    let mut keeper = Keeper::new(&home, order.existing);
    keeper.copy_profiles(&order.profiles)?;
    let made = if finished::is(&home) {
        finished::read(&home, &hierarchy, &order.module, deployment)?
    } else {
        hold_ceremony(&home, &hierarchy, &order.module, deployment, &ports)?
    };
    outputs::configure(&mut keeper, &hierarchy, deployment, &order.module, &ports, &made)?;
    surroundings::write(&keeper, &home, deployment, &ports, &made)?;
    Ok(Done { made, said: keeper.said() })
}

/// Makes tokens, keys and certificates, and the manifest as the last.
fn hold_ceremony(
    home: &Home,
    hierarchy: &Hierarchy,
    module: &Path,
    deployment: Deployment,
    ports: &Ports,
) -> anyhow::Result<Made> {
    let profiles = kept::profiles(home)?;
    only_allowed_keys(hierarchy, &profiles)?;
    let algorithms = AlgorithmPolicy::shipped()?;
    only_allowed_algorithms(hierarchy, &algorithms, now()?)?;
    let plan: [u8; 32] = Sha256::new()
        .chain_update(&hierarchy.bytes)
        .chain_update(deployment.to_string())
        .finalize()
        .into();
    let mut transcript = Transcript::begin(home, deployment, &plan)?;
    let module = Module::load(module)?;
    let signer = TokenSigner::new(Duration::from_secs(60));
    let works = Works {
        home,
        deployment,
        profiles: &profiles,
        algorithms: &algorithms,
        signer: &signer,
        transcript: &mut transcript,
        reader: &mut Unattended,
    };
    let steps = u64::try_from(hierarchy.issuing.len().saturating_mul(2)).unwrap_or(0);
    let progress = progress(steps.saturating_add(11));
    let mut bootstrap =
        Bootstrap { plan, hierarchy, home, module: &module, ports, deployment, progress, works };
    let made = bootstrap.make()?;
    bootstrap.progress.finish_and_clear();
    if transcript.phase() != Phase::Closed {
        transcript.write_head(Kind::Close)?;
    }
    let (lines, root) = transcript.head();
    replace(
        &home.join("ceremony/head.json"),
        json!({ "size": lines, "root": root.to_base64() }).to_string().as_bytes(),
    )?;
    outputs::write(home, hierarchy, deployment, &made)?;
    Ok(made)
}

fn only_demo(hierarchy: &Hierarchy) -> anyhow::Result<()> {
    ensure!(
        hierarchy.environment == Environment::Test.name() && hierarchy.pki == Pki::Demo.name(),
        "bootstrap is for deployment test/demo only; the hierarchy names {}/{}: run its key ceremonies",
        hierarchy.environment,
        hierarchy.pki
    );
    Ok(())
}

/// What the profiles would refuse is refused before keys are made for it.
fn only_allowed_keys(hierarchy: &Hierarchy, profiles: &ProfileSet) -> anyhow::Result<()> {
    let issuing = hierarchy.issuing.iter().map(|planned| (planned, "issuing"));
    let others = [(&hierarchy.root, "root"), (&hierarchy.management, "management-ca")];
    for (planned, profile) in others.into_iter().chain(issuing) {
        let file = profiles.by_name(profile);
        let file = file.with_context(|| format!("profile {profile} is missing"))?;
        if !file.keys().contains(&planned.key) {
            let (authority, key) = (planned.common_name.clone(), planned.key);
            return Err(Refusal::KeyNotAllowed { authority, key, profile }.into());
        }
    }
    Ok(())
}

/// Refuses, before anything is made, what the algorithm policy would refuse of a finished CA (KEY-11).
fn only_allowed_algorithms(
    hierarchy: &Hierarchy,
    algorithms: &AlgorithmPolicy,
    now: UnixTime,
) -> anyhow::Result<()> {
    let issuing = hierarchy.issuing.iter().chain([&hierarchy.root]);
    let issuing = issuing.map(|planned| (planned, KeyPurpose::Issuing));
    for (planned, purpose) in issuing.chain([(&hierarchy.management, KeyPurpose::Management)]) {
        algorithms.signature(purpose, planned.key, planned.algorithm, now).map_err(|source| {
            let authority = planned.common_name.clone();
            Refusal::AlgorithmPolicy { authority, source }
        })?;
    }
    Ok(())
}

/// The deployment of this home: the instance is drawn once.
fn deployment(home: &Home, hierarchy: &Hierarchy) -> anyhow::Result<Deployment> {
    let path = home.join("ceremony/instance");
    let instance: Instance = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().with_context(|| path.display().to_string())?,
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| path.display().to_string());
        }
        Err(_) => {
            let bytes = random::<32>()?;
            let mut words = [0_u64; 4];
            for (word, octets) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_be_bytes(octets.try_into()?);
            }
            let drawn = Instance::from_random(words);
            replace(&path, drawn.as_str().as_bytes())?;
            drawn
        }
    };
    let found = Deployment::from_parts(&hierarchy.environment, &hierarchy.pki, instance.as_str())?;
    Deployment::new(Pki::Demo, instance).must_equal(&found, Place::Configuration)?;
    Ok(found)
}

fn progress(steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style)
}

struct Bootstrap<'a> {
    /// Hash that the CKA_IDs of the keys are made from.
    plan: [u8; 32],
    hierarchy: &'a Hierarchy,
    home: &'a Home,
    module: &'a Module,
    ports: &'a Ports,
    deployment: Deployment,
    progress: ProgressBar,
    works: Works<'a, 'static>,
}

struct Tokens {
    root: Token,
    issuing: Token,
    management: Token,
    responder: Token,
}

impl Bootstrap<'_> {
    fn make(&mut self) -> anyhow::Result<Made> {
        let tokens = self.tokens()?;
        self.step("note keys");
        let notes = self.note_keys()?;
        let (root, root_issuer) = self.root(&tokens.root)?;
        let mut authorities = vec![MadeAuthority {
            planned: self.hierarchy.root.clone(),
            certificate: root.clone(),
            token: None,
        }];
        authorities.extend(self.issuing(&tokens.issuing, &root_issuer)?);
        let crl = self.root_crl(&root)?;
        self.checkpoint()?;
        let (identity, delegate) = self.responder(&tokens.responder, &root_issuer, &crl)?;
        let (management, clients) = self.management(&tokens.management)?;
        self.checkpoint()?;
        Ok(Made {
            authorities,
            management,
            management_token: tokens.management.name().clone(),
            responder_token: tokens.responder.name().clone(),
            issuing_token: tokens.issuing.name().clone(),
            identity,
            delegate,
            crl,
            notes,
            clients,
        })
    }

    fn tokens(&mut self) -> anyhow::Result<Tokens> {
        let mut token = |role: Role| {
            self.step(&format!("token {}", role.name()));
            let token = tokens::open(self.home, self.module, self.deployment, role)?;
            let facts = [
                ("what", Fact::from("token")),
                ("role", role.name().into()),
                ("token", token.name().to_string().into()),
            ];
            if self.works.transcript.phase() != Phase::Closed {
                self.works.transcript.write(Kind::Check, &facts)?;
            }
            anyhow::Ok(token)
        };
        Ok(Tokens {
            root: token(Role::Root)?,
            issuing: token(Role::Issuing)?,
            management: token(Role::Management)?,
            responder: token(Role::Responder)?,
        })
    }

    /// The root, and how it signs what stands below it.
    fn root(&mut self, token: &Token) -> anyhow::Result<(Certificate, Issuer)> {
        let planned = &self.hierarchy.root;
        let key = self.key(token, planned)?;
        self.works.use_key(token, &key)?;
        let root = self.works.certificate(Work {
            file: format!("{}.cer", planned.name),
            profile: "root",
            signer: Signer::Itself(planned.algorithm),
            key: KeySource::Proven(&key),
            public_key: &key,
            fields: self.names(&planned.common_name),
            ends_at: None,
        })?;
        let issuer = self.issuer(planned, &root, &["issuing", "ocsp-offline"])?;
        Ok((root, issuer))
    }

    fn issuing(&mut self, token: &Token, root: &Issuer) -> anyhow::Result<Vec<MadeAuthority>> {
        let mut authorities = Vec::new();
        for planned in &self.hierarchy.issuing {
            let key = self.key(token, planned)?;
            self.step(&format!("certificate of {}", planned.common_name));
            let certificate = self.works.certificate(Work {
                file: format!("{}.cer", planned.name),
                profile: "issuing",
                signer: Signer::Issuer(root),
                key: KeySource::Proven(&key),
                public_key: &key,
                fields: self.names(&planned.common_name),
                ends_at: None,
            })?;
            let (planned, token) = (planned.clone(), Some(token.name().clone()));
            authorities.push(MadeAuthority { planned, certificate, token });
        }
        Ok(authorities)
    }

    fn root_crl(&mut self, root: &Certificate) -> anyhow::Result<Vec<u8>> {
        self.step("first CRL of the root");
        let planned = &self.hierarchy.root;
        let lifetime = Duration::from_secs(self.hierarchy.root_crl_lifetime);
        let file = format!("{}.crl", planned.name);
        self.works.crl(&List {
            authority: root,
            algorithm: planned.algorithm,
            number: &crl::CrlNumber::first(),
            lifetime,
            previous: None,
            entries: &[],
            file: &file,
        })
    }

    /// The responder's identity, and its delegate for the root.
    fn responder(
        &mut self,
        token: &Token,
        root: &Issuer,
        crl: &[u8],
    ) -> anyhow::Result<(PublicKey, Certificate)> {
        self.step("responder's identity and the root's delegate");
        let identity = self.responder_key(token, "responder-identity")?;
        let file = self.home.out(&format!("responder-{}.spki", self.hierarchy.responder));
        replace(&file, identity.spki_der())?;
        let delegate = self.root_delegate(token, root, crl)?;
        Ok((identity, delegate))
    }

    fn management(&mut self, token: &Token) -> anyhow::Result<(Certificate, Vec<MadeClient>)> {
        self.step("management CA");
        let key = self.key(token, &self.hierarchy.management)?;
        self.works.use_key(token, &key)?;
        let management = self.management_ca(&key)?;
        let clients = self.management_credentials(&management)?;
        Ok((management, clients))
    }

    fn step(&mut self, what: &str) {
        self.progress.inc(1);
        self.progress.set_message(what.to_owned());
        self.works.transcript.enter(what);
    }

    /// The head at the end of a phase.
    fn checkpoint(&mut self) -> anyhow::Result<()> {
        if self.works.transcript.phase() == Phase::Closed {
            return Ok(());
        }
        Ok(self.works.transcript.write_head(Kind::Checkpoint)?)
    }

    fn names(&self, common_name: &str) -> RequestedFields {
        RequestedFields {
            common_name: Some(common_name.to_owned()),
            organization: Some(self.hierarchy.organization.clone()),
            ..RequestedFields::default()
        }
    }

    /// The key of an authority: found again by its CKA_ID, or made.
    fn key(&mut self, token: &Token, planned: &PlannedAuthority) -> anyhow::Result<PublicKey> {
        self.step(&format!("key of {} ({})", planned.common_name, planned.key));
        self.key_of_step(token, &planned.name, planned.key, Removal::Forbidden)
    }

    fn responder_key(&mut self, token: &Token, step: &str) -> anyhow::Result<PublicKey> {
        self.key_of_step(token, step, KeyType::EcP256, Removal::Allowed)
    }

    fn key_of_step(
        &mut self,
        token: &Token,
        step: &str,
        key_type: KeyType,
        removal: Removal,
    ) -> anyhow::Result<PublicKey> {
        let id = KeyId::of_step(&self.plan, step);
        let order = KeyOrder { key_type, label: step.to_owned(), id, removal };
        self.works.key(token, order, KEY_DEADLINE)
    }

    fn issuer(
        &self,
        planned: &PlannedAuthority,
        certificate: &Certificate,
        profiles: &[&str],
    ) -> anyhow::Result<Issuer> {
        let urls = self.ports.urls(&planned.name);
        issuer(
            certificate,
            IssuerSettings {
                name: planned.name.clone(),
                algorithm: planned.algorithm,
                crl_url: urls.crl,
                ocsp_url: urls.ocsp,
                aia_url: urls.aia,
                profiles: profiles.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
                crl_scope_stated: CrlScopeStated::No,
                period: KeyPeriod::default(),
            },
        )
    }

    /// The delegate that answers for the root, signed now because the root goes offline.
    fn root_delegate(
        &mut self,
        token: &Token,
        root: &Issuer,
        crl: &[u8],
    ) -> anyhow::Result<Certificate> {
        let key = self.responder_key(token, "delegate-root")?;
        let subject = Name::builder().with(AttributeType::CommonName, "delegate")?.build();
        let request = token.certification_request(&key, &subject)?;
        let next_update = outputs::crl_next_update(crl)?;
        let end = next_update.checked_add(DELEGATE_AFTER_CRL).context("after the year 9999")?;
        let common_name =
            format!("{} OCSP {}", self.hierarchy.root.common_name, self.hierarchy.responder);
        self.works.certificate(Work {
            file: format!("delegate-{}.cer", self.hierarchy.root.name),
            profile: "ocsp-offline",
            signer: Signer::Issuer(root),
            key: KeySource::Request(request.as_der()),
            public_key: &key,
            fields: self.names(&common_name),
            ends_at: Some(end),
        })
    }

    fn management_ca(&mut self, key: &PublicKey) -> anyhow::Result<Certificate> {
        let planned = &self.hierarchy.management;
        let mut fields = self.names(&planned.common_name);
        fields.management_name = Some("management".parse()?);
        let certificate = self.works.certificate(Work {
            file: "management-ca.cer".to_owned(),
            profile: "management-ca",
            signer: Signer::Itself(planned.algorithm),
            key: KeySource::Proven(key),
            public_key: key,
            fields,
            ends_at: None,
        })?;
        replace(&self.home.join("tls/management-ca.pem"), pem(&certificate).as_bytes())?;
        Ok(certificate)
    }

    fn management_credentials(
        &mut self,
        management: &Certificate,
    ) -> anyhow::Result<Vec<MadeClient>> {
        let profiles = ["management-server", "management-client"];
        let planned = self.hierarchy.management.clone();
        let issuer = self.issuer(&planned, management, &profiles)?;
        let server: RoleName = self.hierarchy.server.parse()?;
        let mut fields = self.names(&format!("Sigill CA {server}"));
        fields.management_name = Some(server);
        fields.dns = vec!["localhost".to_owned()];
        fields.ip = vec![self.ports.api.ip()];
        self.step("credentials of the API's server");
        self.credential(&issuer, management, "server", "management-server", fields)?;
        let mut made = Vec::new();
        for client in &self.hierarchy.clients {
            let mut fields = self.names(&format!("Sigill client {}", client.name));
            fields.management_name = Some(client.name.parse()?);
            let certificate =
                self.credential(&issuer, management, &client.name, "management-client", fields)?;
            made.push(MadeClient {
                planned: client.clone(),
                spki: certificate.public_key().spki_hash(),
            });
        }
        self.step("credentials of the API's clients");
        Ok(made)
    }

    /// A TLS key in a 0600 file and its certificate with the management CA's behind it.
    fn credential(
        &mut self,
        issuer: &Issuer,
        management: &Certificate,
        name: &str,
        profile: &str,
        fields: RequestedFields,
    ) -> anyhow::Result<Certificate> {
        let key_path = self.home.join(&format!("tls/{name}.key"));
        let pair = match std::fs::read_to_string(&key_path) {
            Ok(text) => read_key(&text).with_context(|| key_path.display().to_string())?,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| key_path.display().to_string());
            }
            Err(_) => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                    .map_err(|_| anyhow::anyhow!("no random numbers for a TLS key"))?;
                replace_secret(&key_path, write_key(&pair)?.as_bytes())?;
                pair
            }
        };
        let public = PublicKey::from_ec_point(pair.public_key().as_ref())?;
        let certificate = self.works.certificate(Work {
            file: format!("management-{name}.cer"),
            profile,
            signer: Signer::Issuer(issuer),
            key: KeySource::Proven(&public),
            public_key: &public,
            fields,
            ends_at: None,
        })?;
        let chain = format!("{}{}", pem(&certificate), pem(management));
        replace(&self.home.join(&format!("tls/{name}.pem")), chain.as_bytes())?;
        Ok(certificate)
    }

    fn note_keys(&self) -> anyhow::Result<[[u8; 32]; 3]> {
        let deployment: DeploymentName = self.deployment.to_string().parse()?;
        let mut publics = [[0; 32]; 3];
        for (public, name) in publics.iter_mut().zip(["status", "audit", "manifest"]) {
            let path = self.home.join(&format!("keys/note-{name}.key"));
            let key = if path.exists() {
                SoftwareNoteKey::open(&path, &deployment)?
            } else {
                SoftwareNoteKey::create(&path, &deployment)?
            };
            *public = key.public_key();
        }
        Ok(publics)
    }
}

fn pem(certificate: &Certificate) -> String {
    x509::pem::encode(x509::pem::Label::Certificate, certificate.as_der())
}

/// PKCS#8 in PEM (RFC 7468 §10).
fn write_key(pair: &EcdsaKeyPair) -> anyhow::Result<Zeroizing<String>> {
    let der = pair.to_pkcs8v1().map_err(|_| anyhow::anyhow!("TLS key cannot be written"))?;
    Ok(x509::pem::encode_private_key(der.as_ref()))
}

fn read_key(text: &str) -> anyhow::Result<EcdsaKeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| anyhow::anyhow!("not a PKCS#8 private key in PEM: {error}"))?;
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_pkcs8_der())
        .map_err(|_| anyhow::anyhow!("not an EC P-256 private key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KEY-11: judged by the policy of the day before a key is made.
    #[test]
    fn refuses_what_the_algorithm_policy_does_not_allow() {
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/hierarchy.toml");
        let mut hierarchy = Hierarchy::read(Path::new(shipped)).unwrap();
        let policy = AlgorithmPolicy::shipped().unwrap();
        let judged = |hierarchy: &Hierarchy, now| only_allowed_algorithms(hierarchy, &policy, now);
        assert!(judged(&hierarchy, now().unwrap()).is_ok());
        assert!(judged(&hierarchy, UnixTime::EPOCH).is_err(), "before its first day");

        hierarchy.root.key = KeyType::Rsa { bits: 2048 };
        let error = judged(&hierarchy, now().unwrap()).unwrap_err();

        let refusal = error.downcast_ref::<Refusal>().unwrap();
        assert_eq!(refusal.code(), "ceremony-algorithm-policy");
        assert!(refusal.to_string().contains("rsa-2048 keys of purpose issuing"), "{refusal}");
    }
}

//! What a demo has beside the keys of its ceremonies: the management CA with the API's first credentials, the responder's identity, and keys of notes.
//!
//! Every step looks first whether an earlier run did it: keys are found again by the CKA_ID that the hierarchy file and the step give them,
//! certificates by their files. Each is a line of the demo's own transcript before it is done.

use anyhow::Context as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ca::deployment::{Deployment, RoleName};
use ca::fields::RequestedFields;
use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::KeyPeriod;
use ca::prepare::{KeySource, Signer};
use ceremony_core::transcript::{Fact, Kind, Phase};
use hsm::note::SoftwareNoteKey;
use hsm::{KeyId, KeyOrder, Module, Removal, Token};
use ledger::NoteSigner as _;
use ledger::origin::DeploymentName;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey};
use x509::name::{AttributeType, Name};
use zeroize::Zeroizing;

use super::KEY_DEADLINE;
use crate::hierarchy::{Hierarchy, PlannedAuthority};
use crate::home::{Home, replace, replace_secret};
use crate::outputs::{MadeClient, Ports};
use crate::tokens::{self, Role};
use crate::works::{Work, Works, issuer};

/// Who makes them.
pub(super) struct Credentials<'a> {
    /// Hash that the CKA_IDs of the keys are made from.
    pub(super) plan: [u8; 32],
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) home: &'a Home,
    pub(super) module: &'a Module,
    pub(super) ports: &'a Ports,
    pub(super) deployment: Deployment,
    pub(super) works: Works<'a, 'static>,
}

impl Credentials<'_> {
    pub(super) fn token(&mut self, role: Role) -> anyhow::Result<Token> {
        self.works.transcript.enter(&format!("token {}", role.name()));
        let token = tokens::open(self.home, self.module, self.deployment, role)?;
        let facts = [
            ("what", Fact::from("token")),
            ("role", role.name().into()),
            ("token", token.name().to_string().into()),
        ];
        if self.works.transcript.phase() != Phase::Closed {
            self.works.transcript.write(Kind::Check, &facts)?;
        }
        Ok(token)
    }

    /// The head at the end of a phase.
    pub(super) fn checkpoint(&mut self) -> anyhow::Result<()> {
        if self.works.transcript.phase() == Phase::Closed {
            return Ok(());
        }
        Ok(self.works.transcript.write_head(Kind::Checkpoint)?)
    }

    /// The responder's identity, and the request of its delegate for the root, which is certified now because the root goes offline.
    pub(super) fn responder(&mut self, token: &Token) -> anyhow::Result<(PublicKey, Vec<u8>)> {
        self.works.transcript.enter("responder's identity and the root's delegate");
        let mut key = |step: &str| self.key(token, step, KeyType::EcP256, Removal::Allowed);
        let identity = key("responder-identity")?;
        let delegate = key("delegate-root")?;
        let file = self.home.out(&format!("responder-{}.spki", self.hierarchy.responder));
        replace(&file, identity.spki_der())?;
        let subject = Name::builder().with(AttributeType::CommonName, "delegate")?.build();
        let request = token.certification_request(&delegate, &subject)?;
        Ok((identity, request.as_der().to_vec()))
    }

    /// The management CA, and the credentials that it certifies.
    pub(super) fn management(
        &mut self,
        token: &Token,
    ) -> anyhow::Result<(Certificate, Vec<MadeClient>)> {
        self.works.transcript.enter("management CA");
        let planned = &self.hierarchy.management;
        let key = self.key(token, &planned.name, planned.key, Removal::Forbidden)?;
        self.works.use_key(token, &key)?;
        let management = self.management_ca(&key)?;
        let clients = self.management_credentials(&management)?;
        Ok((management, clients))
    }

    fn names(&self, common_name: &str) -> RequestedFields {
        RequestedFields {
            common_name: Some(common_name.to_owned()),
            organization: Some(self.hierarchy.organization.clone()),
            ..RequestedFields::default()
        }
    }

    /// A key: found again by its CKA_ID, or made.
    fn key(
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
        self.works.transcript.enter("credentials of the API's server");
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
        self.works.transcript.enter("credentials of the API's clients");
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

    pub(super) fn note_keys(&self) -> anyhow::Result<[[u8; 32]; 3]> {
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

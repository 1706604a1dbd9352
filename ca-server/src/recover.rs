//! `sigill-ca tls recover`: new credentials when the API's own have expired and nobody gets in.
//!
//! Local: it opens the database, which a running `sigill-ca` holds, and the management CA's token with
//! its PIN. The server gets a new certificate; so does each client that is named, for the request that
//! its own machine has made. Both are recorded as renewals are, and a leaf for each says that it was
//! recovered (architecture §2.6).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use ca::audit::Actor;
use ca::deployment::{Deployment, ManagementRole};
use ca::fields::RequestedFields;
use ca::key_quality::KeyBook;
use ca::prepare::KeySource;
use ca::profile::ProfileSet;
use clap::Args;
use host::durable::folder_of;
use serde_json::json;
use store::{BootId, ManagementCertificate, ManagementHolder, ManagementScope, Node, Store};
use x509::certificate::Certificate;
use x509::oid::attribute;
use x509::pem;
use x509::time::UnixTime;

use crate::algorithms;
use crate::check;
use crate::config::ConfigFile;
use crate::confirm;
use crate::database::Create;
use crate::http::tls::{ServerIdentity, management_ca};
use crate::key_lists;
use crate::management::clients::ClientKeys;
use crate::management::server::{replace_pair, unusable};
use crate::management::{
    self, CLIENT_PROFILE, ManagementAuthority, ManagementWork, SERVER_PROFILE, files,
};
use crate::publication::files::replace;
use crate::service::record::client as actor_of;
use crate::service::renewal::{chain_pem, client_object, judge_request, role_name};
use crate::start::Told;
use crate::tokens;
use crate::wiring::{self, NoteKeys};

/// What is recovered.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A configured client that gets a certificate; may be given several times, each time with --csr
    /// and --out.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// Its PKCS#10 request with a new key, PEM.
    #[arg(long, value_name = "FILE")]
    csr: Vec<PathBuf>,
    /// Where its certificate goes, PEM, the management CA's behind it.
    #[arg(long, value_name = "FILE")]
    out: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A client to be certified, read before anything is signed.
struct Waiting<'a> {
    name: &'a str,
    request: Vec<u8>,
    out: &'a Path,
}

impl Recover {
    /// Recovers, and returns the lines of the result.
    ///
    /// # Errors
    ///
    /// Says what was refused; what had been recovered before stands.
    pub(crate) fn run(&self) -> anyhow::Result<Vec<String>> {
        let waiting = self.waiting()?;
        let works = Works::open(&self.config)?;
        let now = works.now;
        let earlier = ManagementScope::EarlierBoots(works.authority.node().clone());
        works.authority.give_up(works.store.as_ref(), &earlier, now);
        // All that can be refused is refused before the first signature.
        for one in &waiting {
            works.judge(one)?;
        }
        works.store.record_audit(&works.authority.proven(), now)?;
        let server = works.server(now)?;
        let mut made = Vec::new();
        for one in &waiting {
            made.push((one, works.client(one, now)?));
        }
        let api = &works.config.api;
        if self.json {
            let clients: Vec<_> = made
                .iter()
                .map(|(one, made)| {
                    json!({
                        "client": one.name, "certificate": one.out, "spki_sha256": made.key.to_string(),
                        "not_after": made.not_after.to_string(),
                    })
                })
                .collect();
            let result = json!({
                "server": { "certificate": api.certificate, "not_after": server.not_after.to_string() },
                "clients": clients,
            });
            return Ok(vec![result.to_string()]);
        }
        let mut lines = vec![format!(
            "server: {} is good until {}; start sigill-ca",
            api.certificate.display(),
            server.not_after
        )];
        lines.extend(made.iter().map(|(one, made)| {
            format!("client {}: {} is good until {}", one.name, one.out.display(), made.not_after)
        }));
        Ok(lines)
    }

    fn waiting(&self) -> anyhow::Result<Vec<Waiting<'_>>> {
        ensure!(
            self.client.len() == self.csr.len() && self.client.len() == self.out.len(),
            unfit(format!(
                "{} --client, {} --csr and {} --out were given; each client has one of each, in the same order",
                self.client.len(),
                self.csr.len(),
                self.out.len()
            ))
        );
        let files = self.csr.iter().zip(&self.out);
        let mut waiting = Vec::new();
        for (name, (csr, out)) in self.client.iter().zip(files) {
            // A certificate that was issued and cannot be written would be lost.
            ensure!(
                folder_of(out).is_dir() && !out.is_dir(),
                unfit(format!("--out {} is no file in a folder that is there", out.display()))
            );
            let unread = || unfit(format!("--csr {}", csr.display()));
            let text = std::fs::read_to_string(csr).with_context(unread)?;
            let request = ca::request::der_from_text(&text).with_context(unread)?;
            waiting.push(Waiting { name, request, out });
        }
        Ok(waiting)
    }
}

fn unfit(what: String) -> Told {
    Told::new("arguments-unfit", what, "`sigill-ca tls recover --help` shows an example")
}

/// What recovery works with.
struct Works {
    config: ConfigFile,
    deployment: Deployment,
    profiles: ProfileSet,
    clients: Arc<ClientKeys>,
    store: Arc<dyn Store>,
    authority: ManagementAuthority,
    /// A time that may go into the logs.
    now: UnixTime,
}

impl Works {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let config = ConfigFile::read(path)?;
        let deployment = wiring::deployment(&config)?;
        let section = config.management.clone().with_context(|| {
            let file = path.display();
            Told::config(format!(
                "{file} has no section [management]; it names the token that signs"
            ))
        })?;
        let profiles = crate::book::read(&config.profiles)?.profiles().clone();
        let policy = Arc::new(algorithms::read(&config)?);
        wiring::check_management(&config, &section, &profiles)?;
        let clients = check::clients(&config, deployment)?;
        let certificate = management_ca(&config.api)?;
        let notes = NoteKeys::open(&config, deployment)?;
        let store = wiring::open_alone(&config, deployment, Create::Never).context(
            "cannot recover; if sigill-ca runs, stop it first: it holds the database, and it renews its server certificate by itself",
        )?;
        wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
        let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
        let now = confirm::believed(last_seen, config.clock)?;
        let signer = tokens::management_signer(&config, &section, deployment, &certificate)?;
        let authorities = crate::authorities::read(&config)?;
        let own = authorities.values().map(|one| one.certificate.public_key().spki_hash());
        let keys = KeyBook::new(own, key_lists::read(&config)?);
        let mut boot = [0; 16];
        getrandom::fill(&mut boot).context("no random numbers")?;
        let node = Node { name: config.deployment.node.clone(), boot: BootId::from_bytes(boot) };
        let authority = ManagementAuthority::new(
            deployment,
            policy,
            certificate,
            Arc::new(signer),
            keys,
            node,
        )?;
        Ok(Self { config, deployment, profiles, clients: clients.keys(), store, authority, now })
    }

    fn server(&self, now: UnixTime) -> anyhow::Result<ManagementCertificate> {
        let api = &self.config.api;
        files::finish(&api.certificate, &api.key)
            .map_err(|error| anyhow::Error::new(unusable(&error)))?;
        let present = self.present_server()?;
        let profile = management::profile(&self.profiles, SERVER_PROFILE)?;
        let store = self.store.as_ref();
        let made = replace_pair(&self.authority, store, profile, &present, api, now)?;
        self.store.record_audit(&self.authority.recovered(&made), now)?;
        ServerIdentity::load(self.deployment, &api.certificate, &api.key)?;
        Ok(made)
    }

    /// The server's present certificate, expired or not, for its names. Its key is not needed.
    fn present_server(&self) -> anyhow::Result<Certificate> {
        let path = &self.config.api.certificate;
        let unfit = |why: &str| {
            Told::new(
                "server-certificate",
                format!("{} {why}", path.display()),
                "put back a certificate of this server, an expired one too: the new one gets its names",
            )
        };
        let text = std::fs::read_to_string(path).with_context(|| unfit("cannot be read"))?;
        let blocks = pem::decode(&text).with_context(|| unfit("is no PEM"))?;
        let first = blocks.into_iter().next();
        let (_, der) = first.with_context(|| unfit("holds no certificate"))?;
        let certificate =
            Certificate::from_der(&der).with_context(|| unfit("holds no certificate"))?;
        certificate
            .verify_signed_by(self.authority.certificate().public_key())
            .with_context(|| unfit("is not of this management CA"))?;
        Ok(certificate)
    }

    fn judge(&self, one: &Waiting<'_>) -> anyhow::Result<()> {
        self.clients.pinned(one.name).with_context(|| unknown(one.name))?;
        let own = self.deployment.management_uri(ManagementRole::Client, &role_name(one.name)?);
        Ok(judge_request(&one.request, &own, &self.clients)?)
    }

    fn client(&self, one: &Waiting<'_>, now: UnixTime) -> anyhow::Result<ManagementCertificate> {
        let name = role_name(one.name)?;
        let pinned = self.clients.pinned(one.name).with_context(|| unknown(one.name))?;
        // The names that a demo gives: the expired certificate is not here.
        let ca = self.authority.certificate().subject();
        let fields = RequestedFields {
            common_name: Some(format!("Sigill client {name}")),
            organization: ca.text_of(attribute::ORGANIZATION),
            management_name: Some(name.clone()),
            ..RequestedFields::default()
        };
        let made = self
            .authority
            .issue(
                self.store.as_ref(),
                now,
                ManagementWork {
                    order: None,
                    holder: ManagementHolder::Client { pinned },
                    name,
                    profile: management::profile(&self.profiles, CLIENT_PROFILE)?,
                    key: KeySource::Request(&one.request),
                    fields,
                    actor: Actor::System(*self.authority.node().boot.as_bytes()),
                    objects: [None, None, client_object(actor_of(one.name))],
                    payload: json!({ "client": one.name, "recovered": true }),
                },
            )
            .with_context(|| format!("client {}", one.name))?;
        self.store.record_audit(&self.authority.recovered(&made), now)?;
        let chain = chain_pem(&made.der, &self.authority);
        replace(one.out, chain.as_bytes())
            .with_context(|| unfit(format!("--out {} cannot be written", one.out.display())))?;
        Ok(made)
    }
}

fn unknown(client: &str) -> Told {
    Told::new(
        "client-unknown",
        format!("client {client} is not in the configuration"),
        "add its section [[client]] with the hash of a key of its own first",
    )
}

//! Enrolment of a responder: its identity key is pinned, by which its requests for delegates are believed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::deployment::Deployment;
use clap::Args;
use serde_json::json;
use store::{Responder, Store, Subject};
use x509::key::{PublicKey, SpkiHash};
use x509::time::UnixTime;

use crate::actors;
use crate::config::ConfigFile;
use crate::confirm;
use crate::database::Create;
use crate::service::Service;
use crate::start::Told;
use crate::wiring::{self, NoteKeys};

/// What `sigill-ca enrol-responder` is told.
#[derive(Debug, Args)]
pub(crate) struct Enrolment {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The responder's name, 1 to 32 of a-z0-9-.
    #[arg(long)]
    name: String,
    /// Its public key as `sigill-ocsp make-identity` wrote it, SubjectPublicKeyInfo in DER.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// SHA-256 of that file, hexadecimal, as it was read out at the responder.
    #[arg(long, value_name = "HASH")]
    sha256: String,
    /// Opaque ids of the two persons who compared the hash; twice.
    #[arg(long = "actor", required = true, value_name = "WHO")]
    actors: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A responder that is enrolled.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) deployment: Deployment,
    pub(crate) name: String,
    pub(crate) key: SpkiHash,
}

impl Enrolment {
    /// Pins the key, while `serve` does not run. The same key under the same name again changes nothing.
    ///
    /// # Errors
    ///
    /// Names what does not fit; nothing was enrolled then.
    pub(crate) fn run(&self) -> anyhow::Result<Enrolled> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        ensure!(
            (1..=32).contains(&self.name.len()) && self.name.bytes().all(plain),
            unfit(format!("--name is {:?}: 1 to 32 of a-z0-9-", self.name))
        );
        let actors = actors::two(&self.actors).ok_or_else(|| unfit(actors::WANTED))?;
        let config = ConfigFile::read(&self.config)?;
        let deployment = wiring::deployment(&config)?;
        let notes = NoteKeys::open(&config, deployment)?;
        let store = wiring::open_alone(&config, deployment, Create::Never)?;
        wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
        let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
        let now = confirm::believed(last_seen, config.clock)?;
        let pin = Pin { name: &self.name, file: &self.identity, sha256: &self.sha256 };
        let key = pin.enrol(store.as_ref(), &actors, now)?;
        Ok(Enrolled { deployment, name: self.name.clone(), key })
    }
}

fn unfit(what: impl Into<String>) -> Told {
    Told::new("arguments-unfit", what, "`sigill-ca enrol-responder --help` shows an example")
}

/// A key that is to be pinned, and its hash by another way.
pub(crate) struct Pin<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a Path,
    pub(crate) sha256: &'a str,
}

impl Pin<'_> {
    /// Reads the key, compares it with its hash, and records it with those who did so.
    ///
    /// # Errors
    ///
    /// The file, or a name or key that is pinned already.
    pub(crate) fn enrol(
        &self,
        store: &dyn Store,
        actors: &[String],
        now: UnixTime,
    ) -> anyhow::Result<SpkiHash> {
        let path = self.file;
        let spki_der =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let key =
            PublicKey::from_spki_der(&spki_der).with_context(|| path.display().to_string())?;
        let found = key.spki_hash().to_string();
        ensure!(
            found == self.sha256.to_ascii_lowercase(),
            Told::new(
                "identity-differs",
                format!("{} has SPKI SHA-256 {found}, told was {}", path.display(), self.sha256),
                "compare the hash with what `sigill-ocsp make-identity` said at the responder",
            )
        );
        let mut payload = json!({ "responder": self.name });
        if let (false, Some(object)) = (actors.is_empty(), payload.as_object_mut()) {
            object.insert("actors".to_owned(), json!(actors));
        }
        let record = Service::record(
            EventCode::OcspDelegateEnrolled,
            EventResult::Done,
            Actor::System([0; 16]),
            ObjectIds::of_act([Some(ObjectId::Key(key.spki_hash()))]),
            None,
            &payload,
            Subject::Deployment,
        );
        let responder = Responder {
            name: self.name.to_owned(),
            key: key.spki_hash(),
            spki_der,
            counter: 0,
            enrolled: now,
        };
        store.enrol_responder(&responder, &record, now)?;
        Ok(responder.key)
    }
}

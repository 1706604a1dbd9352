//! The key that a person answers with: in a file, or in a token of one's own, whose PIN is typed.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use ca::deployment::Environment;
use ceremony_core::plan::Person;
use ceremony_core::refusal::Refusal;
use ceremony_core::words::Fingerprint;
use hsm::pin::Pin;
use hsm::statement::SoftwarePersonKey;
use hsm::token::{TokenLabel, TokenName};
use hsm::{Module, PinMarkers, Proofs, Quirks, Token, TokenSettings};
use serde::Deserialize;
use x509::statement::{SignedStatement, Statement};

use super::Room;
use super::layout::Screen;
use crate::stopped::Stopped;

/// Longest wait for a token.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest file that names a token.
const MAX_OCTETS: u64 = 4096;

/// Where the token of a person is found: a file `ID.toml`, which has nothing secret.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnToken {
    /// Its PKCS#11 module, an absolute path.
    module: PathBuf,
    label: String,
    serial: String,
}

impl Room<'_> {
    /// Has a person's key sign: that in the file which is named, or in the token which a file with the ending `.toml` names; named none, that of the
    /// folder of people.
    pub(super) fn signed(
        &self,
        person: &Person,
        named: &str,
        statement: &Statement,
    ) -> anyhow::Result<SignedStatement> {
        let path = self.key_path(person, named)?;
        if path.extension().is_some_and(|end| end == "toml") {
            return self.by_token(person, &path, statement);
        }
        ensure!(
            self.plan.deployment.environment() != Environment::Prod,
            "{} is a file; in environment prod people answer with a key in a token of their own",
            path.display()
        );
        Ok(SoftwarePersonKey::open(&path)?.statement(statement)?)
    }

    fn key_path(&self, person: &Person, named: &str) -> anyhow::Result<PathBuf> {
        if !named.is_empty() {
            return Ok(PathBuf::from(named));
        }
        let folder = self.people.context("no --people says where keys lie: type the file")?;
        let token = folder.join(format!("{}.toml", person.id));
        Ok(if token.exists() { token } else { folder.join(format!("{}.key", person.id)) })
    }

    fn by_token(
        &self,
        person: &Person,
        path: &Path,
        statement: &Statement,
    ) -> anyhow::Result<SignedStatement> {
        let OwnToken { module, label, serial } = read(path)?;
        let module = self.known_module(&module)?;
        let name = TokenName { label: TokenLabel::of_person(&label)?, serial: serial.parse()? };
        let l = self.desk.language;
        let screen = Screen::new(format!("pin {}", person.id), person.name.to_string())
            .tell(format!("{} {name}", l.pick("Egen token:", "Own token:")))
            .tell(l.pick(
                "Bara du skriver. Inget av det syns.",
                "You alone type. Nothing of it is shown.",
            ))
            .asks(l.pick("Din PIN-kod:", "Your PIN:"));
        let pin = Pin::from_drawn(&self.desk.ask_secret(&screen)?)?;
        let module = Module::load(module)?;
        let settings = TokenSettings {
            name: name.clone(),
            pin,
            markers: PinMarkers::in_folder(&self.home.join("state"))?,
            sessions: NonZeroUsize::MIN,
            deadline: DEADLINE,
            quirks: Quirks::default(),
        };
        // A software token is a file, too.
        let token = if self.plan.deployment.environment() == Environment::Prod {
            Token::open(&module, settings)?
        } else {
            Token::danger_open_software_too(&module, settings)?
        };
        let holdings = token.holdings(Proofs::None, DEADLINE)?;
        let keys = holdings.iter().filter_map(|holding| holding.public.key());
        let is_his = |hash: &[u8; 32]| person.keys.iter().any(|key| key.as_bytes() == hash);
        let key = keys.into_iter().find(|key| is_his(key.spki_hash().as_bytes()));
        let Some(key) = key else {
            bail!("token {name} holds no key that the plan has for {}", person.id);
        };
        Ok(token.statement(key, statement)?)
    }

    /// A module runs in this process, which has the PINs of the ceremony: loaded is the ceremony's own, or one that the plan names by path and hash.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R04; nothing of it was run.
    fn known_module<'b>(&'b self, named: &Path) -> anyhow::Result<&'b Path> {
        if named == self.module {
            return Ok(self.module);
        }
        let stop = |refused: String| Stopped {
            refusal: Refusal::Program,
            refused,
            next_step: "name the ceremony's own module, or one of the plan's [[own-module]]; nothing of it was run",
        };
        let planned = self.plan.own_modules.iter();
        let planned = planned.map(|module| (Path::new(module.file.as_str()), module.sha256));
        let Some((path, sha256)) = planned.into_iter().find(|(path, _)| *path == named) else {
            let refused =
                format!("module {} of a person's own token is none of the plan's", named.display());
            return Err(stop(refused).into());
        };
        let octets = fs::read(path).with_context(|| path.display().to_string())?;
        let seen = Fingerprint::of(&octets);
        if seen != sha256 {
            let refused =
                format!("module {} has SHA-256 {seen}, the plan names {sha256}", path.display());
            return Err(stop(refused).into());
        }
        Ok(path)
    }
}

fn read(path: &Path) -> anyhow::Result<OwnToken> {
    let named = || path.display().to_string();
    let length = fs::metadata(path).with_context(named)?.len();
    ensure!(length <= MAX_OCTETS, "{} has {length} octets; it has at most {MAX_OCTETS}", named());
    toml::from_str(&fs::read_to_string(path).with_context(named)?).with_context(named)
}

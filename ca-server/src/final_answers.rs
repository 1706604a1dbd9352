//! `sigill-ca final-answers`: two persons have the final OCSP answers of a CA signed that has ended (OCSP-13, KEY-12).
//!
//! Local, while `serve` does not run. It may be killed at any moment and run again: it goes on with what is missing.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use x509::key::KeyType;

use crate::at_work::{self, Beside};
use crate::config::ConfigFile;
use crate::http::tls::ServerIdentity;
use crate::service::Service;
use crate::service::final_answers::{FinalAnswers as Made, FinalOrder, Progress};
use crate::start::Told;
use crate::wiring::{self, Wired};
use crate::{actors, check};

/// Waves between two lines about how far it has come.
const TOLD_EVERY: usize = 64;

/// What `sigill-ca final-answers` is told.
#[derive(Debug, Args)]
pub(crate) struct FinalAnswers {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The authority that has ended: its short name.
    #[arg(long, value_name = "NAME")]
    authority: String,
    /// Opaque ids of the two persons who decided so; twice.
    #[arg(long = "actor", required_unless_present = "check", value_name = "WHO")]
    actors: Vec<String>,
    /// Where the key of their signer lies until all are signed; it is destroyed then (docs/decisions, record 0035).
    #[arg(long, value_enum, required_unless_present = "check", value_name = "PLACE")]
    delegate_key: Option<KeyPlace>,
    /// Which key the signer gets.
    #[arg(long, value_enum, default_value = "ec-p256", value_name = "TYPE")]
    key_type: SignerKey,
    /// Say whether every certificate has its final answer, and sign nothing.
    #[arg(long, conflicts_with_all = ["actors", "delegate_key"])]
    check: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Where the key of the signer of final answers lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyPlace {
    /// In this process, and in a file of mode 0600 below `[hsm] state` until all are signed.
    ProcessMemory,
}

/// Which key the signer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SignerKey {
    /// Short answers.
    EcP256,
    /// For relying parties that verify RSA alone.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// The same, for longer.
    #[value(name = "rsa-3072")]
    Rsa3072,
}

impl SignerKey {
    const fn key_type(self) -> KeyType {
        match self {
            Self::EcP256 => KeyType::EcP256,
            Self::Rsa2048 => KeyType::Rsa { bits: 2048 },
            Self::Rsa3072 => KeyType::Rsa { bits: 3072 },
        }
    }
}

impl FinalAnswers {
    /// Signs what is missing, or looks whether anything is; returns the line of the result. `say` is told how far it has come.
    ///
    /// # Errors
    ///
    /// Says what was refused. What was signed before stands.
    pub(crate) fn run(&self, say: &dyn Fn(&str)) -> anyhow::Result<String> {
        let config = ConfigFile::read(&self.config)?;
        let named = config.authorities.iter().any(|one| one.name == self.authority);
        ensure!(named, unfit("--authority is no authority of the configuration"));
        let actors = actors::two(&self.actors);
        ensure!(self.check || actors.is_some(), unfit(actors::WANTED));
        let deployment = wiring::deployment(&config)?;
        let clients = check::clients(&config, deployment)?;
        let identity = ServerIdentity::load(deployment, &config.api.certificate, &config.api.key)?;
        at_work::must_be_stopped(&config, Beside::Nobody)?;
        let Wired { service, publisher, .. } =
            wiring::wire(&config, Arc::new(clients).keys(), Arc::new(identity))?;
        let Some(actors) = actors.filter(|_| !self.check) else {
            let authority = service.authority_named(&self.authority)?;
            let found = service.check_final_answers(authority)?;
            return Ok(self.told(&found));
        };
        service.recover()?;
        let publishing = publisher.start()?;
        let keys = config.hsm.state.join("final-answers");
        let order = FinalOrder { actors: &actors, key_type: self.key_type.key_type(), keys: &keys };
        let made = self.made(&service, &order, say);
        service.record_stop();
        service.publication.stop();
        publishing.join().map_err(|_| anyhow::anyhow!("the publisher ended before its time"))?;
        Ok(self.told(&made?))
    }

    fn made(
        &self,
        service: &Service,
        order: &FinalOrder<'_>,
        say: &dyn Fn(&str),
    ) -> anyhow::Result<Made> {
        let authority = service.authority_named(&self.authority)?;
        tracing::warn!(
            problem.code = "delegate-keys-in-memory",
            authority.names = ?[authority.name()],
            "the signer of final answers has its key in process memory and in a file until all are signed, by the command"
        );
        let told = |progress: Progress| {
            let Progress { waves, of_waves, answers, of_answers } = progress;
            if waves.is_multiple_of(TOLD_EVERY) || waves == of_waves {
                say(&format!(
                    "{}: {waves} of {of_waves} files, {answers} of {of_answers} answers",
                    authority.name()
                ));
            }
        };
        service.make_final_answers(authority, order, &told).context("final answers")
    }

    fn told(&self, made: &Made) -> String {
        let Made { good, revoked, left, waves, signed, .. } = made;
        if self.json {
            return json!({
                "authority": self.authority,
                "complete": true,
                "good": good,
                "revoked": revoked,
                "forgotten": left.forgotten,
                "delegates": left.delegates,
                "files": waves,
                "signed_now": signed,
                "next_update": x509::time::UnixTime::LAST.to_string(),
            })
            .to_string();
        }
        format!(
            "authority {}: every certificate has its final answer: {good} good, {revoked} revoked, in {waves} files, {signed} signed now; \
             without one are {} that are forgotten by their profile and {} delegates of responders",
            self.authority, left.forgotten, left.delegates
        )
    }
}

fn unfit(what: &str) -> Told {
    Told::new("arguments-unfit", what, "`sigill-ca final-answers --help` shows an example")
}

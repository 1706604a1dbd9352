//! What ends a start, under a stable code, and what to do next (promise 9).
//!
//! docs/operations/start-codes.md lists all codes.

use std::error::Error;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use host::durable;
use ledger::origin::{DeploymentName, LogOrigin};
use status::CRL_MANIFEST;
use thiserror::Error;

use crate::authority::AuthorityError;
use crate::config::{Config, ConfigError};
use crate::files::CrlKeeperError;
use crate::follow::FollowError;
use crate::keeper::KeeperError;
use crate::receive::{TlsError, TreeError};

/// What did not fit, where no error type says it; also the context of one that has no code.
#[derive(Clone, Debug, Error)]
#[error("{what}")]
pub(crate) struct Told {
    code: &'static str,
    what: String,
    next: &'static str,
}

impl Told {
    /// Says what was refused and what was seen, under `code`, and what to do next.
    pub(crate) fn new(code: &'static str, what: impl Into<String>, next: &'static str) -> Self {
        Self { code, what: what.into(), next }
    }
}

/// The code of an error that nobody gave one.
const UNNAMED: (&str, &str) =
    ("start-failed", "see what the line names; if that does not help, report it with the version");
const OTHERS: &str = "put the file of this deployment in its place; both names are in the line";

/// The one line in which the program ends: code, what was refused with all causes, what to do next.
pub(crate) fn line(error: &anyhow::Error) -> String {
    let (code, next) = code_and_next(error);
    let text = format!("{error:#}");
    let told: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{code}: {}; next: {next}", told.join(" "))
}

/// The code alone, for the log.
pub(crate) fn code(error: &anyhow::Error) -> &'static str {
    code_and_next(error).0
}

/// The cause that lies deepest says best what is wrong.
fn code_and_next(error: &anyhow::Error) -> (&'static str, &'static str) {
    error
        .chain()
        .filter_map(told)
        .last()
        .or_else(|| error.downcast_ref().map(|told: &Told| (told.code, told.next)))
        .unwrap_or(UNNAMED)
}

/// Code and next step of an error that has them.
fn told(error: &(dyn Error + 'static)) -> Option<(&'static str, &'static str)> {
    None.or_else(|| error.downcast_ref().map(|told: &Told| (told.code, told.next)))
        .or_else(|| hsm::told(error))
        .or_else(|| {
            error.downcast_ref().map(|error: &ConfigError| (error.code(), error.next_step()))
        })
        .or_else(|| error.downcast_ref().map(of_authority))
        .or_else(|| error.downcast_ref().and_then(of_follow))
        .or_else(|| error.downcast_ref().and_then(of_keeper))
        .or_else(|| {
            let next = "correct the file; docs/operations/responder.md tells how key and certificate are made";
            error.downcast_ref::<TlsError>().map(|_| ("receive-tls", next))
        })
        .or_else(|| {
            let next = "check the folder's permissions and space: the program writes what is pushed";
            error.downcast_ref::<TreeError>().map(|_| ("receive-folder", next))
        })
        .or_else(|| {
            let next = "check the state folder's permissions and space";
            error.downcast_ref::<CrlKeeperError>().map(|_| ("state-unusable", next))
        })
}

/// `serve` starts all the same, and says tryLater for this CA; `check-config` refuses.
pub(crate) const fn of_authority(error: &AuthorityError) -> (&'static str, &'static str) {
    match error {
        AuthorityError::Pin { .. } => (
            "authority-certificate-pin",
            "compare both hashes with the ceremony's; correct the configuration, or what was pushed",
        ),
        AuthorityError::Io { .. } => {
            ("authority-certificate", "correct the permissions of aia/ in the publication folder")
        }
        AuthorityError::Certificate { .. } => {
            ("authority-certificate", "have the inner zone push the certificate again")
        }
    }
}

const fn of_follow(error: &FollowError) -> Option<(&'static str, &'static str)> {
    Some(match error {
        FollowError::OtherLog { .. } => ("deployment-mismatch", OTHERS),
        FollowError::Stored { .. } => {
            ("state-checkpoint", "check the paths; do not delete the state before you know why")
        }
        FollowError::Io { .. } => {
            ("state-unusable", "check the state folder's path, permissions and space")
        }
        _ => return None,
    })
}

const fn of_keeper(error: &KeeperError) -> Option<(&'static str, &'static str)> {
    Some(match error {
        KeeperError::Identity { .. } => {
            ("identity-missing", "compare [hsm] with the enrolment of this responder")
        }
        KeeperError::Io { .. } | KeeperError::Count(_) => {
            ("state-unusable", "check the state folder's path, permissions and space")
        }
        _ => return None,
    })
}

/// The publication folder is there and can be read, and what it says of itself is not another
/// deployment (promise 8). What it says is believed later, and only when it is signed.
///
/// # Errors
///
/// Names the file and both deployments.
pub(crate) fn publication_is_ours(config: &Config) -> anyhow::Result<()> {
    let folder = &config.publication;
    fs::read_dir(folder).with_context(|| {
        let what = format!("publication folder {} cannot be read", folder.display());
        let next = "correct [publication] folder, or make the folder that the inner zone pushes to";
        Told::new("publication-unreadable", what, next)
    })?;
    let log = |line: &str| Some(line.parse::<LogOrigin>().ok()?.deployment);
    let list = |line: &str| {
        line.strip_prefix("sigill/")?.strip_suffix(CRL_MANIFEST)?.strip_suffix('/')?.parse().ok()
    };
    must_be_ours(&folder.join("checkpoint"), config, &log)?;
    must_be_ours(&folder.join("crl/manifest"), config, &list)
}

/// Reads the first line of a note, which names a deployment.
type Named<'a> = &'a dyn Fn(&str) -> Option<DeploymentName>;

fn must_be_ours(path: &Path, config: &Config, named: Named<'_>) -> anyhow::Result<()> {
    /// A note is at most this long.
    const MAX_OCTETS: u64 = 1 << 20;
    let bytes = durable::read(path, MAX_OCTETS).with_context(|| {
        let what = format!("{} cannot be read", path.display());
        Told::new("publication-unreadable", what, "correct the file's permissions")
    })?;
    let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    let Some(found) = text.lines().next().and_then(named) else { return Ok(()) };
    anyhow::ensure!(
        found == config.deployment,
        Told::new(
            "deployment-mismatch",
            format!(
                "{} is of deployment {found}, configured is {}",
                path.display(),
                config.deployment
            ),
            OTHERS,
        )
    );
    Ok(())
}

/// Takes the state folder: two responders in one would sign with each other's delegates. Held until
/// the file is dropped, or the process is gone.
///
/// # Errors
///
/// Another copy has it.
pub(crate) fn alone(state: &Path) -> anyhow::Result<fs::File> {
    let path = state.join("responder.lock");
    let open =
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let what =
                format!("state folder {} is in use: is another copy running?", state.display());
            Err(Told::new("state-in-use", what, "end the other copy; each has its own state")
                .into())
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| path.display().to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 9: code, all causes, and the next step, in one line.
    #[test]
    fn a_line_has_the_code_of_the_error_within() {
        let error = anyhow::Error::new(ConfigError::Deployment { name: "a/b/c".to_owned() });

        let line = line(&error.context("configuration"));

        assert!(line.starts_with("deployment-unknown: configuration: "), "{line}");
        assert!(line.contains("; next: correct the names"), "{line}");
    }

    #[test]
    fn a_context_gives_a_code_to_an_error_that_has_none() {
        let error = anyhow::Error::new(std::io::Error::other("no"));
        let error = error.context(Told::new("address-refused", "cannot listen", "next"));

        assert_eq!(code(&error), "address-refused");
    }
}

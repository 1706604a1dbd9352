//! The error boundary of a command: what ended it, under a stable code, and what to do next.
//!
//! Most errors that end a start have a type with a code of its own; the others get a [`Told`] where
//! they arise. docs/operations/start-codes.md lists all codes.

use std::error::Error;

use ca::deployment::DeploymentError;
use ceremony_core::exchange::ExchangeFault;
use store::{KeySourceError, StoreError};
use thiserror::Error;

use crate::config::ConfigError;
use crate::confirm::ConfirmError;
use crate::danger::DangerRefused;
use crate::denied::Denied;
use crate::http::tls::TlsError;
use crate::publication::crl_files::CrlFilesError;
use crate::publication::log::PublishError;

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

    /// A value of the configuration that cannot be.
    pub(crate) fn config(what: impl Into<String>) -> Self {
        Self::new("config-value", what, "correct the value; docs/operations/run.md tells each key")
    }
}

/// The code of an error that nobody gave one.
const UNNAMED: (&str, &str) =
    ("start-failed", "see what the line names; if that does not help, report it with the version");

/// The one line in which a command ends: code, what was refused with all causes, what to do next.
pub(crate) fn line(error: &anyhow::Error) -> String {
    if let Some(denied) = error.downcast_ref::<Denied>() {
        // It says all of it by itself; a context says of what.
        let (text, alone) = (format!("{error:#}"), denied.to_string());
        return if text == alone { text } else { format!("{}: {text}", denied.refusal.code) };
    }
    let (code, next) = code_and_next(error);
    let text = format!("{error:#}");
    let told: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    format!("{code}: {}; next: {next}", told.join(" "))
}

/// The code alone, for the log.
pub(crate) fn code(error: &anyhow::Error) -> &'static str {
    error
        .downcast_ref::<Denied>()
        .map_or_else(|| code_and_next(error).0, |denied| denied.refusal.code)
}

/// Gives an error that has no code this one.
pub(crate) fn otherwise(error: anyhow::Error, told: Told) -> anyhow::Error {
    if code_and_next(&error) == UNNAMED { error.context(told) } else { error }
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
        .or_else(|| error.downcast_ref().map(of_store))
        .or_else(|| error.downcast_ref().and_then(of_keys))
        .or_else(|| error.downcast_ref().map(of_config))
        .or_else(|| error.downcast_ref().map(of_exchange))
        .or_else(|| error.downcast_ref().map(of_deployment))
        .or_else(|| error.downcast_ref().and_then(of_tls))
        .or_else(|| error.downcast_ref().map(of_publication))
        .or_else(|| error.downcast_ref().map(of_crl_files))
        .or_else(|| error.downcast_ref().map(of_clock))
        .or_else(|| {
            let next = "take the section [danger-test] away; it is for tests";
            error.downcast_ref::<DangerRefused>().map(|_| ("danger-test-refused", next))
        })
}

const RIGHT_PATH: &str = "correct the path, or the file's permissions";
const OTHERS: &str = "put the file of this deployment in its place; both names are in the line";

const fn of_store(error: &StoreError) -> (&'static str, &'static str) {
    let next = match error {
        StoreError::Busy | StoreError::InUse { .. } => {
            "end the other program that has the database open, then start again"
        }
        StoreError::Full => "make room on the disk of the database, then start again",
        StoreError::ReadOnly | StoreError::Device(_) => {
            "mend the file system of the database, then start again"
        }
        StoreError::Unreachable(_) => "start the database server, or let this user in",
        StoreError::ServerSetting { .. } => {
            "set the server as the line says; what it acknowledged would be lost"
        }
        StoreError::Open { .. } => {
            "correct [database] path; `sigill-ca import` makes a new database"
        }
        StoreError::NotInitialised { .. } | StoreError::Damaged(_) => {
            "put the database back from its backup (docs/operations/backup-restore.md)"
        }
        StoreError::Keys(_) | StoreError::WrongSealingKeys => {
            "put back the file of sealing keys that was made with this database"
        }
        StoreError::Deployment { .. } | StoreError::UnknownDeployment { .. } => OTHERS,
        StoreError::SchemaNewer { .. } => {
            "start the version that wrote the database, or a newer one"
        }
        StoreError::ProfileChanged { .. } => {
            "count `version` up in the changed profile, or put the file that was used back"
        }
        StoreError::SchemaChanged { .. } => "start a released version of the program",
        StoreError::PublishedAhead { .. } => {
            "put the newest database back, or run `sigill-ca take-over` (docs/operations/backup-restore.md)"
        }
        StoreError::LogsDisagree { .. } | StoreError::OtherEpoch { .. } => {
            "stop and keep both as evidence: the published log and this database are not one history"
        }
        _ => "see what the line names; if that does not help, report it with the version",
    };
    (error.code(), next)
}

/// `None` where the error of the store, whose cause this is, says it.
const fn of_keys(error: &KeySourceError) -> Option<(&'static str, &'static str)> {
    match error {
        KeySourceError::Mode { .. } => Some(("secret-file-mode", "chmod the file to 0600")),
        KeySourceError::Format { .. } => {
            Some(("sealing-keys-form", "put back the file that was made with this database"))
        }
        _ => None,
    }
}

const fn of_config(error: &ConfigError) -> (&'static str, &'static str) {
    match error {
        ConfigError::Contract(fault) => fault.told(),
        ConfigError::Read { .. } => ("config-unreadable", RIGHT_PATH),
        ConfigError::Parse { .. } => {
            ("config-malformed", "correct the line that is named; unknown keys are errors")
        }
    }
}

const fn of_exchange(fault: &ExchangeFault) -> (&'static str, &'static str) {
    (fault.code(), fault.next_step())
}

const fn of_deployment(error: &DeploymentError) -> (&'static str, &'static str) {
    match error {
        DeploymentError::Mismatch { .. } => ("deployment-mismatch", OTHERS),
        DeploymentError::ManagementUri { .. } => {
            ("management-uri", "use a certificate of the management CA for this role")
        }
        // A name that is none, or a pair that does not exist.
        _ => ("deployment-unknown", "correct the names of the deployment"),
    }
}

/// `None` where a cause says it better: a certificate of another deployment.
const fn of_tls(error: &TlsError) -> Option<(&'static str, &'static str)> {
    Some(match error {
        TlsError::Deployment { .. } => return None,
        TlsError::Mode { .. } => ("secret-file-mode", "chmod the file to 0600"),
        TlsError::Read { .. } | TlsError::Pem { .. } => ("tls-file-unreadable", RIGHT_PATH),
        TlsError::Pin { .. } => {
            ("management-ca-pin", "put the pinned certificate of the management CA back")
        }
        TlsError::Certificate { .. } | TlsError::Unnamed { .. } => {
            ("server-certificate", "use the server certificate that the management CA issued")
        }
        TlsError::Rustls { .. } => ("tls-unfit", "check that certificate and key belong together"),
        TlsError::ManagementCa { .. } => {
            ("management-ca-unfit", "use the management CA's certificate")
        }
    })
}

const fn of_publication(error: &PublishError) -> (&'static str, &'static str) {
    match error {
        PublishError::Origin { .. } => ("deployment-mismatch", OTHERS),
        PublishError::Checkpoint { .. } => (
            "published-checkpoint",
            "find out who wrote it; the right one is at every responder and in the backup",
        ),
        PublishError::Write { .. } => ("publication-unreadable", RIGHT_PATH),
        _ => (
            "published-log",
            "stop and keep the folder as evidence; it does not carry the log that was signed",
        ),
    }
}

const fn of_clock(error: &ConfirmError) -> (&'static str, &'static str) {
    match error {
        ConfirmError::Unconfirmed { .. } => (
            "clock-unconfirmed",
            "set the clock right; if it is right, run `sigill-ca confirm-clock`",
        ),
        ConfirmError::Malformed(_) => {
            ("clock-time-malformed", "write it such as 2026-11-22T02:30:00Z")
        }
        ConfirmError::Differs { .. } => {
            ("clock-differs", "set the clock right, or read the time again")
        }
    }
}

const fn of_crl_files(error: &CrlFilesError) -> (&'static str, &'static str) {
    match error {
        CrlFilesError::Deployment { .. } => ("deployment-mismatch", OTHERS),
        CrlFilesError::File { .. } => ("publication-unreadable", RIGHT_PATH),
        _ => (
            "crl-manifest",
            "find out who wrote crl/manifest; put the right one back from a responder",
        ),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    /// Promise 9: code, all causes, and the next step, in one line.
    #[test]
    fn a_line_has_the_code_of_the_error_within() {
        let error = anyhow::Error::new(StoreError::Full).context("database ca.sqlite");

        let line = line(&error);

        assert!(line.starts_with("database-full: database ca.sqlite: "), "{line}");
        assert!(line.contains("; next: make room"), "{line}");
    }

    #[test]
    fn a_context_gives_a_code_to_an_error_that_has_none() {
        let read: Result<(), _> = Err(std::io::Error::other("no")).context(Told::config("a key"));

        assert_eq!(code(&read.unwrap_err()), "config-value");
    }

    /// A certificate of another deployment is told as such, and not as a file that is unfit.
    #[test]
    fn another_deployment_has_one_code() {
        let ours = ca::deployment::Deployment::from_parts("test", "demo", "abcd").unwrap();
        let theirs = ca::deployment::Deployment::from_parts("qa", "test", "abcd").unwrap();
        let source =
            ours.must_equal(&theirs, ca::deployment::Place::ManagementCertificate).unwrap_err();
        let error = TlsError::Deployment { path: "server.pem".into(), source };

        assert_eq!(code(&error.into()), "deployment-mismatch");
    }
}

//! `sigill probe`: looks from outside whether a revocation can be seen, and signs what it saw.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use ledger::DeploymentName;
use serde::Serialize;
use status::observation::{Observation, SeenStatus, SignedObservation};
use status::{ProbeMethod, VantageName};
use x509::certificate::Certificate;
use x509::pem::{self, Label};
use x509::serial::SerialNumber;

use crate::client::{Client, ClientError, Connection};
use crate::probe::key::{Vantage, make};
use crate::probe::run::{Memory, Prober, Round};
use crate::probe::spool::Spool;
use crate::probe::web::Web;
use crate::probe::{PinnedIssuer, ProbeFault, list, ocsp};
use crate::terminal::{Terminal, facts, table};

/// What a vantage point does.
#[derive(Debug, Subcommand)]
pub(crate) enum ProbeCommand {
    /// Make the key of a vantage point, and say what `sigill-ca` has to pin.
    #[command(after_help = "Example:\n  sigill probe make-key vantage.key")]
    MakeKey {
        /// The new file, mode 0600. One that is there is never replaced.
        file: PathBuf,
    },
    /// Look at the URLs of one certificate: OCSP by GET and POST, the CRL, and the delta CRL that it names. Asks no CA.
    #[command(
        after_help = "Example:\n  sigill probe certificate card.pem --issuers trust/chain.pem --deployment test/demo/ab12 \\\n    --vantage stockholm --vantage-key vantage.key --out seen/\n\n\
                      Exit code 1 when a URL gave nothing that can be believed."
    )]
    Certificate(OneCertificate),
    /// Work by itself: ask the CA what to look at, look, sign what was seen, send it. Ends at a signal.
    #[command(
        after_help = "Example:\n  sigill probe run --issuers trust/chain.pem --deployment test/demo/ab12 --vantage stockholm --vantage-key vantage.key \\\n    --spool spool/ --url https://ca.example.org:8443 --cert stockholm.pem --key stockholm.key --ca management.pem\n\n\
                      What could not be sent lies in --spool and is sent later. With --once the exit code is 1 when something gave nothing that can be believed, or differs from the log."
    )]
    Run(Running),
}

/// From where, and whom it believes.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// Certificates of the CAs whose answers are believed, PEM, several in a file.
    #[arg(long, value_name = "FILE")]
    issuers: PathBuf,
    /// The deployment that is looked at: environment/pki/instance.
    #[arg(long, value_name = "NAME")]
    deployment: DeploymentName,
    /// Name of this vantage point, as sigill-ca pins it.
    #[arg(long, value_name = "NAME")]
    vantage: VantageName,
    /// Its private key, PKCS#8 in PEM, Ed25519 or P-256, mode 0600.
    #[arg(long, value_name = "FILE")]
    vantage_key: PathBuf,
    /// Keep each object that was seen in this folder, under its SHA-256.
    #[arg(long, value_name = "DIR")]
    objects: Option<PathBuf>,
    /// Seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,
}

/// One certificate.
#[derive(Debug, Args)]
pub(crate) struct OneCertificate {
    /// The certificate, PEM; the first of the file.
    certificate: PathBuf,
    #[command(flatten)]
    from: From,
    /// Write each observation into this folder too, which is made: vantage-serial-method-seconds-number.statement.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// A vantage point at work.
#[derive(Debug, Args)]
pub(crate) struct Running {
    #[command(flatten)]
    from: From,
    /// Folder of what was seen and not sent yet. It is made; one prober has it at a time.
    #[arg(long, value_name = "DIR")]
    spool: PathBuf,
    /// Seconds between two rounds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Seconds before a list is fetched again: a long list is not fetched in every round.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    lists_every: u64,
    /// One round, and what came of it.
    #[arg(long)]
    once: bool,
}

/// What a round came to, as JSON has it.
#[derive(Serialize)]
struct ShownRound {
    seen: usize,
    receipted: usize,
    faults: Vec<String>,
    differences: Vec<String>,
}

impl Running {
    fn run(&self, connection: &Connection, terminal: &Terminal) -> Result<bool, ClientError> {
        if let Some(folder) = &self.from.objects {
            std::fs::create_dir_all(folder)
                .map_err(|source| ClientError::Write { path: folder.clone(), source })?;
        }
        // What the command line gets wrong is told of now; afterwards nothing ends it.
        Client::connect(connection)?;
        let mut prober = Prober {
            connection: connection.clone(),
            web: self.from.web(),
            vantage: self.from.vantage()?,
            issuers: self.from.issuers()?,
            objects: self.from.objects.clone(),
            spool: Spool::open(&self.spool)?,
            lists_every: Duration::from_secs(self.lists_every),
            memory: Memory::default(),
        };
        if self.once {
            return prober.round().map(|round| once(round, terminal));
        }
        let mut told: BTreeSet<String> = BTreeSet::new();
        loop {
            let round = match prober.round() {
                Ok(round) => round,
                // A full disk: what is seen meanwhile is lost, and seen again in the next round.
                Err(error) => {
                    terminal.error(&error);
                    Round::default()
                }
            };
            for line in &round.differences {
                terminal.progress(&format!("difference: {line}"));
            }
            // Each fault is told of when it begins and when it ends, not in every round.
            for line in round.faults.difference(&told) {
                terminal.progress(&format!("fault: {line}"));
            }
            for line in told.difference(&round.faults) {
                terminal.progress(&format!("no more: {line}"));
            }
            if round.receipted > 0 {
                terminal.progress(&format!("receipted: {}", round.receipted));
            }
            told = round.faults;
            std::thread::sleep(Duration::from_secs(self.every));
        }
    }
}

/// Prints what a round came to; true where all was well.
fn once(round: Round, terminal: &Terminal) -> bool {
    let well = round.faults.is_empty() && round.differences.is_empty();
    let shown = ShownRound {
        seen: round.seen,
        receipted: round.receipted,
        faults: round.faults.into_iter().collect(),
        differences: round.differences.into_iter().collect(),
    };
    terminal.result(&shown, || {
        let counts =
            [("observations", shown.seen.to_string()), ("receipted", shown.receipted.to_string())];
        let mut lines = facts(&counts);
        lines.extend(shown.faults.iter().map(|one| format!("fault: {one}")));
        lines.extend(shown.differences.iter().map(|one| format!("difference: {one}")));
        lines
    });
    well
}

impl ProbeCommand {
    /// True when everything that was asked gave something that can be believed.
    pub(crate) fn run(
        &self,
        connection: &Connection,
        terminal: &Terminal,
    ) -> Result<bool, ClientError> {
        match self {
            Self::MakeKey { file } => {
                let spki_sha256 = make(file)?.spki_hash().to_string();
                terminal.result(&MadeKey { spki_sha256: spki_sha256.clone() }, || {
                    facts(&[("key", file.display().to_string()), ("SPKI SHA-256", spki_sha256)])
                });
                Ok(true)
            }
            Self::Certificate(one) => one.run(terminal),
            Self::Run(running) => running.run(connection, terminal),
        }
    }
}

/// What `make-key` prints as JSON.
#[derive(Serialize)]
struct MadeKey {
    spki_sha256: String,
}

/// One look, as JSON has it.
#[derive(Serialize)]
struct Shown {
    method: &'static str,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<ShownFault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observation: Option<String>,
}

#[derive(Serialize)]
struct ShownFault {
    code: &'static str,
    detail: String,
}

impl OneCertificate {
    fn run(&self, terminal: &Terminal) -> Result<bool, ClientError> {
        // Before anything is asked: what was seen is not lost for want of a folder.
        for folder in [&self.out, &self.from.objects].into_iter().flatten() {
            std::fs::create_dir_all(folder)
                .map_err(|source| ClientError::Write { path: folder.clone(), source })?;
        }
        let vantage = self.from.vantage()?;
        let issuers = self.from.issuers()?;
        let certificate = certificates(&self.certificate)?.into_iter().next();
        let certificate = certificate.ok_or_else(|| no_certificate(&self.certificate))?;
        let issuer = issuers
            .iter()
            .find(|one| {
                one.certificate.subject().as_der() == certificate.issuer().as_der()
                    && certificate.verify_signed_by(one.certificate.public_key()).is_ok()
            })
            .ok_or_else(|| ClientError::Value {
                what: "issuer of the certificate",
                found: certificate.issuer().to_string(),
                limit: "a CA of --issuers that has signed it",
            })?;
        let (web, serial) = (self.from.web(), certificate.serial());
        let objects = self.from.objects.as_deref();
        let mut looks: Vec<(ProbeMethod, String, Result<SignedObservation, ProbeFault>)> =
            Vec::new();
        for url in certificate.ocsp_uris() {
            for method in [ProbeMethod::OcspGet, ProbeMethod::OcspPost] {
                let seen = ocsp::look(&web, method, &url, issuer, serial, objects)
                    .and_then(|looked| looked.signed(&vantage, method, &url, issuer));
                looks.push((method, url.clone(), seen));
            }
        }
        for url in certificate.crl_uris() {
            for look in list::look(&web, &url, issuer, &[serial], objects) {
                let list::ListLook { method, url, looked } = look;
                match looked {
                    Err(fault) => looks.push((method, url, Err(fault))),
                    Ok(looked) => looks.extend(looked.into_iter().map(|one| {
                        let seen = one.signed(&vantage, method, &url, issuer);
                        (method, url.clone(), seen)
                    })),
                }
            }
        }
        if let Some(folder) = &self.out {
            let seen = looks.iter().filter_map(|(_, _, seen)| seen.as_ref().ok());
            for (number, seen) in seen.enumerate() {
                let path = folder.join(file_name(seen.observation(), serial, number));
                write_new(&path, seen.signed().as_str())
                    .map_err(|source| ClientError::Write { path, source })?;
            }
        }
        let well = !looks.is_empty() && looks.iter().all(|(_, _, seen)| seen.is_ok());
        let shown: Vec<Shown> = looks.into_iter().map(shown).collect();
        terminal.result(&shown, || {
            let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
            table(&["METHOD", "URL", "STATUS"], &rows)
        });
        Ok(well)
    }
}

/// Another certificate, method or time is another name: a folder gathers what was seen.
fn file_name(seen: &Observation, serial: SerialNumber, number: usize) -> String {
    let Observation { vantage, method, time, .. } = seen;
    format!("{vantage}-{serial}-{method}-{}-{number}.statement", time.secs())
}

/// An observation is evidence: none is written over another.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    File::create_new(path)?.write_all(text.as_bytes())
}

fn shown(
    (method, url, seen): (ProbeMethod, String, Result<SignedObservation, ProbeFault>),
) -> Shown {
    let (status, fault, observation) = match seen {
        Ok(seen) => {
            let said = seen.observation().seen.first().map(|one| in_words(one.status));
            (said, None, Some(seen.signed().as_str().to_owned()))
        }
        Err(fault) => {
            let fault = ShownFault { code: fault.code(), detail: fault.line() };
            (None, Some(fault), None)
        }
    };
    Shown { method: method.as_str(), url, status, fault, observation }
}

fn row(shown: &Shown) -> Vec<String> {
    let said = match (&shown.status, &shown.fault) {
        (Some(status), _) => status.clone(),
        (None, Some(fault)) => format!("{}: {}", fault.code, fault.detail),
        (None, None) => String::new(),
    };
    vec![shown.method.to_owned(), shown.url.clone(), said]
}

fn in_words(status: SeenStatus) -> String {
    match status {
        SeenStatus::Good => "good".to_owned(),
        SeenStatus::Unknown => "unknown".to_owned(),
        SeenStatus::Revoked(revocation) => {
            let reason = revocation.reason.map_or(0, x509::crl::ReasonCode::code);
            format!("revoked {} (CRLReason {reason})", revocation.time)
        }
    }
}

impl From {
    fn vantage(&self) -> Result<Vantage, ClientError> {
        Vantage::open(self.deployment.clone(), self.vantage.clone(), &self.vantage_key)
    }

    fn web(&self) -> Web {
        Web::new(Duration::from_secs(self.patience))
    }

    fn issuers(&self) -> Result<Vec<PinnedIssuer>, ClientError> {
        let pinned: Vec<PinnedIssuer> =
            certificates(&self.issuers)?.into_iter().map(PinnedIssuer::of).collect();
        if pinned.is_empty() { Err(no_certificate(&self.issuers)) } else { Ok(pinned) }
    }
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ClientError::File { path: path.to_path_buf(), source })?;
    let input = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Input {
        path: path.to_path_buf(),
        source,
    };
    let blocks = pem::decode(&text).map_err(|error| input(Box::new(error)))?;
    let certificates = blocks.iter().filter(|(label, _)| *label == Label::Certificate);
    certificates
        .map(|(_, der)| Certificate::from_der(der).map_err(|error| input(Box::new(error))))
        .collect()
}

fn no_certificate(path: &Path) -> ClientError {
    ClientError::Value {
        what: "file",
        found: path.display().to_string(),
        limit: "certificates in PEM",
    }
}

#[cfg(test)]
mod tests {
    use status::IssuerId;
    use status::observation::SeenObject;
    use x509::time::UnixTime;

    use super::*;

    /// REV-07: the observations of a year lie in one folder, and none is written over.
    #[test]
    fn every_observation_has_a_file_of_its_own() {
        let time = UnixTime::from_secs(1_800_000_000).unwrap();
        let seen = Observation {
            deployment: "test/demo/ab12".parse().unwrap(),
            vantage: "stockholm".parse().unwrap(),
            method: ProbeMethod::OcspGet,
            url: "http://ocsp.example.org".to_owned(),
            issuer: IssuerId::from_bytes([1; 32]),
            object_sha256: [1; 32],
            this_update: time,
            next_update: time,
            object: SeenObject::Ocsp { produced_at: time },
            position: None,
            time,
            seen: Vec::new(),
        };
        let name = file_name(&seen, "0A0B".parse().unwrap(), 2);
        assert_eq!(name, "stockholm-0A0B-ocsp-get-1800000000-2.statement");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write_new(&path, "one").unwrap();
        assert!(write_new(&path, "another").is_err());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one");
    }
}

//! `sigill profile example`: a sample of what profiles issue, as text and as a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ca::profile::{Profile, certificate_text, example};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use x509::import::ImportedCertificate;
use x509::key::KeyType;
use x509::pem::{self, Label};
use x509::time::UnixTime;

use super::source::profiles_of;
use crate::client::ClientError;
use crate::terminal::Terminal;

/// What samples are made of.
#[derive(Debug, Args)]
pub(crate) struct Example {
    /// Files of profiles, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// For a key of this type, such as rsa-3072; the profile's first when left out, `all` for each
    /// that the profile allows.
    #[arg(long, value_name = "TYPE")]
    key_type: Option<String>,
    /// At this time (RFC 3339); now when left out.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Write each sample to PROFILE-TYPE.der in this folder.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// One sample, as printed in JSON.
#[derive(Serialize)]
struct Sample {
    profile: String,
    version: u32,
    key_type: String,
    certificate: String,
    text: Vec<String>,
    #[serde(skip)]
    der: Vec<u8>,
}

impl Example {
    pub(super) fn run(&self, terminal: Terminal) -> Result<ExitCode, ClientError> {
        let at = self.at.unwrap_or_else(Timestamp::now);
        let at = u64::try_from(at.as_second()).ok().and_then(|secs| UnixTime::from_secs(secs).ok());
        let at = at.ok_or(ClientError::Value {
            what: "--at",
            found: "before 1970 or after 9999".to_owned(),
            limit: "a time that certificates can write",
        })?;
        let mut samples = Vec::new();
        for (path, octets) in profiles_of(&self.paths)? {
            let refused = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Input {
                path: PathBuf::from(&path),
                source,
            };
            let profile = Profile::parse(&octets).map_err(|error| refused(error.into()))?;
            for key_type in self.key_types(&profile)? {
                let made = sample(&profile, key_type, at)
                    .map_err(|source| ClientError::Sample { path: PathBuf::from(&path), source })?;
                samples.push(made);
            }
        }
        if let Some(folder) = &self.out {
            for sample in &samples {
                write(folder, sample)?;
            }
        }
        terminal.result(&samples, || samples.iter().flat_map(lines).collect());
        Ok(ExitCode::SUCCESS)
    }

    fn key_types(&self, profile: &Profile) -> Result<Vec<KeyType>, ClientError> {
        match self.key_type.as_deref() {
            None => Ok(profile.keys().first().copied().into_iter().collect()),
            Some("all") => Ok(profile.keys().to_vec()),
            Some(text) => text.parse().map(|one| vec![one]).map_err(|_| ClientError::Value {
                what: "--key-type",
                found: text.to_owned(),
                limit: "ec-p256, ec-p384, ed25519, rsa-2048, rsa-3072, rsa-4096, all",
            }),
        }
    }
}

fn sample(
    profile: &Profile,
    key_type: KeyType,
    at: UnixTime,
) -> Result<Sample, Box<dyn std::error::Error + Send + Sync>> {
    let made = example(profile, key_type, at)?;
    let read = ImportedCertificate::from_der(made.as_der())?;
    Ok(Sample {
        profile: profile.name().to_string(),
        version: profile.version(),
        key_type: key_type.to_string(),
        certificate: pem::encode(Label::Certificate, made.as_der()),
        text: certificate_text(&read),
        der: made.as_der().to_vec(),
    })
}

fn write(folder: &Path, sample: &Sample) -> Result<(), ClientError> {
    let path = folder.join(format!("{}-{}.der", sample.profile, sample.key_type));
    std::fs::write(&path, &sample.der).map_err(|source| ClientError::Write { path, source })
}

fn lines(sample: &Sample) -> Vec<String> {
    let mut lines = vec![format!(
        "# sample of profile {} version {} for a key of type {}; its signature verifies under no key",
        sample.profile, sample.version, sample.key_type
    )];
    lines.extend(sample.text.iter().cloned());
    lines.extend(sample.certificate.lines().map(str::to_owned));
    lines
}

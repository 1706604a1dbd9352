//! `sigill diagnose`: why a login or a signature fails, and what to do.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::word;
use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, table};

/// What is asked about, to what end.
#[derive(Debug, Args)]
pub(crate) struct Diagnose {
    #[command(flatten)]
    about: About,
    /// What is tried.
    #[arg(long = "use", value_enum, default_value_t = Use::Login)]
    wanted: Use,
    /// Trust level (tillitsnivå) that is wanted at least: 2 or 3.
    #[arg(long)]
    level: Option<u8>,
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct About {
    /// A certificate by its id.
    #[arg(long, value_name = "ID")]
    certificate: Option<String>,
    /// A certificate in a file, in PEM, whoever issued it.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// An eID.
    #[arg(long, value_name = "ID")]
    eid: Option<String>,
    /// A carrier.
    #[arg(long, value_name = "ID")]
    carrier: Option<String>,
    /// The number on a card, 19 digits.
    #[arg(long)]
    card_number: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Use {
    /// A login (legitimering).
    Login,
    /// A signature (underskrift).
    Signature,
}

impl Diagnose {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let certificate_pem = match &self.about.file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|source| ClientError::File { path: path.clone(), source })?,
            ),
            None => None,
        };
        let asked = api::DiagnosisRequest {
            certificate: self.about.certificate.clone(),
            certificate_pem,
            eid: self.about.eid.clone(),
            carrier: self.about.carrier.clone(),
            card_number: self.about.card_number.clone(),
            wanted: match self.wanted {
                Use::Login => api::DiagnosisUse::Login,
                Use::Signature => api::DiagnosisUse::Signature,
            },
            level: self.level,
        };
        let found: api::Diagnosis = client.ask("/v1/diagnosis", &asked)?;
        terminal.result(&found, || shown(&found));
        Ok(())
    }
}

fn shown(found: &api::Diagnosis) -> Vec<String> {
    let mut lines = vec![if found.works {
        "works, as far as the CA knows (fungerar, såvitt utfärdaren vet)".to_owned()
    } else {
        "does not work (fungerar inte)".to_owned()
    }];
    for one in &found.obstacles {
        lines.push(format!("- {} {}", one.reason, one.remedy));
        lines.push(format!("  {} {}", one.reason_sv, one.remedy_sv));
    }
    let rows: Vec<Vec<String>> = found
        .certificates
        .iter()
        .map(|one| {
            let codes: Vec<&str> = one.obstacles.iter().map(|one| one.code.as_str()).collect();
            vec![
                one.id.clone(),
                word(one.purpose),
                one.level.map(|level| level.to_string()).unwrap_or_default(),
                word(Some(one.state)),
                one.not_after.clone(),
                codes.join(", "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let heads = ["certificate", "for", "level", "state", "until", "in the way"];
        lines.extend(table(&heads, &rows));
    }
    lines
}

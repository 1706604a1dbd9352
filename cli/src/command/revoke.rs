//! `sigill revoke`: plans a job that revokes many certificates, and shows what it comes to. It revokes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::job::forecast;
use crate::client::{Client, ClientError};
use crate::terminal::Terminal;

/// Terms of one call: their longest spelling stays below the API's 128 KiB.
const TERMS_AT_ONCE: usize = 1000;
/// Numbers of one range in a list of cards.
const RANGE_LIMIT: u128 = 1_000_000;
/// How often a selection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which certificates, why, and in what waves.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn.
    #[arg(long)]
    reason: String,
    /// Only of this authority.
    #[arg(long)]
    authority: Option<String>,
    /// Only of this profile.
    #[arg(long)]
    profile: Option<String>,
    /// Only of the version of a profile whose file has this SHA-256.
    #[arg(long, value_name = "SHA256")]
    profile_version: Option<String>,
    /// Only under this policy, dotted.
    #[arg(long)]
    policy: Option<String>,
    /// Only signed by this algorithm, such as rsa-pkcs1-sha256.
    #[arg(long)]
    algorithm: Option<String>,
    /// Only ordered by this client: with times, an issuing batch.
    #[arg(long, value_name = "CLIENT")]
    ordered_by: Option<String>,
    /// Only issued at or after this time (RFC 3339, UTC).
    #[arg(long, value_name = "TIME")]
    issued_from: Option<String>,
    /// Only issued before this time (RFC 3339, UTC).
    #[arg(long, value_name = "TIME")]
    issued_until: Option<String>,
    /// Only of eIDs of holders in this organisation and in what lies under it, by its id.
    #[arg(long, value_name = "ORG")]
    organisation: Option<String>,
    /// Those of these persons: a file with a personal or coordination number of 12 digits a line.
    #[arg(long, value_name = "FILE")]
    holders: Option<PathBuf>,
    /// Those that name these HSA-ids: a file with one a line.
    #[arg(long, value_name = "FILE")]
    hsa_ids: Option<PathBuf>,
    /// Those of these cards: a file with a card number, or a range FIRST..LAST, a line.
    #[arg(long, value_name = "FILE")]
    cards: Option<PathBuf>,
    /// Those of these keys: a file with the SHA-256 of a SubjectPublicKeyInfo a line.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// These serial numbers: a file with the authority's short name and the number a line.
    #[arg(long, value_name = "FILE")]
    serials: Option<PathBuf>,
    /// These certificates: a file with an id a line.
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Certificates of a wave.
    #[arg(long, default_value_t = 10_000)]
    wave: u32,
    /// Seconds between waves.
    #[arg(long, default_value_t = 60)]
    pause: u32,
    /// Who plans it.
    #[arg(long)]
    actor: String,
    /// Why, in words: whoever approves reads it.
    #[arg(long)]
    note: String,
}

impl Revoke {
    /// Plans, adds the lists, and waits for the forecast.
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let terms = self.terms()?;
        let request = self.request()?;
        let job: api::Job = client.post("/v1/jobs", &super::certificate::key(None)?, &request)?;
        let path = format!("/v1/jobs/{}", job.id);
        terminal.progress(&format!("planned {}", job.id));
        for (place, part) in terms.iter().enumerate() {
            let added: api::JobTerms =
                client.post(&format!("{path}/terms"), &super::certificate::key(None)?, part)?;
            terminal.progress(&format!(
                "lists: {} of {} parts, {} entries",
                place.saturating_add(1),
                terms.len(),
                added.terms
            ));
        }
        let act = api::JobActRequest {
            act: api::JobAct::Forecast,
            operation: None,
            actor: self.actor.clone(),
            note: None,
        };
        let mut job: api::Job =
            client.post(&format!("{path}/acts"), &super::certificate::key(None)?, &act)?;
        while job.state == api::JobState::Selecting {
            if let Some(selecting) = job.selecting {
                terminal
                    .progress(&format!("selecting: {} of {} rows", selecting.rows, selecting.of));
            }
            std::thread::sleep(LOOK_EVERY);
            job = client.get(&path, &[])?;
        }
        terminal.result(&job, || forecast(&job));
        Ok(())
    }

    fn request(&self) -> Result<api::JobRequest, ClientError> {
        let reason = serde_json::from_value(serde_json::Value::String(self.reason.clone()))
            .map_err(|_| ClientError::Value {
                what: "--reason",
                found: self.reason.clone(),
                limit: "unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn",
            })?;
        Ok(api::JobRequest {
            reason,
            selector: api::JobSelector {
                authority: self.authority.clone(),
                profile: self.profile.clone(),
                profile_sha256: self.profile_version.clone(),
                policy: self.policy.clone(),
                algorithm: self.algorithm.clone(),
                ordered_by: self.ordered_by.clone(),
                issued_from: self.issued_from.clone(),
                issued_until: self.issued_until.clone(),
                organisation: self.organisation.clone(),
                organisations: Vec::new(),
            },
            wave: self.wave,
            pause: self.pause,
            actor: self.actor.clone(),
            note: self.note.clone(),
        })
    }

    /// The lists, in parts that one call takes. All files are read before anything is planned.
    fn terms(&self) -> Result<Vec<api::JobTermsRequest>, ClientError> {
        let mut parts = Vec::new();
        for cards in chunks(&card_numbers(&lines(self.cards.as_deref())?)?) {
            parts.push(api::JobTermsRequest { cards, ..api::JobTermsRequest::default() });
        }
        for holders in chunks(&lines(self.holders.as_deref())?) {
            parts.push(api::JobTermsRequest { holders, ..api::JobTermsRequest::default() });
        }
        for hsa_ids in chunks(&lines(self.hsa_ids.as_deref())?) {
            parts.push(api::JobTermsRequest { hsa_ids, ..api::JobTermsRequest::default() });
        }
        for keys in chunks(&lines(self.keys.as_deref())?) {
            parts.push(api::JobTermsRequest { keys, ..api::JobTermsRequest::default() });
        }
        for certificates in chunks(&lines(self.certificates.as_deref())?) {
            parts.push(api::JobTermsRequest { certificates, ..api::JobTermsRequest::default() });
        }
        let serials: Result<Vec<_>, _> =
            lines(self.serials.as_deref())?.iter().map(|line| serial(line)).collect();
        for serials in chunks(&serials?) {
            parts.push(api::JobTermsRequest { serials, ..api::JobTermsRequest::default() });
        }
        Ok(parts)
    }
}

fn chunks<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
    all.chunks(TERMS_AT_ONCE).map(<[T]>::to_vec).collect()
}

/// The lines of a list; empty ones and what follows a `#` say nothing.
fn lines(path: Option<&Path>) -> Result<Vec<String>, ClientError> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| ClientError::File { path: path.to_path_buf(), source })?;
    let said = text.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    let said: Vec<String> = said.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if said.is_empty() {
        // An empty list would select everything else that the conditions select.
        return Err(ClientError::Value {
            what: "a list",
            found: format!("empty: {}", path.display()),
            limit: "at least one line",
        });
    }
    Ok(said)
}

/// Card numbers, ranges written out.
fn card_numbers(lines: &[String]) -> Result<Vec<String>, ClientError> {
    let mut numbers = Vec::new();
    for line in lines {
        let Some((first, last)) = line.split_once("..") else {
            numbers.push(line.clone());
            continue;
        };
        let refused = || ClientError::Value {
            what: "a range of cards",
            found: line.clone(),
            limit: "FIRST..LAST of as many digits each, at most a million numbers",
        };
        let (first, last) = (first.trim(), last.trim());
        let (from, to): (u128, u128) =
            (first.parse().map_err(|_| refused())?, last.parse().map_err(|_| refused())?);
        let width = first.len();
        if last.len() != width || from > to || to - from >= RANGE_LIMIT {
            return Err(refused());
        }
        numbers.extend((from..=to).map(|number| format!("{number:0width$}")));
    }
    Ok(numbers)
}

fn serial(line: &str) -> Result<api::JobSerial, ClientError> {
    let mut words = line.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(authority), Some(serial), None) => {
            Ok(api::JobSerial { authority: authority.to_owned(), serial: serial.to_owned() })
        }
        _ => Err(ClientError::Value {
            what: "a line of --serials",
            found: line.to_owned(),
            limit: "the authority's short name and a serial number",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(line: &str) -> Result<Vec<String>, ClientError> {
        card_numbers(&[line.to_owned()])
    }

    #[test]
    fn a_range_of_cards_keeps_its_zeros() {
        assert_eq!(numbers("0099..0101").unwrap(), ["0099", "0100", "0101"]);
        assert_eq!(numbers("9752269800000000001").unwrap(), ["9752269800000000001"]);
        for refused in ["2..1", "1..10", "1..x", "..", "00000001..99999999"] {
            assert!(numbers(refused).is_err(), "{refused}");
        }
    }

    /// REV-11: a list that came out empty is not a wish to revoke all.
    #[test]
    fn an_empty_list_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cards");
        std::fs::write(&path, "# nothing yet\n\n").unwrap();

        assert!(lines(Some(&path)).is_err());
        std::fs::write(&path, "1 # the first\n2\n").unwrap();
        assert_eq!(lines(Some(&path)).unwrap(), ["1", "2"]);
    }

    #[test]
    fn a_serial_has_its_authority() {
        assert_eq!(serial("ca1 0A").unwrap().serial, "0A");
        assert!(serial("0A").is_err());
        assert!(serial("ca1 0A 0B").is_err());
    }
}

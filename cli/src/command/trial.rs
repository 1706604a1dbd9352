//! `sigill trial`: how long revocations take to be seen, measured on those that the CA makes for that.

use clap::Subcommand;

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, table};

/// What can be asked about trial revocations.
#[derive(Debug, Subcommand)]
pub(crate) enum TrialCommand {
    /// List trial revocations, newest first, with what they come to.
    #[command(after_help = "Example:\n  sigill trial list --limit 24 --json")]
    List {
        /// So many at most, 1 to 1000.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

impl TrialCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let Self::List { limit } = self;
        let query = [("limit", limit.to_string())];
        let trials: api::TrialRevocations = client.get("/v1/trial-revocations", &query)?;
        terminal.result(&trials, || lines(&trials));
        Ok(())
    }
}

/// Trials for people.
fn lines(trials: &api::TrialRevocations) -> Vec<String> {
    let summary: Vec<Vec<String>> = trials.summary.iter().map(summary).collect();
    let items: Vec<Vec<String>> = trials.items.iter().map(item).collect();
    let mut lines = table(
        &["AUTHORITY", "SEEN BY", "LIMIT", "IN TIME", "LATE", "WAITING", "SLOWEST"],
        &summary,
    );
    lines.push(String::new());
    lines.extend(table(&["BEGUN", "AUTHORITY", "SERIAL", "REVOKED", "OCSP", "CRL"], &items));
    lines
}

fn summary(of: &api::TrialSummary) -> Vec<String> {
    vec![
        of.authority.clone(),
        format!("{:?}", of.method).to_lowercase(),
        format!("{} s", of.limit_seconds),
        of.in_time.to_string(),
        of.late.to_string(),
        of.waiting.to_string(),
        of.slowest_seconds.map(|seconds| format!("{seconds} s")).unwrap_or_default(),
    ]
}

fn item(trial: &api::TrialRevocation) -> Vec<String> {
    let sight = |method| {
        let of_it = trial.sights.iter().find(|sight| sight.method == method);
        of_it.map(sight_of).unwrap_or_default()
    };
    let not = match &trial.certificate {
        None => "not issued",
        Some(_) => "not yet",
    };
    vec![
        trial.begun.clone(),
        trial.authority.clone(),
        trial.serial.clone().unwrap_or_default(),
        trial.revoked_at.clone().unwrap_or_else(|| not.to_owned()),
        sight(api::ReceiptMethod::Ocsp),
        sight(api::ReceiptMethod::Crl),
    ]
}

fn sight_of(sight: &api::TrialSight) -> String {
    let late = if sight.late { "LATE: " } else { "" };
    match (sight.seen_seconds, sight.waiting_seconds) {
        (Some(seconds), _) => format!("{late}{seconds} s"),
        (None, Some(seconds)) => format!("{late}waits for {seconds} s"),
        (None, None) => format!("{late}never seen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(seen: Option<u64>, waiting: Option<u64>, late: bool) -> String {
        sight_of(&api::TrialSight {
            method: api::ReceiptMethod::Crl,
            limit_seconds: 60,
            seen_seconds: seen,
            waiting_seconds: waiting,
            late,
        })
    }

    /// REV-07: what is late is said to be, seen or not.
    #[test]
    fn what_is_late_is_said_to_be() {
        assert_eq!(sight(Some(12), None, false), "12 s");
        assert_eq!(sight(Some(61), None, true), "LATE: 61 s");
        assert_eq!(sight(None, Some(5), false), "waits for 5 s");
        assert_eq!(sight(None, Some(90), true), "LATE: waits for 90 s");
        assert_eq!(sight(None, None, true), "LATE: never seen");
    }

    #[test]
    fn a_trial_without_a_certificate_says_so() {
        let mut trial = api::TrialRevocation {
            authority: "issuing".to_owned(),
            order: "ord_1".to_owned(),
            begun: "2026-11-23T10:00:00Z".to_owned(),
            certificate: None,
            serial: None,
            revoked_at: None,
            sights: Vec::new(),
        };
        assert_eq!(item(&trial)[3], "not issued");
        trial.certificate = Some("crt_1".to_owned());
        assert_eq!(item(&trial)[3], "not yet");
    }
}

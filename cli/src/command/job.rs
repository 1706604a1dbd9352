//! `sigill job`: what becomes of jobs that revoke many certificates.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// How often a job is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Items asked for at a time.
const PAGE: u32 = 1000;

/// What can be asked and done about jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List all jobs, newest first.
    #[command(after_help = "Example:\n  sigill job list --json")]
    List,
    /// Show a job: forecast, approval, progress, waves.
    #[command(after_help = "Example:\n  sigill job show job_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// List the certificates of a job and how they stand.
    #[command(after_help = "Example:\n  sigill job items job_019… --json")]
    Items {
        /// Its id.
        id: String,
    },
    /// Start what was forecast: at once, or after another operator's approval.
    #[command(after_help = "Example:\n  sigill job start job_019… --operation 5f0c… --actor op-1")]
    Start(Decision),
    /// Approve what another operator has started.
    #[command(
        after_help = "Example:\n  sigill job approve job_019… --operation 5f0c… --actor op-2"
    )]
    Approve(Decision),
    /// Stop for now; nothing more is revoked until it is resumed.
    #[command(after_help = "Example:\n  sigill job pause job_019… --actor op-1")]
    Pause(Word),
    /// Go on after a pause.
    #[command(after_help = "Example:\n  sigill job resume job_019… --actor op-1")]
    Resume(Word),
    /// Stop for good. What is revoked stays revoked.
    #[command(
        after_help = "Example:\n  sigill job cancel job_019… --actor op-1 --note \"wrong list\""
    )]
    Cancel(Word),
    /// Follow a job until it ends, is paused or waits for an approval.
    #[command(after_help = "Example:\n  sigill job watch job_019…")]
    Watch {
        /// Its id.
        id: String,
    },
}

/// A decision about exactly what was forecast.
#[derive(Debug, Args)]
pub(crate) struct Decision {
    /// The job's id.
    id: String,
    /// The operation of its forecast, as `sigill job show` tells it.
    #[arg(long, value_name = "SHA256")]
    operation: String,
    /// Who decides.
    #[arg(long)]
    actor: String,
    /// Why, in words.
    #[arg(long)]
    note: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

/// An operator's word.
#[derive(Debug, Args)]
pub(crate) struct Word {
    /// The job's id.
    id: String,
    /// Who decides.
    #[arg(long)]
    actor: String,
    /// Why, in words.
    #[arg(long)]
    note: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl JobCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let page: api::Page<api::Job> = client.get("/v1/jobs", &[])?;
                terminal.result(&page, || {
                    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
                    table(&["JOB", "STATE", "CERTIFICATES", "DONE", "PLANNED BY", "NOTE"], &rows)
                });
                Ok(())
            }
            Self::Show { id } => {
                let job: api::Job = client.get(&format!("/v1/jobs/{id}"), &[])?;
                terminal.result(&job, || forecast(&job));
                Ok(())
            }
            Self::Items { id } => items(client, terminal, id),
            Self::Start(decision) => decision.act(client, terminal, api::JobAct::Start),
            Self::Approve(decision) => decision.act(client, terminal, api::JobAct::Approve),
            Self::Pause(word) => word.act(client, terminal, api::JobAct::Pause),
            Self::Resume(word) => word.act(client, terminal, api::JobAct::Resume),
            Self::Cancel(word) => word.act(client, terminal, api::JobAct::Cancel),
            Self::Watch { id } => watch(client, terminal, id),
        }
    }
}

impl Decision {
    fn act(
        &self,
        client: &Client,
        terminal: &Terminal,
        act: api::JobAct,
    ) -> Result<(), ClientError> {
        let request = api::JobActRequest {
            act,
            operation: Some(self.operation.clone()),
            actor: self.actor.clone(),
            note: self.note.clone(),
        };
        send(client, terminal, &self.id, self.idempotency_key.as_deref(), &request)
    }
}

impl Word {
    fn act(
        &self,
        client: &Client,
        terminal: &Terminal,
        act: api::JobAct,
    ) -> Result<(), ClientError> {
        let (actor, note) = (self.actor.clone(), self.note.clone());
        let request = api::JobActRequest { act, operation: None, actor, note };
        send(client, terminal, &self.id, self.idempotency_key.as_deref(), &request)
    }
}

fn send(
    client: &Client,
    terminal: &Terminal,
    id: &str,
    key: Option<&str>,
    request: &api::JobActRequest,
) -> Result<(), ClientError> {
    let key = super::certificate::key(key)?;
    let job: api::Job = client.post(&format!("/v1/jobs/{id}/acts"), &key, request)?;
    terminal.result(&job, || forecast(&job));
    Ok(())
}

fn items(client: &Client, terminal: &Terminal, id: &str) -> Result<(), ClientError> {
    let mut all: api::Page<api::JobItem> = api::Page { items: Vec::new(), next: None };
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: api::Page<api::JobItem> = client.get(&format!("/v1/jobs/{id}/items"), &query)?;
        all.items.extend(page.items);
        if page.next.is_none() {
            break;
        }
        terminal.progress(&format!("{} certificates", all.items.len()));
        cursor = page.next;
    }
    terminal.result(&all, || {
        let rows: Vec<Vec<String>> = all.items.iter().map(item).collect();
        table(&["AUTHORITY", "SERIAL", "STATE", "CERTIFICATE"], &rows)
    });
    Ok(())
}

fn item(item: &api::JobItem) -> Vec<String> {
    let status = &item.status;
    vec![
        status.authority.clone(),
        status.serial.clone(),
        format!("{:?}", status.state).to_lowercase(),
        item.certificate.clone().unwrap_or_default(),
    ]
}

fn watch(client: &Client, terminal: &Terminal, id: &str) -> Result<(), ClientError> {
    let mut told = String::new();
    loop {
        let job: api::Job = client.get(&format!("/v1/jobs/{id}"), &[])?;
        let line = bar(&job);
        if line != told {
            terminal.progress(&line);
            told = line;
        }
        if !matches!(job.state, api::JobState::Selecting | api::JobState::Running) {
            terminal.result(&job, || forecast(&job));
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// One line of progress.
fn bar(job: &api::Job) -> String {
    const WIDTH: u64 = 40;
    let (done, all, what) = match (&job.progress, &job.forecast, &job.selecting) {
        (Some(progress), Some(forecast), _) => {
            (progress.done, forecast.certificates, "certificates")
        }
        (_, _, Some(selecting)) => (selecting.rows, selecting.of, "rows"),
        _ => return state(job),
    };
    let full = done.saturating_mul(WIDTH).checked_div(all).unwrap_or(WIDTH).min(WIDTH);
    let empty = WIDTH.saturating_sub(full);
    let times = |count: u64| usize::try_from(count).unwrap_or(0);
    let waits = job.progress.as_ref().and_then(|progress| progress.next_wave.as_ref());
    let waits = waits.map(|next| format!(", next wave {next}")).unwrap_or_default();
    format!(
        "[{}{}] {done} of {all} {what}, {}{waits}",
        "#".repeat(times(full)),
        ".".repeat(times(empty)),
        state(job)
    )
}

fn state(job: &api::Job) -> String {
    format!("{:?}", job.state).to_lowercase()
}

fn row(job: &api::Job) -> Vec<String> {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    vec![
        job.id.clone(),
        state(job),
        number(job.forecast.as_ref().map(|forecast| forecast.certificates)),
        number(job.progress.as_ref().map(|progress| progress.done)),
        job.client.clone(),
        job.note.clone(),
    ]
}

/// How much of a job, or of a wave, the world has been seen to show.
fn receipts(wave: &str, seen: &api::job::JobReceipts) -> Vec<String> {
    let waiting = seen.oldest_waiting_seconds.map(|seconds| {
        let late = if seen.is_late() { "LATE: " } else { "" };
        format!("{late}{seconds} s of {} s", seen.limit_seconds)
    });
    let slowest = seen.slowest_seconds.map(|seconds| {
        let of = [&seen.slowest_authority, &seen.slowest_serial];
        let of: Vec<&str> = of.into_iter().flatten().map(String::as_str).collect();
        format!("{seconds} s: {}", of.join(" "))
    });
    vec![
        wave.to_owned(),
        format!("{:?}", seen.method).to_lowercase(),
        format!("{} of {}", seen.receipted, seen.of),
        seen.left_out.to_string(),
        waiting.unwrap_or_default(),
        slowest.unwrap_or_default(),
        seen.last_seen.clone().unwrap_or_default(),
    ]
}

/// A job for people.
pub(crate) fn forecast(job: &api::Job) -> Vec<String> {
    let mut rows = vec![
        ("job", job.id.clone()),
        ("state", state(job)),
        ("planned by", format!("{} ({})", job.client, job.actor)),
        ("note", job.note.clone()),
    ];
    if let Some(told) = &job.forecast {
        rows.extend([
            ("operation", told.operation.clone()),
            ("certificates", told.certificates.to_string()),
            ("holders", told.holders.to_string()),
            ("not found", told.unmatched_terms.to_string()),
            ("waves", told.waves.to_string()),
            ("seconds", told.seconds.to_string()),
            ("CRL signatures", told.crl_signatures.to_string()),
            ("OCSP answers", told.ocsp_answers.to_string()),
        ]);
    }
    if let Some(approval) = &job.approval {
        rows.push((
            "approved by",
            format!("{} ({}) at {}", approval.client, approval.actor, approval.at),
        ));
    }
    if let Some(progress) = &job.progress {
        rows.push(("done", progress.done.to_string()));
        rows.push(("next wave", progress.next_wave.clone().unwrap_or_default()));
    }
    rows.push((
        "issued since",
        job.issued_since.map(|count| count.to_string()).unwrap_or_default(),
    ));
    let mut lines = facts(&rows);
    if let Some(told) = job.forecast.as_ref().filter(|told| !told.authorities.is_empty()) {
        let parts: Vec<Vec<String>> = told
            .authorities
            .iter()
            .map(|part| {
                vec![
                    part.authority.clone(),
                    part.certificates.to_string(),
                    format!("{} -> {}", part.crl_entries, part.crl_entries_after),
                    format!("{} -> {}", part.crl_octets, part.crl_octets_after),
                    part.crl_shards.to_string(),
                    format!("{} -> {}", part.crl_shard_octets, part.crl_shard_octets_after),
                ]
            })
            .collect();
        lines.push(String::new());
        let headings = [
            "AUTHORITY",
            "CERTIFICATES",
            "CRL ENTRIES",
            "CRL OCTETS",
            "SHARDS",
            "OCTETS OF SHARDS",
        ];
        lines.extend(table(&headings, &parts));
    }
    let of_job = job.receipts.iter().map(|seen| receipts("all", seen));
    let of_waves = job.waves.iter().flat_map(|wave| {
        let number = wave.number.to_string();
        wave.receipts.iter().map(move |seen| receipts(&number, seen))
    });
    let rows: Vec<Vec<String>> = of_job.chain(of_waves).collect();
    if !rows.is_empty() {
        lines.push(String::new());
        lines.extend(table(
            &["WAVE", "SEEN BY", "RECEIPTED", "LEFT OUT", "OLDEST WAITING", "SLOWEST", "LAST SEEN"],
            &rows,
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REV-07: what waits past its limit is said to.
    #[test]
    fn what_waits_past_its_limit_is_late() {
        let mut seen = api::job::JobReceipts {
            method: api::ReceiptMethod::Ocsp,
            of: 2000,
            receipted: 1980,
            waiting: 19,
            left_out: 1,
            limit_seconds: 60,
            oldest_waiting_seconds: Some(60),
            slowest_seconds: Some(12),
            slowest_authority: Some("issuing".to_owned()),
            slowest_serial: Some("4F".to_owned()),
            last_seen: None,
        };
        let row = receipts("1", &seen);
        assert_eq!(row[..5], ["1", "ocsp", "1980 of 2000", "1", "60 s of 60 s"]);
        assert_eq!(row[5..], ["12 s: issuing 4F", ""]);
        seen.oldest_waiting_seconds = Some(61);
        assert_eq!(receipts("all", &seen)[4], "LATE: 61 s of 60 s");
    }
}

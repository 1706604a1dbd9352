//! `sigill limit`: how many certificates clients order, and the end of pauses.

use clap::{Args, Subcommand};

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// What can be asked and done about limits.
#[derive(Debug, Subcommand)]
pub(crate) enum LimitCommand {
    /// List what has been counted in this hour, and what is paused.
    #[command(after_help = "Example:\n  sigill limit list --json")]
    List,
    /// Let a client go on that was paused after a sudden change. For operators.
    #[command(
        after_help = "Example:\n  sigill limit resume --client portal --profile function --actor op-7 --note \"exchange of all web certificates, order 4711\""
    )]
    Resume(Resume),
}

/// The end of a pause.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The client that is to go on.
    #[arg(long)]
    client: String,
    /// The profile under which it was paused.
    #[arg(long)]
    profile: String,
    /// Who decided that.
    #[arg(long)]
    actor: String,
    /// What was found out about the change.
    #[arg(long)]
    note: String,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl LimitCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let page: api::Page<api::LimitStanding> = client.get("/v1/limits", &[])?;
                terminal.result(&page, || {
                    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
                    table(
                        &["CLIENT", "PROFILE", "THIS HOUR", "PER HOUR", "7 DAYS", "PAUSED SINCE"],
                        &rows,
                    )
                });
            }
            Self::Resume(resume) => {
                let request = api::ResumptionRequest {
                    client: resume.client.clone(),
                    profile: resume.profile.clone(),
                    actor: resume.actor.clone(),
                    note: resume.note.clone(),
                };
                let key = super::certificate::key(resume.idempotency_key.as_deref())?;
                let standing: api::LimitStanding =
                    client.post("/v1/limits/resumption", &key, &request)?;
                terminal.result(&standing, || {
                    facts(&[
                        ("client", standing.client.clone()),
                        ("profile", standing.profile.clone()),
                        ("this hour", standing.issued.to_string()),
                        ("per hour", per_hour(&standing)),
                        ("paused", "no".to_owned()),
                    ])
                });
            }
        }
        Ok(())
    }
}

fn row(standing: &api::LimitStanding) -> Vec<String> {
    vec![
        standing.client.clone(),
        standing.profile.clone(),
        standing.issued.to_string(),
        per_hour(standing),
        standing.usual.to_string(),
        standing.paused.as_ref().map(|pause| pause.since.clone()).unwrap_or_default(),
    ]
}

fn per_hour(standing: &api::LimitStanding) -> String {
    standing.per_hour.map(|limit| limit.to_string()).unwrap_or_default()
}

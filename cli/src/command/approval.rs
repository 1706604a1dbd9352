//! `sigill approval`: what one person asks for and another one approves.

use ca::four_eyes::CallHash;
use ca::operation::Operation;
use clap::{Args, Subcommand};

use crate::client::{APPROVALS, Client, ClientError, Connection};
use crate::terminal::{Terminal, facts, table};

/// Rows asked for at a time.
const PAGE: &str = "100";

/// What can be asked and done about approvals.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalCommand {
    /// List requests, newest first.
    #[command(after_help = "Example:\n  sigill approval list --stage waiting --json")]
    List {
        /// Only those that stand there: waiting, approved, rejected, withdrawn, expired, used.
        #[arg(long)]
        stage: Option<String>,
    },
    /// Show a request with the call that is asked for.
    #[command(after_help = "Example:\n  sigill approval show apr_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// Approve a call that somebody else asked for, once its octets come to the hash that you were told of or have read in `show`.
    #[command(
        after_help = "Example:\n  sigill approval approve apr_019… --sha256 5f0c… --why \"checked with the desk\""
    )]
    Approve(Decide),
    /// Say no to a call that somebody else asked for, also to one that was approved and not done.
    #[command(
        after_help = "Example:\n  sigill approval reject apr_019… --sha256 5f0c… --why \"not his card\""
    )]
    Reject(Decide),
    /// Take back what you asked for.
    #[command(after_help = "Example:\n  sigill approval withdraw apr_019…")]
    Withdraw {
        /// Its id.
        id: String,
        /// Why, in words without personal data.
        #[arg(long)]
        why: Option<String>,
        /// Idempotency key: give the same again to repeat a call; drawn when left out.
        #[arg(long)]
        idempotency_key: Option<String>,
    },
}

/// A decision.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The id of the request.
    id: String,
    /// The hash of the call.
    #[arg(long, value_name = "HASH")]
    sha256: String,
    /// Why, in words without personal data.
    #[arg(long)]
    why: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl ApprovalCommand {
    pub(crate) fn run(
        &self,
        client: &Client,
        connection: &Connection,
        terminal: &Terminal,
    ) -> Result<(), ClientError> {
        match self {
            Self::List { stage } => list(client, stage.as_deref(), terminal),
            Self::Show { id } => {
                let shown = show(client, id)?;
                tell(&shown, terminal);
                Ok(())
            }
            Self::Approve(decide) => {
                must_come_to(&show(client, &decide.id)?, connection, &decide.sha256)?;
                decide.run(client, api::ApprovalDecision::Approve, terminal)
            }
            Self::Reject(decide) => decide.run(client, api::ApprovalDecision::Reject, terminal),
            Self::Withdraw { id, why, idempotency_key } => {
                let request = api::ApprovalWithdrawalRequest { why: why.clone() };
                let key = super::certificate::key(idempotency_key.as_deref())?;
                let path = format!("{APPROVALS}/{id}/withdrawal");
                let stands: api::Approval = client.post(&path, &key, &request)?;
                tell(&stands, terminal);
                Ok(())
            }
        }
    }
}

impl Decide {
    fn run(
        &self,
        client: &Client,
        decision: api::ApprovalDecision,
        terminal: &Terminal,
    ) -> Result<(), ClientError> {
        let request = api::ApprovalDecisionRequest {
            decision,
            sha256: self.sha256.clone(),
            why: self.why.clone(),
        };
        let key = super::certificate::key(self.idempotency_key.as_deref())?;
        let path = format!("{APPROVALS}/{}/decision", self.id);
        let stands: api::Approval = client.post(&path, &key, &request)?;
        tell(&stands, terminal);
        Ok(())
    }
}

fn show(client: &Client, id: &str) -> Result<api::Approval, ClientError> {
    client.get(&format!("{APPROVALS}/{id}"), &[])
}

/// Reckons the hash of what is shown by itself: who approves trusts neither the portal nor the CA to have told him the hash of what he reads.
fn must_come_to(
    shown: &api::Approval,
    connection: &Connection,
    sha256: &str,
) -> Result<(), ClientError> {
    let (audience, _) = connection.names()?;
    let reckoned = reckoned(shown, &audience);
    if reckoned.as_deref() == Some(sha256) {
        return Ok(());
    }
    Err(ClientError::Value {
        what: "--sha256",
        found: sha256.to_owned(),
        limit: "the hash of the call that the request shows, reckoned here",
    })
}

fn reckoned(shown: &api::Approval, audience: &str) -> Option<String> {
    let (method, path, body) =
        (shown.method.as_deref()?, shown.path.as_deref()?, shown.body.as_deref()?);
    let operation = Operation::asked(method, path)?;
    Some(CallHash::of(audience, operation, path, body.as_bytes()).to_string())
}

/// Says where a request stands.
pub(crate) fn tell(approval: &api::Approval, terminal: &Terminal) {
    terminal.result(approval, || {
        let person = |one: &Option<api::ApprovalPerson>| {
            let told = one.as_ref().map(|one| {
                let why = one.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                format!("{} as {} at {}{why}", one.id, one.role, one.at)
            });
            told.unwrap_or_default()
        };
        facts(&[
            ("id", approval.id.clone()),
            ("stage", super::word(Some(approval.stage))),
            ("på svenska", approval.stage_sv.clone()),
            ("call", call(approval)),
            ("body", approval.body.clone().unwrap_or_default()),
            ("sha256", approval.sha256.clone()),
            ("asked by", person(&approval.asked)),
            ("decided by", person(&approval.decided)),
            ("expires", approval.expires.clone()),
            ("used", approval.used.clone().unwrap_or_default()),
        ])
    });
}

fn call(approval: &api::Approval) -> String {
    match (&approval.method, &approval.path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        _ => "forgotten".to_owned(),
    }
}

fn list(client: &Client, stage: Option<&str>, terminal: &Terminal) -> Result<(), ClientError> {
    let mut all: api::Page<api::Approval> = api::Page { items: Vec::new(), next: None };
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE.to_owned())];
        query.extend(stage.map(|stage| ("stage", stage.to_owned())));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: api::Page<api::Approval> = client.get(APPROVALS, &query)?;
        all.items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        terminal.progress(&format!("{} requests", all.items.len()));
    }
    terminal.result(&all, || {
        let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
        table(&["ID", "STAGE", "CALL", "ASKED BY", "EXPIRES"], &rows)
    });
    Ok(())
}

fn row(one: &api::Approval) -> Vec<String> {
    vec![
        one.id.clone(),
        super::word(Some(one.stage)),
        call(one),
        one.asked.as_ref().map(|asked| asked.id.clone()).unwrap_or_default(),
        one.expires.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "urn:sigill:test:demo:abcd:api";

    fn shown(body: &str) -> api::Approval {
        let value = serde_json::json!({
            "id": "apr_1",
            "stage": "waiting",
            "stage_sv": "",
            "operation": "releaseCertificate",
            "method": "POST",
            "path": "/v1/certificates/crt_1/release",
            "body": body,
            "sha256": "of something else",
            "expires": "",
        });
        serde_json::from_value(value).unwrap()
    }

    /// CER-10: whoever approves approves the octets that he is shown, whatever hash stands beside them.
    #[test]
    fn the_hash_is_reckoned_from_what_is_shown() {
        let one = reckoned(&shown("{}"), AUDIENCE).unwrap();

        assert_eq!(one.len(), 64);
        assert_ne!(reckoned(&shown("{ }"), AUDIENCE).unwrap(), one);
        assert_ne!(reckoned(&shown("{}"), "urn:sigill:prod:prod:abcd:api").unwrap(), one);
        // Of what nobody can say any more there is none.
        assert_eq!(reckoned(&api::Approval { body: None, ..shown("") }, AUDIENCE), None);
        let other = api::Approval { path: Some("/v1/other".to_owned()), ..shown("") };
        assert_eq!(reckoned(&other, AUDIENCE), None);
    }
}

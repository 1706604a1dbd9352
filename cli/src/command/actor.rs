//! `sigill actor`: statements of administrators. Asks no CA.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::actor::{About, Actor};
use crate::client::{ClientError, Connection};
use crate::terminal::Terminal;

/// What can be done about statements.
#[derive(Debug, Subcommand)]
pub(crate) enum ActorCommand {
    /// Sign the statement of one call with --actor-cert and --actor-key, and print it: what a portal is to have the card sign.
    #[command(
        after_help = "Example:\n  sigill actor sign --target /v1/certificates --body order.json --idempotency-key order-17 \\\n    --actor-cert anna.pem --actor-key anna.key"
    )]
    Sign(Sign),
}

/// The call. Client and deployment are those of the client certificate (--cert).
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Its method.
    #[arg(long, default_value = "POST")]
    method: String,
    /// Its path, with what stands behind a question mark.
    #[arg(long)]
    target: String,
    /// File with its body, octet for octet; without one it has none.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Its header Idempotency-Key.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl ActorCommand {
    pub(crate) fn run(
        &self,
        connection: &Connection,
        terminal: Terminal,
    ) -> Result<(), ClientError> {
        let Self::Sign(call) = self;
        let actor: Actor =
            connection.actor()?.ok_or(ClientError::Missing { what: "--actor-cert" })?;
        let (audience, client) = connection.names()?;
        let body = call.body.as_ref().map(|path| {
            std::fs::read(path).map_err(|source| ClientError::File { path: path.clone(), source })
        });
        let statement = actor.statement(About {
            audience: &audience,
            client: &client,
            method: &call.method,
            target: &call.target,
            body: &body.transpose()?.unwrap_or_default(),
            idempotency_key: call.idempotency_key.as_deref(),
        })?;
        terminal.result(&json!({ "statement": statement }), || vec![statement.clone()]);
        Ok(())
    }
}

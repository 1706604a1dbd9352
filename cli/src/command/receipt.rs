//! `sigill receipt`: what vantage points saw becomes the receipt of a revocation.

use std::path::PathBuf;

use clap::Args;

use super::certificate::key;
use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts};

/// A receipt.
#[derive(Debug, Args)]
pub(crate) struct ReceiptCommand {
    /// The certificate's id.
    id: String,
    /// ocsp or crl: they are receipted apart.
    #[arg(long, value_name = "METHOD")]
    method: String,
    /// Write the receipt to this file; `sigill-verify receipt` judges it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Idempotency key; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Observations that `sigill probe` has written; those of other certificates and methods are passed over. None: the
    /// receipt that the CA has kept.
    #[arg(value_name = "STATEMENT")]
    statements: Vec<PathBuf>,
}

impl ReceiptCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let method = match self.method.as_str() {
            "ocsp" => api::ReceiptMethod::Ocsp,
            "crl" => api::ReceiptMethod::Crl,
            other => {
                return Err(ClientError::Value {
                    what: "--method",
                    found: other.to_owned(),
                    limit: "ocsp or crl",
                });
            }
        };
        let mut observations = Vec::new();
        for path in &self.statements {
            let read = std::fs::read_to_string(path);
            observations
                .push(read.map_err(|source| ClientError::File { path: path.clone(), source })?);
        }
        let receipt = if observations.is_empty() {
            self.kept(client, method)?
        } else {
            let request = api::ReceiptRequest { method, observations };
            let path = format!("/v1/certificates/{}/receipt", self.id);
            let order = key(self.idempotency_key.as_deref())?;
            client.post::<api::Receipt>(&path, &order, &request)?
        };
        if let Some(path) = &self.out {
            std::fs::write(path, &receipt.receipt)
                .map_err(|source| ClientError::Write { path: path.clone(), source })?;
        }
        terminal.result(&receipt, || {
            facts(&[
                ("certificate", receipt.certificate.clone().unwrap_or_default()),
                ("authority", receipt.authority.clone()),
                ("serial", receipt.serial.clone()),
                ("method", self.method.clone()),
                ("revoked at", receipt.revoked_at.clone()),
                ("seen at", receipt.seen_at.clone()),
                ("log position", receipt.position.clone()),
                (
                    "receipt",
                    self.out.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
                ),
            ])
        });
        Ok(())
    }

    /// The receipt of the last revocation or hold.
    fn kept(
        &self,
        client: &Client,
        method: api::ReceiptMethod,
    ) -> Result<api::Receipt, ClientError> {
        let path = format!("/v1/certificates/{}", self.id);
        let position = client.get::<api::Certificate>(&path, &[])?.position;
        let kept: api::Receipts = client.get(&format!("{path}/receipts"), &[])?;
        let is_last = |one: &api::Receipt| one.method == method && one.position == position;
        kept.items.into_iter().find(is_last).ok_or_else(|| ClientError::Value {
            what: "receipt",
            found: format!("none of position {position}"),
            limit: "a revocation that was seen from every vantage point; look again later, or give observations",
        })
    }
}

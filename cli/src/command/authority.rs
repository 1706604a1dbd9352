//! `sigill authority`: list and show.

use clap::Subcommand;

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// What can be asked of authorities.
#[derive(Debug, Subcommand)]
pub(crate) enum Authority {
    /// List the authorities with their CRLs.
    #[command(after_help = "Example:\n  sigill authority list")]
    List,
    /// Show one authority with its certificate.
    #[command(after_help = "Example:\n  sigill authority show sigilltesteidrootcav1 --json")]
    Show {
        /// Its short name.
        name: String,
    },
}

impl Authority {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List => {
                let page: api::Page<api::Authority> = client.get("/v1/authorities", &[])?;
                terminal.result(&page, || {
                    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
                    table(
                        &["NAME", "KEY", "SIGNS HERE", "VALID TO", "CRL", "CRL NEXT UPDATE"],
                        &rows,
                    )
                });
            }
            Self::Show { name } => {
                let path = format!("/v1/authorities/{name}");
                let authority: api::Authority = client.get(&path, &[])?;
                terminal.result(&authority, || {
                    let mut lines = facts(&[
                        ("name", authority.name.clone()),
                        ("subject", authority.subject.clone()),
                        ("key", authority.key_type.clone()),
                        ("signs here", yes_no(authority.signs_here).to_owned()),
                        ("valid to", authority.not_after.clone()),
                        ("SHA-256", authority.sha256.clone()),
                        ("SPKI SHA-256", authority.spki_sha256.clone()),
                        ("CRL", crl(&authority, |crl| crl.number.clone())),
                        ("CRL this update", crl(&authority, |crl| crl.this_update.clone())),
                        ("CRL next update", crl(&authority, |crl| crl.next_update.clone())),
                        ("CRL position", crl(&authority, |crl| crl.position.clone())),
                    ]);
                    lines.push(authority.certificate.trim_end().to_owned());
                    lines
                });
            }
        }
        Ok(())
    }
}

fn row(authority: &api::Authority) -> Vec<String> {
    vec![
        authority.name.clone(),
        authority.key_type.clone(),
        yes_no(authority.signs_here).to_owned(),
        authority.not_after.clone(),
        crl(authority, |crl| crl.number.clone()),
        crl(authority, |crl| crl.next_update.clone()),
    ]
}

fn crl(authority: &api::Authority, field: impl Fn(&api::AuthorityCrl) -> String) -> String {
    authority.crl.as_ref().map(field).unwrap_or_default()
}

const fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

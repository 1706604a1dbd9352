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
    /// List the shards of an authority's CRL: what each still takes, its entries, and its last list.
    #[command(
        after_help = "Example:\n  sigill authority shards sigilltesteidpersonhsaid3cav1 --json"
    )]
    Shards {
        /// Its short name.
        name: String,
    },
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
            Self::Shards { name } => shards(client, terminal, name)?,
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

fn shards(client: &Client, terminal: &Terminal, name: &str) -> Result<(), ClientError> {
    let mut all: api::Page<api::CrlShard> = api::Page { items: Vec::new(), next: None };
    let mut cursor: Option<String> = None;
    loop {
        let query: Vec<_> = cursor.take().map(|cursor| ("cursor", cursor)).into_iter().collect();
        let page: api::Page<api::CrlShard> =
            client.get(&format!("/v1/authorities/{name}/shards"), &query)?;
        all.items.extend(page.items);
        if page.next.is_none() {
            break;
        }
        terminal.progress(&format!("{} shards", all.items.len()));
        cursor = page.next;
    }
    terminal.result(&all, || {
        let rows: Vec<Vec<String>> = all.items.iter().map(shard).collect();
        let headings = [
            "SHARD",
            "TAKES UNTIL",
            "PLACES",
            "ENTRIES",
            "CRL",
            "CRL NEXT UPDATE",
            "OCTETS",
            "URL",
        ];
        table(&headings, &rows)
    });
    Ok(())
}

fn shard(shard: &api::CrlShard) -> Vec<String> {
    let list = |field: fn(&api::AuthorityCrl) -> String| {
        shard.list.as_ref().map(field).unwrap_or_default()
    };
    vec![
        shard.number.clone(),
        shard.takes_until.clone().unwrap_or_default(),
        shard.places.to_string(),
        shard.entries.to_string(),
        list(|list| list.number.clone()),
        list(|list| list.next_update.clone()),
        list(|list| list.length.to_string()),
        shard.url.clone(),
    ]
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

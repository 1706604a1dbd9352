//! `sigill domain`: the domains whose control organisations have proved.

use clap::{Args, Subcommand};

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// Rows asked for at a time.
const PAGE: &str = "1000";

/// What can be asked and done about domains.
#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// List the domains of this client's organisations and of what lies under them; all, for operators.
    #[command(
        after_help = "Example:\n  sigill domain list --json\n  sigill domain list --covers idp.example.se\n  sigill domain list --until-before 2027-01-31T00:00:00Z --json\n  sigill domain list --organisation org_019…"
    )]
    List(List),
    /// Show one with all its proofs.
    #[command(after_help = "Example:\n  sigill domain show dom_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// State a domain of an organisation. The answer has a token to prove its control by.
    #[command(
        after_help = "Example:\n  sigill domain add --organisation org_019… --domain example.se --actor au-1"
    )]
    Add {
        /// Whose it is.
        #[arg(long, value_name = "ID")]
        organisation: String,
        /// The name: A-labels in small letters.
        #[arg(long)]
        domain: String,
        #[command(flatten)]
        word: Word,
    },
    /// Give out another token; the one before is worth nothing then.
    #[command(after_help = "Example:\n  sigill domain token dom_019… --actor au-1")]
    Token {
        /// Its id.
        id: String,
        #[command(flatten)]
        word: Word,
    },
    /// Record that its control was proved, for the first time or again.
    #[command(
        after_help = "Example:\n  sigill domain prove dom_019… --method dns-txt --seen-at 2026-11-24T08:00:00Z --seen-by au-1 --reference \"DNS, _sigill.example.se\" --valid-until 2027-11-24T08:00:00Z --actor au-1"
    )]
    Prove(Prove),
    /// Withdraw it for ever: no certificate rests on it any more. Those that are there stay.
    #[command(
        after_help = "Example:\n  sigill domain withdraw dom_019… --actor au-1 --note \"sold\""
    )]
    Withdraw {
        /// Its id.
        id: String,
        #[command(flatten)]
        word: Word,
    },
}

/// Which ones.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this organisation and of what lies under it.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// Only those that cover this DNS name.
    #[arg(long, value_name = "NAME")]
    covers: Option<String>,
    /// Only those whose newest proof ends before this time (RFC 3339, UTC), those that ran out too.
    #[arg(long, value_name = "TIME")]
    until_before: Option<String>,
}

/// A proof.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The domain's id.
    id: String,
    /// How: a method of the reviewed list, such as owner-form or dns-txt.
    #[arg(long)]
    method: String,
    /// When it was seen (RFC 3339, UTC).
    #[arg(long, value_name = "TIME")]
    seen_at: String,
    /// Who saw it, by an id.
    #[arg(long, value_name = "ID")]
    seen_by: String,
    /// Where the evidence is, in words without personal data.
    #[arg(long)]
    reference: String,
    /// The last second at which it holds (RFC 3339, UTC).
    #[arg(long, value_name = "TIME")]
    valid_until: String,
    #[command(flatten)]
    word: Word,
}

/// Who decides, and why.
#[derive(Debug, Args)]
pub(crate) struct Word {
    /// Who decides, by an id.
    #[arg(long)]
    actor: String,
    /// Why, in words without personal data.
    #[arg(long)]
    note: Option<String>,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

impl DomainCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List(list) => list.run(client, terminal),
            Self::Show { id } => {
                let one: api::Domain = client.get(&format!("/v1/domains/{id}"), &[])?;
                terminal.result(&one, || shown(&one));
                Ok(())
            }
            Self::Add { organisation, domain, word } => {
                let request = api::DomainRequest {
                    organisation: organisation.clone(),
                    domain: domain.clone(),
                    actor: word.actor.clone(),
                    note: word.note.clone(),
                };
                word.send(client, terminal, "/v1/domains", &request)
            }
            Self::Token { id, word } => {
                word.send(client, terminal, &format!("/v1/domains/{id}/token"), &word.act())
            }
            Self::Prove(prove) => {
                let request = api::DomainProofRequest {
                    method: prove.method.clone(),
                    seen_at: prove.seen_at.clone(),
                    seen_by: prove.seen_by.clone(),
                    reference: prove.reference.clone(),
                    valid_until: prove.valid_until.clone(),
                    actor: prove.word.actor.clone(),
                    note: prove.word.note.clone(),
                };
                let path = format!("/v1/domains/{}/proofs", prove.id);
                prove.word.send(client, terminal, &path, &request)
            }
            Self::Withdraw { id, word } => {
                word.send(client, terminal, &format!("/v1/domains/{id}/withdrawal"), &word.act())
            }
        }
    }
}

impl Word {
    fn act(&self) -> api::DomainActRequest {
        api::DomainActRequest { actor: self.actor.clone(), note: self.note.clone() }
    }

    fn send(
        &self,
        client: &Client,
        terminal: &Terminal,
        path: &str,
        request: &impl serde::Serialize,
    ) -> Result<(), ClientError> {
        let key = super::certificate::key(self.idempotency_key.as_deref())?;
        let one: api::Domain = client.post(path, &key, request)?;
        terminal.result(&one, || shown(&one));
        Ok(())
    }
}

impl List {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut all: api::Page<api::Domain> = api::Page { items: Vec::new(), next: None };
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE.to_owned())];
            let given = [
                ("organisation", self.organisation.clone()),
                ("covers", self.covers.clone()),
                ("until_before", self.until_before.clone()),
                ("cursor", cursor.take()),
            ];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let page: api::Page<api::Domain> = client.get("/v1/domains", &query)?;
            all.items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} domains", all.items.len()));
        }
        terminal.result(&all, || {
            let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
            table(&["DOMAIN", "NAME", "STATE", "VALID UNTIL", "ORGANISATION"], &rows)
        });
        Ok(())
    }
}

fn row(one: &api::Domain) -> Vec<String> {
    vec![
        one.id.clone(),
        one.domain.clone(),
        super::word(Some(one.state)),
        one.valid_until.clone().unwrap_or_default(),
        one.organisation.clone(),
    ]
}

fn shown(one: &api::Domain) -> Vec<String> {
    let mut lines = facts(&[
        ("domain", one.id.clone()),
        ("name", one.domain.clone()),
        ("state", super::word(Some(one.state))),
        ("organisation", one.organisation.clone()),
        ("token", one.token.clone().unwrap_or_default()),
        ("token until", one.token_until.clone().unwrap_or_default()),
        ("valid until", one.valid_until.clone().unwrap_or_default()),
        ("stated", one.created.clone()),
        ("withdrawn", one.withdrawn.clone().unwrap_or_default()),
    ]);
    lines.extend(one.proofs.iter().map(|proof| {
        let by = proof.seen_by.as_deref().unwrap_or("somebody who was forgotten");
        let reference = proof.reference.as_deref().unwrap_or_default();
        format!(
            "proof: {} seen {} by {by}, until {} ({reference})",
            proof.method, proof.seen_at, proof.valid_until
        )
    }));
    lines
}

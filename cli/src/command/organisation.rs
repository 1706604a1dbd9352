//! `sigill organisation`: the tree of organisations.

use clap::{Args, Subcommand, ValueEnum};

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// Rows asked for at a time.
const PAGE: &str = "1000";

/// What can be asked and done about organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum OrganisationCommand {
    /// List the organisations of this client and what lies under them; all, for operators.
    #[command(
        after_help = "Example:\n  sigill organisation list --json\n  sigill organisation list --kind office --under org_019… --on 2026-12-01"
    )]
    List(List),
    /// Show one.
    #[command(after_help = "Example:\n  sigill organisation show org_019…")]
    Show {
        /// Its id.
        id: String,
    },
    /// Add one. What lies under nothing, an issuing area, an operator adds.
    #[command(
        after_help = "Example:\n  sigill organisation add --kind directly-connected --under org_019… --number 2321000131 --name \"Region Exempel\" --from 2026-12-01 --actor op-1"
    )]
    Add(Add),
    /// Change its name, number or office id, or what it lies under.
    #[command(
        after_help = "Example:\n  sigill organisation change org_019… --revision 1 --under org_019… --actor op-1 --note \"new department\""
    )]
    Change(Change),
    /// Give it its last day. Whatever lies under it must end by then. Without `--until` it gets no end, as long as it has not ended.
    #[command(
        after_help = "Example:\n  sigill organisation end org_019… --revision 2 --until 2026-12-31 --actor op-1"
    )]
    End(End),
}

/// Which ones.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// Only this one and what lies under it.
    #[arg(long, value_name = "ID")]
    under: Option<String>,
    /// Only those that are there on this day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    on: Option<String>,
}

/// The kinds, as the API names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Utgivningsområde: lies under nothing.
    IssuingArea,
    /// Direktansluten organisation: under an issuing area.
    DirectlyConnected,
    /// Tredjepartsorganisation: under an issuing area.
    ThirdParty,
    /// Underorganisation: under an organisation or another part.
    SubOrganisation,
    /// Kontor: under an organisation or a part of one.
    Office,
}

impl Kind {
    const fn in_api(self) -> api::OrganisationKind {
        match self {
            Self::IssuingArea => api::OrganisationKind::IssuingArea,
            Self::DirectlyConnected => api::OrganisationKind::DirectlyConnected,
            Self::ThirdParty => api::OrganisationKind::ThirdParty,
            Self::SubOrganisation => api::OrganisationKind::SubOrganisation,
            Self::Office => api::OrganisationKind::Office,
        }
    }
}

/// A new one.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What kind it is, for ever.
    #[arg(long)]
    kind: Kind,
    /// What it lies under.
    #[arg(long, value_name = "ID")]
    under: Option<String>,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// Its organisation number, 10 digits.
    #[arg(long)]
    number: Option<String>,
    /// Its id, of offices.
    #[arg(long)]
    office: Option<String>,
    /// The first day on which it is there.
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: String,
    /// The last one.
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<String>,
    #[command(flatten)]
    word: Word,
}

/// Another name or place.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Its id.
    id: String,
    /// The revision that the change rests on, as `show` tells it.
    #[arg(long)]
    revision: u32,
    /// What it is to lie under.
    #[arg(long, value_name = "ID")]
    under: Option<String>,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Its organisation number.
    #[arg(long)]
    number: Option<String>,
    /// Its id, of offices.
    #[arg(long)]
    office: Option<String>,
    #[command(flatten)]
    word: Word,
}

/// The last day.
#[derive(Debug, Args)]
pub(crate) struct End {
    /// Its id.
    id: String,
    /// The revision that the end rests on, as `show` tells it.
    #[arg(long)]
    revision: u32,
    /// The last day on which it is there: today or later.
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<String>,
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

impl OrganisationCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List(list) => list.run(client, terminal),
            Self::Show { id } => {
                let one: api::Organisation = client.get(&format!("/v1/organisations/{id}"), &[])?;
                terminal.result(&one, || shown(&one));
                Ok(())
            }
            Self::Add(add) => {
                let request = api::OrganisationRequest {
                    kind: add.kind.in_api(),
                    parent: add.under.clone(),
                    name: add.name.clone(),
                    number: add.number.clone(),
                    office: add.office.clone(),
                    from: add.from.clone(),
                    until: add.until.clone(),
                    actor: add.word.actor.clone(),
                    note: add.word.note.clone(),
                };
                add.word.send(client, terminal, "/v1/organisations", &request)
            }
            Self::Change(change) => {
                let request = api::OrganisationChangeRequest {
                    revision: change.revision,
                    parent: change.under.clone(),
                    name: change.name.clone(),
                    number: change.number.clone(),
                    office: change.office.clone(),
                    actor: change.word.actor.clone(),
                    note: change.word.note.clone(),
                };
                let path = format!("/v1/organisations/{}/change", change.id);
                change.word.send(client, terminal, &path, &request)
            }
            Self::End(end) => {
                let request = api::OrganisationEndRequest {
                    revision: end.revision,
                    until: end.until.clone(),
                    actor: end.word.actor.clone(),
                    note: end.word.note.clone(),
                };
                let path = format!("/v1/organisations/{}/ending", end.id);
                end.word.send(client, terminal, &path, &request)
            }
        }
    }
}

impl Word {
    fn send(
        &self,
        client: &Client,
        terminal: &Terminal,
        path: &str,
        request: &impl serde::Serialize,
    ) -> Result<(), ClientError> {
        let key = super::certificate::key(self.idempotency_key.as_deref())?;
        let one: api::Organisation = client.post(path, &key, request)?;
        terminal.result(&one, || shown(&one));
        Ok(())
    }
}

impl List {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let mut all: api::Page<api::Organisation> = api::Page { items: Vec::new(), next: None };
        let mut cursor: Option<String> = None;
        loop {
            let kind = super::word(self.kind.map(Kind::in_api));
            let mut query = vec![("limit", PAGE.to_owned())];
            let given = [
                ("kind", Some(kind).filter(|kind| !kind.is_empty())),
                ("under", self.under.clone()),
                ("on", self.on.clone()),
                ("cursor", cursor.take()),
            ];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let page: api::Page<api::Organisation> = client.get("/v1/organisations", &query)?;
            all.items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} organisations", all.items.len()));
        }
        terminal.result(&all, || {
            let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
            table(&["ORGANISATION", "KIND", "NAME", "NUMBER", "FROM", "UNTIL", "UNDER"], &rows)
        });
        Ok(())
    }
}

fn row(one: &api::Organisation) -> Vec<String> {
    vec![
        one.id.clone(),
        super::word(Some(one.kind)),
        one.name.clone(),
        one.number.clone().or_else(|| one.office.clone()).unwrap_or_default(),
        one.from.clone(),
        one.until.clone().unwrap_or_default(),
        one.parent.clone().unwrap_or_default(),
    ]
}

fn shown(one: &api::Organisation) -> Vec<String> {
    facts(&[
        ("organisation", one.id.clone()),
        ("kind", super::word(Some(one.kind))),
        ("på svenska", one.kind_sv.clone()),
        ("name", one.name.clone()),
        ("number", one.number.clone().unwrap_or_default()),
        ("office", one.office.clone().unwrap_or_default()),
        ("under", one.parent.clone().unwrap_or_default()),
        ("from", one.from.clone()),
        ("until", one.until.clone().unwrap_or_default()),
        ("active", if one.active { "yes" } else { "no" }.to_owned()),
        ("revision", one.revision.to_string()),
    ])
}

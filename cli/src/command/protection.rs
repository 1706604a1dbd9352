//! `sigill protection`: protected persons, for administrators whose role has them added.

use clap::{Args, Subcommand, ValueEnum};

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, facts, table};

/// Rows asked for at a time.
const PAGE: &str = "100";

/// What can be asked and done about protected persons.
#[derive(Debug, Subcommand)]
pub(crate) enum ProtectionCommand {
    /// List protected persons, each with class and eIDs; what is shown is noted in the audit log.
    #[command(after_help = "Example:\n  sigill protection list --json")]
    List,
    /// Say how a person is protected from now on. Whether he has an eID does not matter.
    #[command(
        after_help = "Example:\n  sigill protection set --person 19121212-1212 --class confidentiality-marking --actor TST2321000016-1001"
    )]
    Set(Set),
}

/// A class for a person.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Personal or coordination number, 12 digits.
    #[arg(long, value_name = "NUMBER", required_unless_present = "passport")]
    person: Option<String>,
    /// Of a person who is known by a passport: state, number and day of birth.
    #[arg(long, num_args = 3, value_names = ["STATE", "NUMBER", "YYYY-MM-DD"], conflicts_with = "person")]
    passport: Option<Vec<String>>,
    /// How; `none` ends it.
    #[arg(long)]
    class: Class,
    /// Who decided that, by an id.
    #[arg(long)]
    actor: String,
    /// Idempotency key: give the same again to repeat a call; drawn when left out.
    #[arg(long)]
    idempotency_key: Option<String>,
}

/// The classes, as the API names them.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Class {
    /// Not protected.
    None,
    /// Sekretessmarkering.
    ConfidentialityMarking,
    /// Skyddad folkbokföring.
    ProtectedRegistration,
}

impl Class {
    const fn in_api(self) -> api::ProtectionClass {
        match self {
            Self::None => api::ProtectionClass::None,
            Self::ConfidentialityMarking => api::ProtectionClass::ConfidentialityMarking,
            Self::ProtectedRegistration => api::ProtectionClass::ProtectedRegistration,
        }
    }
}

impl ProtectionCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        match self {
            Self::List => list(client, terminal),
            Self::Set(set) => set.run(client, terminal),
        }
    }
}

impl Set {
    fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let passport = self.passport.as_deref().and_then(|parts| match parts {
            [state, number, birth_date] => Some(api::order::OrderPassport {
                state: state.clone(),
                number: number.clone(),
                birth_date: birth_date.clone(),
            }),
            _ => None,
        });
        let request = api::ProtectionRequest {
            person: self.person.clone(),
            passport,
            class: self.class.in_api(),
            actor: self.actor.clone(),
        };
        let key = super::certificate::key(self.idempotency_key.as_deref())?;
        let set: api::Protection = client.post("/v1/protected-persons", &key, &request)?;
        terminal.result(&set, || {
            facts(&[
                ("class", super::word(Some(set.class))),
                ("på svenska", set.class_sv.clone()),
                ("since", set.since.clone().unwrap_or_default()),
            ])
        });
        Ok(())
    }
}

fn list(client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
    let mut all: api::Page<api::ProtectedPerson> = api::Page { items: Vec::new(), next: None };
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE.to_owned())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: api::Page<api::ProtectedPerson> = client.get("/v1/protected-persons", &query)?;
        all.items.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        terminal.progress(&format!("{} protected persons", all.items.len()));
    }
    terminal.result(&all, || {
        let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
        table(&["PERSON", "CLASS", "PÅ SVENSKA", "SINCE", "EIDS"], &rows)
    });
    Ok(())
}

fn row(one: &api::ProtectedPerson) -> Vec<String> {
    let passport = one.passport.as_ref();
    let passport = passport.map(|passport| format!("{} {}", passport.state, passport.number));
    let eids: Vec<&str> = one.eids.iter().map(|eid| eid.id.as_str()).collect();
    vec![
        one.person.clone().or(passport).unwrap_or_else(|| "forgotten".to_owned()),
        super::word(Some(one.class)),
        one.class_sv.clone(),
        one.since.clone(),
        eids.join(" "),
    ]
}

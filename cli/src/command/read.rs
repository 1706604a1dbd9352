//! `sigill reads`: who was shown what of a person.

use clap::Args;

use crate::client::{Client, ClientError};
use crate::terminal::{Terminal, table};

/// Rows asked for at a time.
const PAGE: u32 = 100;

/// Whose reads.
#[derive(Debug, Args)]
pub(crate) struct ReadsCommand {
    /// Personal or coordination number, 12 digits.
    #[arg(long, value_name = "NUMBER", required_unless_present = "passport")]
    person: Option<String>,
    /// Of a person who is known by a passport: state, number and day of birth.
    #[arg(long, num_args = 3, value_names = ["STATE", "NUMBER", "YYYY-MM-DD"], conflicts_with = "person")]
    passport: Option<Vec<String>>,
}

impl ReadsCommand {
    pub(crate) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let passport = self.passport.as_deref().and_then(|parts| match parts {
            [state, number, birth_date] => Some(api::order::OrderPassport {
                state: state.clone(),
                number: number.clone(),
                birth_date: birth_date.clone(),
            }),
            _ => None,
        });
        let mut search = api::ReadSearch {
            person: self.person.clone(),
            passport,
            cursor: None,
            limit: Some(PAGE),
        };
        let mut all: api::Page<api::PersonRead> = api::Page { items: Vec::new(), next: None };
        loop {
            let page: api::Page<api::PersonRead> = client.ask("/v1/reads/search", &search)?;
            all.items.extend(page.items);
            search.cursor = page.next;
            if search.cursor.is_none() {
                break;
            }
            terminal.progress(&format!("{} reads", all.items.len()));
        }
        terminal.result(&all, || {
            let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
            table(&["AT", "CLIENT", "ADMINISTRATOR", "ROLE", "OPERATION", "SHOWN", "CALL"], &rows)
        });
        Ok(())
    }
}

fn row(one: &api::PersonRead) -> Vec<String> {
    let operation = match &one.by {
        Some(by) => format!("{} by {by}", one.operation),
        None => one.operation.clone(),
    };
    vec![
        one.at.clone(),
        one.client.clone(),
        one.administrator.clone().unwrap_or_default(),
        one.role.clone().unwrap_or_default(),
        operation,
        one.shown.join(" "),
        one.call.clone(),
    ]
}

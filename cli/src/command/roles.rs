//! `sigill roles`: what administrators may do. Asks no CA.

use ca::operation::{Business, Operation};
use ca::role::{Reach, Role, page};
use clap::Args;
use serde_json::{Value, json};

use crate::terminal::{Terminal, table};

/// Which role, and how.
#[derive(Debug, Args)]
pub(crate) struct RolesCommand {
    /// What this role may do; all roles when left out.
    role: Option<String>,
    /// The page docs/roles.md.
    #[arg(long, conflicts_with = "role")]
    markdown: bool,
}

impl RolesCommand {
    pub(crate) fn run(&self, terminal: Terminal) {
        let shown: Vec<Role> = Role::ALL
            .iter()
            .copied()
            .filter(|role| self.role.as_deref().is_none_or(|name| name == role.name()))
            .collect();
        let value: Vec<Value> = shown.iter().map(|role| in_json(*role)).collect();
        terminal.result(&value, || {
            if self.markdown {
                return vec![page::markdown().trim_end().to_owned()];
            }
            let rows: Vec<Vec<String>> = shown
                .iter()
                .map(|role| {
                    let may =
                        if self.role.is_some() { may(*role).join(" ") } else { String::new() };
                    vec![role.to_string(), role.swedish().to_owned(), reach(*role).to_owned(), may]
                })
                .collect();
            table(&["ROLE", "PÅ SVENSKA", "REACHES", ""], &rows)
        });
    }
}

const fn reach(role: Role) -> &'static str {
    match role.reach() {
        Reach::Global => "everywhere",
        Reach::Organisation => "organisation",
        Reach::Inherited => "inherited",
    }
}

fn may(role: Role) -> Vec<&'static str> {
    let operations = Operation::ALL.iter().filter(|one| one.business() != Business::Own);
    operations.filter(|one| role.may(**one)).map(|one| one.id()).collect()
}

fn in_json(role: Role) -> Value {
    json!({ "role": role.name(), "sv": role.swedish(), "reaches": reach(role), "may": may(role) })
}

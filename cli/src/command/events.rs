//! `sigill events`: what can have happened where a certificate is revoked, and what follows from it. Asks no CA.

use ca::revocation::BusinessEvent;
use ca::revocation::event::{EventRule, Party, in_words, markdown};
use clap::Args;
use serde_json::{Value, json};

use crate::terminal::{Terminal, table};

/// How the list is shown.
#[derive(Debug, Args)]
pub(crate) struct EventsCommand {
    /// The page docs/revocation-events.md.
    #[arg(long)]
    markdown: bool,
}

impl EventsCommand {
    pub(crate) fn run(&self, terminal: Terminal) {
        let rules = BusinessEvent::ALL.map(BusinessEvent::rule);
        let value: Vec<Value> = rules.iter().map(in_json).collect();
        terminal.result(&value, || {
            if self.markdown {
                return vec![markdown().trim_end().to_owned()];
            }
            let rows: Vec<Vec<String>> = rules.iter().map(row).collect();
            table(&["EVENT", "PÅ SVENSKA", "REASON", "REACHES", "OF", "BY"], &rows)
        });
    }
}

fn by(rule: &EventRule) -> Vec<&'static str> {
    rule.by.iter().copied().map(Party::name).collect()
}

fn in_json(rule: &EventRule) -> Value {
    json!({
        "event": rule.name,
        "sv": rule.swedish,
        "reason": in_words(rule.wish),
        "reach": rule.reach.name(),
        "of": rule.of.name(),
        "by": by(rule),
    })
}

fn row(rule: &EventRule) -> Vec<String> {
    vec![
        rule.name.to_owned(),
        rule.swedish.to_owned(),
        in_words(rule.wish),
        rule.reach.name().to_owned(),
        rule.of.name().to_owned(),
        by(rule).join(", "),
    ]
}

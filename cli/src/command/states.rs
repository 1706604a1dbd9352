//! `sigill states`: where carriers, eIDs, orders and certificates can stand, and what leads from where to where. Asks no CA.

use ca::life::page::{machines, markdown};
use ca::life::{Machine, Word};
use clap::Args;
use serde_json::{Value, json};

use crate::terminal::{Terminal, table};

/// Which table, and how.
#[derive(Debug, Args)]
pub(crate) struct StatesCommand {
    /// carrier, eid, order or approval; all of them when left out.
    thing: Option<Thing>,
    /// The page docs/states.md, which has the certificate too.
    #[arg(long, conflicts_with = "thing")]
    markdown: bool,
}

/// What has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Thing {
    /// A card or telephone (bärare).
    Carrier,
    /// The certificates of one holder in one organisation on one carrier.
    Eid,
    /// What somebody ordered for a person (beställning).
    Order,
    /// What one person asks for and another one approves (godkännande).
    Approval,
}

impl StatesCommand {
    pub(crate) fn run(&self, terminal: Terminal) {
        let [carrier, eid, order, approval] = machines();
        let shown = match self.thing {
            None => vec![carrier, eid, order, approval],
            Some(Thing::Carrier) => vec![carrier],
            Some(Thing::Eid) => vec![eid],
            Some(Thing::Order) => vec![order],
            Some(Thing::Approval) => vec![approval],
        };
        let value: Vec<Value> = shown.iter().map(in_json).collect();
        terminal.result(&value, || {
            if self.markdown {
                return vec![markdown().trim_end().to_owned()];
            }
            shown.iter().flat_map(lines).collect()
        });
    }
}

fn word(word: Word) -> Value {
    json!({ "name": word.name, "sv": word.swedish })
}

fn in_json(machine: &Machine) -> Value {
    let stages = machine.stages.iter().map(|stage| {
        json!({ "name": stage.word.name, "sv": stage.word.swedish, "final": stage.is_final })
    });
    let steps = machine.steps.iter().map(|step| {
        json!({
            "from": step.from.map(|word| word.name),
            "act": step.act.name,
            "act_sv": step.act.swedish,
            "only": step.ways.iter().map(|way| way.name).collect::<Vec<_>>(),
            "to": step.to.name,
        })
    });
    json!({
        "thing": word(machine.thing),
        "stages": stages.collect::<Vec<_>>(),
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn lines(machine: &Machine) -> Vec<String> {
    let named = |word: Word| format!("{} ({})", word.name, word.swedish);
    let swedish = |name: &str| {
        let stage = machine.stages.iter().find(|stage| stage.word.name == name);
        stage.map_or_else(String::new, |stage| named(stage.word))
    };
    let rows: Vec<Vec<String>> = machine
        .steps
        .iter()
        .map(|step| {
            let ways: Vec<&str> = step.ways.iter().map(|way| way.name).collect();
            vec![
                step.from.map_or_else(String::new, named),
                named(step.act),
                ways.join(", "),
                swedish(step.to.name),
            ]
        })
        .collect();
    let mut lines = vec![named(machine.thing)];
    lines.extend(table(&["FROM", "ACT", "ONLY", "TO"], &rows));
    lines.push(String::new());
    lines
}

//! A start that must be refused: one row a fault.
//!
//! A refused start ends by itself with an exit code above 0, begins its last line with a stable code,
//! names both values or the file, says what to do next, and leaves rows, logs, published files,
//! configuration and keys as they were. No key signs, and a token is logged in to only where the fault
//! lies in the token itself.

use std::fs;

use support::workspace;

use crate::World;
use crate::home::{Home, Refused};
use crate::state::State;

/// A fault, and what the refusal must say.
pub struct Row {
    fault: String,
    /// The code under which it is refused (docs/operations/start-codes.md).
    code: &'static str,
    make: Box<dyn Fn(&Home)>,
    says: Vec<String>,
    logins: usize,
}

impl Row {
    /// The same, where the fault lies in the token: it is logged in to once.
    pub fn logging_in(self) -> Self {
        Self { logins: 1, ..self }
    }
}

pub fn row(fault: &str, code: &'static str, make: impl Fn(&Home) + 'static, says: &[&str]) -> Row {
    Row {
        fault: fault.to_owned(),
        code,
        make: Box::new(make),
        says: says.iter().map(|word| (*word).to_owned()).collect(),
        logins: 0,
    }
}

/// Judges starts of `sigill-ca` and names all rows that are not as the table says.
pub fn judge(world: &World, rows: &[Row]) {
    judge_with(world, rows, Home::serve_refused);
}

/// The same with another command.
pub fn judge_with(world: &World, rows: &[Row], start: fn(&Home) -> Refused) {
    let mut wrong = Vec::new();
    for row in rows {
        let home = world.template.copy();
        (row.make)(&home);
        let before = State::readable(&home);
        let refused = start(&home);
        let mut calls = before.calls;
        calls.logins += row.logins;
        let before = State { calls, ..before };
        println!("{}: {}", row.fault, last_line(&refused.text));
        let mut is_wrong = |what: String| wrong.push(format!("{}: {what}", row.fault));
        if refused.code.is_none_or(|code| code == 0) {
            is_wrong(format!("ended with {:?}: {}", refused.code, refused.text));
        }
        if let Some(fault) = not_told(&refused, row.code) {
            is_wrong(fault);
        }
        let missing: Vec<_> =
            row.says.iter().filter(|word| !refused.text.contains(*word)).collect();
        if !missing.is_empty() {
            is_wrong(format!("does not say {missing:?}: {}", refused.text));
        }
        let difference = before.difference(&State::readable(&home));
        if !difference.is_empty() {
            is_wrong(difference);
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// Promise 9: a line begins with the code, which operators find in its page, and each ends with the next step. `None` if so.
pub fn not_told(refused: &Refused, code: &str) -> Option<String> {
    let lines: Vec<_> = refused.text.lines().filter(|line| line.starts_with("error:")).collect();
    let coded = lines.iter().any(|line| line.starts_with(&format!("error: {code}: ")));
    let listed = fs::read_to_string(workspace::root().join("docs/operations/start-codes.md"));
    let listed = listed.expect("the page of codes is there").contains(&format!("`{code}`"));
    assert!(listed, "{code} is not in docs/operations/start-codes.md");
    let next = |line: &&str| line.split("; next: ").nth(1).is_some_and(|next| !next.is_empty());
    let ends = lines.iter().all(next);
    (!coded || !ends).then(|| format!("wanted the code {code} and next steps: {lines:?}"))
}

pub fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| line.starts_with("error:")).unwrap_or_default()
}

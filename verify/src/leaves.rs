//! `sigill-verify leaves`: the acts and refusals that an audit log tells of, once the log has been judged.

use std::fmt::Write as _;

use anyhow::ensure;
use ca::audit::{Actor, AuditLeaf, EventCode, EventResult, ObjectId};
use clap::Args;
use ledger::LogName;
use serde_json::{Value, json};

use crate::log::{Kind, LogArguments, judge_and_read};

/// Whose leaves, and which.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  . .sigill/env\n  sigill-verify leaves --event signature.tried --checkpoint \"$SIGILL_HOME/audit/checkpoint\" --tiles \"$SIGILL_HOME/audit\" \\\n    --key \"$SIGILL_AUDIT_KEY\" --origin \"$SIGILL_AUDIT_ORIGIN\""
)]
pub(crate) struct LeavesArguments {
    #[command(flatten)]
    log: LogArguments,
    /// List these events alone (docs/formats/audit-leaf.md has their names); may be given several times.
    #[arg(long, value_name = "NAME")]
    event: Vec<EventCode>,
}

/// The leaves that were asked for, of a log that holds.
#[derive(Debug)]
pub(crate) struct Leaves {
    origin: String,
    size: u64,
    found: Vec<(u64, AuditLeaf)>,
}

/// Judges the log and reads its leaves.
///
/// # Errors
///
/// As of [`crate::log::judge`]; the log is no audit log.
pub(crate) fn list(arguments: &LeavesArguments) -> anyhow::Result<Leaves> {
    let origin = arguments.log.origin();
    ensure!(
        origin.log == LogName::Audit && arguments.log.kind() != Some(Kind::Status),
        "--origin {origin} is no audit log, and only audit logs have leaves; give that of the audit log"
    );
    let mut found = Vec::new();
    let findings = judge_and_read(&arguments.log, &mut |index, leaf| {
        if arguments.event.is_empty() || arguments.event.contains(&leaf.event.code) {
            found.push((index, leaf.clone()));
        }
    })?;
    Ok(Leaves { origin: origin.to_string(), size: findings.size(), found })
}

impl Leaves {
    /// For programs.
    pub(crate) fn to_json(&self) -> String {
        let leaves: Vec<Value> =
            self.found.iter().map(|(index, leaf)| as_json(*index, leaf)).collect();
        json!({ "origin": self.origin, "size": self.size, "leaves": leaves }).to_string()
    }

    /// For people: a line for each.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (index, leaf) in &self.found {
            let event = &leaf.event;
            let (kind, id) = actor(&event.actor);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{index}  {}  {}  {}  {kind}:{id}",
                leaf.time,
                event.code,
                result(event.result)
            );
            for (kind, id) in event.objects.iter().map(object) {
                let _ = write!(text, "  {kind}:{id}");
            }
            text.push('\n');
        }
        let _ = write!(
            text,
            "{} of {} leaves of {}, which was verified",
            self.found.len(),
            self.size,
            self.origin
        );
        text
    }
}

fn as_json(index: u64, leaf: &AuditLeaf) -> Value {
    let event = &leaf.event;
    let named = |(kind, id): (&str, String)| json!({ "kind": kind, "id": id });
    let objects: Vec<Value> = event.objects.iter().map(|one| named(object(one))).collect();
    json!({
        "index": index,
        "time": leaf.time.to_string(),
        "event": event.code.name(),
        "result": result(event.result),
        "actor": named(actor(&event.actor)),
        "policy": event.policy.as_ref().map(|policy| hex(policy.as_content_octets())),
        "objects": objects,
        "payload": hex(leaf.payload.as_bytes()),
    })
}

const fn result(result: EventResult) -> &'static str {
    match result {
        EventResult::Done => "done",
        EventResult::Refused => "refused",
        EventResult::Failed => "failed",
    }
}

fn actor(actor: &Actor) -> (&'static str, String) {
    match actor {
        Actor::System(id) => ("system", hex(id)),
        Actor::Client(id) => ("client", hex(id)),
        Actor::Person(id) => ("person", hex(id)),
    }
}

/// Kind and id, as the API and the logs of the programs write them.
fn object(object: ObjectId) -> (&'static str, String) {
    match object {
        ObjectId::Certificate(id) => ("certificate", format!("crt_{}", uuid(&id))),
        ObjectId::Order(id) => ("order", format!("ord_{}", uuid(&id))),
        ObjectId::Carrier(id) => ("carrier", format!("car_{}", uuid(&id))),
        ObjectId::Eid(id) => ("eid", format!("eid_{}", uuid(&id))),
        ObjectId::Job(id) => ("job", format!("job_{}", uuid(&id))),
        ObjectId::Call(id) => ("call", hex(&id)),
        ObjectId::Client(id) => ("client", hex(&id)),
        ObjectId::Issuer(id) => ("issuer", id.to_string()),
        ObjectId::Key(id) => ("key", id.to_string()),
        ObjectId::Document(id) => ("document", hex(id.as_bytes())),
        ObjectId::StatusEntry(position) => ("status-entry", position.to_string()),
        ObjectId::Organisation(id) => ("organisation", format!("org_{}", uuid(&id))),
    }
}

/// With hyphens after 4, 6, 8 and 10 octets (RFC 9562 §4).
fn uuid(id: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, octet) in id.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&hex(&[*octet]));
    }
    text
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors were written by another program, which has no code of ours.
    #[test]
    fn every_field_is_shown_as_the_vectors_have_it() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../docs/formats/vectors/audit-leaves.json"))
                .unwrap();
        let bare = |id: &Value| {
            let id = id.as_str().unwrap();
            id.split_once('_').map_or(id, |(_, uuid)| uuid).replace('-', "")
        };
        for vector in vectors["leaves"].as_array().unwrap() {
            let text = vector["hex"].as_str().unwrap();
            let octets = (0..text.len()).step_by(2);
            let octets: Vec<u8> =
                octets.map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
            let shown = as_json(7, &AuditLeaf::decode(&octets).unwrap());
            let wanted = &vector["fields"];

            assert_eq!(shown["index"], 7);
            for field in ["event", "result", "policy", "payload"] {
                assert_eq!(shown[field], wanted[field], "{field}: {shown}");
            }
            assert_eq!(shown["actor"]["kind"], wanted["actor"]);
            assert_eq!(shown["actor"]["id"], wanted["actor id"]);
            let objects = shown["objects"].as_array().unwrap();
            let objects: Vec<[String; 2]> = objects
                .iter()
                .map(|one| [one["kind"].as_str().unwrap().replace('-', " "), bare(&one["id"])])
                .collect();
            assert_eq!(json!(objects), wanted["objects"]);
        }
    }

    #[test]
    fn a_uuid_has_its_hyphens() {
        let id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(uuid(&id), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}

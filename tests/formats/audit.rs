//! Vectors of audit leaf v1.

use ca::audit::{
    Actor, AuditEvent, AuditLeaf, EventCode, EventResult, ObjectId, ObjectIds, PayloadCommitment,
    PolicyId,
};
use ledger::Hash;
use serde_json::{Value, json};
use status::{IssuerId, Position};
use x509::key::SpkiHash;

use crate::hex;
use crate::status::at;

/// Names of results and kinds, in the order of their numbers.
const RESULTS: [(EventResult, &str); 3] = [
    (EventResult::Done, "done"),
    (EventResult::Refused, "refused"),
    (EventResult::Failed, "failed"),
];

struct Vector {
    name: &'static str,
    salt: [u8; 32],
    payload: &'static [u8],
    leaf: AuditLeaf,
}

pub fn leaf(code: EventCode, secs: u64, objects: &[ObjectId], payload: &[u8]) -> AuditLeaf {
    AuditLeaf {
        time: at(secs),
        event: AuditEvent {
            code,
            result: EventResult::Done,
            actor: Actor::System([0xa1; 16]),
            objects: ObjectIds::new(objects.iter().copied()).unwrap(),
            policy: None,
        },
        payload: PayloadCommitment::new(&[0x5a; 32], payload),
    }
}

fn leaves() -> Vec<Vector> {
    let every_object = [
        ObjectId::Certificate([0x01; 16]),
        ObjectId::Order([0x02; 16]),
        ObjectId::Carrier([0x03; 16]),
        ObjectId::Eid([0x04; 16]),
        ObjectId::Job([0x05; 16]),
        ObjectId::Call([0x06; 16]),
        ObjectId::Client([0x07; 16]),
        ObjectId::Issuer(IssuerId::from_bytes([0x08; 32])),
        ObjectId::Key(SpkiHash::from_bytes([0x09; 32])),
        ObjectId::Document(Hash::from_bytes([0x0a; 32])),
        ObjectId::StatusEntry(Position { epoch: 1, index: 1_234_067 }),
    ];
    let plain = leaf(EventCode::ServerStarted, 1_795_312_288, &[], b"");
    let mut full = leaf(EventCode::CertificateIssued, 1_795_312_288, &every_object, b"{}");
    full.event.actor = Actor::Client([0xc1; 16]);
    // 2.999.1, of the arc for examples.
    full.event.policy = Some(PolicyId::from_content_octets(&[0x88, 0x37, 0x01]).unwrap());
    let mut refused = leaf(EventCode::CallRefused, 1_795_312_289, &every_object[5..7], b"refused");
    refused.event.result = EventResult::Refused;
    refused.event.actor = Actor::Person([0xb1; 16]);
    let mut failed = leaf(EventCode::SignatureTried, 253_402_300_799, &every_object[8..9], b"x");
    failed.event.result = EventResult::Failed;
    let orders: Vec<ObjectId> = (0..16).map(|n| ObjectId::Order([n; 16])).collect();
    let many = leaf(EventCode::RefusalGrouped, 0, &orders, b"");

    let organisation = [ObjectId::Organisation([0x0c; 16]), ObjectId::Call([0x06; 16])];
    let organisation = leaf(EventCode::OrganisationAdded, 1_795_312_290, &organisation, b"{}");

    let salt = [0x5a; 32];
    vec![
        Vector { name: "no object, no policy", salt, payload: b"", leaf: plain },
        Vector { name: "every kind of object", salt, payload: b"{}", leaf: full },
        Vector { name: "refused", salt, payload: b"refused", leaf: refused },
        Vector { name: "failed, at the last time", salt, payload: b"x", leaf: failed },
        Vector { name: "sixteen objects", salt, payload: b"", leaf: many },
        Vector { name: "an organisation", salt, payload: b"{}", leaf: organisation },
    ]
}

pub fn fields(leaf: &AuditLeaf) -> Value {
    let (actor, id) = match leaf.event.actor {
        Actor::System(id) => ("system", id),
        Actor::Client(id) => ("client", id),
        Actor::Person(id) => ("person", id),
    };
    let result = RESULTS.iter().find(|(result, _)| *result == leaf.event.result).unwrap().1;
    let objects: Vec<Value> =
        leaf.event.objects.iter().map(|object| self::object(&object)).collect();
    json!({
        "event": leaf.event.code.name(),
        "time": leaf.time.secs(),
        "result": result,
        "actor": actor,
        "actor id": hex(id),
        "payload": hex(leaf.payload.as_bytes()),
        "policy": leaf.event.policy.as_ref().map(|policy| hex(policy.as_content_octets())),
        "objects": objects,
    })
}

fn object(object: &ObjectId) -> Value {
    match object {
        ObjectId::Certificate(id) => json!(["certificate", hex(id)]),
        ObjectId::Order(id) => json!(["order", hex(id)]),
        ObjectId::Carrier(id) => json!(["carrier", hex(id)]),
        ObjectId::Eid(id) => json!(["eid", hex(id)]),
        ObjectId::Job(id) => json!(["job", hex(id)]),
        ObjectId::Call(id) => json!(["call", hex(id)]),
        ObjectId::Client(id) => json!(["client", hex(id)]),
        ObjectId::Issuer(id) => json!(["issuer", id.to_string()]),
        ObjectId::Key(id) => json!(["key", id.to_string()]),
        ObjectId::Document(id) => json!(["document", id.to_string()]),
        ObjectId::StatusEntry(position) => json!(["status entry", position.to_string()]),
        ObjectId::Organisation(id) => json!(["organisation", hex(id)]),
    }
}

fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let vectors = leaves();
    let full = vectors[1].leaf.encode();
    let plain = vectors[0].leaf.encode();
    let twice = {
        let one = leaf(EventCode::OrderReceived, 1, &[ObjectId::Order([2; 16])], b"").encode();
        let mut twice = [&one[..], &one[63..]].concat();
        twice[62] = 2;
        twice
    };
    let changed = |octets: &[u8], place: usize, value: u8| {
        let mut octets = octets.to_vec();
        octets[place] = value;
        octets
    };
    vec![
        ("empty", vec![]),
        ("cut before the count of objects", plain[..62].to_vec()),
        ("an octet after the last object", [&full[..], &[0]].concat()),
        ("cut inside the last object", full[..full.len() - 1].to_vec()),
        ("version 0", changed(&full, 0, 0)),
        ("version 2", changed(&full, 0, 2)),
        ("event 0x0002", changed(&full, 1, 0)),
        ("event 0x01ff", changed(&full, 2, 0xff)),
        ("time beyond the year 9999", changed(&full, 3, 1)),
        ("result 3", changed(&full, 11, 3)),
        ("actor kind 0", changed(&full, 12, 0)),
        ("actor kind 4", changed(&full, 12, 4)),
        ("policy of 64 octets", changed(&full, 61, 64)),
        ("policy arc with a leading zero", changed(&full, 62, 0x80)),
        ("policy ends inside an arc", changed(&full, 64, 0x81)),
        ("one object more than there is", changed(&full, 65, 12)),
        ("one object less than there is", changed(&full, 65, 10)),
        ("17 objects", changed(&full, 65, 17)),
        ("object kind 0", changed(&full, 66, 0)),
        ("object kind 13", changed(&full, 66, 13)),
        ("objects out of order", changed(&full, 66, 7)),
        ("the same object twice", twice),
    ]
}

pub fn vectors() -> Value {
    let leaves: Vec<Value> = leaves()
        .into_iter()
        .map(|vector| {
            json!({
                "name": vector.name,
                "salt": hex(vector.salt),
                "payload": hex(vector.payload),
                "hex": hex(vector.leaf.encode()),
                "fields": fields(&vector.leaf),
            })
        })
        .collect();
    let refused: Vec<Value> = refused()
        .into_iter()
        .map(|(name, octets)| {
            assert!(AuditLeaf::decode(&octets).is_err(), "{name}");
            json!({"name": name, "hex": hex(octets)})
        })
        .collect();
    json!({"format": "audit leaf 1", "leaves": leaves, "refused": refused})
}

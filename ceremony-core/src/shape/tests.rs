//! R16, N33: a rehearsal and its ceremony have the same shape, and every way in which they may not differ is seen.

use x509::time::UnixTime;

use super::*;
use crate::transcript::Whole;

fn record(kind: Kind, step: &str, facts: &[(&str, &str)]) -> Record {
    let facts = facts.iter().map(|(name, text)| ((*name).to_owned(), Fact::from(*text)));
    Record {
        time: UnixTime::EPOCH,
        run_ms: 0,
        step: step.to_owned(),
        kind,
        who: vec!["anna".to_owned()],
        body: facts.collect(),
    }
}

/// A key and a certificate; what is drawn or made is another for another `salt`.
fn ceremony(salt: &str) -> Vec<Record> {
    let hash = |name: &str| Fingerprint::of(format!("{name} {salt}").as_bytes()).to_string();
    let (key, tbs, file) = (hash("key"), hash("tbs"), hash("file"));
    let purpose = format!("purpose {salt}");
    let token = format!("token {salt}");
    vec![
        record(Kind::Genesis, "begin", &[("plan", "5a"), ("purpose", &purpose)]),
        record(Kind::Check, "begin", &[("what", "clock"), ("result", "as planned")]),
        record(Kind::Attest, "key", &[("what", PRESENCE), ("statement", salt)]),
        record(
            Kind::Intent,
            "key",
            &[("act", "generate-key"), ("intent", &hash("1")), ("token", &token)],
        ),
        record(Kind::Result, "key", &[("intent", &hash("1")), ("spki_sha256", &key)]),
        record(
            Kind::Intent,
            "cer",
            &[("act", "sign"), ("intent", &hash("2")), ("tbs_sha256", &tbs)],
        ),
        record(Kind::Result, "cer", &[("intent", &hash("2")), ("sha256", &file)]),
        record(Kind::Close, "end", &[("head", &hash("head"))]),
    ]
}

fn shape(records: &[Record]) -> Shape {
    Shape::of(records).unwrap()
}

#[test]
fn two_ceremonies_by_one_plan_have_one_shape() {
    let (one, two) = (shape(&ceremony("a")), shape(&ceremony("some other salt")));
    assert_eq!(one.hash(), two.hash());
    assert_eq!(one.lines(), two.lines());
    one.equals(&two).unwrap();
    assert_eq!(
        one.lines()[2],
        r#"{"body":{"act":"generate-key","intent":["random",64],"token":["device"]},"step":"key","type":"INTENT"}"#
    );
}

/// What a day brings is told elsewhere; the shape is what was planned.
#[test]
fn pauses_crashes_and_people_who_come_and_go_leave_the_shape_as_it_is() {
    let mut held = ceremony("a");
    let intent = held[3].clone();
    let mut again = intent.clone();
    again.body.insert("again".to_owned(), "session lost".into());
    let mut adopted = held[4].clone();
    adopted.body.insert("adopted".to_owned(), "found by a later run".into());
    held[4] = adopted;
    let named = intent.text("intent").unwrap().to_owned();
    let between = [
        record(Kind::Exception, "cer", &[("reason", "a medium is lost")]),
        record(Kind::Pause, "cer", &[("reason", "lunch")]),
        record(Kind::Resume, "begin", &[("nonce", "00")]),
        record(Kind::Check, "begin", &[("what", "clock"), ("result", "as planned")]),
        record(Kind::Check, "begin", &[("what", LEAVES)]),
        record(Kind::Check, "begin", &[("what", STAND_IN), ("spki_sha256", "00")]),
        intent.clone(),
        again,
        record(Kind::Exception, "key", &[("reason", "no effect"), ("intent", &named)]),
    ];
    held.splice(5..5, between);
    shape(&held).equals(&shape(&ceremony("b"))).unwrap();

    // A signature that may have been made is none of them.
    let signs = held.iter().position(|record| record.text("act") == Some("sign")).unwrap();
    let (mut twice, lost) = (ceremony("a"), held[signs].clone());
    let named = [("reason", "not kept"), ("intent", lost.text("intent").unwrap())];
    let ended = record(Kind::Exception, "cer", &named);
    twice.splice(5..5, [lost, ended]);
    assert_eq!(shape(&twice).equals(&shape(&ceremony("b"))).unwrap_err().number, 6);
}

/// N33: each of these is another ceremony, and is named with its line.
#[test]
fn another_ceremony_has_another_shape() {
    let rehearsal = shape(&ceremony("a"));
    let without = |place: usize| {
        let mut records = ceremony("b");
        records.remove(place);
        records
    };
    let with = |place: usize, record: Record| {
        let mut records = ceremony("b");
        records.insert(place, record);
        records
    };
    let changed = |place: usize, name: &str, value: &str| {
        let mut records = ceremony("b");
        records[place].body.insert(name.to_owned(), value.into());
        records
    };
    let in_step = |place: usize, step: &str| {
        let mut records = ceremony("b");
        step.clone_into(&mut records[place].step);
        records
    };
    let mut swapped = ceremony("b");
    swapped.swap(1, 4);
    for (line, records) in [
        (2, without(1)),
        (3, with(3, record(Kind::Check, "key", &[("what", "another")]))),
        (3, changed(3, "act", "sign")),
        (2, changed(1, "result", "otherwise")),
        (4, changed(4, "spki_sha256", "00")),
        (4, without(4)),
        (3, in_step(3, "another")),
        (2, swapped),
        (7, without(7)),
        (8, with(8, record(Kind::Checkpoint, "end", &[]))),
    ] {
        let seen = shape(&records);
        let deviation = seen.equals(&rehearsal).unwrap_err();
        assert_eq!(deviation.number, line, "{deviation}");
        assert_ne!(seen.hash(), rehearsal.hash());
    }
}

/// So that it can be asked before the next thing that cannot be undone.
#[test]
fn a_ceremony_that_goes_on_follows_its_rehearsal_so_far() {
    let rehearsal = shape(&ceremony("a"));
    for count in 0..=8 {
        let part = shape(&ceremony("b")[..count]);
        part.follows(&rehearsal).unwrap();
        assert_eq!(part.equals(&rehearsal).is_ok(), count == 8);
    }
    let other = record(Kind::Check, "begin", &[("what", "another")]);
    let deviation = shape(&[ceremony("b")[0].clone(), other]).follows(&rehearsal).unwrap_err();
    assert_eq!(deviation.number, 2);
    assert!(deviation.to_string().contains("was {"), "{deviation}");
}

#[test]
fn a_member_without_a_class_has_no_shape() {
    for kind in [Kind::Genesis, Kind::Check, Kind::Intent, Kind::Result, Kind::Checkpoint] {
        let fault = Shape::of(&[record(kind, "begin", &[("colour", "red")])]).unwrap_err();
        assert_eq!((fault.kind, fault.member.as_str()), (kind, "colour"));
    }
}

/// What a member is made from is said once.
#[test]
fn each_member_has_one_class_in_the_order_of_names() {
    let named: Vec<_> = CLASSES.iter().map(|(kind, name, _)| (*kind, *name)).collect();
    assert!(named.is_sorted() && named.windows(2).all(|pair| pair[0] != pair[1]));
    for kind in [Kind::Genesis, Kind::Intent, Kind::Result, Kind::Checkpoint, Kind::Close] {
        for member in kind.members() {
            assert!(named.contains(&(kind, member)), "{} {member}", kind.name());
        }
    }
}

#[test]
fn the_shapes_of_the_second_reader_are_the_same() {
    let text = include_str!("../../../docs/formats/vectors/transcripts.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let shapes = vectors["shapes"].as_array().unwrap();
    assert!(shapes.len() > 2);
    for vector in shapes {
        let lines = vector["lines"].as_array().unwrap().iter();
        let octets: String = lines.map(|line| format!("{}\n", line.as_str().unwrap())).collect();
        let whole = Whole::read(octets.as_bytes()).unwrap();
        let shape = Shape::of(&whole.records);
        match vector["hash"].as_str() {
            Some(hash) => {
                let shape = shape.unwrap();
                let wanted: Vec<&str> =
                    vector["shape"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
                assert_eq!(shape.lines(), wanted, "{}", vector["name"]);
                assert_eq!(shape.hash().to_string(), hash, "{}", vector["name"]);
            }
            None => assert!(shape.is_err(), "{}", vector["name"]),
        }
    }
}

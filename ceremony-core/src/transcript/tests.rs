//! CER-06, N17: every rule of a transcript refuses what breaks it, and names the line.

use std::collections::BTreeMap;

use x509::time::UnixTime;

use super::*;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(1_795_000_000 + secs).unwrap()
}

fn record(kind: Kind, secs: u64, facts: &[(&str, &str)]) -> Record {
    let facts = facts.iter().map(|(name, text)| ((*name).to_owned(), Fact::from(*text)));
    Record {
        time: at(secs),
        run_ms: secs * 1000,
        step: "root-key".to_owned(),
        kind,
        who: vec!["anna".to_owned(), "bo".to_owned()],
        body: facts.collect(),
    }
}

fn genesis() -> Record {
    let plan = "5a".repeat(32);
    let facts = [
        ("format", FORMAT),
        ("deployment", "test/demo/ab12"),
        ("purpose", "rehearsal"),
        ("plan", &plan),
        ("program", "1.0.0"),
    ];
    record(Kind::Genesis, 0, &facts)
}

/// Lines as a ceremony writes them.
#[derive(Clone, Default)]
struct Written {
    chain: Chain,
    lines: Vec<Vec<u8>>,
}

impl Written {
    fn push(&mut self, record: &Record) -> Result<(), LineFault> {
        let (line, chain) = self.chain.next(record).map_err(|fault| {
            assert_eq!(usize::try_from(fault.line).unwrap(), self.lines.len() + 1);
            fault.fault
        })?;
        self.lines.push(line);
        self.chain = chain;
        Ok(())
    }

    fn push_head(&mut self, kind: Kind, secs: u64) -> Result<(), LineFault> {
        let mut record = record(kind, secs, &[]);
        record.body.extend(self.chain.head_facts());
        self.push(&record)
    }

    fn octets(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect()
    }
}

const INTENT: (&str, &str) = ("intent", "k1");
const ACT: (&str, &str) = ("act", "generate-key");

/// A whole ceremony of one key.
fn whole() -> Written {
    let mut written = Written::default();
    written.push(&genesis()).unwrap();
    written.push(&record(Kind::Check, 1, &[("what", "token")])).unwrap();
    written.push(&record(Kind::Intent, 2, &[INTENT, ACT])).unwrap();
    written.push(&record(Kind::Result, 9, &[INTENT, ("spki", "00ff")])).unwrap();
    written.push_head(Kind::Checkpoint, 10).unwrap();
    written.push(&record(Kind::Pause, 11, &[("reason", "lunch")])).unwrap();
    let mut resume = record(Kind::Resume, 5000, &[]);
    resume.run_ms = 0;
    written.push(&resume).unwrap();
    let mut close = record(Kind::Close, 5001, &[]);
    close.run_ms = 1000;
    close.body.extend(written.chain.head_facts());
    written.push(&close).unwrap();
    written
}

#[test]
fn a_whole_transcript_is_read_as_it_was_written() {
    let written = whole();
    let read = Whole::read(&written.octets()).unwrap();

    assert_eq!(read.chain, written.chain);
    assert_eq!((read.chain.phase(), read.chain.open(), read.torn), (Phase::Closed, None, 0));
    assert_eq!(read.records.len(), 8);
    assert_eq!(read.records[0], genesis());
    assert_eq!(read.records[0].text("purpose"), Some("rehearsal"));
    assert_eq!(read.records[4].number("lines"), Some(4));
    assert_eq!(read.chain.head().0, 8);
}

/// N17: a changed octet, a dropped last record, two that changed places, one cut out, one appended after CLOSE.
#[test]
fn refuses_what_was_done_to_lines_later() {
    let written = whole();
    let refused = |lines: &[Vec<u8>]| {
        let octets = Written { lines: lines.to_vec(), ..Written::default() }.octets();
        Whole::read(&octets).map(|read| (read.chain.phase(), read.chain.head()))
    };
    // What people have on paper; the last octets of the last line stand under no other root.
    let as_closed = Ok((Phase::Closed, written.chain.head()));
    for (place, line) in written.lines.iter().enumerate() {
        for octet in 0..line.len() {
            let mut lines = written.lines.clone();
            lines[place][octet] ^= 1;
            assert!(refused(&lines) != as_closed, "line {place}, octet {octet}");
        }
        let mut lines = written.lines.clone();
        lines.remove(place);
        assert!(refused(&lines) != as_closed, "without line {place}");
        let mut lines = written.lines.clone();
        lines.insert(place, line.clone());
        assert!(refused(&lines) != as_closed, "line {place} twice");
        if place > 0 {
            let mut lines = written.lines.clone();
            lines.swap(place - 1, place);
            assert!(refused(&lines) != as_closed, "line {place} moved");
        }
    }
    let phase = |lines| refused(lines).map(|(phase, _)| phase);
    assert_eq!(phase(&written.lines[..7]), Ok(Phase::Running), "its end is cut off");
    assert_eq!(phase(&written.lines[..6]), Ok(Phase::Paused));
}

#[test]
fn copies_differ_from_a_line_on() {
    assert_eq!(line_of_difference(b"a\nb\n", b"a\nb\n"), None);
    assert_eq!(line_of_difference(b"a\nb\n", b"a\nc\n"), Some(2));
    assert_eq!(line_of_difference(b"a\n", b"a\nb\n"), Some(2), "one is shorter");
    assert_eq!(line_of_difference(b"", b"a\n"), Some(1));
}

#[test]
fn a_torn_last_line_is_none() {
    let written = whole();
    let octets = written.octets();
    let torn = &octets[..octets.len() - 1];

    let read = Whole::read(torn).unwrap();

    assert_eq!(read.chain.head().0, 7);
    assert_eq!(read.torn, written.lines[7].len());
}

fn begun() -> Written {
    let mut written = Written::default();
    written.push(&genesis()).unwrap();
    written
}

#[test]
fn begins_once() {
    let check = record(Kind::Check, 0, &[]);
    let refused = Written::default().push(&check).unwrap_err();
    assert_eq!(refused, LineFault::Beginning { kind: Kind::Check, begins: true });

    let refused = begun().push(&genesis()).unwrap_err();
    assert_eq!(refused, LineFault::Beginning { kind: Kind::Genesis, begins: false });

    for missing in Kind::Genesis.members() {
        let mut genesis = genesis();
        genesis.body.remove(*missing);
        let refused = Written::default().push(&genesis).unwrap_err();
        assert_eq!(refused, LineFault::Member { kind: Kind::Genesis, name: missing });
    }
    let mut other = genesis();
    other.body.insert("format".to_owned(), "sigill-transcript/2".into());
    assert!(matches!(Written::default().push(&other).unwrap_err(), LineFault::Format { .. }));
}

#[test]
fn ends_once() {
    let mut written = whole();
    for kind in [Kind::Check, Kind::Genesis, Kind::Resume] {
        let refused = written.push(&record(kind, 6000, &genesis_facts())).unwrap_err();
        assert_eq!(refused, LineFault::AfterClose { kind });
    }
}

fn genesis_facts() -> [(&'static str, &'static str); 5] {
    [("deployment", "d"), ("format", FORMAT), ("plan", "p"), ("program", "1"), ("purpose", "r")]
}

#[test]
fn only_a_resume_ends_a_pause() {
    let mut written = begun();
    let reasonless = written.push(&record(Kind::Pause, 1, &[])).unwrap_err();
    assert_eq!(reasonless, LineFault::Member { kind: Kind::Pause, name: "reason" });
    written.push(&record(Kind::Pause, 1, &[("reason", "a person left")])).unwrap();
    let intent = record(Kind::Intent, 2, &[INTENT, ACT]);

    assert_eq!(written.push(&intent).unwrap_err(), LineFault::Paused { kind: Kind::Intent });

    written.push(&record(Kind::Resume, 2, &[])).unwrap();
    written.push(&intent).unwrap();
}

/// R03: neither clock goes back, and they stay together while a run lasts.
#[test]
fn clocks_that_go_back_or_drift_apart_are_refused() {
    let mut written = begun();
    written.push(&record(Kind::Check, 100, &[])).unwrap();
    let check = |secs, run_ms| Record { run_ms, ..record(Kind::Check, secs, &[]) };

    let refused = written.push(&check(99, 100_000)).unwrap_err();
    assert!(matches!(refused, LineFault::ClockBack { clock: "wall", .. }), "{refused}");
    let refused = written.push(&check(100, 99_999)).unwrap_err();
    assert!(matches!(refused, LineFault::ClockBack { clock: "monotonic", .. }), "{refused}");
    let refused = written.push(&check(161, 100_000)).unwrap_err();
    assert_eq!(refused, LineFault::Drift { wall: 161, run: 100 });
    let refused = written.push(&check(100, 161_000)).unwrap_err();
    assert_eq!(refused, LineFault::Drift { wall: 100, run: 161 });
    written.push(&check(160, 100_000)).unwrap();

    // Another run has another monotonic clock, and the same wall clock.
    let early = Record { run_ms: 0, ..record(Kind::Resume, 159, &[]) };
    assert!(matches!(written.push(&early).unwrap_err(), LineFault::ClockBack { .. }));
    written.push(&Record { run_ms: 0, ..record(Kind::Resume, 99_999, &[]) }).unwrap();
    written.push(&check(100_000, 900)).unwrap();
    let drifted = written.push(&check(100_100, 1000)).unwrap_err();
    assert_eq!(drifted, LineFault::Drift { wall: 101, run: 1 });
}

#[test]
fn work_is_told_of_before_other_work_is_announced() {
    let mut written = begun();
    let result = record(Kind::Result, 1, &[INTENT]);
    let not_open = LineFault::NotOpen { seen: "k1".to_owned() };
    assert_eq!(written.push(&result).unwrap_err(), not_open, "nothing is under way");
    written.push(&record(Kind::Intent, 1, &[INTENT, ACT])).unwrap();
    let open = LineFault::Open { open: "k1".to_owned(), line: 2 };

    let other = record(Kind::Intent, 2, &[("intent", "k2"), ACT]);
    assert_eq!(written.push(&other).unwrap_err(), open);
    assert_eq!(written.push(&record(Kind::Intent, 2, &[INTENT, ACT])).unwrap_err(), open);
    assert_eq!(written.push_head(Kind::Close, 2).unwrap_err(), open);
    for kind in [Kind::Result, Kind::Exception] {
        let foreign = record(kind, 2, &[("intent", "k2"), ("reason", "lost")]);
        assert_eq!(
            written.push(&foreign).unwrap_err(),
            LineFault::NotOpen { seen: "k2".to_owned() }
        );
    }

    // Once more, told of as such; an exception beside it ends nothing; one that names it does.
    written.push(&record(Kind::Intent, 3, &[INTENT, ACT, ("again", "session lost")])).unwrap();
    written.push(&record(Kind::Exception, 4, &[("reason", "a medium is gone")])).unwrap();
    assert_eq!(written.chain.open().unwrap().id(), "k1");
    assert_eq!(written.chain.open().unwrap().line, 3);
    let mut ended = written.clone();
    ended.push(&record(Kind::Exception, 5, &[INTENT, ("reason", "no effect")])).unwrap();
    ended.push(&other_at(6)).unwrap();
    written.push(&record(Kind::Result, 5, &[INTENT])).unwrap();
    written.push_head(Kind::Close, 6).unwrap();
}

fn other_at(secs: u64) -> Record {
    record(Kind::Intent, secs, &[("intent", "k2"), ACT])
}

#[test]
fn a_head_that_is_not_that_of_the_lines_before_is_refused() {
    for kind in [Kind::Checkpoint, Kind::Close] {
        let mut written = begun();
        let [head, lines] = written.chain.head_facts();
        let with = |facts: [(String, Fact); 2]| Record {
            body: BTreeMap::from(facts),
            ..record(kind, 1, &[])
        };
        let other_lines = with([head.clone(), ("lines".to_owned(), Fact::Number(2))]);
        let other_head = with([("head".to_owned(), "00".repeat(32).into()), lines.clone()]);
        let as_text = with([head.clone(), ("lines".to_owned(), "1".into())]);

        for bad in [other_lines, other_head, as_text] {
            assert_eq!(written.push(&bad).unwrap_err(), LineFault::Head);
        }
        written.push(&with([head, lines])).unwrap();
    }
}

/// One record has one form: what another reader would take the same is refused.
#[test]
fn only_the_canonical_form_is_read() {
    let written = begun();
    let line = String::from_utf8(written.lines[0].clone()).unwrap();
    let refused = |line: &str| Chain::new().take(line.as_bytes()).unwrap_err().fault;
    for (from, to) in [
        ("\"seq\":0", "\"seq\": 0"),
        ("\"seq\":0", "\"seq\":0.0"),
        ("\"seq\":0", "\"seq\":0,\"seq\":0"),
        ("\"seq\":0", "\"seq\":0,\"more\":1"),
        ("anna", "\\u0061nna"),
        ("\"type\":\"GENESIS\"", "\"type\":\"Genesis\""),
        ("{\"body\"", " {\"body\""),
    ] {
        assert!(line.contains(from), "{line}");
        let refused = refused(&line.replace(from, to));
        assert!(
            matches!(refused, LineFault::NotCanonical | LineFault::NoRecord { .. }),
            "{to}: {refused}"
        );
    }
    let members = line.replacen(
        "\"deployment\":\"test/demo/ab12\",\"format\":\"sigill-transcript/1\"",
        "\"format\":\"sigill-transcript/1\",\"deployment\":\"test/demo/ab12\"",
        1,
    );
    assert_eq!(refused(&members), LineFault::NotCanonical);
    assert!(matches!(
        Chain::new().take(&[b' '; MAX_LINE + 1]).unwrap_err().fault,
        LineFault::TooLong { .. }
    ));
}

#[test]
fn what_would_not_be_read_is_not_written() {
    let mut written = begun();
    let mut check = record(Kind::Check, 1, &[]);
    check.body.insert("n".to_owned(), Fact::Number(1 << 53));
    assert_eq!(written.push(&check).unwrap_err(), LineFault::Number { seen: 1 << 53 });
    let mut check = record(Kind::Check, 1, &[]);
    check.body.insert("tid på".to_owned(), "x".into());
    assert!(matches!(written.push(&check).unwrap_err(), LineFault::Name { .. }));
    let long = "x".repeat(MAX_LINE);
    let check = record(Kind::Check, 1, &[("what", &long)]);
    assert!(matches!(written.push(&check).unwrap_err(), LineFault::TooLong { .. }));
    let mut check = record(Kind::Check, 1, &[("what", "Åsa \"ser\" det \u{1}\n")]);
    check.body.insert("of".to_owned(), Fact::Texts(vec!["a".to_owned(), "b".to_owned()]));
    written.push(&check).unwrap();
    assert_eq!(Whole::read(&written.octets()).unwrap().records[1], check);
}

/// The second reader (tests/formats/transcript.py) made these, and refuses the refused at the same lines.
#[test]
fn the_vectors_of_the_second_reader_are_judged_alike() {
    let text = include_str!("../../../docs/formats/vectors/transcripts.json");
    let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
    let octets = |vector: &serde_json::Value| -> Vec<u8> {
        let lines = vector["lines"].as_array().unwrap().iter();
        lines.flat_map(|line| format!("{}\n", line.as_str().unwrap()).into_bytes()).collect()
    };
    for vector in vectors["transcripts"].as_array().unwrap() {
        let read = Whole::read(&octets(vector)).unwrap();
        let head = crate::words::Fingerprint::from_bytes(*read.chain.head().1.as_bytes());
        assert_eq!(Some(head.to_string().as_str()), vector["head"].as_str(), "{}", vector["name"]);
        assert_eq!(Some(read.chain.phase() == Phase::Closed), vector["closed"].as_bool());
    }
    let refused = vectors["refused"].as_array().unwrap();
    assert!(refused.len() > 20);
    for vector in refused {
        let fault = Whole::read(&octets(vector)).unwrap_err();
        assert_eq!(Some(fault.line), vector["line"].as_u64(), "{}: {fault}", vector["name"]);
    }
}

//! N1, N2, KEY-04: nothing is done by fewer people than the step requires, and a person is one, whatever keys he holds.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::time::UnixTime;

use super::*;
use crate::transcript::Fact;

pub(crate) const TEXT: &str = include_str!("../../../docs/ceremonies/plans/c1-root-key.toml");
const NONCE: &str = "000102030405060708090a0b0c0d0e0f";
/// Whom the step `root-key` requires.
pub(crate) const ALL: [&str; 7] = [
    "kerstin-lund",
    "olle-dahl",
    "vera-sund",
    "ragnar-holm",
    "anna-berg",
    "bo-lind",
    "cecilia-ros",
];

struct Key(Ed25519KeyPair);

impl Key {
    /// The same for the same name.
    fn of(name: &str) -> Self {
        let seed = Fingerprint::of(name.as_bytes());
        Self(Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).unwrap())
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_ed25519(self.0.public_key().as_ref().try_into().unwrap()).unwrap()
    }

    fn hash(&self) -> String {
        self.public().spki_hash().to_string()
    }

    fn sign(&self, statement: &x509::statement::Statement) -> SignedStatement {
        let signature = self.0.sign(statement.as_str().as_bytes());
        let key = self.public();
        SignedStatement::assemble(statement, &key, SignatureAlgorithm::Ed25519, signature.as_ref())
            .unwrap()
    }
}

/// The shipped plan with keys that we have: everybody's is that of his id, and Anna Berg has a second one.
pub(crate) fn plan(text: &str) -> Plan {
    let shipped = Plan::read(TEXT.as_bytes()).unwrap();
    let mut text = text.to_owned();
    for person in &shipped.people.persons {
        let mut keys = format!("\"{}\"", Key::of(person.id.as_str()).hash());
        if person.id.as_str() == "anna-berg" {
            keys = format!("{keys}, \"{}\"", Key::of("anna-berg's second").hash());
        }
        text = text.replace(&format!("\"{}\"", person.keys[0]), &keys);
    }
    Plan::read(text.as_bytes()).unwrap()
}

/// A ceremony as it is written, line by line.
#[derive(Clone)]
pub(crate) struct Held<'a> {
    attendance: Attendance<'a>,
    chain: Chain,
    pub(crate) octets: Vec<u8>,
    secs: u64,
}

impl<'a> Held<'a> {
    pub(crate) fn begun(plan: &'a Plan, purpose: &str) -> Self {
        let mut held = Self::empty(plan);
        held.genesis(plan, purpose, &[]).unwrap();
        held
    }

    fn empty(plan: &'a Plan) -> Self {
        let (attendance, chain) = (Attendance::new(plan), Chain::new());
        Self { attendance, chain, octets: Vec::new(), secs: 0 }
    }

    fn genesis(
        &mut self,
        plan: &Plan,
        purpose: &str,
        other: &[(&str, &str)],
    ) -> Result<(), AttendanceFault> {
        let (hash, deployment) = (plan.hash.to_string(), plan.deployment.to_string());
        let mut facts = vec![
            ("format", crate::transcript::FORMAT),
            ("deployment", &deployment),
            ("purpose", purpose),
            ("plan", &hash),
            ("program", "1"),
            ("nonce", NONCE),
        ];
        for (name, value) in other {
            facts.retain(|(member, _)| member != name);
            facts.push((*name, *value));
        }
        self.write(Kind::Genesis, "begin", &[], &facts)
    }

    pub(crate) fn write(
        &mut self,
        kind: Kind,
        step: &str,
        who: &[&str],
        facts: &[(&str, &str)],
    ) -> Result<(), AttendanceFault> {
        self.secs += 1;
        let body = facts.iter().map(|(name, text)| ((*name).to_owned(), Fact::from(*text)));
        let record = Record {
            time: UnixTime::from_secs(1_795_000_000 + self.secs).unwrap(),
            run_ms: self.secs * 1000,
            step: step.to_owned(),
            kind,
            who: who.iter().map(|id| (*id).to_owned()).collect(),
            body: body.collect(),
        };
        let (line, chain) = self.chain.next(&record).unwrap();
        self.attendance.take(self.chain.head(), &record)?;
        self.octets.extend(line.iter().chain(b"\n"));
        self.chain = chain;
        Ok(())
    }

    /// What this person signs now, in this step, with this key.
    fn answer(&self, step: &str, person: &str, key: &str) -> SignedStatement {
        let challenge = self.attendance.challenge(self.chain.head(), step);
        Key::of(key).sign(&challenge.statement(person).unwrap())
    }

    fn arrives(&mut self, step: &str, person: &str) -> Result<(), AttendanceFault> {
        let answer = self.answer(step, person, person);
        self.hands_in(step, person, &answer)
    }

    fn hands_in(
        &mut self,
        step: &str,
        person: &str,
        answer: &SignedStatement,
    ) -> Result<(), AttendanceFault> {
        let facts = [("what", PRESENCE), ("statement", answer.as_str())];
        self.write(Kind::Attest, step, &[person], &facts)
    }

    pub(crate) fn with(mut self, people: &[&str]) -> Self {
        people.iter().for_each(|person| self.arrives("root-key", person).unwrap());
        self
    }

    fn works(&mut self) -> Result<(), AttendanceFault> {
        let facts = [("act", "generate-key"), ("what", "root-key"), ("intent", "k1")];
        self.write(Kind::Intent, "root-key", &[], &facts)
    }
}

fn missing(role: Role, needed: u8, present: usize) -> AttendanceFault {
    let plan = Plan::read(TEXT.as_bytes()).unwrap();
    let step = plan.steps[1].id.clone();
    AttendanceFault::Missing { step, role, needed, present }
}

/// KEY-04, CER-02.
#[test]
fn whom_the_step_requires_may_work() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    held.works().unwrap();
    assert_eq!(held.attendance.present().len(), 7);

    let read = Attendance::judge(&plan, &held.octets).unwrap();
    assert_eq!(read.came().iter().map(|id| id.as_str()).collect::<BTreeSet<_>>(), ALL.into());

    // A deputy does for whom he stands in.
    let mut people = ALL;
    people[1] = "nils-ek";
    Held::begun(&plan, PRODUCTION).with(&people).works().unwrap();
}

/// N1: each who is missing is missed, before anything is done.
#[test]
fn work_without_one_whom_the_step_requires_is_refused() {
    let plan = plan(TEXT);
    for (left_out, fault) in [
        ("kerstin-lund", missing(Role::Administrator, 1, 0)),
        ("olle-dahl", missing(Role::Operator, 1, 0)),
        ("vera-sund", missing(Role::Witness, 1, 0)),
        ("bo-lind", missing(Role::Custodian, 3, 2)),
        ("ragnar-holm", missing(Role::Auditor, 1, 0)),
    ] {
        let there: Vec<&str> = ALL.into_iter().filter(|id| *id != left_out).collect();
        let mut held = Held::begun(&plan, PRODUCTION).with(&there);
        let refused = held.works().unwrap_err();
        assert_eq!(refused, fault);
        assert_eq!((refused.refusal().code(), refused.refusal().exit_code()), ("R08", 12));
        // Whoever was missing comes, and it goes on.
        held.arrives("root-key", left_out).unwrap();
        held.works().unwrap();
    }
}

/// N2: three answers with keys of two people are two people.
#[test]
fn a_person_with_two_keys_is_one() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL[..6]);
    let second = held.answer("root-key", "anna-berg", "anna-berg's second");
    held.hands_in("root-key", "anna-berg", &second).unwrap();
    assert_eq!(held.works().unwrap_err(), missing(Role::Custodian, 3, 2));

    // Nor does her key speak for another custodian.
    let borrowed = held.answer("root-key", "cecilia-ros", "anna-berg");
    let refused = held.hands_in("root-key", "cecilia-ros", &borrowed).unwrap_err();
    assert!(refused.to_string().starts_with("cecilia-ros: key "), "{refused}");
    assert_eq!(refused.refusal(), Refusal::Quorum);
    assert_eq!(held.works().unwrap_err(), missing(Role::Custodian, 3, 2));
}

/// An answer holds in one place of one transcript.
#[test]
fn an_answer_to_another_challenge_is_refused() {
    let plan = plan(TEXT);
    let spaced =
        Plan::read(TEXT.replacen("# An example:", "# An  example:", 1).as_bytes()).unwrap();
    let held = Held::begun(&plan, PRODUCTION);
    let head = held.chain.head();
    let own = held.attendance.challenge(head, "root-key");
    let sign = |challenge: Challenge<'_>| {
        Key::of("bo-lind").sign(&challenge.statement("bo-lind").unwrap())
    };
    assert!(held.clone().hands_in("root-key", "bo-lind", &sign(own)).is_ok());
    for (field, other) in [
        ("plan", Challenge { plan: &spaced, ..own }),
        ("purpose", Challenge { purpose: REHEARSAL, ..own }),
        ("step", Challenge { step: "first-crl", ..own }),
        ("lines", Challenge { lines: 0, ..own }),
        ("head", Challenge { head: Fingerprint::of(b""), ..own }),
        ("nonce", Challenge { nonce: "00", ..own }),
    ] {
        let refused = held.clone().hands_in("root-key", "bo-lind", &sign(other)).unwrap_err();
        let AttendanceFault::Answer(PresenceFault::Other { field: seen, .. }) = &refused else {
            panic!("{field}: {refused}")
        };
        assert_eq!(*seen, field);
    }

    // Given before another line was written, or handed in for somebody else, or of another kind.
    let early = held.answer("root-key", "bo-lind", "bo-lind");
    let mut later = held.clone();
    later.arrives("root-key", "anna-berg").unwrap();
    assert!(later.hands_in("root-key", "bo-lind", &early).is_err());
    assert_eq!(
        held.clone().hands_in("root-key", "anna-berg", &early),
        Err(AttendanceFault::NotOne)
    );
    let statement = x509::statement::Statement::new("plan-approval", &[("person", "bo-lind")]);
    let approval = Key::of("bo-lind").sign(&statement.unwrap());
    let refused = held.clone().hands_in("root-key", "bo-lind", &approval).unwrap_err();
    assert!(refused.to_string().contains("\"plan-approval\""), "{refused}");
    // An approver alone has no duty in the room.
    let refused = own.statement("per-brandt").unwrap_err();
    assert_eq!(refused, PresenceFault::NotInTheRoom { person: "per-brandt".to_owned() });
}

#[test]
fn whoever_leaves_is_not_there_until_he_answers_anew() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    held.write(Kind::Check, "root-key", &["vera-sund"], &[("what", LEAVES)]).unwrap();
    assert_eq!(held.works().unwrap_err(), missing(Role::Witness, 1, 0));
    let again = held.write(Kind::Check, "root-key", &["vera-sund"], &[("what", LEAVES)]);
    assert_eq!(again, Err(AttendanceFault::Absent { person: "vera-sund".to_owned() }));
    held.arrives("root-key", "vera-sund").unwrap();
    held.works().unwrap();
}

/// After a pause, and after the program's death, everybody answers anew; an answer of the run before is none.
#[test]
fn a_run_that_begins_anew_begins_with_an_empty_room() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    held.write(Kind::Pause, "root-key", &[], &[("reason", "lunch")]).unwrap();
    let same = [("nonce", NONCE)];
    assert_eq!(held.clone().write(Kind::Resume, "begin", &[], &same), Err(AttendanceFault::Nonce));
    assert_eq!(held.clone().write(Kind::Resume, "begin", &[], &[]), Err(AttendanceFault::Nonce));
    let other = NONCE.replace('0', "f");
    held.write(Kind::Resume, "begin", &[], &[("nonce", &other)]).unwrap();
    assert!(held.attendance.present().is_empty());
    assert_eq!(held.works().unwrap_err(), missing(Role::Administrator, 1, 0));
    held.with(&ALL).works().unwrap();
}

/// What was announced is not ended by nobody: a later run tells that it had no effect when those have come who may announce it.
#[test]
fn work_is_given_up_by_those_who_may_announce_it() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    held.works().unwrap();
    let other = NONCE.replace('0', "f");
    held.write(Kind::Resume, "begin", &[], &[("nonce", &other)]).unwrap();
    let ended = [("intent", "k1"), ("reason", "no effect")];
    let refused = held.write(Kind::Exception, "root-key", &[], &ended).unwrap_err();
    assert_eq!(refused, missing(Role::Administrator, 1, 0));
    // What is only told can be told whoever is there.
    let told = [("reason", "a medium of the transcript is lost")];
    held.write(Kind::Exception, "root-key", &[], &told).unwrap();
    held.with(&ALL).write(Kind::Exception, "root-key", &[], &ended).unwrap();
}

#[test]
fn a_line_names_only_people_who_are_there() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    let facts = [("what", "plan"), ("sha256", "00")];
    let absent = held.write(Kind::Readback, "root-key", &["eva-falk"], &facts).unwrap_err();
    assert_eq!(absent, AttendanceFault::Absent { person: "eva-falk".to_owned() });
    held.write(Kind::Readback, "root-key", &["vera-sund"], &facts).unwrap();
    let nowhere = held.write(Kind::Readback, "lunch", &[], &facts).unwrap_err();
    assert_eq!(nowhere, AttendanceFault::Step { seen: "lunch".to_owned() });
}

/// Nothing is signed that a witness has not compared, in its step; nobody may stand for him where it counts.
#[test]
fn what_is_signed_was_compared_by_a_witness() {
    let plan = plan(TEXT);
    let (step, tbs) = ("root-certificate", plan.hash.to_string());
    let sign = [("act", "sign"), ("intent", "s1"), ("tbs_sha256", tbs.as_str())];
    let compared = [("what", TO_BE_SIGNED), ("sha256", tbs.as_str())];
    let by_nobody = [("what", READ_BY_NOBODY), ("sha256", tbs.as_str())];
    let not_compared = Err(AttendanceFault::NotCompared { step: step.to_owned() });
    let unread = || AttendanceFault::NotRead { step: step.to_owned() };
    let not_read = Err(unread());
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    assert_eq!(held.write(Kind::Intent, step, &[], &sign), not_compared);
    for who in [&[][..], &["bo-lind"]] {
        assert_eq!(held.write(Kind::Readback, step, who, &compared), not_read);
    }
    for who in [&[][..], &["vera-sund"]] {
        assert_eq!(held.write(Kind::Readback, step, who, &by_nobody), not_read);
    }
    let without = [("what", TO_BE_SIGNED)];
    assert_eq!(held.write(Kind::Readback, step, &["vera-sund"], &without), not_read);
    // In another step, or of something else.
    held.write(Kind::Readback, "first-crl", &["vera-sund"], &compared).unwrap();
    assert_eq!(held.write(Kind::Intent, step, &[], &sign), not_compared);
    held.write(Kind::Readback, step, &["vera-sund"], &compared).unwrap();
    let other = [("act", "sign"), ("intent", "s1"), ("tbs_sha256", "00")];
    assert_eq!(held.write(Kind::Intent, step, &[], &other), not_compared);
    held.write(Kind::Intent, step, &[], &sign).unwrap();
    assert_eq!(unread().refusal().code(), "R08");

    let mut rehearsed = Held::begun(&plan, REHEARSAL).with(&ALL);
    rehearsed.write(Kind::Readback, step, &[], &by_nobody).unwrap();
    rehearsed.write(Kind::Intent, step, &[], &sign).unwrap();
}

/// KEY-08: no key ends whose hash a witness has not compared, in its step.
#[test]
fn what_is_destroyed_was_compared_by_a_witness() {
    let plan = plan(include_str!("../../../docs/ceremonies/plans/c7-training.toml"));
    let (step, key) = ("destroy", "8a".repeat(32));
    let ends = [("act", "destroy"), ("intent", "d1"), ("key", key.as_str())];
    let compared = [("what", TO_BE_DESTROYED), ("sha256", key.as_str())];
    let by_nobody = [("what", DESTROYED_UNREAD), ("sha256", key.as_str())];
    let not_compared = Err(AttendanceFault::NotCompared { step: step.to_owned() });
    let not_read = Err(AttendanceFault::NotRead { step: step.to_owned() });
    let mut held = Held::begun(&plan, PRODUCTION).with(&ALL);
    assert_eq!(held.write(Kind::Intent, step, &[], &ends), not_compared);
    assert_eq!(held.write(Kind::Readback, step, &["bo-lind"], &compared), not_read);
    held.write(Kind::Readback, step, &["vera-sund"], &compared).unwrap();
    let other = [("act", "destroy"), ("intent", "d1"), ("key", "00")];
    assert_eq!(held.write(Kind::Intent, step, &[], &other), not_compared);
    held.write(Kind::Intent, step, &[], &ends).unwrap();

    let mut demo = Held::begun(&plan, PRODUCTION).with(&ALL);
    demo.write(Kind::Readback, step, &[], &by_nobody).unwrap();
    demo.write(Kind::Intent, step, &[], &ends).unwrap();
    // Where it counts, nobody may stand for the witness.
    let text = include_str!("../../../docs/ceremonies/plans/c7-training.toml");
    let text = text.replace(
        "environment = \"test\"\npki         = \"demo\"",
        "environment = \"prod\"\npki         = \"prod\"",
    );
    let real = self::plan(
        &text.replace("sg-td-tr01-root", "sg-pp-tr01-root").replace("\"shares\"", "\"device\""),
    );
    let mut held = Held::begun(&real, PRODUCTION).with(&ALL);
    assert_eq!(held.write(Kind::Readback, step, &[], &by_nobody), not_read);
}

/// No key of a responder is taken up whose hash a witness has not compared, but where nothing is relied on.
#[test]
fn what_is_taken_up_was_compared_by_a_witness() {
    let text = include_str!("../../../docs/ceremonies/plans/c4-training.toml");
    let (demo, key) = (plan(text), "8a".repeat(32));
    let compared = [("what", TO_BE_TAKEN_UP), ("sha256", key.as_str())];
    let by_nobody = [("what", TAKEN_UP_UNREAD), ("sha256", key.as_str())];
    let not_read = Err(AttendanceFault::NotRead { step: "take-up".to_owned() });
    let there = ["kerstin-lund", "olle-dahl", "vera-sund"];
    let mut held = Held::begun(&demo, PRODUCTION).with(&there);
    assert_eq!(held.write(Kind::Readback, "take-up", &["olle-dahl"], &compared), not_read);
    held.write(Kind::Readback, "take-up", &["vera-sund"], &compared).unwrap();
    held.write(Kind::Readback, "take-up", &[], &by_nobody).unwrap();
    let real = plan(include_str!("../../../docs/ceremonies/plans/c4-responder.toml"));
    let mut held = Held::begun(&real, PRODUCTION).with(&there);
    assert_eq!(held.write(Kind::Readback, "take-up", &[], &by_nobody), not_read);
}

/// What a safe controller saw is his to declare.
#[test]
fn a_declaration_is_of_whom_the_plan_names() {
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, PRODUCTION);
    let facts = [("what", "declaration"), ("text", "whole")];
    for person in ["vera-sund", "maria-stal"] {
        held.arrives("safe", person).unwrap();
    }
    let refused = held.write(Kind::Attest, "safe", &["vera-sund"], &facts).unwrap_err();
    let (person, role) = ("vera-sund".to_owned(), Role::SafeController);
    assert_eq!(refused, AttendanceFault::NotHis { person, role });
    let refused = held.write(Kind::Attest, "safe", &["maria-stal", "vera-sund"], &facts);
    assert_eq!(refused, Err(AttendanceFault::NotOne));
    held.write(Kind::Attest, "safe", &["maria-stal"], &facts).unwrap();
}

/// Throw-away keys stand in for people's own in a rehearsal, and nowhere else.
#[test]
fn a_key_stands_in_for_another_in_a_rehearsal_alone() {
    let plan = plan(TEXT);
    let hash = Key::of("thrown away").hash();
    let facts = [("what", STAND_IN), ("spki_sha256", hash.as_str())];
    let mut held = Held::begun(&plan, REHEARSAL);
    held.write(Kind::Check, "begin", &["bo-lind"], &facts).unwrap();
    let own = held.answer("root-key", "bo-lind", "bo-lind");
    assert!(held.hands_in("root-key", "bo-lind", &own).is_err());
    let stand_in = held.answer("root-key", "bo-lind", "thrown away");
    held.hands_in("root-key", "bo-lind", &stand_in).unwrap();
    let second = held.write(Kind::Check, "begin", &["bo-lind"], &facts).unwrap_err();
    assert_eq!(second, AttendanceFault::StandIn { person: "bo-lind".to_owned() });
    // Nor is one key two people.
    let shared = held.write(Kind::Check, "begin", &["anna-berg"], &facts).unwrap_err();
    assert_eq!(shared, AttendanceFault::StandIn { person: "anna-berg".to_owned() });

    let mut real = Held::begun(&plan, PRODUCTION);
    let refused = real.write(Kind::Check, "begin", &["bo-lind"], &facts).unwrap_err();
    assert_eq!(refused, AttendanceFault::StandIn { person: "bo-lind".to_owned() });
}

/// What the auditor's program could not verify years later is not taken on the day.
#[test]
fn an_rsa_key_shows_nobodys_presence() {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeyPair, KeySize};

    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let spki = aws_lc_rs::signature::KeyPair::public_key(&pair).as_der().unwrap();
    let key = PublicKey::from_spki_der(spki.as_ref()).unwrap();
    let plan = plan(TEXT);
    let mut held = Held::begun(&plan, REHEARSAL);
    let hash = key.spki_hash().to_string();
    let facts = [("what", STAND_IN), ("spki_sha256", hash.as_str())];
    held.write(Kind::Check, "begin", &["bo-lind"], &facts).unwrap();
    let challenge = held.attendance.challenge(held.chain.head(), "root-key");
    let statement = challenge.statement("bo-lind").unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    let encoding = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
    pair.sign(encoding, &random, statement.as_str().as_bytes(), &mut signature).unwrap();
    let algorithm = SignatureAlgorithm::RsaPkcs1Sha256;
    let answer = SignedStatement::assemble(&statement, &key, algorithm, &signature).unwrap();

    let refused = held.hands_in("root-key", "bo-lind", &answer).unwrap_err();

    let AttendanceFault::Answer(PresenceFault::KeyType { person }) = refused else {
        panic!("{refused}")
    };
    assert_eq!(person.as_str(), "bo-lind");
}

/// N3: with the refusals of what they are of.
#[test]
fn a_transcript_of_another_plan_or_purpose_is_refused() {
    let plan = plan(TEXT);
    for (field, seen, code) in [
        ("plan", "00", "R01"),
        ("deployment", "test/demo/xx01", "R07"),
        ("purpose", "unattended-demo", "R07"),
        ("nonce", "0001", "R08"),
    ] {
        let mut held = Held::empty(&plan);
        let refused = held.genesis(&plan, PRODUCTION, &[(field, seen)]).unwrap_err();
        assert_eq!(refused.refusal().code(), code, "{refused}");
    }
}

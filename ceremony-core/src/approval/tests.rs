use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use x509::key::{PublicKey, SignatureAlgorithm};

use super::*;

const TEXT: &str = include_str!("../../../docs/ceremonies/plans/c1-root-key.toml");
const SHAPE: Fingerprint = Fingerprint::from_bytes([7; 32]);

/// A person's key.
struct Key(Ed25519KeyPair);

impl Key {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn public(&self) -> PublicKey {
        PublicKey::from_ed25519(self.0.public_key().as_ref().try_into().unwrap()).unwrap()
    }

    fn hash(&self) -> String {
        self.public().spki_hash().to_string()
    }

    fn sign(&self, statement: &Statement) -> SignedStatement {
        let signature = self.0.sign(statement.as_str().as_bytes());
        SignedStatement::assemble(
            statement,
            &self.public(),
            SignatureAlgorithm::Ed25519,
            signature.as_ref(),
        )
        .unwrap()
    }
}

/// A plan whose approvers have these keys: per-brandt, sara-nyman (two of them) and kerstin-lund.
struct World {
    text: String,
    plan: Plan,
    per: Key,
    sara: Key,
    spare: Key,
    kerstin: Key,
}

impl World {
    fn new() -> Self {
        let (per, sara, spare, kerstin) = (Key::new(), Key::new(), Key::new(), Key::new());
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let known = |id: &str| {
            plan.people.persons.iter().find(|one| one.id.as_str() == id).unwrap().keys[0]
                .to_string()
        };
        let text = TEXT
            .replace(&known("per-brandt"), &per.hash())
            .replace(
                &format!("\"{}\"", known("sara-nyman")),
                &format!("\"{}\", \"{}\"", sara.hash(), spare.hash()),
            )
            .replace(&known("kerstin-lund"), &kerstin.hash());
        let plan = Plan::read(text.as_bytes()).unwrap();
        Self { text, plan, per, sara, spare, kerstin }
    }

    fn approves(&self, key: &Key, person: &str, purpose: Purpose) -> SignedStatement {
        key.sign(&statement(&self.plan, purpose, person, UnixTime::EPOCH).unwrap())
    }

    fn judged(&self, approvals: &[SignedStatement]) -> Result<usize, (u8, String)> {
        let judged = judge(&self.plan, Purpose::Production(SHAPE), approvals);
        judged
            .map(|people| people.len())
            .map_err(|error| (error.refusal().exit_code(), error.to_string()))
    }
}

const PRODUCTION: Purpose = Purpose::Production(SHAPE);

/// KEY-04: two of three approve, whoever they are.
#[test]
fn enough_people_approve_a_plan() {
    let world = World::new();
    let per = world.approves(&world.per, "per-brandt", PRODUCTION);
    let sara = world.approves(&world.sara, "sara-nyman", PRODUCTION);
    let kerstin = world.approves(&world.kerstin, "kerstin-lund", PRODUCTION);

    assert_eq!(world.judged(&[per.clone(), sara.clone()]), Ok(2));
    assert_eq!(world.judged(&[kerstin.clone(), sara.clone(), per.clone()]), Ok(3));
    let (code, why) = world.judged(&[per]).unwrap_err();
    assert_eq!((code, why.as_str()), (11, "1 of the 2 people who must approve the plan do"));
}

/// N2, KEY-04: a person with two keys is one.
#[test]
fn two_keys_of_one_person_are_one_approval() {
    let world = World::new();
    let one = world.approves(&world.sara, "sara-nyman", PRODUCTION);
    let two = world.approves(&world.spare, "sara-nyman", PRODUCTION);

    let (code, why) = world.judged(&[one, two]).unwrap_err();

    assert_eq!(code, 11);
    assert!(why.contains("sara-nyman: approves twice, and is counted once"), "{why}");
}

/// N3: one changed character of a comment, and every approval is of another plan.
#[test]
fn a_changed_plan_is_not_the_approved_one() {
    let world = World::new();
    let approvals = [
        world.approves(&world.per, "per-brandt", PRODUCTION),
        world.approves(&world.sara, "sara-nyman", PRODUCTION),
    ];
    let changed = world.text.replacen("# An example:", "# An  example:", 1);
    let changed = Plan::read(changed.as_bytes()).unwrap();

    let refused = judge(&changed, PRODUCTION, &approvals).unwrap_err();

    assert_eq!((refused.refusal().code(), refused.refusal().exit_code()), ("R01", 11));
    assert_eq!(refused.seen, 0);
}

/// N4: what was approved for a rehearsal, or with another shape, is not approved.
#[test]
fn an_approval_is_for_one_purpose_and_shape() {
    let world = World::new();
    let per = world.approves(&world.per, "per-brandt", PRODUCTION);
    for (purpose, wanted) in [
        (Purpose::Rehearsal, "sara-nyman: approves purpose rehearsal, not production"),
        (Purpose::Production(Fingerprint::from_bytes([8; 32])), "sara-nyman: approves shape 0808"),
    ] {
        let sara = world.approves(&world.sara, "sara-nyman", purpose);
        let (code, why) = world.judged(&[per.clone(), sara]).unwrap_err();
        assert_eq!(code, 11);
        assert!(why.contains(wanted), "{why}");
    }
}

#[test]
fn refuses_others_keys_and_others_people() {
    let world = World::new();
    let kerstin = world.approves(&world.kerstin, "kerstin-lund", PRODUCTION);
    let stranger = world.approves(&Key::new(), "per-brandt", PRODUCTION);
    let swapped = world.approves(&world.sara, "per-brandt", PRODUCTION);
    let said = statement(&world.plan, PRODUCTION, "per-brandt", UnixTime::EPOCH).unwrap();
    let witness =
        said.as_str().replace("per-brandt", "vera-sund").replace("Per Brandt", "Vera Sund");
    let fields: Vec<(&str, &str)> =
        witness.lines().skip(1).filter_map(|line| line.split_once(": ")).collect();
    let witness = world.per.sign(&Statement::new(KIND, &fields).unwrap());
    let other = world.per.sign(&Statement::new("close", &fields).unwrap());
    for (bad, wanted) in [
        (stranger, "is not among the plan's keys"),
        (swapped, "is not among the plan's keys"),
        (witness, "\"vera-sund\" is no approver"),
        (other, "a statement of kind \"close\" approves nothing"),
    ] {
        let (code, why) = world.judged(&[kerstin.clone(), bad]).unwrap_err();
        assert_eq!(code, 11);
        assert!(why.contains(wanted), "{why}");
    }
    let refused = statement(&world.plan, PRODUCTION, "vera-sund", UnixTime::EPOCH).unwrap_err();
    assert_eq!(refused, ApprovalFault::NotApprover { person: "vera-sund".to_owned() });
}

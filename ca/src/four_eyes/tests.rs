//! CER-10: which calls need another person, and who may be that.

use super::*;
use crate::operation::Business;

const AUDIENCE: &str = "urn:sigill:test:demo:abcd:api";
const HERE: &str = "/v1/certificates/crt_1/release";

fn person(name: &str) -> ActorId {
    ActorId::new(name).unwrap()
}

fn usual() -> FourEyes {
    FourEyes::usual(USUAL_LIFETIME)
}

/// What is usual, written a second time; each holds, and nothing else does.
#[test]
fn the_usual_rules_demand_what_they_are_about_and_nothing_else() {
    let usual = usual();
    let names: Vec<_> = usual.names().collect();
    assert_eq!(
        names,
        ["end-organisation", "end-protection", "release-certificate", "resume-limit"]
    );
    let demanded = |operation| usual.demands(operation, br#"{"class":"none"}"#).is_some();
    let ids = Operation::ALL.iter().filter(|one| demanded(**one)).map(|one| one.id());
    assert_eq!(
        ids.collect::<Vec<_>>(),
        ["releaseCertificate", "resumeLimit", "endOrganisation", "setProtection"]
    );
}

/// DAT-01: that somebody is protected waits for nobody; that he is so no more does.
#[test]
fn protection_is_given_alone_and_ended_by_two() {
    let ends = |body: &str| usual().demands(Operation::SetProtection, body.as_bytes());

    assert_eq!(ends(r#"{"class":"none"}"#), Some("end-protection"));
    assert_eq!(ends(r#"{"class":"confidentiality-marking"}"#), None);
    // What cannot be read, or says it otherwise, is not let past.
    for body in
        ["", "{}", "[]", r#"{"class":1}"#, r#"{"class":"protected-registration","class":"none"}"#]
    {
        assert_eq!(ends(body), Some("end-protection"), "{body}");
    }
}

/// Promise 4: no revocation waits for a second person by this; and an approval needs none.
#[test]
fn nothing_that_revokes_or_decides_can_be_put_under_four_eyes() {
    for rule in RULES {
        assert_eq!(rule.operation.business(), Business::Acting, "{}", rule.name);
        let path = rule.operation.path();
        assert!(!path.ends_with("/revocation") && !path.contains("/approvals"), "{path}");
        assert!(!path.starts_with("/v1/jobs"), "{path}: jobs have their own");
    }
    assert!(!can_be_asked_for(Operation::RevokeCertificate));
    assert!(can_be_asked_for(Operation::ReleaseCertificate));
}

#[test]
fn a_rule_that_is_none_is_named() {
    let life = USUAL_LIFETIME;
    assert_eq!(FourEyes::new(["end-protection", "end-protektion"], life), Err("end-protektion"));
    let none = FourEyes::new([], life).unwrap();
    assert_eq!((none.demands(Operation::ResumeLimit, b"{}"), &none), (None, &FourEyes::none(life)));
    let names: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
}

/// Every part of a call is in its hash.
#[test]
fn another_deployment_operation_path_or_body_is_another_call() {
    let of = CallHash::of;
    let release = Operation::ReleaseCertificate;
    let one = of(AUDIENCE, release, HERE, b"{}");
    assert_eq!(one, of(AUDIENCE, release, HERE, b"{}"));
    for other in [
        of("urn:sigill:prod:prod:abcd:api", release, HERE, b"{}"),
        of(AUDIENCE, Operation::EndOrganisation, HERE, b"{}"),
        of(AUDIENCE, release, "/v1/certificates/crt_2/release", b"{}"),
        of(AUDIENCE, release, HERE, b"{ }"),
    ] {
        assert_ne!(one, other);
    }
    assert_eq!(one.to_string().len(), 64);
}

#[test]
fn another_person_with_the_right_who_has_seen_it_decides() {
    let hash = CallHash::from_bytes([7; 32]);
    let asker = person("SE1-1");
    let asked = |operation, protected| Asked { by: &asker, operation, hash, protected };
    let acts = |role, protected| ActsAs::Administrator(role, protected);
    let (seen, unseen) = (Protected::Seen, Protected::Unseen);
    let judge = |asked: Asked<'_>, by: &str, acts| {
        judge_decision(&asked, &person(by), acts, &hash.to_string()).map_err(|one| one.code)
    };
    let release = Operation::ReleaseCertificate;
    let operator = acts(Role::Operator, unseen);

    assert_eq!(judge(asked(release, unseen), "SE1-2", operator), Ok(()));
    // The same person in another spelling, and in another role.
    assert_eq!(judge(asked(release, unseen), "se1-1", operator), Err("approval-own"));
    let officer = acts(Role::SecurityOfficer, unseen);
    assert_eq!(judge(asked(release, unseen), "SE1-1", officer), Err("approval-own"));
    assert_eq!(judge(asked(release, unseen), "SE1-2", officer), Ok(()));
    // Roles without the right; a holder has none.
    for role in [Role::Auditor, Role::SystemAdministrator, Role::IdAdministrator, Role::Reader] {
        let refused = judge(asked(release, unseen), "SE1-2", acts(role, unseen));
        assert_eq!(refused, Err("approval-role-refused"), "{role}");
    }
    let holder = judge(asked(release, unseen), "SE1-2", ActsAs::Holder);
    assert_eq!(holder, Err("approval-role-refused"));
    // Security officers approve what operators do, and not what the portal's roles do alone.
    let cards = asked(Operation::RegisterCarriers, unseen);
    assert_eq!(judge(cards, "SE1-2", officer), Err("approval-role-refused"));
    assert_eq!(judge(cards, "SE1-2", acts(Role::IdAdministrator, unseen)), Ok(()));
    // DAT-01: what was asked for with protected persons is decided by who has them too.
    let protect = asked(Operation::SetProtection, seen);
    assert_eq!(judge(protect, "SE1-2", operator), Err("approval-role-refused"));
    assert_eq!(judge(protect, "SE1-2", acts(Role::Operator, seen)), Ok(()));
    assert_eq!(judge(asked(release, seen), "SE1-2", operator), Err("approval-role-refused"));
    // Another call than the one that was looked at.
    let other = judge_decision(&asked(release, unseen), &person("SE1-2"), operator, "00");
    assert_eq!(other.unwrap_err().code, "approval-differs");
}

//! Leave to issue: who goes without gets nothing, and of the ends that it and a ceremony give the earlier holds.

use crate::prepare::{EndedBy, KeySource, Preparation, Signer, prepare};
use crate::testing::{Ask, Hierarchy, NOW, TestKey, all_profiles, at, profile};

const RESERVE: &str = "reserve-hsaid-3-authentication";
const DAY: u64 = 86_400;

/// ISS-01, ISS-09: who calls `prepare` without asking dated rules and table gets nothing for a subscriber, also where the
/// profile states a policy of its own.
#[test]
fn refuses_every_subscriber_without_leave() {
    let key = TestKey::new();
    let request = key.request(|_| {});
    let mut refused = 0;
    for profile in all_profiles().iter().filter(|profile| profile.kind().is_subscriber()) {
        let hierarchy = Hierarchy::new(&[profile.name().as_str()]);
        let signer = Signer::Issuer(&hierarchy.issuing);
        let ask = Ask::new(profile, signer, KeySource::Request(&request));

        let code = ask.with(|asked| {
            let without = Preparation { admitted: None, ..*asked };
            prepare(&without).err().map(|error| error.refusal().code)
        });

        assert_eq!(code, Some("not-admitted"), "{}", profile.name());
        refused += 1;
    }
    assert!(refused > 10, "{refused}");
}

/// ISS-08: of two ends the earlier one holds, and is named as what it is.
#[test]
fn an_end_that_is_given_does_not_go_past_the_one_that_is_ordered() {
    let key = TestKey::new();
    let request = key.request(|_| {});
    let hierarchy = Hierarchy::new(&[RESERVE]);
    let profile = profile(RESERVE);
    let mut ask =
        Ask::new(&profile, Signer::Issuer(&hierarchy.issuing), KeySource::Request(&request));
    ask.ends_at = Some(NOW + 9 * DAY);
    let given = ask.prepare().unwrap();
    assert_eq!(given.facts().ended_by, EndedBy::Given);

    for (given, end, ended_by) in
        [(8 * DAY, NOW + 7 * DAY, EndedBy::Order), (6 * DAY, NOW + 6 * DAY, EndedBy::Given)]
    {
        ask.ends_at = Some(NOW + given);
        let ordered = ask.ordered(NOW + 7 * DAY);
        let prepared =
            ask.with(|asked| prepare(&Preparation { admitted: Some(&ordered), ..*asked })).unwrap();
        let facts = prepared.facts();
        assert_eq!((facts.validity.not_after(), &facts.ended_by), (at(end), &ended_by));
    }
}

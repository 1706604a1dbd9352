//! The last second: of an issuer, of an order, of five years.

use x509::key::SignatureAlgorithm;
use x509::time::UnixTime;

use crate::prepare::{EndedBy, KeySource, PrepareError, Signer};
use crate::profile::Profile;
use crate::testing::{Ask, Hierarchy, NOW, TestKey, at, profile, profile_text, quick_root};

const PERSON: &str = "person-hsaid-3-authentication";
const DAY: u64 = 86_400;
/// How long before the issuing time certificates begin.
const BACKDATE: u64 = 300;

/// ISS-09: five years by the calendar, from any day and also from a leap day; the day that a year does not have is the
/// one before it.
#[test]
fn five_years_end_a_second_before_the_same_second() {
    let text = profile_text(PERSON).replace("\"730d\"", "\"5y\"");
    let profile = Profile::parse(text.as_bytes()).unwrap();
    let hierarchy = Hierarchy::new(&[PERSON]);
    let key = TestKey::new();
    let request = key.request(|_| {});
    for ((year, month, day), ends) in [
        ((2028, 2, 28), "2033-02-28T11:59:59Z"),
        ((2028, 2, 29), "2033-02-28T11:59:59Z"),
        ((2028, 3, 1), "2033-03-01T11:59:59Z"),
        ((2027, 3, 1), "2032-03-01T11:59:59Z"),
        ((2027, 2, 28), "2032-02-28T11:59:59Z"),
    ] {
        let signer = Signer::Issuer(&hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Request(&request));
        let noon = UnixTime::of_day(year, month, day).unwrap().secs() + DAY / 2;
        ask.now = noon + BACKDATE;

        let validity = ask.prepare().unwrap().facts().validity;

        assert_eq!(validity.not_before(), at(noon));
        assert_eq!(validity.not_after().to_string(), ends, "{year}-{month}-{day}");
    }
}

/// ISS-08: with the issuer's last second, and not a second past it.
#[test]
fn a_certificate_may_end_with_its_issuer_and_no_later() {
    let hierarchy = Hierarchy::new(&[PERSON]);
    let (profile, key) = (profile(PERSON), TestKey::new());
    let request = key.request(|_| {});
    let last = hierarchy.issuing.not_after().secs();
    let ask = |now: u64, ends_at: Option<u64>| {
        let signer = Signer::Issuer(&hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Request(&request));
        (ask.now, ask.ends_at) = (now, ends_at);
        ask
    };
    let whole = last + BACKDATE + 1 - 730 * DAY;

    let facts = ask(whole, None).prepare().unwrap().facts().clone();
    assert_eq!((facts.validity.not_after(), facts.ended_by), (at(last), EndedBy::Profile));
    assert_eq!(ask(whole + 1, None).refusal(), "outlives-issuer");
    assert_eq!(ask(whole + 1, Some(last)).refusal(), "issued");
    assert_eq!(ask(whole + 1, Some(last + 1)).refusal(), "outlives-issuer");
    assert_eq!(ask(last, None).refusal(), "outlives-issuer");
    assert_eq!(ask(last + 1, None).refusal(), "issuer-not-valid");
}

/// ISS-08: an order may end with the profile's last second.
#[test]
fn an_order_may_end_with_its_profile_and_no_later() {
    let hierarchy = Hierarchy::new(&[PERSON]);
    let (profile, key) = (profile(PERSON), TestKey::new());
    let request = key.request(|_| {});
    let refusal = |ends_at: u64| {
        let signer = Signer::Issuer(&hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Request(&request));
        ask.ends_at = Some(ends_at);
        ask.refusal()
    };
    let last = NOW - BACKDATE + 730 * DAY - 1;

    assert_eq!(refusal(last), "issued");
    assert_eq!(refusal(last + 1), "end-not-allowed");
}

/// A root ends when its ceremony says: never after its profile, and not before it begins.
#[test]
fn a_root_ends_when_its_ceremony_says() {
    let (root, key) = (quick_root(), TestKey::new());
    let signer = Signer::Itself(SignatureAlgorithm::EcdsaP256Sha256);
    let mut ask = Ask::new(&root, signer, KeySource::Proven(&key.public));
    let latest = ask.prepare().unwrap().facts().validity.not_after();

    for (end, ends) in
        [(NOW + DAY, true), (latest.secs(), true), (latest.secs() + 1, false), (NOW, false)]
    {
        ask.ends_at = Some(end);
        match ask.prepare() {
            Ok(prepared) => {
                assert_eq!((prepared.facts().validity.not_after(), ends), (at(end), true));
                assert_eq!(prepared.facts().ended_by, EndedBy::Given);
            }
            Err(error) => {
                assert!(!ends && matches!(error, PrepareError::End { .. }), "{error}");
            }
        }
    }
}

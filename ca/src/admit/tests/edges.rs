//! What an order must not lead to though every file names it, and which refusals can heal.

use super::*;

/// ISS-19: a book whose dated rules are missing issues to no person, with an order or without.
#[test]
fn no_person_is_issued_to_while_the_dated_rules_are_missing() {
    let files: Vec<_> =
        book_files().into_iter().filter(|(path, _)| !path.starts_with("rules/")).collect();
    let files = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes()));
    let desk = Desk::new(Book::parse_closing(files).unwrap());

    let refused = desk.admit(&text()).unwrap_err();
    assert_eq!((refused.refusal().code, refused.is_for_now()), ("rules-missing", true));
    let direct = admit_direct(&desk.profile, &desk.issuer, &desk.book, desk.moment);
    assert_eq!(direct.unwrap_err().rule(), "rules");
}

/// ISS-09: a second certificate on a card does not begin the card's life anew, where the order says when that ends.
#[test]
fn a_certificate_ends_with_the_carrier_that_its_order_names() {
    let desk = Desk::new(shipped());
    let day = 86_400;
    let latest = |ends: u64| {
        let admitted = desk.admit(&with(|it| it.carrier_ends = Some(at(ends))));
        admitted.map(|it| it.carrier_end()).map_err(|refusal| refusal.rule().to_owned())
    };
    let ended = Err("carrier/nls-card-2023/ended".to_owned());

    assert_eq!(latest(NOW + 30 * day), Ok(Some(at(NOW + 30 * day))));
    assert_eq!(latest(NOW + 9_999 * day), Ok(Some(at(NOW + 1_826 * day))));
    assert_eq!((latest(NOW), latest(EARLIER)), (ended.clone(), ended));
}

/// ISS-09: a profile that is not ordered past its carrier needs to be told when that ends.
#[test]
fn a_profile_that_ends_with_its_carrier_wants_to_know_when() {
    let issuer = "past-issuer = \"refuse\"";
    let text_of = profile_text(AUTHENTICATION);
    let text_of = text_of.replace(issuer, &format!("{issuer}\npast-carrier = \"refuse\""));
    let mut desk = Desk::new(shipped());
    desk.profile = Profile::parse(text_of.as_bytes()).unwrap();

    assert_eq!(desk.rule(&text()), "carrier/nls-card-2023/ends");
    let told = with(|it| it.carrier_ends = Some(at(NOW + 86_400)));
    assert_eq!(desk.rule(&told), "admitted");
}

/// A restriction by organisation holds for an order whichever of its organisations the certificate names, if any.
#[test]
fn a_rule_by_organisation_reaches_profiles_that_name_none() {
    let restriction = "[[restriction]]\nid = \"closed-office\"\nsays = \"the office is closed\"\nsource = \"a test\"\n\
                       from = 2020-01-01\nscope = { organisations = [\"5565594230\"] }\n\n[[restriction]]";
    let mut desk = Desk::new(edited("rules/loa2.toml", "[[restriction]]", restriction));
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let theirs = with(|it| it.user_organisation = pair("Another", "5565594230"));
    let issued = with(|it| it.issuing_organisation = Some(pair("Another", "5565594230")));

    assert_eq!(desk.rule(&text()), "admitted");
    assert_eq!(desk.rule(&theirs), "rules/closed-office");
    assert_eq!(desk.rule(&issued), "rules/closed-office");
    desk.profile = profile("person-id-3-authentication");
    assert_eq!(desk.rule(&theirs), "rules/closed-office");
}

/// API-02: what time or an operator can heal leaves the order's key free; what stays wrong does not.
#[test]
fn a_refusal_that_can_heal_is_for_now() {
    let desk = Desk::new(shipped());
    let ahead = desk.admit(&with(|it| it.proofing_at = at(NOW + 3_600))).unwrap_err();
    assert_eq!((ahead.refusal().code, ahead.is_for_now()), ("order-time-ahead", true));
    let past = desk.admit(&with(|it| it.valid_until = Some(at(NOW)))).unwrap_err();
    assert_eq!((past.refusal().code, past.is_for_now()), ("order-malformed", false));

    let ended = |until: u64| {
        let request = desk.key.request(|_| {});
        let mut ask =
            Ask::new(&desk.profile, Signer::Issuer(&desk.issuer), KeySource::Request(&request));
        ask.admitted = Some(desk.admit(&with(|it| it.valid_until = Some(at(until)))).unwrap());
        ask.prepare().err().map(|error| (error.refusal().code, error.is_for_now()))
    };
    assert_eq!(ended(NOW + 9_999 * 86_400), Some(("end-not-allowed", true)));
    let admitted = desk.admit(&text()).unwrap();
    let late = desk.prepare(Some(admitted), |ask| ask.now = NOW + 1).unwrap_err();
    assert_eq!((late.refusal().code, late.is_for_now()), ("not-admitted", true));
}

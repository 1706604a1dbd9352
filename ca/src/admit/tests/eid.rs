//! ISS-20: the holder's own eID as the proof of who he is.

use super::*;
use crate::eid::{EidHolder, EidState, EidText, KnownEid};

const MOBILE: &str = "mobile-authentication";
const ROUTINE: &str = "routines/mobile-self-service.toml";

/// Policies of rows: an eID on an ordinary card, its signatures, and what other eIDs have.
const CARD_EID: &str = "1.3.6.1.4.1.32473.1.5.1";
const CARD_SIGNATURE: &str = "1.3.6.1.4.1.32473.1.5.2";
const RESERVE_EID: &str = "1.3.6.1.4.1.32473.1.3.11";
const LEVEL_2_EID: &str = "1.3.6.1.4.1.32473.1.2.5";
const WITHOUT_ORDER: &str = "1.3.6.1.4.1.32473.1.9.3";
const MOBILE_EID: &str = "1.2.752.74.8.512";

/// An order of Mobilt SITHS that the shipped book admits by [`eid`].
fn mobile() -> OrderText {
    with(|it| {
        it.routine = "mobile-self-service".to_owned();
        it.orderer = ("holder".to_owned(), "holder-7".to_owned());
        it.holder = Some("holder-7".to_owned());
        it.proofing = "own-siths-eid".to_owned();
        it.eid = Some(EidText::Serial("person-id-3".to_owned(), "7A01".to_owned()));
        it.carrier = "telephone".to_owned();
        it.card_number = None;
        it.approvals.clear();
        it.receipt = None;
    })
}

/// An eID of trust level 3 on a card of the person, which holds.
fn eid() -> KnownEid {
    KnownEid {
        profile: Some("person-id-3-authentication".parse().unwrap()),
        policy: Some(CARD_EID.parse().unwrap()),
        not_before: at(EARLIER - 86_400),
        not_after: at(NOW),
        state: EidState::Active,
        since: at(EARLIER - 86_400),
        holder: EidHolder::Same,
    }
}

fn desk(book: Book) -> Desk {
    let mut desk = Desk::of(MOBILE, book);
    desk.issuer = desk.issuer.of_class(IssuerClass::new("person-id-mobile").unwrap());
    desk
}

impl Desk {
    fn admit_by(&self, text: &OrderText, eid: Option<&KnownEid>) -> Result<Admitted, RuleRefusal> {
        let order = Order::read(text, &self.book, self.moment.environment)?;
        admit(&order, eid, &self.profile, &self.issuer, &self.book, self.moment)
    }

    /// Code and rule of the refusal of [`mobile`] by this eID, and whether the order may be free later.
    fn refused(&self, eid: Option<&KnownEid>) -> (&'static str, String, bool) {
        let refused = self.admit_by(&mobile(), eid).unwrap_err();
        let refusal = refused.refusal();
        assert!(!refusal.seen.is_empty() && !refusal.limit.is_empty(), "{refusal:?}");
        (refusal.code, refused.rule().to_owned(), refused.is_for_now())
    }
}

/// The policy of Mobilt SITHS is that of its row, and the certificate that of the person.
#[test]
fn an_eid_on_a_card_leads_to_an_eid_in_a_telephone() {
    let desk = desk(shipped());

    let admitted = desk.admit_by(&mobile(), Some(&eid())).unwrap_or_else(|e| panic!("{e}"));

    assert_eq!(admitted.policy().to_string(), MOBILE_EID);
    assert_eq!(admitted.level(), Some(TrustLevel::Loa3));
    let policy = desk.prepare(Some(admitted), |_| {}).unwrap();
    assert_eq!(policy.to_string(), MOBILE_EID);
}

/// The eID must be one of ours, of a person, for authentication, of this person, on a card, of the level, and hold.
#[test]
fn each_eid_that_proves_too_little_is_refused_by_a_code_of_its_own() {
    let desk = desk(shipped());
    let of = |wishes: &dyn Fn(&mut KnownEid)| {
        let mut known = eid();
        wishes(&mut known);
        let (code, rule, for_now) = desk.refused(Some(&known));
        (code, rule.trim_start_matches("eid/").to_owned(), for_now)
    };
    let policy = |text: &'static str| of(&move |it| it.policy = Some(text.parse().unwrap()));
    let told = |code: &'static str, check: &str, for_now| (code, check.to_owned(), for_now);

    assert_eq!(desk.refused(None), ("eid-unknown", "eid/known".to_owned(), true));
    assert_eq!(policy(CARD_SIGNATURE), told("eid-kind", "kind", true));
    let function = of(&|it| (it.policy, it.profile) = (None, Some("function-ec".parse().unwrap())));
    assert_eq!(function, told("eid-kind", "kind", true));
    let gone = of(&|it| (it.policy, it.profile) = (None, Some("taken-away".parse().unwrap())));
    assert_eq!(gone, told("eid-kind", "kind", true), "its profile is no longer in the book");
    let another = of(&|it| it.holder = EidHolder::Another);
    assert_eq!(another, told("eid-of-another", "holder", false));
    let nobodys = of(&|it| it.holder = EidHolder::Unknown);
    assert_eq!(nobodys, told("eid-of-unknown", "holder", true));
    for other in [MOBILE_EID, RESERVE_EID, WITHOUT_ORDER] {
        assert_eq!(policy(other), told("eid-carrier", "carrier", true), "{other}");
    }
    assert_eq!(policy(LEVEL_2_EID), told("eid-level", "level", true));
    let without_level = of(&|it| (it.policy, it.profile) = (None, None));
    assert_eq!(without_level, told("eid-level", "level", true));
    let revoked = of(&|it| it.state = EidState::Revoked);
    assert_eq!(revoked, told("eid-revoked", "state", false));
    assert_eq!(of(&|it| it.state = EidState::Held), told("eid-held", "state", true));
    let unused = of(&|it| it.state = EidState::NotActivated);
    assert_eq!(unused, told("eid-not-activated", "state", true));
    let expired = of(&|it| it.not_after = at(NOW - 1));
    assert_eq!(expired, told("eid-expired", "validity", false));
    let later = of(&|it| it.not_before = at(EARLIER + 1));
    assert_eq!(later, told("eid-not-begun", "validity", true));
    // It was held, or not yet activated, when it was used as a proof.
    let released = of(&|it| it.since = at(EARLIER + 1));
    assert_eq!(released, told("eid-not-begun", "state", false));
}

/// Another person's eID tells nothing of itself but that.
#[test]
fn of_anothers_eid_nothing_is_told() {
    let desk = desk(shipped());
    let revoked = KnownEid { holder: EidHolder::Another, state: EidState::Revoked, ..eid() };

    assert_eq!(desk.refused(Some(&revoked)).0, "eid-of-another");
}

#[test]
fn an_order_names_an_eid_where_its_method_is_one_and_nowhere_else() {
    let desk = desk(shipped());
    let unnamed = OrderText { eid: None, ..mobile() };
    let serial = |serial: &str| Some(EidText::Serial("person-id-3".to_owned(), serial.to_owned()));

    let missing = desk.admit_by(&unnamed, Some(&eid())).unwrap_err();
    assert_eq!((missing.refusal().code, missing.rule()), ("eid-missing", "eid/named"));
    let card = Desk::new(shipped());
    let named = with(|it| it.eid = serial("7A01"));
    let taken = card.admit_by(&named, Some(&eid())).unwrap_err();
    assert_eq!((taken.refusal().code, taken.rule()), ("eid-not-taken", "eid/named"));
    for malformed in [serial("7AX"), Some(EidText::Certificate("no certificate!".to_owned()))] {
        let text = OrderText { eid: malformed, ..mobile() };
        let refused = desk.admit_by(&text, None).unwrap_err();
        assert_eq!((refused.refusal().code, refused.rule()), ("order-malformed", "order/eid"));
    }
}

/// What became of the eID after it was taken as a proof changes no replay.
#[test]
fn looking_back_an_eid_stands_as_it_stood() {
    let revoked = KnownEid { state: EidState::Revoked, ..eid() };

    assert!(desk(shipped()).admit_by(&mobile(), Some(&revoked.looking_back())).is_ok());
}

/// A routine says on what the eID lives, if and only if it takes one for a proof.
#[test]
fn a_routine_by_an_eid_says_on_what_it_lives() {
    let carriers = "eid-carriers = [\"ordinary-card\"]\n";
    for (path, from, to) in [
        (ROUTINE, carriers, ""),
        ("routines/office-visit.toml", "carriers   =", &format!("{carriers}carriers   =")),
    ] {
        let mut files = book_files();
        let (_, text) = files.iter_mut().find(|(name, _)| name == path).unwrap();
        assert!(text.contains(from), "{path}");
        *text = text.replacen(from, to, 1);

        let refused = read_book(&files).unwrap_err().to_string();

        assert!(refused.starts_with(&format!("{path}: eid-carriers goes with")), "{refused}");
    }
    // Another routine may take telephones too: that is data.
    let desk =
        desk(edited(ROUTINE, "[\"ordinary-card\"]", "[\"ordinary-card\", \"mobile-device\"]"));
    let telephone = KnownEid { policy: Some(MOBILE_EID.parse().unwrap()), ..eid() };
    assert!(desk.admit_by(&mobile(), Some(&telephone)).is_ok());
}

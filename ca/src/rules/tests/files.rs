//! What rule files can say, and what they cannot.

use super::*;

/// Rules by organisation, profile, routine, weekday and hour, as any operator might write them.
const OTHERS: &str = r#"
version = 3

[[restriction]]
id     = "no-cards-on-fridays"
says   = "the office is closed"
source = "a test"
from   = 2026-01-01
until  = 2026-12-31
scope  = { organisations = ["2321000131"], profiles = ["reserve-hsaid-2-authentication"], routines = ["reserve-card-loa2"] }
within = { days = ["fri", "sat"], from = "12:00" }

[[restriction]]
id      = "short-reserve-cards"
says    = "reserve cards last three months"
source  = "a test"
from    = 2026-01-01
scope   = { carriers = ["reserve-card"] }
longest = "90d"

[[dispensation]]
id     = "long-reserve-cards"
of     = "short-reserve-cards"
source = "a test"
from   = 2026-07-01
until  = 2026-07-31
"#;

#[test]
fn rules_turn_on_organisation_profile_routine_weekday_and_hour() {
    let rules = book(OTHERS).unwrap();
    let refuses = |ask: &Ask, at: &str| rules.judge(&ask.facts(), utc(at)).is_err();
    let ask = reserve_card();
    let mut elsewhere = reserve_card();
    elsewhere.organisations = vec![OrganisationNumber::parse("5565594230").unwrap()];
    let mut otherwise = reserve_card();
    otherwise.routine = RoutineName::new("office-visit").unwrap();
    let mut other = reserve_card();
    other.profile = "person-hsaid-3-signature".parse().unwrap();

    // Friday and Saturday from noon by Stockholm's clock, until the last day of the year.
    assert!(!refuses(&ask, "2026-01-09T10:59:59Z"));
    assert!(refuses(&ask, "2026-01-09T11:00:00Z"));
    assert!(!refuses(&ask, "2026-01-11T12:00:00Z"));
    assert!(!refuses(&ask, "2027-01-01T12:00:00Z"));
    for other in [elsewhere, otherwise, other] {
        assert!(!refuses(&other, "2026-01-09T11:00:00Z"));
    }
    let function = Facts { organisations: &[], ..ask.facts() };
    assert!(rules.judge(&function, utc("2026-01-09T11:00:00Z")).is_ok());
}

/// The hour that the clock shows twice in October is restricted twice, and the one that it leaves out in March never.
#[test]
fn an_hour_is_what_the_clock_in_stockholm_shows() {
    let nights = OTHERS.replace(
        "days = [\"fri\", \"sat\"], from = \"12:00\"",
        "days = [\"sun\"], from = \"02:00\", to = \"03:00\"",
    );
    assert_ne!(nights, OTHERS);
    let rules = book(&nights).unwrap();
    let refused = |at: &str| rules.judge(&reserve_card().facts(), utc(at)).is_err();

    for (at, expected) in [
        ("2026-10-24T23:59:59Z", false),
        ("2026-10-25T00:00:00Z", true),
        ("2026-10-25T00:59:59Z", true),
        ("2026-10-25T01:00:00Z", true),
        ("2026-10-25T01:59:59Z", true),
        ("2026-10-25T02:00:00Z", false),
        ("2026-03-29T00:59:59Z", false),
        ("2026-03-29T01:00:00Z", false),
        // The Sundays after: an hour of each.
        ("2026-11-01T00:59:59Z", false),
        ("2026-11-01T01:00:00Z", true),
        ("2026-04-05T00:00:00Z", true),
        ("2026-04-05T01:00:00Z", false),
    ] {
        assert_eq!(refused(at), expected, "{at}");
    }
}

/// Of an order's two organisations either is enough to be restricted, and both are needed to be let through.
#[test]
fn a_rule_by_organisation_holds_for_both_organisations_of_an_order() {
    let number = |text: &str| OrganisationNumber::parse(text).unwrap();
    let (ours, theirs) = (number("2321000131"), number("5565594230"));
    let restricted = book(OTHERS).unwrap();
    let friday = utc("2026-01-09T11:00:00Z");
    let let_through = "\n[[dispensation]]\nid = \"open\"\nof = \"no-cards-on-fridays\"\nsource = \"a test\"\nuntil = 2026-12-31\n\
                       scope = { organisations = [\"5565594230\"] }\n";
    let dispensed = OTHERS.replace("\"2321000131\"]", "\"2321000131\", \"5565594230\"]");
    let dispensed = book(&format!("{dispensed}{let_through}")).unwrap();
    let judged = |rules: &RuleBook, organisations: &[&OrganisationNumber]| {
        let mut ask = reserve_card();
        ask.organisations = organisations.iter().map(|one| (*one).clone()).collect();
        rules.judge(&ask.facts(), friday).is_ok()
    };

    assert!(judged(&restricted, &[&theirs]));
    assert!(!judged(&restricted, &[&theirs, &ours]) && !judged(&restricted, &[&ours, &theirs]));
    assert!(judged(&dispensed, &[&theirs]));
    assert!(!judged(&dispensed, &[&theirs, &ours]) && !judged(&dispensed, &[&ours]));
}

#[test]
fn a_restriction_may_shorten_instead_of_refusing() {
    let rules = book(OTHERS).unwrap();
    let judge = |at: &str| rules.judge(&reserve_card().facts(), utc(at)).unwrap();

    let short = judge("2026-06-29T12:00:00Z");
    let long = judge("2026-07-01T12:00:00Z");

    assert_eq!(short.longest, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(short.shortened_by.unwrap().to_string(), "rules/short-reserve-cards");
    assert_eq!((long.longest, long.rules.len()), (None, 2));
}

#[test]
fn every_contradiction_is_refused() {
    use RuleFileError as E;
    let mutant = |from: &str, to: &str| {
        let text = OTHERS.replacen(from, to, 1);
        assert_ne!(text, OTHERS, "{from}");
        book(&text).unwrap_err()
    };

    assert!(matches!(mutant("version = 3", "version = 0"), E::Version { .. }));
    assert!(matches!(mutant("\"long-reserve", "\"short-reserve"), E::Twice { .. }));
    assert!(matches!(mutant("of     = \"short", "of     = \"shorter"), E::OfNothing { .. }));
    assert!(matches!(mutant("until  = 2026-12-31", "until  = 2025-12-31"), E::Period { .. }));
    assert!(matches!(mutant("until  = 2026-07-31", "until  = 2026-06-30"), E::Period { .. }));
    assert!(matches!(mutant("until  = 2026-07-31\n", ""), E::Toml { .. }));
    assert!(matches!(mutant("\"90d\"", "\"90y\""), E::Longest { .. }));
    assert!(matches!(mutant("\"12:00\"", "\"12\""), E::Time { .. }));
    assert!(matches!(mutant("\"12:00\"", "\"12:00\", to = \"09:00\""), E::Window { .. }));
    assert!(matches!(mutant("[\"fri\", \"sat\"]", "[]"), E::Listed { .. }));
    assert!(matches!(mutant("[\"fri\", \"sat\"]", "[\"fri\", \"fri\"]"), E::Listed { .. }));
    assert!(matches!(mutant("[\"fri\", \"sat\"]", "\"weekends\""), E::Toml { .. }));
    assert!(matches!(mutant("[\"reserve-card\"]", "[]"), E::Listed { .. }));
    assert!(matches!(mutant("[\"reserve-card\"]", "[\"reserved-card\"]"), E::Toml { .. }));
    assert!(matches!(mutant("2321000131", "2321000132"), E::Organisation { .. }));
    assert!(matches!(mutant("\"the office is closed\"", "\" \""), E::Unsaid { .. }));
    assert!(matches!(mutant("scope  =", "scopes ="), E::Toml { .. }));
    assert!(matches!(
        mutant("version = 3", "version = 3\n[calendar]\neves = []"),
        E::CalendarTwice { .. }
    ));
    assert!(matches!(RuleBook::parse([("a", OTHERS.as_bytes())]), Err(E::NoCalendar)));
    assert!(matches!(RuleBook::parse([("a", &b"\xff"[..])]), Err(E::Utf8 { .. })));
}

/// A misspelt name in a scope would make a restriction hold for nobody.
#[test]
fn a_scope_names_only_what_exists() {
    let rules = book(OTHERS).unwrap();
    let without = |missing: &'static str| {
        rules.check_names(move |named| !named.to_string().contains(missing))
    };

    assert_eq!(without("nothing of this name"), Ok(()));
    assert_eq!(
        without("profile reserve-hsaid-2").unwrap_err().to_string(),
        "rules/no-cards-on-fridays has profile reserve-hsaid-2-authentication in its scope, which does not exist"
    );
    assert!(without("routine reserve-card-loa2").is_err());
    assert!(
        shipped().check_names(|named| !matches!(named, Named::Identity(_))).is_err(),
        "the shipped rules name identity kinds"
    );
    let names: Vec<String> = shipped().names().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "rules/loa2-ended",
            "rules/reserve-card-outside-office-hours",
            "rules/persons-without-personnummer"
        ]
    );
}

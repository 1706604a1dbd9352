//! The shipped rules, and what a rule file may not say.

mod clock;
mod files;

use x509::time::UnixTime;

use super::*;

const LOA2: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/rules/loa2.toml"));
const SWEDEN: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/rules/sweden.toml"));

fn shipped() -> RuleBook {
    book(LOA2).unwrap()
}

fn book(rules: &str) -> Result<RuleBook, RuleFileError> {
    RuleBook::parse([
        ("rules/rules.toml", rules.as_bytes()),
        ("rules/sweden.toml", SWEDEN.as_bytes()),
    ])
}

/// An order, to be held against rules.
struct Ask {
    level: TrustLevel,
    carrier: CarrierKind,
    identity: IdentityKindId,
    profile: ProfileName,
    organisations: Vec<OrganisationNumber>,
    routine: RoutineName,
}

impl Ask {
    fn new(level: TrustLevel, carrier: CarrierKind, identity: &str) -> Self {
        Self {
            level,
            carrier,
            identity: IdentityKindId::new(identity).unwrap(),
            profile: "reserve-hsaid-2-authentication".parse().unwrap(),
            organisations: vec![OrganisationNumber::parse("2321000131").unwrap()],
            routine: RoutineName::new("reserve-card-loa2").unwrap(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            level: Some(self.level),
            carrier: Some(self.carrier),
            identity: Some(&self.identity),
            profile: &self.profile,
            organisations: &self.organisations,
            routine: Some(&self.routine),
        }
    }
}

fn reserve_card() -> Ask {
    Ask::new(TrustLevel::Loa2, CarrierKind::ReserveCard, "personnummer")
}

/// A second in UTC, written `2026-06-30T21:59:59Z`.
fn utc(text: &str) -> UnixTime {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
    let day = UnixTime::of_day(
        number(0..4).try_into().unwrap(),
        number(5..7).try_into().unwrap(),
        number(8..10).try_into().unwrap(),
    );
    let seconds = number(11..13) * 3_600 + number(14..16) * 60 + number(17..19);
    day.unwrap().checked_add(Duration::from_secs(seconds)).unwrap()
}

//! DAT-08, both ways: what each environment takes and refuses of every kind of identity.

use super::*;
use crate::deployment::Environment::{self, Prod, Qa, Test};

/// What becomes of a value.
const TAKEN: &str = "taken";
const REAL: &str = "not-a-test-identity";
const OF_TEST: &str = "test-identity-in-production";
const FORM: &str = "field-form";

/// Kind, value, in test and qa, in prod.
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("hsa-id", "SE5565594230-BCQ", REAL, TAKEN),
    ("hsa-id", "TST2321000016-1002", TAKEN, OF_TEST),
    ("hsa-id", "TSTNMT2321000156-B02", TAKEN, OF_TEST),
    ("hsa-id", "HSATEST2-DGQ", TAKEN, OF_TEST),
    ("hsa-id", "T-SERVICES-SE165565594230-10RF", TAKEN, OF_TEST),
    ("hsa-id", "SEZ2321000016-162M", FORM, FORM),
    ("number", "196408233234", REAL, TAKEN), // the textbook's example of the check digit
    ("number", "191212121212", TAKEN, OF_TEST), // Tolvan
    ("number", "191003229802", TAKEN, OF_TEST), // 980
    ("number", "201001239993", TAKEN, OF_TEST), // 999
    ("number", "201001239996", "field-check-digit", "field-check-digit"),
    ("number", "195401812390", TAKEN, TAKEN), // 239, a samordningsnummer: a test series and somebody's
    ("number", "199006022397", TAKEN, TAKEN), // 239
    ("number", "197010631237", REAL, TAKEN),  // a samordningsnummer
    ("passport", "UTO", TAKEN, OF_TEST),
    ("passport", "DNK", REAL, TAKEN),
    ("passport", "SWE", REAL, TAKEN),
    ("passport", "XYZ", FORM, FORM),
    ("email", "anna@example.org", TAKEN, OF_TEST),
    ("email", "anna@mail.test", TAKEN, OF_TEST),
    ("email", "anna@testmail.region.se", TAKEN, TAKEN), // as configured, outside prod
    ("email", "anna@region.se", REAL, TAKEN),
    ("email", "åsa@exämple.se", REAL, TAKEN),
    ("email", "åsa@exämple.example", TAKEN, OF_TEST),
    ("upn", "TST2321000016-1002@test.example.org", TAKEN, OF_TEST),
    ("upn", "anna@sub.testmail.region.se", TAKEN, TAKEN),
    ("upn", "anna@region.se", REAL, TAKEN),
    ("upn", "anna@localhost", FORM, FORM),
];

fn judge(kind: &str, value: &str, environment: Environment) -> &'static str {
    let test_domains = TestDomains::new(["testmail.region.se"]).unwrap();
    let rule = AddressRule { environment, test_domains: &test_domains };
    let refused = match kind {
        "hsa-id" => HsaId::parse(value, environment).err(),
        "number" => PersonNumber::parse(value, environment).err(),
        "passport" => PassportIdentity::parse(value, "L898902C3", "1974-08-12", environment).err(),
        "email" => EmailAddress::parse(value, rule).err(),
        "upn" => UserPrincipalName::parse(value, rule).err(),
        other => panic!("no kind {other}"),
    };
    refused.map_or(TAKEN, |error| error.code())
}

#[test]
fn each_environment_takes_its_own_identities_of_every_kind() {
    for &(kind, value, outside, prod) in TABLE {
        assert_eq!(judge(kind, value, Test), outside, "{kind} {value} in test");
        assert_eq!(judge(kind, value, Qa), outside, "{kind} {value} in qa");
        assert_eq!(judge(kind, value, Prod), prod, "{kind} {value} in prod");
    }
}

/// Names, organisations, cards and DNS names say nothing of whose they are: alike everywhere.
#[test]
fn what_names_nobody_is_read_alike_everywhere() {
    assert!(OrganisationNumber::parse("2321000131").is_ok());
    assert!(CardNumber::parse("9752269874512325436").is_ok());
    assert!(DnsName::parse("idp.region.se", Wildcard::Refused).is_ok());
    assert!(GivenName::parse("Tolvan").is_ok());
}

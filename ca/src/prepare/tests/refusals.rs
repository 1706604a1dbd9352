//! Every rule of prepare refuses something, with its code.

use std::time::Duration;

use proptest::prelude::*;
use x509::certificate::{Certificate, CertificateTemplate};
use x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, Criticality, ExtensionValue as _, KeyUsage,
    KeyUsageBit, SubjectKeyIdentifier,
};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::name::Name;
use x509::oid::usage;
use x509::serial::SerialNumber;
use x509::signing::{SigningKind, assemble};
use x509::validity::Validity;

use crate::day::Day;
use crate::issuer::{Issuer, IssuerError};
use crate::key_period::{KeyPeriod, KeyState};
use crate::key_quality::{KeyBook, KeyList, ListClass, ListedKey};
use crate::prepare::{EndedBy, KeySource, Signer, Warning, Way};
use crate::profile::Profile;
use crate::testing::{
    Ask, Hierarchy, NOW, TestKey, all_profiles, at, edited_policy, profile, profile_text,
    quick_root, settings, signed, signed_by_any,
};

const CARD: &str = "card-transport";
const MACHINE: &str = "function-machine";
const RESERVE: &str = "reserve-hsaid-3-authentication";
const PERSON: &str = "person-hsaid-3-authentication";
const DAY: u64 = 86_400;

struct Fixture {
    hierarchy: Hierarchy,
    key: TestKey,
    request: Vec<u8>,
}

fn fixture() -> Fixture {
    let key = TestKey::new();
    let request = key.request(|_| {});
    Fixture { hierarchy: Hierarchy::new(&[PERSON, "function", CARD, MACHINE]), key, request }
}

/// Asks for a profile's certificate after `change`, and says what came of it.
fn outcome(name: &str, change: impl FnOnce(&mut Ask<'_>)) -> &'static str {
    let fixture = fixture();
    let profile = profile(name);
    let mut ask = Ask::new(
        &profile,
        Signer::Issuer(&fixture.hierarchy.issuing),
        KeySource::Request(&fixture.request),
    );
    change(&mut ask);
    ask.refusal()
}

#[test]
fn issues_what_is_asked_for_rightly() {
    assert_eq!(outcome(PERSON, |_| {}), "issued");
    assert_eq!(outcome("function", |_| {}), "issued");
    assert_eq!(outcome(CARD, |_| {}), "issued");
    assert_eq!(outcome(MACHINE, |_| {}), "issued");
}

/// KEY-07, KEY-11: a key whose type the policy allows no more, not yet or never is not certified.
#[test]
fn refuses_keys_that_the_algorithm_policy_does_not_allow_today() {
    let line = "purpose = \"subscriber\"\nkey     = \"ec-p256\"\nfrom    = 2016-07-01";
    for (to, says) in [
        ("from = 2016-07-01\nto = 2026-11-20", "key-algorithm-not-allowed"),
        ("from = 2016-07-01\nto = 2026-11-21", "issued"),
        ("from = 2026-11-22", "key-algorithm-not-allowed"),
        ("from = 2026-11-21", "issued"),
    ] {
        let edited = line.replace("from    = 2016-07-01", to);
        let change = |ask: &mut Ask<'_>| ask.algorithms = edited_policy(line, &edited);
        assert_eq!(outcome(PERSON, change), says, "{to}");
    }
    let never = line.replace("ec-p256", "ec-p384");
    let change = |ask: &mut Ask<'_>| ask.algorithms = edited_policy(line, &never);
    assert_eq!(outcome(PERSON, change), "key-algorithm-not-allowed");
}

/// KEY-11: nothing new by an issuer whose algorithm has ended or not begun; responders are certified on,
/// because what was issued is asked about (promise 5).
#[test]
fn refuses_an_issuer_whose_algorithm_is_not_allowed_today() {
    let fixture = Fixture { hierarchy: Hierarchy::new(&[PERSON, "ocsp"]), ..fixture() };
    let line = "signatures = [\"ecdsa-p256-sha256\"]\nfrom       = 2016-07-01";
    let ask = |name: &str, to: &str| {
        let profile = profile(name);
        let issuer = Signer::Issuer(&fixture.hierarchy.issuing);
        let mut ask = Ask::new(&profile, issuer, KeySource::Request(&fixture.request));
        let edited = line.replace("from       = 2016-07-01", to);
        ask.algorithms = edited_policy(line, &edited);
        ask.refusal()
    };
    let (over, early) = ("from = 2016-07-01\nto = 2026-11-20", "from = 2026-11-22");

    assert_eq!(ask(PERSON, over), "issuer-algorithm-not-allowed");
    assert_eq!(ask(PERSON, early), "issuer-algorithm-not-allowed");
    assert_eq!(ask(PERSON, "from = 2026-11-21\nto = 2026-11-21"), "issued");
    assert_eq!(ask("ocsp", over), "issued");
    assert_eq!(ask("ocsp", early), "issuer-algorithm-not-allowed");
}

/// KEY-11: a profile that names its signatures is issued with no other.
#[test]
fn refuses_an_issuer_that_signs_otherwise_than_the_profile_allows() {
    let fixture = fixture();
    let outcome = |allowed: &str| {
        let text = profile_text("function").replacen("rsa-pkcs1-sha512", allowed, 1);
        let profile = Profile::parse(text.as_bytes()).unwrap();
        let issuer = Signer::Issuer(&fixture.hierarchy.issuing);
        Ask::new(&profile, issuer, KeySource::Request(&fixture.request)).refusal()
    };

    assert_eq!(outcome("rsa-pkcs1-sha512"), "signature-not-allowed");
    assert_eq!(outcome("ecdsa-p256-sha256"), "issued");
    assert_eq!(outcome("rsa-pkcs1-sha512\", \"ecdsa-p256-sha256"), "issued");
}

/// KEY-06, KEY-12: an issuer stops before its own end by the longest life of its profiles, and issues on its days
/// only; responders are certified on.
#[test]
fn refuses_an_issuer_whose_key_does_not_issue_today() {
    let fixture = Fixture { hierarchy: Hierarchy::new(&[PERSON, "ocsp"]), ..fixture() };
    let issuer = fixture.hierarchy.issuing.clone().stopping_for(&all_profiles());
    let ask = |name: &str, issuer: &Issuer, now: u64| {
        let profile = profile(name);
        let issuer = Signer::Issuer(issuer);
        let mut ask = Ask::new(&profile, issuer, KeySource::Request(&fixture.request));
        // The policy of the day has its own test.
        ask.algorithms = edited_policy("to      = 2028-12-31", "");
        ask.now = now;
        ask.refusal()
    };
    let last = issuer.not_after().secs() - 730 * DAY;

    assert_eq!(ask(PERSON, &issuer, last), "issued");
    assert_eq!(ask(PERSON, &issuer, last + 1), "issuing-ended");
    assert_eq!(ask("ocsp", &issuer, last + 1), "issued");
    assert_eq!(issuer.issuing_ends().secs(), last + 1);

    let days = |from, until, state| {
        let mut settings = settings("days", SignatureAlgorithm::EcdsaP256Sha256, &[PERSON, "ocsp"]);
        settings.period = KeyPeriod::new(from, until, state).unwrap();
        Issuer::new(fixture.hierarchy.issuing.certificate().clone(), settings).unwrap()
    };
    let on = |now: u64| Some(Day::containing(at(now)));
    let midnight = (NOW / DAY + 1) * DAY;
    let today = days(on(NOW), on(NOW), KeyState::Active);
    assert_eq!(ask(PERSON, &today, NOW), "issued");
    assert_eq!(ask(PERSON, &today, midnight - 1), "issued");
    assert_eq!(ask(PERSON, &today, midnight), "issuing-ended");
    assert_eq!(ask("ocsp", &today, midnight), "issued");
    let tomorrow = days(on(midnight), None, KeyState::Active);
    assert_eq!(ask(PERSON, &tomorrow, NOW), "issuing-not-begun");
    let retired = days(None, None, KeyState::Retired);
    assert_eq!(ask(PERSON, &retired, NOW), "issuer-retired");
    assert_eq!(ask("ocsp", &retired, NOW), "issued");
}

/// PRO-02, ISS-13, DAT-08: each field that is wrong is refused with its own code.
#[test]
fn refuses_wrong_fields() {
    type Change = fn(&mut Ask<'_>);
    let cases: &[(&str, &str, Change)] = &[
        ("field-missing", PERSON, |ask| ask.fields.surname = None),
        ("field-missing", PERSON, |ask| ask.fields.hsa_id = None),
        ("field-missing", CARD, |ask| ask.fields.card_number = None),
        ("field-form", CARD, |ask| ask.fields.card_number = Some("975226987451232543".into())),
        ("field-not-taken", CARD, |ask| ask.fields.common_name = Some("Transport".into())),
        ("field-not-taken", CARD, |ask| ask.fields.hsa_id = Some("TSTNMT2321000156-B02".into())),
        ("field-not-taken", MACHINE, |ask| ask.fields.dns = vec!["idp.example.org".into()]),
        ("field-not-taken", MACHINE, |ask| ask.fields.surname = Some("Sju".into())),
        ("not-a-test-identity", MACHINE, |ask| {
            ask.fields.hsa_id = Some("SE2321000016-1002".into());
        }),
        ("field-not-taken", PERSON, |ask| ask.fields.common_name = Some("x".into())),
        ("field-not-taken", PERSON, |ask| ask.fields.dns = vec!["a.example.org".into()]),
        ("field-not-taken", "function", |ask| ask.fields.given_name = Some("x".into())),
        ("field-not-taken", "function", |ask| ask.fields.upn = Some("x@example.org".into())),
        ("field-not-taken", "function", |ask| {
            ask.fields.personal_identity_number = Some("191212121212".into());
        }),
        ("field-not-taken", "function", |ask| {
            ask.fields.card_number = Some("9752269874512325436".into());
        }),
        ("management-field", "function", |ask| ask.fields.ip = vec![[127, 0, 0, 1].into()]),
        ("management-field", PERSON, |ask| {
            ask.fields.management_name = Some("portal".parse().unwrap());
        }),
        ("field-length", PERSON, |ask| ask.fields.given_name = Some(String::new())),
        ("field-length", PERSON, |ask| ask.fields.organization = Some("o".repeat(65))),
        ("field-character", PERSON, |ask| ask.fields.given_name = Some("A\0".into())),
        ("field-not-normalised", PERSON, |ask| ask.fields.surname = Some("A\u{30a}".into())),
        ("field-form", PERSON, |ask| ask.fields.card_number = Some("1".into())),
        ("field-form", PERSON, |ask| ask.fields.email = Some("a@se".into())),
        ("field-date", PERSON, |ask| {
            ask.fields.personal_identity_number = Some("191213321212".into());
        }),
        ("field-check-digit", PERSON, |ask| {
            ask.fields.personal_identity_number = Some("191212121213".into());
        }),
        ("not-a-test-identity", PERSON, |ask| {
            ask.fields.hsa_id = Some("SE2321000016-1002".into());
        }),
        ("not-a-test-identity", PERSON, |ask| {
            ask.fields.personal_identity_number = Some("196408233234".into());
        }),
        ("dns-count", "function", |ask| ask.fields.dns.clear()),
        ("dns-count", "function", |ask| {
            ask.fields.dns = (0..21).map(|n| format!("a{n}.example.org")).collect();
        }),
        ("dns-twice", "function", |ask| ask.fields.dns = vec!["idp.example.org".into(); 2]),
        ("field-character", "function", |ask| ask.fields.dns = vec!["*.example.org".into()]),
        ("field-form", "function", |ask| ask.fields.dns = vec!["localhost".into()]),
        ("common-name-not-listed", "function", |ask| {
            ask.fields.common_name = Some("other.example.org".into());
        }),
    ];
    for (code, profile, change) in cases {
        assert_eq!(outcome(profile, change), *code);
    }
}

/// ISS-01: person profiles go by order; a direct call exists in environment test only.
#[test]
fn refuses_the_wrong_way() {
    let qa = "qa/test/ab12".parse().unwrap();

    assert_eq!(outcome(PERSON, |ask| ask.way = Way::Order), "issued");
    assert_eq!(outcome(PERSON, |ask| ask.way = Way::Internal), "way-not-allowed");
    assert_eq!(outcome(PERSON, |ask| ask.deployment = qa), "way-not-allowed");
    assert_eq!(
        outcome(PERSON, |ask| {
            ask.deployment = qa;
            ask.way = Way::Order;
        }),
        "issued"
    );
    for name in ["management-client", "ocsp", "issuing"] {
        assert_eq!(outcome(name, |ask| ask.way = Way::Direct), "way-not-allowed", "{name}");
        assert_eq!(outcome(name, |ask| ask.way = Way::Order), "way-not-allowed", "{name}");
    }
}

/// PRO-10, PRO-11: an issuer issues the profiles that it lists, and nothing signs itself but a root.
#[test]
fn refuses_profiles_of_other_issuers() {
    let itself = Signer::Itself(SignatureAlgorithm::EcdsaP256Sha256);

    assert_eq!(outcome("person-hsaid-3-signature", |_| {}), "profile-not-issued-here");
    assert_eq!(outcome(PERSON, |ask| ask.signer = itself), "profile-not-issued-here");
}

/// ISS-11, KEY-05.
#[test]
fn refuses_keys_of_the_wrong_type_weak_keys_and_its_own() {
    let ed25519 = PublicKey::from_ed25519(&[1; 32]).unwrap();
    let weak = PublicKey::from_rsa_parts(&[0xff; 256], &[3]).unwrap();
    let fixture = fixture();
    let profile = profile(PERSON);
    let signer = Signer::Issuer(&fixture.hierarchy.issuing);
    let refusal = |key| Ask::new(&profile, signer, key).refusal();

    assert_eq!(refusal(KeySource::Proven(&ed25519)), "key-not-allowed");
    assert_eq!(refusal(KeySource::Proven(&weak)), "weak-key");
    let mut ask = Ask::new(&profile, signer, KeySource::Request(&fixture.request));
    ask.keys = KeyBook::new([fixture.key.public.spki_hash()], Vec::new());
    assert_eq!(ask.refusal(), "own-key");
    let listed =
        KeyList::new(ListClass::Compromised, "a report", [ListedKey::of(&fixture.key.public)]);
    ask.keys = KeyBook::new([], vec![listed.unwrap()]);
    assert_eq!(ask.refusal(), "key-listed");
}

/// ISS-11: of a request and of a key that a ceremony or a program brings.
#[test]
fn refuses_points_that_are_not_on_their_curve() {
    let mut point = [0; 65];
    (point[0], point[64]) = (4, 1);
    let off_curve = PublicKey::from_ec_point(&point).unwrap();
    let fixture = fixture();
    let profile = profile(PERSON);
    let ask = Ask::new(
        &profile,
        Signer::Issuer(&fixture.hierarchy.issuing),
        KeySource::Proven(&off_curve),
    );

    assert_eq!(ask.refusal(), "key-not-a-point");
}

/// ISS-08: the end of validity.
#[test]
fn refuses_ends_past_the_issuer_and_outside_the_profile() {
    let issuer_days = 11_080;

    assert_eq!(outcome(PERSON, |ask| ask.now = NOW + (issuer_days - 729) * DAY), "outlives-issuer");
    assert_eq!(outcome(PERSON, |ask| ask.now = NOW + (issuer_days + 1) * DAY), "issuer-not-valid");
    assert_eq!(outcome(PERSON, |ask| ask.now = NOW - DAY), "issuer-not-valid");
    assert_eq!(outcome(PERSON, |ask| ask.ends_at = Some(NOW + 731 * DAY)), "end-not-allowed");
    assert_eq!(outcome(PERSON, |ask| ask.ends_at = Some(NOW)), "end-not-allowed");
    assert_eq!(outcome(PERSON, |ask| ask.ends_at = Some(NOW + 1)), "issued");
}

/// ISS-08: of a reserve card the order says the end, and the profile the latest one.
#[test]
fn a_reserve_card_ends_when_its_order_says() {
    let key = TestKey::new();
    let request = key.request(|_| {});
    let hierarchy = Hierarchy::new(&[RESERVE]);
    let profile = profile(RESERVE);
    let ask = |ends_at: Option<u64>| {
        let signer = Signer::Issuer(&hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Request(&request));
        ask.ends_at = ends_at;
        ask
    };
    let latest = NOW - 300 + 90 * DAY - 1;

    assert_eq!(ask(None).refusal(), "end-missing");
    assert_eq!(ask(Some(latest + 1)).refusal(), "end-not-allowed");
    assert_eq!(ask(Some(NOW)).refusal(), "end-not-allowed");
    for end in [latest, NOW + DAY] {
        let prepared = ask(Some(end)).prepare().unwrap();
        assert_eq!(prepared.facts().validity.not_after(), at(end));
    }
}

/// ISS-08: a CA ends with its root, and the caller is told.
#[test]
fn an_issuing_ca_ends_with_its_root() {
    let hierarchy = Hierarchy::new(&[]);
    let (key, profile) = (TestKey::new(), profile("issuing"));
    let mut ask =
        Ask::new(&profile, Signer::Issuer(&hierarchy.root), KeySource::Proven(&key.public));
    ask.now = NOW + 400 * DAY;

    let prepared = ask.prepare().unwrap();

    assert_eq!(prepared.facts().validity.not_after(), hierarchy.root.not_after());
    assert_eq!(prepared.facts().warnings, [Warning::EndsWithIssuer]);
    assert_eq!(prepared.facts().ended_by, EndedBy::Issuer);
}

#[test]
fn a_wrong_check_digit_of_a_card_is_told_and_issued() {
    let fixture = fixture();
    let profile = profile(PERSON);
    let mut ask = Ask::new(
        &profile,
        Signer::Issuer(&fixture.hierarchy.issuing),
        KeySource::Request(&fixture.request),
    );
    ask.fields.card_number = Some("9876654132532143214".into());

    assert_eq!(ask.prepare().unwrap().facts().warnings, [Warning::CardNumberCheckDigit]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// ISS-08: notBefore lies at most the profile's small skew before the issuing time, and notAfter
    /// counts its last second.
    #[test]
    fn validity_follows_the_clock(after in 0..9_000 * DAY) {
        let fixture = fixture();
        let profile = profile(PERSON);
        let mut ask = Ask::new(
            &profile,
            Signer::Issuer(&fixture.hierarchy.issuing),
            KeySource::Request(&fixture.request),
        );
        ask.now = NOW + after;

        let validity = ask.prepare().unwrap().facts().validity;

        prop_assert_eq!(at(ask.now).since(validity.not_before()), Duration::from_secs(300));
        prop_assert_eq!(validity.lifetime(), Duration::from_secs(730 * DAY));
    }
}

/// PRO-14, PRO-15: an issuer whose key identifier was made another way and whose name is in
/// PrintableString: both are copied byte for byte.
#[test]
fn copies_the_name_and_key_identifier_of_an_imported_issuer() {
    let (ca_key, key) = (TestKey::new(), TestKey::new());
    let common_name = [&[0x06, 3, 0x55, 4, 3, 0x13, 6][..], b"Old CA"].concat();
    let subject =
        Name::from_der(&[&[0x30, 17, 0x31, 15, 0x30, 13][..], &common_name].concat()).unwrap();
    let identifier = SubjectKeyIdentifier(b"an old method".to_vec());
    let ecdsa = SignatureAlgorithm::EcdsaP256Sha256;
    let template = CertificateTemplate {
        serial: SerialNumber::from_content_octets(&[1]).unwrap(),
        issuer: subject.clone(),
        subject: subject.clone(),
        validity: Validity::between(at(NOW - DAY), at(NOW + 9_000 * DAY)).unwrap(),
        public_key: ca_key.public.clone(),
        extensions: vec![
            BasicConstraints::Ca { path_len: None }.extension(Criticality::Critical),
            KeyUsage::of(&[KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign])
                .extension(Criticality::Critical),
            identifier.extension(Criticality::NonCritical),
        ],
        algorithm: ecdsa,
    };
    let finished = |bytes: &[u8]| {
        assemble(bytes, ecdsa, &ecdsa.placeholder(ca_key.public.key_type())).unwrap()
    };
    let certificate = Certificate::from_der(&finished(&template.to_tbs_der())).unwrap();
    let issuer = Issuer::new(certificate, settings("old", ecdsa, &[PERSON])).unwrap();
    let (profile, request) = (profile(PERSON), key.request(|_| {}));

    let prepared = Ask::new(&profile, Signer::Issuer(&issuer), KeySource::Request(&request))
        .prepare()
        .unwrap();

    let issued = signed(prepared, &ca_key);
    assert_eq!(issued.issuer().as_der(), subject.as_der());
    assert_eq!(issued.aki().unwrap(), b"an old method");
    let expected = AuthorityKeyIdentifier::of(&identifier);
    assert_eq!(issued.extension::<AuthorityKeyIdentifier>(), Some(expected));
}

/// KEY-05: what a signature is for stands in the intent, so that a key can refuse the rest.
#[test]
fn a_delegate_is_signed_as_a_delegate() {
    let hierarchy = Hierarchy::new(&["ocsp"]);
    let (key, delegate) = (TestKey::new(), profile("ocsp"));
    let kind = |signer| {
        let ask = Ask::new(&delegate, signer, KeySource::Proven(&key.public));
        ask.prepare().unwrap().pending().intent().kind()
    };

    assert_eq!(kind(Signer::Issuer(&hierarchy.issuing)), SigningKind::OcspDelegate);
}

/// PRO-13, PRO-14: what makes no issuer.
#[test]
fn refuses_certificates_and_settings_that_make_no_issuer() {
    let hierarchy = Hierarchy::new(&[PERSON]);
    let ecdsa = SignatureAlgorithm::EcdsaP256Sha256;
    let ca = hierarchy.issuing.certificate();
    let person = {
        let fixture = fixture();
        let profile = profile(PERSON);
        let signer = Signer::Issuer(&fixture.hierarchy.issuing);
        let ask = Ask::new(&profile, signer, KeySource::Request(&fixture.request));
        signed(ask.prepare().unwrap(), &fixture.hierarchy.issuing_key)
    };

    assert!(Issuer::new(ca.clone(), settings("fine", ecdsa, &[])).is_ok());
    assert!(matches!(
        Issuer::new(person, settings("person", ecdsa, &[])),
        Err(IssuerError::NotACa { .. })
    ));
    assert!(matches!(
        Issuer::new(ca.clone(), settings("x", SignatureAlgorithm::RsaPkcs1Sha256, &[])),
        Err(IssuerError::Algorithm { .. })
    ));
    assert!(matches!(
        Issuer::new(ca.clone(), settings("a b", ecdsa, &[])),
        Err(IssuerError::Name { .. })
    ));
    for url in ["https://crl.example.org", "ldap://x", "http://", "http:///x", "http://å.se", ""] {
        let mut wrong = settings("fine", ecdsa, &[]);
        wrong.crl_url = url.to_owned();
        assert!(matches!(Issuer::new(ca.clone(), wrong), Err(IssuerError::Url { .. })), "{url}");
    }
}

/// ISS-02 is the serial's own; here: a self-signed root carries its own key identifier twice.
#[test]
fn a_root_names_itself() {
    let (key, root) = (TestKey::new(), quick_root());
    let signer = Signer::Itself(SignatureAlgorithm::EcdsaP256Sha256);

    let prepared = Ask::new(&root, signer, KeySource::Proven(&key.public)).prepare().unwrap();

    let root = signed(prepared, &key);
    assert_eq!(root.issuer(), root.subject());
    assert_eq!(root.aki(), root.ski().map(|SubjectKeyIdentifier(octets)| octets));
}

/// PRO-03: a profile that got past its own rules would still be stopped by the linter, before anything
/// is recorded or signed.
#[test]
fn the_linter_stops_what_a_wrong_profile_would_issue() {
    let wrong = [
        (
            PERSON,
            "key-usage          = [\"digital-signature\"]",
            "key-usage = [\"content-commitment\"]",
        ),
        (PERSON, "\"smartcard-logon\"", "\"ocsp-signing\""),
        (PERSON, "from = \"table\"", "oid = \"2.5.29.32.0\""),
        (PERSON, "    \"certificate-policies\",\n", ""),
        (PERSON, "    \"authority-info-access\",\n", ""),
        (PERSON, "    \"crl-distribution-points\",\n", ""),
        (PERSON, "    \"subject-key-identifier\",\n", ""),
        (PERSON, "    \"authority-key-identifier\",\n", ""),
        (PERSON, "    \"key-usage\",\n", ""),
        (PERSON, "    \"key-usage\",\n", "    \"key-usage\",\n    \"ocsp-no-check\",\n"),
        (PERSON, "    \"key-usage\",\n", "    \"key-usage\",\n    \"key-usage\",\n"),
        (PERSON, "    { type = \"serial-number\", from = \"hsa-id\" },\n", ""),
        ("function", "2.23.140.1.2.2", "1.2.752.74.8.650"),
        (
            "function",
            "key-usage-ec       = [\"digital",
            "key-usage-ec = [\"key-encipherment\", \"digital",
        ),
        ("function", "\"client-auth\", \"server-auth\"", "\"email-protection\""),
        ("function", "    \"subject-alt-name\",\n", ""),
        ("ocsp", "    \"ocsp-no-check\",", ""),
        ("ocsp", "[\"ocsp-signing\"]", "[\"ocsp-signing\", \"client-auth\"]"),
        ("ocsp", "lifetime    = \"14d\"", "lifetime = \"500d\""),
        ("ocsp", "    \"key-usage\",\n", "    \"key-usage\",\n    \"authority-info-access\",\n"),
        ("management-client", "[\"client-auth\"]", "[\"server-auth\"]"),
        ("management-client", "    \"subject-alt-name\",\n", ""),
    ];
    let key = TestKey::new();
    let hierarchy = Hierarchy::new(&[PERSON, "function", "ocsp", "management-client"]);
    for (name, from, to) in wrong {
        let text = profile_text(name).replacen(from, to, 1);
        assert_ne!(text, profile_text(name), "{from}");
        assert!(Profile::parse(text.as_bytes()).is_err(), "{to}");
        let profile = Profile::unjudged(&signed_by_any(&text));
        let signer = Signer::Issuer(&hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Proven(&key.public));
        if !text.contains("from = \"hsa-id\"") {
            ask.fields.hsa_id = None;
        }

        assert_eq!(ask.refusal(), "lint", "{name}: {from} -> {to}");
    }
}

/// Domain facts 2.2: e-mail protection only for who has an address in the certificate.
#[test]
fn email_protection_stands_beside_an_address_only() {
    let fixture = fixture();
    let profile = profile(PERSON);
    let purposes = |email: Option<&str>| {
        let signer = Signer::Issuer(&fixture.hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Request(&fixture.request));
        ask.fields.email = email.map(str::to_owned);
        let issued = signed(ask.prepare().unwrap(), &fixture.hierarchy.issuing_key);
        issued.extended_key_usage().unwrap().0
    };

    assert!(purposes(Some("tolvan@example.org")).contains(&usage::EMAIL_PROTECTION));
    assert_eq!(purposes(None), [usage::CLIENT_AUTH, usage::SMARTCARD_LOGON]);
}

//! Every shipped profile is legal, and every rule refuses a mutant of one.

use status::AnswerClasses;

use super::*;
use crate::testing::PROFILES;

macro_rules! shipped {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../profiles/", $name, ".toml"))
    };
}

const AUTHENTICATION: &str = shipped!("person-hsaid-3-authentication");
const SIGNATURE: &str = shipped!("person-hsaid-3-signature");
const FUNCTION: &str = shipped!("function");
const ISSUING: &str = shipped!("issuing");
const CROSS: &str = shipped!("cross");
const RESERVE: &str = shipped!("reserve-hsaid-3-authentication");
const MACHINE: &str = shipped!("function-machine");
const CARD: &str = shipped!("card-transport");
const OCSP: &str = shipped!("ocsp");
const FINAL: &str = shipped!("ocsp-final");
const SERVER: &str = shipped!("management-server");
const CLIENT: &str = shipped!("management-client");

/// How the function profile ends.
const ROUNDED_UP: &str = "\"2y\"          # 2025-09-29 09:26:38Z to 2027-09-29 21:50:00Z; 2023-12-18 16:59:57Z to \
                          2025-12-18 21:50:00Z\nends-at     = \"21:50:00Z\"\nround       = \"up\"";

/// PRO-03: a profile made wrong in one place is refused before it can issue anything: one mutant a
/// rule, each refused by that rule and no other.
const MUTANTS: &[(&str, &str, &str, &str)] = &[
    ("backdate", FUNCTION, "backdate    = \"5m\"", "backdate    = \"3601s\""),
    ("lifetime-beyond-backdate", OCSP, "lifetime    = \"14d\"", "lifetime    = \"5m\""),
    (
        "lifetime-beyond-backdate",
        FUNCTION,
        ROUNDED_UP,
        "\"1d\"\nends-at = \"21:50:00Z\"\nround = \"down\"",
    ),
    // ISS-09: five years and a second.
    ("eid-five-years", AUTHENTICATION, "lifetime    = \"730d\"", "lifetime    = \"157766401s\""),
    ("eid-five-years", AUTHENTICATION, "\"730d\"", "\"6y\""),
    (
        "eid-rounded-down",
        AUTHENTICATION,
        "\"730d\"",
        "\"2y\"\nends-at = \"21:50:00Z\"\nround = \"up\"",
    ),
    ("end-by-order", CARD, "lifetime    = \"365d\"", "end = \"order\"\nlongest = \"365d\""),
    (
        "end-by-order",
        RESERVE,
        "longest     = \"90d\"",
        "longest = \"90d\"\nends-at = \"21:50:00Z\"\nround = \"down\"",
    ),
    ("eid-five-years", RESERVE, "\"90d\"", "\"1827d\""),
    (
        "carrier-of-a-person",
        FUNCTION,
        "past-issuer = \"refuse\"",
        "past-issuer = \"refuse\"\npast-carrier = \"cap\"",
    ),
    (
        "status-of-signatures",
        SIGNATURE,
        "[request]",
        "[status]\nafter-expiry = \"unknown\"\n\n[request]",
    ),
    ("order-organization", FUNCTION, "from = \"organization\"", "from = \"user-organization\""),
    ("order-organization", MACHINE, "from = \"organization\"", "from = \"issuing-organization\""),
    ("subject-source", RESERVE, "from = \"surname\" }", "from = \"user-organization\" }"),
    ("signature", FUNCTION, "[\"rsa-pkcs1-sha512\"]", "[]"),
    ("signature", FUNCTION, "\"rsa-pkcs1-sha512\"", "\"rsa-pkcs1-sha512\", \"rsa-pkcs1-sha512\""),
    ("keys", FUNCTION, "\"rsa-3072\"", "\"rsa-1024\""),
    ("keys", FUNCTION, "\"ec-p384\"", "\"ed25519\""),
    ("keys", FUNCTION, "\"rsa-3072\"", "\"rsa-4096\""),
    ("issue-by", CLIENT, "issue-by    = \"internal\"", "issue-by    = \"direct\""),
    ("issue-by", FUNCTION, "issue-by    = \"direct\"", "issue-by    = \"internal\""),
    ("person-by-order", AUTHENTICATION, "issue-by    = \"order\"", "issue-by    = \"direct\""),
    ("trust-level", AUTHENTICATION, "trust-level = \"loa3\"", ""),
    (
        "trust-level",
        FUNCTION,
        "issue-by    = \"direct\"",
        "issue-by = \"direct\"\ntrust-level = \"loa2\"",
    ),
    (
        "extension-once",
        FUNCTION,
        "    \"key-usage\",\n",
        "    \"key-usage\",\n    \"key-usage\",\n",
    ),
    ("key-identifiers", FUNCTION, "    \"subject-key-identifier\",\n", ""),
    ("extension-content", FUNCTION, "    \"subject-alt-name\",\n", ""),
    ("extension-content", AUTHENTICATION, "card-number        = \"optional\"", ""),
    ("ca-constraints", ISSUING, "path-length = 0", "path-length = 1"),
    ("ca-constraints", ISSUING, "path-length = 0", ""),
    ("ca-constraints", CROSS, "path-length = 1", "path-length = 0"),
    (
        "ca-purposes",
        CROSS,
        "order = [",
        "extended-key-usage = [\"client-auth\"]\norder = [\"extended-key-usage\",",
    ),
    ("revocation-pointers", CROSS, "    \"crl-distribution-points\",\n", ""),
    ("issue-by", CARD, "\"direct\"", "\"internal\""),
    ("trust-level", CARD, "\"direct\"", "\"direct\"\ntrust-level = \"loa2\""),
    (
        "authentication-usage",
        MACHINE,
        "[\"digital-signature\"]",
        "[\"digital-signature\", \"key-agreement\"]",
    ),
    (
        "authentication-usage",
        CARD,
        "[\"digital-signature\"]",
        "[\"digital-signature\", \"key-agreement\"]",
    ),
    ("subscriber-purposes", MACHINE, "[\"client-auth\"]", "[\"client-auth\", \"server-auth\"]"),
    ("subscriber-purposes", CARD, "[\"client-auth\"]", "[\"smartcard-logon\"]"),
    ("policies", CARD, "1.3.6.1.4.1.32473.1.6.1", "2.5.29.32.0"),
    ("revocation-pointers", MACHINE, "    \"authority-info-access\",\n", ""),
    ("subject-name", MACHINE, "    { type = \"serial-number\", from = \"hsa-id\" },", ""),
    (
        "person-fields",
        CARD,
        "{ type = \"common-name\", from = \"card-number\" },",
        "{ type = \"common-name\", from = \"person-name\" },",
    ),
    (
        "person-fields",
        CARD,
        "type = \"serial-number\", from = \"card-number\"",
        "type = \"serial-number\", from = \"hsa-id\"",
    ),
    ("card-subject", CARD, "\"required\"", "\"optional\""),
    (
        "card-subject",
        MACHINE,
        "{ type = \"common-name\", from = \"common-name\"",
        "{ type = \"common-name\", from = \"card-number\"",
    ),
    (
        "subject-source",
        CARD,
        "{ type = \"organization\", from = \"organization\" },",
        "{ type = \"organization\", from = \"card-number\" },",
    ),
    (
        "person-alternative-names",
        CARD,
        "[extensions]\n# Order of the function certificates of 2025; cardNumber where that of 2023-12 has it.\norder = [",
        "[alternative-names]\ndns-count = [0, 1]\n\n[extensions]\norder = [\"subject-alt-name\",",
    ),
    (
        "person-alternative-names",
        MACHINE,
        "    \"key-usage\",\n]",
        "    \"key-usage\",\n    \"card-number\",\n]\ncard-number = \"optional\"",
    ),
    (
        "ca-constraints",
        FUNCTION,
        "    \"key-usage\",\n",
        "    \"key-usage\",\n \"basic-constraints\",\n",
    ),
    ("ca-key-usage", ISSUING, "[\"key-cert-sign\", \"crl-sign\"]", "[\"key-cert-sign\"]"),
    ("ca-key-usage", CLIENT, "[\"digital-signature\"]", "[\"digital-signature\", \"crl-sign\"]"),
    ("key-usage-once", FUNCTION, "[\"digital-signature\"]   #", "[]   #"),
    ("ec-key-usage", FUNCTION, "key-usage-ec", "#"),
    (
        "signature-alone",
        SIGNATURE,
        "[\"content-commitment\"]",
        "[\"content-commitment\", \"digital-signature\"]",
    ),
    (
        "signature-alone",
        FUNCTION,
        "[\"digital-signature\", \"key-enc",
        "[\"content-commitment\", \"key-enc",
    ),
    (
        "authentication-usage",
        AUTHENTICATION,
        "[\"digital-signature\"]",
        "[\"digital-signature\", \"key-agreement\"]",
    ),
    (
        "signature-purposes",
        SIGNATURE,
        "order = [",
        "extended-key-usage = [\"client-auth\"]\norder = [\"extended-key-usage\",",
    ),
    ("subscriber-purposes", FUNCTION, "\"client-auth\", \"server-auth\"", "\"email-protection\""),
    ("subscriber-purposes", FUNCTION, "\"client-auth\"", "\"smartcard-logon\""),
    ("subscriber-purposes", AUTHENTICATION, "\"client-auth\", ", ""),
    ("subscriber-purposes", AUTHENTICATION, "\"smartcard-logon\"", "\"server-auth\""),
    ("responder-life", OCSP, "lifetime    = \"14d\"", "lifetime = \"398d\""),
    ("responder-life", FINAL, "lifetime    = \"99y\"", "lifetime = \"98y\""),
    ("responder-life", FINAL, "past-issuer = \"cap\"", "past-issuer = \"refuse\""),
    (
        "purpose-once",
        FUNCTION,
        "[\"client-auth\", \"server-auth\"]",
        "[\"client-auth\", \"client-auth\"]",
    ),
    // PRO-12: OCSPSigning never in a CA certificate.
    (
        "ca-purposes",
        ISSUING,
        "order = [",
        "extended-key-usage = [\"ocsp-signing\"]\norder = [\"extended-key-usage\",",
    ),
    ("responder", OCSP, "    \"ocsp-no-check\",", ""),
    ("responder", OCSP, "[\"ocsp-signing\"]", "[\"ocsp-signing\", \"client-auth\"]"),
    (
        "responder",
        OCSP,
        "    \"key-usage\",\n",
        "    \"key-usage\",\n    \"authority-info-access\",\n",
    ),
    (
        "responder",
        OCSP,
        "    \"key-usage\",\n",
        "    \"key-usage\",\n    \"crl-distribution-points\",\n",
    ),
    ("responder", AUTHENTICATION, "\"smartcard-logon\"", "\"ocsp-signing\""),
    ("revocation-pointers", FUNCTION, "    \"crl-distribution-points\",\n", ""),
    ("revocation-pointers", ISSUING, "    \"authority-info-access\",\n", ""),
    ("policies", FUNCTION, "2.23.140.1.2.2", "1.2.752.74.8.650"),
    ("policies", SIGNATURE, "from = \"table\"", "oid = \"2.5.29.32.0\""),
    (
        "table-policy",
        SIGNATURE,
        "[[policy]]",
        "[[policy]]\noid = \"1.3.6.1.4.1.32473.1.3.2\"\n[[policy]]",
    ),
    ("practice-statement", SIGNATURE, "https://pki", "ftp://pki"),
    ("practice-statement", SIGNATURE, "/repository", "/repository å"),
    // Two serialNumbers: no relying party could tell which one to read.
    (
        "subject-once",
        FUNCTION,
        "    { type = \"serial-number\", from = \"hsa-id\" },",
        "    { type = \"serial-number\", from = \"hsa-id\" },\n    { type = \"serial-number\", from = \"hsa-id\" },",
    ),
    (
        "subject-string",
        FUNCTION,
        "from = \"hsa-id\"",
        "from = \"hsa-id\", string = \"printable-or-utf8\"",
    ),
    (
        "subject-source",
        FUNCTION,
        "type = \"locality\", from = \"locality\"",
        "type = \"locality\", from = \"organization\"",
    ),
    (
        "subject-source",
        FUNCTION,
        "type = \"serial-number\", from = \"hsa-id\"",
        "type = \"serial-number\", value = \"1\"",
    ),
    ("subject-fixed", FUNCTION, "value = \"SE\"", "value = \"se\""),
    ("subject-name", FUNCTION, "    { type = \"serial-number\", from = \"hsa-id\" },", ""),
    (
        "subject-name",
        AUTHENTICATION,
        "from = \"surname\" }",
        "from = \"surname\", optional = \"yes\" }",
    ),
    ("person-fields", FUNCTION, "from = \"hsa-id\"", "from = \"personal-identity-number\""),
    (
        "person-fields",
        FUNCTION,
        "requested-extensions = \"ignore\"",
        "requested-extensions = \"ignore\"\npersonal-identity-number = \"optional\"",
    ),
    (
        "person-alternative-names",
        FUNCTION,
        "wildcards = \"refused\"",
        "wildcards = \"refused\"\nupn = \"optional\"",
    ),
    ("person-alternative-names", AUTHENTICATION, "upn   = \"optional\"", "dns-count = [0, 1]"),
    ("function-names", FUNCTION, "dns-count = [1, 20]", "dns-count = [0, 20]"),
    ("function-names", FUNCTION, "dns-count = [1, 20]", "dns-count = [1, 101]"),
    ("function-names", FUNCTION, "dns-count = [1, 20]", "dns-count = [3, 2]"),
    ("management-names", SERVER, "management-uri = \"required\"", "management-uri = \"optional\""),
    ("management-names", FUNCTION, "wildcards = \"refused\"", "management-uri = \"required\""),
    ("management-names", FUNCTION, "wildcards = \"refused\"", "local-names = \"optional\""),
    ("management-purpose", SERVER, "[\"server-auth\"]", "[\"client-auth\"]"),
    ("management-purpose", CLIENT, "[\"client-auth\"]", "[\"client-auth\", \"server-auth\"]"),
];

fn rule_that_refuses(text: &str) -> &'static str {
    match Profile::parse(text.as_bytes()) {
        Err(ProfileError::Rule { rule, .. }) => rule.id,
        other => panic!("expected a broken rule, got {other:?}\n{text}"),
    }
}

#[test]
fn every_shipped_profile_is_legal() {
    for (name, text) in PROFILES {
        let profile = Profile::parse(text.as_bytes()).unwrap();

        assert_eq!(profile.name().as_str(), name);
    }
}

#[test]
fn every_mutant_is_refused_by_its_rule() {
    for (rule, base, from, to) in MUTANTS {
        assert!(base.contains(from), "{rule}: {from}");

        assert_eq!(rule_that_refuses(&base.replacen(from, to, 1)), *rule, "{from} -> {to}");
    }
}

/// KEY-11: which keys a CA may have is its profile, for roots and issuing CAs Ed25519 too.
#[test]
fn profiles_of_cas_may_allow_ed25519() {
    for text in [shipped!("root"), shipped!("issuing")] {
        let changed = text.replacen("\"rsa-4096\"", "\"rsa-3072\", \"ed25519\"", 1);
        assert_ne!(changed, text);

        let profile = Profile::parse(changed.as_bytes()).unwrap();

        assert!(profile.keys().contains(&KeyType::Ed25519));
    }
    let management = shipped!("management-ca").replacen("\"ec-p256\"", "\"ed25519\"", 1);
    assert_eq!(rule_that_refuses(&management), "keys");
}

#[test]
fn every_rule_has_a_mutant() {
    let killed: BTreeSet<_> = MUTANTS.iter().map(|(rule, ..)| *rule).collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();

    assert_eq!(killed, rules);
    assert_eq!(rules.len(), RULES.len());
}

#[test]
fn refuses_what_is_not_the_toml_of_a_profile() {
    for (from, to) in [
        ("kind        = \"function\"", "kind = \"Function\""),
        ("kind        = \"function\"", "kind = \"function\"\nextra = 1"),
        ("lifetime    = \"2y\"", "lifetime = 730"),
        ("lifetime    = \"2y\"", "lifetime = \"2 years\""),
        ("ends-at     = \"21:50:00Z\"", ""),
        ("backdate    = \"5m\"", "backdate = \"5m\"\nend = \"order\""),
        ("backdate    = \"5m\"", "backdate = \"5m\"\nlongest = \"1y\""),
        ("round       = \"up\"", ""),
        ("round       = \"up\"", "round = \"near\""),
        ("\"21:50:00Z\"", "\"21:50:00\""),
        ("version     = 1", ""),
        ("version     = 1", "version = 0"),
        ("version     = 1", "version = \"1\""),
        ("\"rsa-pkcs1-sha512\"", "\"rsa-pkcs1-sha1\""),
        ("string = \"printable-or-utf8\"", "string = \"bmp\""),
        ("\"client-auth\", \"server-auth\"", "\"any\""),
        ("\"rsa-3072\"", "\"dsa\""),
        ("2.23.140.1.2.2", "2.23.x"),
        ("\"key-usage\",", "\"qc-statements\","),
        ("type = \"country\", value = \"SE\"", "type = \"country\""),
        ("type = \"country\", value = \"SE\"", "type = \"title\", value = \"SE\""),
        ("name        = \"function\"", "name = \"Function\""),
        ("past-issuer = \"refuse\"", ""),
        ("past-issuer = \"refuse\"", "past-issuer = \"refuse\"\npast-carrier = \"warn\""),
        ("dns-count = [1, 20]", "dns-count = [-1, 20]"),
        ("[request]", "[status]\nafter-expiry = \"never\"\n\n[request]"),
        ("[request]", "[status]\nbefore-activation = \"held\"\n\n[request]"),
    ] {
        let text = FUNCTION.replacen(from, to, 1);

        assert_ne!(text, FUNCTION, "{from}");
        assert!(Profile::parse(text.as_bytes()).is_err(), "{to}");
    }
    assert!(matches!(Profile::parse(b"\xff"), Err(ProfileError::NotUtf8)));
}

/// OCSP-13: what is answered after the end is the profile's choice, and the last status for ever where it makes none.
#[test]
fn the_answers_after_the_end_are_what_the_profile_says() {
    let of = |text: &str| Profile::parse(text.as_bytes()).unwrap().answers();
    assert_eq!(of(FUNCTION), AnswerClasses::USUAL);
    for (word, after_expiry) in [("kept", AfterExpiry::Kept), ("unknown", AfterExpiry::Unknown)] {
        let section = format!("[status]\nafter-expiry = \"{word}\"\n\n[request]");
        let text = FUNCTION.replacen("[request]", &section, 1);
        assert_eq!(of(&text), AnswerClasses { after_expiry, ..AnswerClasses::USUAL });
    }
}

/// PRO-19: another byte is another version.
#[test]
fn the_version_is_the_hash_of_the_file() {
    let one = Profile::parse(FUNCTION.as_bytes()).unwrap();
    let two = Profile::parse(format!("{FUNCTION}\n").as_bytes()).unwrap();

    assert_ne!(one.hash(), two.hash());
}

//! The example is read, tells the defaults, and each changed value is refused.

use super::*;

const EXAMPLE: &str = include_str!("../../../environments/demo/ocsp.toml");

fn check(text: &str) -> Result<Config, String> {
    let file = toml::from_str(text).map_err(|error| error.to_string())?;
    Config::check(file, Path::new("/base")).map_err(|error| error.to_string())
}

#[test]
fn reads_the_example() {
    let config = check(EXAMPLE).unwrap();

    assert_eq!(config.origin.to_string(), "sigill/test/demo/a1b2/status/1");
    assert_eq!(config.role.hsm().unwrap().token.label.as_str(), "sg-td-a1b2-responder");
    assert_eq!(config.role.hsm().unwrap().pin, Path::new("/base/pins/responder.pin"));
    assert_eq!(config.routes.len(), 5);
}

#[test]
fn reads_the_annotated_example() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo/ocsp.toml");
    let config = Config::read(&path).unwrap();

    assert_eq!(config.authorities.len(), 2);
    assert_eq!(config.timing, Timing::USUAL);
    assert_eq!(config.max_connections, default_connections());
}

/// The values that the example shows as defaults are the defaults.
#[test]
fn the_example_tells_the_defaults() {
    let defaults = [
        "epoch",
        "freshness",
        "clock-bound",
        "sessions",
        "deadline",
        "max-connections",
        "signed",
        "validity",
        "max-age",
        "cache",
        "never-issued",
        "delegate-key",
        "delegate-key-place",
    ];
    let bare: String = EXAMPLE
        .lines()
        .filter(|line| !defaults.iter().any(|key| line.starts_with(&format!("{key} "))))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(bare.len() < EXAMPLE.len());

    let (full, bare) = (check(EXAMPLE).unwrap(), check(&bare).unwrap());

    assert_eq!(format!("{full:?}"), format!("{bare:?}"));
}

/// Promise 8 and the rule that unknown keys are errors.
#[test]
fn refuses_unknown_keys_other_deployments_and_public_management() {
    for (from, to) in [
        ("[http]", "[http]\ncolour = 1"),
        ("\"demo\"", "\"prod\""),
        ("\"a1b2\"", "\"A1B2\""),
        ("127.0.0.1:8881", "0.0.0.0:8881"),
        ("aia/person3.cer", "aia/other.cer"),
        ("crl/person3.crl", "crl/../secret"),
        ("crl/person3.crl", "crl/nobody/"),
        ("crl/person3.crl", "crl/"),
        ("crl/person3.crl", "checkpoint"),
        ("name      = \"root\"", "name      = \"person3\""),
        ("4444444444", "444"),
        ("\"unknown\"", "\"good\""),
        ("path   = \"/\"", "path   = \"ocsp\""),
    ] {
        assert!(check(EXAMPLE).is_ok() && check(&EXAMPLE.replacen(from, to, 1)).is_err(), "{to}");
    }
}

/// Decision 0029: keys of delegates lie in the token unless an operator says otherwise, for a CA whose delegates this
/// program provides.
#[test]
fn keys_in_process_memory_are_a_choice_by_authority() {
    let chosen = EXAMPLE.replace("place = \"token\"", "place = \"process-memory\"");
    let places: Vec<KeyPlace> =
        check(&chosen).unwrap().authorities.iter().map(|one| one.delegate_key_place).collect();
    assert_eq!(places, [KeyPlace::ProcessMemory, KeyPlace::Token]);

    for other in ["ceremony", "shared"] {
        let refused = check(&chosen.replace("\"requested\"", &format!("\"{other}\""))).unwrap_err();
        assert!(refused.contains("delegate-key-place"), "{refused}");
    }
    assert!(check(&EXAMPLE.replace("place = \"token\"", "place = \"memory\"")).is_err());
}

/// PRO-21: test certificates are served in environment test alone.
#[test]
fn no_other_environment_serves_test_certificates() {
    let of_qa = EXAMPLE
        .replace("environment = \"test\"", "environment = \"qa\"")
        .replace("pki         = \"demo\"", "pki         = \"test\"");
    assert_ne!(of_qa, EXAMPLE);
    let refused = check(&of_qa).unwrap_err();
    assert!(refused.contains("serve \"test-certificates\" at"), "{refused}");

    let without = of_qa.replace("object = \"test-certificates\"", "object = \"status-page\"");
    assert!(!check(&without).unwrap().is_test());
    assert!(check(EXAMPLE).unwrap().is_test());
}

/// The example without the section of this name.
fn without(section: &str) -> String {
    let begins = EXAMPLE.find(&format!("\n[{section}]")).unwrap() + 1;
    let ends = EXAMPLE[begins..].find("\n[").map_or(EXAMPLE.len(), |end| begins + end + 1);
    EXAMPLE[..begins].to_owned() + &EXAMPLE[ends..]
}

/// Decision 0027: an outer host whose answers come signed beforehand has no token in its configuration, and whoever signs
/// them answers nobody.
#[test]
fn who_signs_beforehand_answers_nobody_and_who_gives_such_answers_has_no_token() {
    let beforehand = |text: String| text.replacen("\"when-asked\"", "\"beforehand\"", 1);
    let outer = check(&beforehand(without("hsm"))).unwrap();
    assert!(matches!(outer.role, Role::GivesFromStock));
    assert_eq!(outer.timing.answers, AnswerSigning::Beforehand);
    let inner = check(&beforehand(without("http"))).unwrap();
    assert!(matches!(inner.role, Role::SignsBeforehand(_)) && inner.listen.is_empty());

    for (text, named) in [
        (without("hsm"), "hsm"),
        (without("http"), "http"),
        (beforehand(EXAMPLE.to_owned()), "answers.signed"),
        (beforehand(without("hsm").replacen("\"unknown\"", "\"revoked\"", 1)), "never-issued"),
    ] {
        let refused = check(&text).unwrap_err();
        assert!(refused.contains(named), "{refused}");
    }
}

use crate::prepare::{KeySource, Signer};
use crate::testing::{
    Ask, Hierarchy, NOW, PROFILES, TestKey, profile, profile_text, signed_by_any,
};

use super::super::Profile;
use super::*;

const SUBSCRIBERS: [&str; 4] =
    ["function-ec", "function-machine", "card-transport", "person-hsaid-3-authentication"];

/// The shipped profile, however its issuer signs, with this in place of that.
fn edited(name: &str, from: &str, to: &str) -> Profile {
    let text = signed_by_any(profile_text(name));
    assert!(text.contains(from), "{text}");
    Profile::parse(text.replacen(from, to, 1).as_bytes()).unwrap()
}

/// A certificate of the shipped profile, replayed under another version.
fn replayed(name: &str, version: &Profile) -> Replayed {
    replayed_after(name, version, |_| {})
}

/// The same, with the second question changed.
fn replayed_after(name: &str, version: &Profile, change: impl FnOnce(&mut Ask<'_>)) -> Replayed {
    let hierarchy = Hierarchy::new(&[name]);
    let (key, shipped) = (TestKey::new(), profile(name));
    let request = key.request(|_| {});
    let signer = Signer::Issuer(&hierarchy.issuing);
    let first = Ask::new(&shipped, signer, KeySource::Request(&request));
    let stored = crate::testing::signed(first.prepare().unwrap(), &hierarchy.issuing_key);
    let mut second = Ask { profile: version, ..first };
    change(&mut second);
    second.with(|preparation| replay(stored.as_der(), preparation)).unwrap()
}

fn fields(replayed: &Replayed) -> Vec<&str> {
    match replayed {
        Replayed::Differs(changes) => changes.iter().map(|one| one.field.as_str()).collect(),
        other => panic!("{other:?}"),
    }
}

/// PRO-19: under the profile that it was issued by nothing differs, for every profile of subscribers.
#[test]
fn an_unchanged_profile_gives_the_same_octets() {
    let mut replays = 0;
    for (name, _) in PROFILES {
        let version = profile(name);
        if !version.kind().is_subscriber() {
            continue;
        }
        assert_eq!(replayed(name, &version), Replayed::Same, "{name}");
        // A comment makes another version, and no other certificate.
        let text = format!("# another version\n{}", signed_by_any(profile_text(name)));
        let other = Profile::parse(text.as_bytes()).unwrap();
        assert_eq!(replayed(name, &other), Replayed::Same, "{name}");
        replays += 1;
    }
    assert!(replays > SUBSCRIBERS.len());
}

/// Each change of a profile is told by the name of its field, with what was and what would be.
#[test]
fn a_changed_profile_is_told_field_by_field() {
    for (name, from, to, expected) in [
        ("function-ec", "backdate    = \"5m\"", "backdate    = \"6m\"", &["validity"][..]),
        (
            "function-ec",
            "https://pki.example.org/siths/repository",
            "https://cps.example.org/siths/repository",
            &["extension.certificatePolicies"],
        ),
        (
            "function-ec",
            "    { type = \"organization\", from = \"organization\" },\n",
            "    { type = \"organization\", from = \"organization\", string = \"printable-or-utf8\" },\n",
            &["subject.O.string-type"],
        ),
        (
            "function-ec",
            "    \"extended-key-usage\",\n    \"authority-key-identifier\",\n",
            "    \"authority-key-identifier\",\n    \"extended-key-usage\",\n",
            &["extensions.order"],
        ),
        (
            "function-ec",
            "[\"client-auth\", \"server-auth\"]",
            "[\"server-auth\", \"client-auth\"]",
            &["extension.extKeyUsage"],
        ),
    ] {
        let replayed = replayed(name, &edited(name, from, to));
        assert_eq!(fields(&replayed), expected, "{name} {to}: {replayed:?}");
    }
    let later = edited("function-ec", "backdate    = \"5m\"", "backdate    = \"6m\"");
    let Replayed::Differs(changes) = replayed("function-ec", &later) else { panic!("the same") };
    assert_eq!(changes.len(), 1);
    assert_ne!(changes[0].was, changes[0].would_be);
}

/// A value of the order that stands elsewhere, or that portraits draw by its form alone, is told too.
#[test]
fn a_value_that_no_portrait_shows_is_told() {
    let version = profile("function-ec");
    let replayed = replayed_after("function-ec", &version, |ask| {
        ask.fields.dns = vec!["idp.example.org".to_owned(), "idp3.example.org".to_owned()];
    });

    let Replayed::Differs(changes) = replayed else { panic!("the same") };
    let expected = Change {
        field: "extension.subjectAltName".to_owned(),
        was: "dNSName idp.example.org, dNSName idp2.example.org".to_owned(),
        would_be: "dNSName idp.example.org, dNSName idp3.example.org".to_owned(),
    };
    assert_eq!(changes, [expected]);
}

/// What the changed profile refuses says so, by the code of the rule.
#[test]
fn what_is_refused_now_says_by_what() {
    let keys = "allow = [\"rsa-3072\", \"rsa-4096\", \"rsa-2048\", \"ec-p256\", \"ec-p384\"]";
    let version = edited("function-ec", keys, "allow = [\"rsa-3072\"]");
    let Replayed::NowRefused(refusal) = replayed("function-ec", &version) else {
        panic!("issued");
    };
    assert_eq!(refusal.code, "key-not-allowed");
}

/// Two certificates of other times differ in their time alone, at whatever second.
#[test]
fn another_time_is_told_as_validity() {
    for name in SUBSCRIBERS {
        let version = profile(name);
        let replayed = replayed_after(name, &version, |ask| ask.now = NOW + 1);
        let told = fields(&replayed);
        // An end at a fixed second of the day stays where it is.
        assert_eq!(told, ["validity"], "{name}");
    }
}

//! PRO-02: a corpus of names through every person profile: encoded exactly, or refused.

use x509::oid::attribute;

use crate::prepare::{KeySource, Signer};
use crate::testing::{Ask, Hierarchy, PROFILES, TestKey, profile, signed};

/// Given name, surname: Swedish, Sámi, Finnish, Meänkieli, Croatian, Polish, Turkish, Vietnamese,
/// Irish, Icelandic.
const ENCODED: [(&str, &str); 14] = [
    ("Åsa", "Öhrn"),
    ("Märta-Stina", "Ängelholm"),
    ("André", "Müller"),
    ("Máhtte", "Čálliidmánnu"),
    ("Áŋŋel", "Ŋiŧŧo"),
    ("Šárá", "Đuottar"),
    ("Väinö", "Yli-Kyyny"),
    ("Đorđe", "Ćirić"),
    ("Łukasz", "Żółć"),
    ("İsmail", "Şahin"),
    ("Nguyễn", "Thị Hồng"),
    ("Siobhán", "O'Brien"),
    ("Siobhán", "O’Brien"),
    ("Þórunn", "Æsisdóttir"),
];

const REFUSED: [&str; 9] = [
    "A\u{30a}sa",
    "Иван",
    "محمد",
    "李",
    "Anna😀",
    "Anna\u{202e}",
    "An\0na",
    "Anna\nKarin",
    " Anna",
];

#[test]
fn names_are_encoded_exactly_or_refused() {
    let persons =
        PROFILES.iter().map(|(name, _)| *name).filter(|name| profile(name).kind().is_person());
    let persons: Vec<_> = persons.collect();
    assert!(persons.len() >= 9, "{persons:?}");
    let hierarchy = Hierarchy::new(&persons);
    let key = TestKey::new();
    let request = key.request(|_| {});
    for name in persons {
        let profile = profile(name);
        let signer = Signer::Issuer(&hierarchy.issuing);
        let mut ask = Ask::new(&profile, signer, KeySource::Request(&request));
        for (given, surname) in ENCODED {
            ask.fields.given_name = Some(given.to_owned());
            ask.fields.surname = Some(surname.to_owned());

            let issued = signed(ask.prepare().unwrap(), &hierarchy.issuing_key);

            let text = |oid| issued.subject().text_of(oid).unwrap();
            assert_eq!(text(attribute::GIVEN_NAME), given);
            assert_eq!(text(attribute::SURNAME), surname);
            assert_eq!(text(attribute::COMMON_NAME), format!("{given} {surname}"));
        }
        for given in REFUSED {
            ask.fields.given_name = Some(given.to_owned());
            assert!(ask.prepare().is_err(), "{given:?}");
        }
    }
}

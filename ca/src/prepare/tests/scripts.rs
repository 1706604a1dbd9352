//! PRO-07: names in other scripts than Latin, where a profile takes them.

use x509::oid::attribute;

use crate::prepare::{KeySource, Signer};
use crate::profile::{Profile, ProfileError};
use crate::testing::{Ask, Hierarchy, TestKey, profile_text, signed};

const NAME: &str = "person-hsaid-3-authentication";

fn with_scripts(list: &str) -> Result<Profile, ProfileError> {
    let text = profile_text(NAME);
    let names = format!("[names]\nscripts = [{list}]\n\n[alternative-names]");
    let changed = text.replace("[alternative-names]", &names);
    assert_ne!(changed, text);
    Profile::parse(changed.as_bytes())
}

#[test]
fn a_profile_says_which_scripts_its_names_have() {
    let hierarchy = Hierarchy::new(&[NAME]);
    let key = TestKey::new();
    let request = key.request(|_| {});
    let shipped = Profile::parse(profile_text(NAME).as_bytes()).unwrap();
    let wide = with_scripts("\"latin\", \"greek\", \"cyrillic\"").unwrap();
    let ask = |profile, given: &str, surname: &str| {
        let mut ask =
            Ask::new(profile, Signer::Issuer(&hierarchy.issuing), KeySource::Request(&request));
        ask.fields.given_name = Some(given.to_owned());
        ask.fields.surname = Some(surname.to_owned());
        (ask.refusal(), ask.prepare())
    };

    for (given, surname) in [("Наталія", "Соломʼяна"), ("Ελένη", "Παπαδοπούλου")]
    {
        assert_eq!(ask(&shipped, given, surname).0, "field-script");
        let issued = signed(ask(&wide, given, surname).1.unwrap(), &hierarchy.issuing_key);
        let text = |oid| issued.subject().text_of(oid).unwrap();
        assert_eq!(text(attribute::GIVEN_NAME), given);
        assert_eq!(text(attribute::COMMON_NAME), format!("{given} {surname}"));
    }
    assert_eq!(ask(&wide, "Наталія", "Svensson").0, "field-mixed-scripts");
    assert_eq!(ask(&wide, "Нataлія", "Соломʼяна").0, "field-mixed-scripts");
    assert_eq!(ask(&wide, "李", "王").0, "field-character");
}

#[test]
fn refuses_a_profile_without_scripts_or_with_one_twice_or_unknown() {
    assert!(matches!(with_scripts(""), Err(ProfileError::Scripts)));
    assert!(matches!(with_scripts("\"latin\", \"latin\""), Err(ProfileError::Scripts)));
    assert!(matches!(with_scripts("\"runic\""), Err(ProfileError::Toml(_))));
}

//! PRO-17: internationalised addresses in finished certificates.

use x509::extension::GeneralName;

use crate::prepare::{KeySource, Signer};
use crate::testing::{Ask, Hierarchy, TestKey, profile, signed};

const NAME: &str = "person-hsaid-3-authentication";

#[test]
fn an_address_stands_in_the_name_that_its_local_part_needs() {
    let hierarchy = Hierarchy::new(&[NAME]);
    let key = TestKey::new();
    let request = key.request(|_| {});
    let profile = profile(NAME);
    let mut ask =
        Ask::new(&profile, Signer::Issuer(&hierarchy.issuing), KeySource::Request(&request));

    for (address, utf8, written) in [
        ("a@exämple.example", false, "a@xn--exmple-cua.example"),
        ("å@exämple.example", true, "å@xn--exmple-cua.example"),
        ("Åsa.Öhrn@example.org", true, "Åsa.Öhrn@example.org"),
        ("asa.ohrn@example.org", false, "asa.ohrn@example.org"),
    ] {
        ask.fields.email = Some(address.to_owned());

        let issued = signed(ask.prepare().unwrap(), &hierarchy.issuing_key);

        let names = issued.subject_alt_names();
        let mail = names.iter().find_map(|name| match name {
            GeneralName::Rfc822(text) => Some((false, text.as_str())),
            GeneralName::SmtpUtf8(text) => Some((true, text.as_str())),
            GeneralName::Other(_) => panic!("{address}: not read back"),
            _ => None,
        });
        assert_eq!(mail, Some((utf8, written)), "{address}");
    }
    for (address, code) in [
        ("å@Example.org", "field-character"),
        ("å@ex☃mple.example", "field-character"),
        ("å@xn--a.example", "field-form"),
        ("åа@example.org", "field-mixed-scripts"),
        ("anna@region.se", "not-a-test-identity"),
        ("anna@example.org.se", "not-a-test-identity"),
    ] {
        ask.fields.email = Some(address.to_owned());
        assert_eq!(ask.refusal(), code, "{address}");
    }
}

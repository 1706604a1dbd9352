//! How Active Directory is told which certificate is whose: issuer and serial number, as the attribute
//! `altSecurityIdentities` has them (Microsoft, KB5014754: `X509IssuerSerialNumber`, a strong mapping).

use x509::name::{Name, NameAttribute, attribute_name};
use x509::oid::attribute;
use x509::serial::SerialNumber;

/// `X509:<I>issuer<SR>serial`: the issuer's attributes in encoded order, the serial number's octets from
/// the last to the first, in lower-case hexadecimal.
pub(crate) fn issuer_and_serial(issuer: &Name, serial: SerialNumber) -> String {
    let attributes: Vec<_> = issuer.attributes().map(|one| attribute_text(&one)).collect();
    let reversed: Vec<u8> = serial.as_octets().iter().rev().copied().collect();
    let reversed = base16ct::lower::encode_string(&reversed);
    format!("X509:<I>{}<SR>{reversed}", attributes.join(","))
}

/// `type=value` in Windows' names and quotes (CertNameToStr, `CERT_X500_NAME_STR`): a value with a
/// character that separates, or with a space at an end, stands in quotes, and its quotes are doubled.
fn attribute_text(one: &NameAttribute<'_>) -> String {
    let name = match one.oid() {
        attribute::STATE => "S".to_owned(),
        attribute::GIVEN_NAME => "G".to_owned(),
        attribute::TITLE => "T".to_owned(),
        attribute::INITIALS => "I".to_owned(),
        attribute::EMAIL_ADDRESS => "E".to_owned(),
        attribute::SERIAL_NUMBER => "SERIALNUMBER".to_owned(),
        known @ (attribute::COMMON_NAME
        | attribute::COUNTRY
        | attribute::DOMAIN_COMPONENT
        | attribute::LOCALITY
        | attribute::ORGANIZATION
        | attribute::ORGANIZATIONAL_UNIT
        | attribute::STREET
        | attribute::SURNAME) => attribute_name(known),
        other => format!("OID.{other}"),
    };
    let text = one.text();
    let separates = |c: char| ",+=\"\n<>#;".contains(c);
    let quoted = text.is_empty()
        || text.contains(separates)
        || text.starts_with(char::is_whitespace)
        || text.ends_with(char::is_whitespace);
    if quoted {
        format!("{name}=\"{}\"", text.replace('"', "\"\""))
    } else {
        format!("{name}={text}")
    }
}

#[cfg(test)]
mod tests {
    use x509::name::AttributeType;

    use super::*;

    fn issuer(organization: &str, name: &str) -> Name {
        Name::builder()
            .with(AttributeType::Country, "SE")
            .and_then(|built| built.with(AttributeType::Organization, organization))
            .and_then(|built| built.with(AttributeType::CommonName, name))
            .unwrap()
            .build()
    }

    /// The sample of the published instructions (page 2822013309): serial 01772941ce29b3ec999d657f0e0174 under
    /// the Person HSA-id 3 CA.
    #[test]
    fn writes_the_issuer_in_encoded_order_and_the_serial_number_backwards() {
        let serial: SerialNumber = "01772941ce29b3ec999d657f0e0174".parse().unwrap();
        let issuer = issuer("Inera AB", "SITHS e-id Person HSA-id 3 CA v1");

        assert_eq!(
            issuer_and_serial(&issuer, serial),
            "X509:<I>C=SE,O=Inera AB,CN=SITHS e-id Person HSA-id 3 CA v1\
             <SR>74010e7f659d99ecb329ce41297701"
        );
    }

    #[test]
    fn quotes_what_would_separate() {
        let serial: SerialNumber = "0102".parse().unwrap();

        let text = issuer_and_serial(&issuer("Vård, \"Omsorg\" AB", "A+B"), serial);

        assert_eq!(text, "X509:<I>C=SE,O=\"Vård, \"\"Omsorg\"\" AB\",CN=\"A+B\"<SR>0201");
    }
}

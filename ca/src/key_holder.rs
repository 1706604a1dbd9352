//! Whose a key is: one public key belongs to one subject (ISS-12).

use std::fmt;

use x509::name::Name;
use x509::oid::attribute;

/// Who holds a key: the person or function that a certificate's subject names.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyHolder(String);

impl KeyHolder {
    /// The one whom a subject names: by its serialNumber (HSA-id, identity number), which the subjects
    /// of one holder share whatever else stands in them; by the whole name where there is none.
    #[must_use]
    pub fn named_by(subject: &Name) -> Self {
        Self(match subject.text_of(attribute::SERIAL_NUMBER) {
            Some(number) => format!("number {}", number.to_lowercase()),
            None => format!("name {:02x?}", subject.sha256()),
        })
    }

    /// The holder as text: personal data.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyHolder {
    /// Nothing of the holder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHolder(..)")
    }
}

/// Whether a key that has been certified may be certified again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyReuse {
    /// No: each certificate has a key of its own.
    Never,
    /// For the same holder, unless a certificate on it was revoked for compromise (EN 319 411-1
    /// GEN-6.3.6-10).
    #[default]
    SameHolder,
}

#[cfg(test)]
mod tests {
    use x509::name::AttributeType;

    use super::*;

    fn subject(parts: &[(AttributeType, &str)]) -> Name {
        let builder = parts.iter().fold(Name::builder(), |builder, (attribute, text)| {
            builder.with(*attribute, text).unwrap()
        });
        builder.build()
    }

    /// ISS-12.
    #[test]
    fn a_holder_is_the_number_of_the_subject_or_its_whole_name() {
        let number = (AttributeType::SerialNumber, "TST2321000016-1002");
        let named = |name: &'static str| (AttributeType::CommonName, name);
        let holder = |parts: &[(AttributeType, &str)]| KeyHolder::named_by(&subject(parts));

        assert_eq!(holder(&[named("a"), number]), holder(&[number, named("b")]));
        assert_ne!(holder(&[named("a")]), holder(&[named("b")]));
        assert_ne!(holder(&[named("a")]), holder(&[named("a"), number]));
        assert!(!format!("{:?}", holder(&[number])).contains("2321"));
    }
}

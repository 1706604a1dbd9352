//! Whose a key is: one public key belongs to one person or function (ISS-12).
//!
//! A certificate tells who holds its key by its subject alone, and a person has more than one subject: the
//! HSA-id names an employment, the identity number a person. Only the order knows that they are one.

use std::fmt;

use x509::name::Name;
use x509::oid::attribute;

use crate::identity::{Identity, PersonNumber};

/// A name that a holder is known by. Personal data; kept as a keyed hash alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HolderName(String);

impl HolderName {
    /// The name in a certificate's subject: its serialNumber (HSA-id, identity number), which the subjects
    /// of one holder share whatever else stands in them; the whole subject where there is none.
    #[must_use]
    pub fn in_subject(subject: &Name) -> Self {
        match subject.text_of(attribute::SERIAL_NUMBER) {
            Some(number) => Self::number(&number),
            None => Self(format!("name {:02x?}", subject.sha256())),
        }
    }

    /// The person that an identity names. One with a Swedish number has the name that a subject with
    /// that number has.
    #[must_use]
    pub fn of_identity(identity: &Identity) -> Self {
        match identity {
            Identity::Passport(passport) => {
                Self(format!("passport {} {}", passport.state(), passport.number()))
            }
            Identity::Personnummer(number) | Identity::Samordningsnummer(number) => {
                Self::of_person(number)
            }
        }
    }

    /// The person with a Swedish number.
    #[must_use]
    pub fn of_person(number: &PersonNumber) -> Self {
        Self::number(number.as_str())
    }

    /// The one whom this number names, an HSA-id or an identity number, in whatever case it is written.
    #[must_use]
    pub fn number(text: &str) -> Self {
        Self(format!("number {}", text.to_lowercase()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HolderName {
    /// Nothing of the holder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HolderName(..)")
    }
}

/// Who holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyHolder {
    /// As the certificate's subject says.
    pub subject: HolderName,
    /// The person, where somebody who knows has said it. None of functions.
    pub person: Option<HolderName>,
}

impl KeyHolder {
    /// The one whom a subject names, and nothing else is known of.
    #[must_use]
    pub fn named_by(subject: &Name) -> Self {
        Self { subject: HolderName::in_subject(subject), person: None }
    }

    /// Whose subject it is.
    #[must_use]
    pub fn who_is(self, person: Option<HolderName>) -> Self {
        Self { person, ..self }
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
    use crate::deployment::Environment;
    use crate::identity::PassportIdentity;

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

    /// ISS-12: a person with a Swedish number is who a subject with that number names; a passport is
    /// its state and number.
    #[test]
    fn a_person_is_named_as_a_subject_with_his_number_is() {
        let number = PersonNumber::parse("191212121212", Environment::Test).unwrap();
        let person = HolderName::of_identity(&Identity::Personnummer(number));
        let passport = |number: &str, birth: &str| {
            let read = PassportIdentity::parse("UTO", number, birth, Environment::Test).unwrap();
            HolderName::of_identity(&Identity::Passport(read))
        };

        let named = subject(&[(AttributeType::SerialNumber, "191212121212")]);
        assert_eq!(person, HolderName::in_subject(&named));
        assert_eq!(passport("L898902C3", "1974-08-12"), passport("L898902C3", "1974-08-13"));
        assert_ne!(passport("L898902C3", "1974-08-12"), passport("L898902C4", "1974-08-12"));
    }
}

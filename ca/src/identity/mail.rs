//! Mail addresses, and user principal names, which have their form.

use unicode_normalization::is_nfc;

use super::host::{self, Labels, TestDomains};
use super::{Field, IdentityError, Script, every_character, length_within};
use crate::deployment::Environment;

/// Whose addresses a deployment takes: real ones in production, and elsewhere those of test domains.
#[derive(Clone, Copy, Debug)]
pub struct AddressRule<'a> {
    /// The environment.
    pub environment: Environment,
    /// The domains of test addresses.
    pub test_domains: &'a TestDomains,
}

impl AddressRule<'_> {
    /// DAT-08. A domain that an operator names for tests may be a real one, so that production refuses
    /// the reserved ones alone.
    fn check(&self, field: Field, host: &str) -> Result<(), IdentityError> {
        let of_test = if self.environment.allows_only_test_identities() {
            self.test_domains.contain(host)
        } else {
            TestDomains::is_reserved(host)
        };
        self.environment.admits_identity(field, of_test)
    }
}

/// Which name of subjectAltName an address needs (RFC 9598 §3, table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MailForm {
    /// rfc822Name: the local part is ASCII.
    Rfc822,
    /// SmtpUTF8Mailbox: it is not.
    SmtpUtf8,
}

/// A mail address, its host in A-labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    text: String,
    form: MailForm,
}

impl EmailAddress {
    /// The most octets (RFC 5321 §4.5.3.1.3, less the angle brackets).
    pub const MAX: usize = 254;

    /// Reads an address `local@host`, the host in lower case, in A-labels or U-labels.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: characters, lengths, form, two scripts in the local part, normalization;
    /// addresses of test domains in production and others outside it (DAT-08).
    pub fn parse(text: &str, rule: AddressRule<'_>) -> Result<Self, IdentityError> {
        let field = Field::Email;
        let (local, host) = parts(field, text)?;
        let outside = |c: char| !c.is_ascii() && Script::of(c).is_some();
        every_character(field, local, |c| is_atom(c) || outside(c))?;
        if !is_nfc(local) {
            return Err(IdentityError::NotNormalised { field });
        }
        Script::one_of(field, local)?;
        let host = host::read(field, host, Labels::Any)?;
        rule.check(field, &host)?;
        let text = format!("{local}@{host}");
        if text.len() > Self::MAX {
            let found = text.len();
            return Err(IdentityError::Length { field, found, fewest: 3, most: Self::MAX });
        }
        let form = if local.is_ascii() { MailForm::Rfc822 } else { MailForm::SmtpUtf8 };
        Ok(Self { text, form })
    }

    /// The address as the certificate has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which name of subjectAltName it needs.
    #[must_use]
    pub const fn form(&self) -> MailForm {
        self.form
    }
}

/// A user principal name for directory logon: otherName 1.3.6.1.4.1.311.20.2.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserPrincipalName(String);

impl UserPrincipalName {
    /// The most characters: what the directory stores for userPrincipalName.
    pub const MAX: usize = 254;

    /// Reads a name `user@realm`, ASCII, the realm in lower case.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: characters, lengths, form; names of test domains in production and others
    /// outside it (DAT-08).
    pub fn parse(text: &str, rule: AddressRule<'_>) -> Result<Self, IdentityError> {
        let field = Field::Upn;
        let (local, realm) = parts(field, text)?;
        every_character(field, local, is_atom)?;
        let realm = host::read(field, realm, Labels::Ascii)?;
        rule.check(field, &realm)?;
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Local part and host. 64 octets: RFC 5321 §4.5.3.1.1.
fn parts(field: Field, text: &str) -> Result<(&str, &str), IdentityError> {
    length_within(field, text, 3, EmailAddress::MAX)?;
    let form = || IdentityError::Form { field, expected: "local@host.example" };
    let (local, host) = text.split_once('@').ok_or_else(form)?;
    if local.len() > 64 || local.split('.').any(str::is_empty) {
        return Err(form());
    }
    Ok((local, host))
}

/// Dot-atom (RFC 5322 §3.2.3).
fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EmailAddress, IdentityError> {
        let test_domains = TestDomains::new(["exempel.se", "xn--exmple-cua.se"]).unwrap();
        EmailAddress::parse(
            text,
            AddressRule { environment: Environment::Test, test_domains: &test_domains },
        )
    }

    fn upn(text: &str) -> Result<UserPrincipalName, IdentityError> {
        let test_domains = TestDomains::default();
        UserPrincipalName::parse(
            text,
            AddressRule { environment: Environment::Test, test_domains: &test_domains },
        )
    }

    /// PRO-17: rfc822Name for a local part in ASCII, SmtpUTF8Mailbox for any other, A-labels in both.
    #[test]
    fn the_local_part_decides_the_form_and_the_host_is_in_a_labels() {
        for (text, form, written) in [
            ("a@exämple.se", MailForm::Rfc822, "a@xn--exmple-cua.se"),
            ("å@exämple.se", MailForm::SmtpUtf8, "å@xn--exmple-cua.se"),
            ("å.b+c@exempel.se", MailForm::SmtpUtf8, "å.b+c@exempel.se"),
            ("Åsa@exempel.se", MailForm::SmtpUtf8, "Åsa@exempel.se"),
            ("Anna.Karin+x@sub.example.org", MailForm::Rfc822, "Anna.Karin+x@sub.example.org"),
            ("αβγ@example.org", MailForm::SmtpUtf8, "αβγ@example.org"),
        ] {
            let address = read(text).unwrap();
            assert_eq!((address.form(), address.as_str()), (form, written), "{text}");
        }
    }

    #[test]
    fn refuses_addresses_that_are_no_mailboxes() {
        for address in [
            "a",
            "@a.test",
            "a@",
            "a@test",
            "a@@a.test",
            "a@A.test",
            ".a@a.test",
            "a.@a.test",
            "a..b@a.test",
            "a b@a.test",
            "\"a\"@a.test",
            "a@a.test\r\n",
            "a@[1.2.3.4]",
            "a@a_b.test",
        ] {
            assert!(read(address).is_err(), "{address:?}");
            assert!(upn(address).is_err(), "{address:?}");
        }
        for address in
            ["a\u{30a}@a.test", "\u{feff}å@a.test", "åа@a.test", "😀@a.test", "李@a.test"]
        {
            assert!(read(address).is_err(), "{address:?}");
        }
        assert!(read(&format!("{}@a.test", "a".repeat(65))).is_err());
        assert!(read(&format!("{}@a.test", "å".repeat(33))).is_err());
        assert!(read(&format!("a@{}test", "ä.".repeat(50))).is_err(), "long in A-labels");
        assert!(upn("å@a.test").is_err() && upn("a@ä.test").is_err());
        assert!(upn("TST2321000016-1002@test.example.org").is_ok());
    }
}

//! Addresses that go into subjectAltName: e-mail, user principal name, DNS names.
//!
//! ASCII only: addresses with other letters need SmtpUTF8Mailbox and IDNA tables (PRO-17), which are
//! not offered, so they are refused rather than mangled.

use std::net::Ipv4Addr;

use super::{Field, IdentityError, every_character, length_within};

/// Whether a profile allows `*` as the first label of a DNS name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wildcard {
    /// No wildcard.
    Refused,
    /// `*` as the whole first label, before at least two others.
    Allowed,
}

/// A DNS name as dNSName writes it: lower-case ASCII labels (RFC 5280 §4.2.1.6, RFC 1034 §3.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

impl DnsName {
    /// The most characters (RFC 1034 §3.1, less the root's octets).
    pub const MAX: usize = 253;

    /// Reads a DNS name of at least two labels.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: characters (upper case among them), length, labels, wildcards, names that
    /// are IPv4 addresses, and labels with `--` in third place, whose IDNA is not checked here.
    pub fn parse(text: &str, wildcard: Wildcard) -> Result<Self, IdentityError> {
        let field = Field::Dns;
        length_within(field, text, 1, Self::MAX)?;
        let host = match (text.strip_prefix("*."), wildcard) {
            (Some(host), Wildcard::Allowed) => host,
            _ => text,
        };
        every_character(field, host, is_host)?;
        check_host(field, host)?;
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address with an ASCII local part: rfc822Name (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The most characters (RFC 5321 §4.5.3.1.3, less the angle brackets).
    pub const MAX: usize = 254;

    /// Reads an address `local@host`, the host in lower case.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: characters, lengths, form.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        mailbox(Field::Email, text, Self::MAX)?;
        Ok(Self(text.to_owned()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
    /// [`IdentityError`]: characters, lengths, form.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        mailbox(Field::Upn, text, Self::MAX)?;
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_host(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')
}

/// Dot-atom (RFC 5322 §3.2.3).
const fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '!' | '#'
                | '$'
                | '%'
                | '&'
                | '\''
                | '*'
                | '+'
                | '-'
                | '/'
                | '='
                | '?'
                | '^'
                | '_'
                | '`'
                | '{'
                | '|'
                | '}'
                | '~'
                | '.'
        )
}

fn mailbox(field: Field, text: &str, most: usize) -> Result<(), IdentityError> {
    length_within(field, text, 3, most)?;
    let form = IdentityError::Form { field, expected: "local@host.example" };
    let Some((local, host)) = text.split_once('@') else { return Err(form) };
    every_character(field, local, is_atom)?;
    every_character(field, host, is_host)?;
    // 64 octets: RFC 5321 §4.5.3.1.1.
    if local.is_empty() || local.len() > 64 || local.split('.').any(str::is_empty) {
        return Err(form);
    }
    check_host(field, host)
}

fn check_host(field: Field, host: &str) -> Result<(), IdentityError> {
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.get(2..4) != Some("--")
    };
    let fits = host.split('.').all(label_fits)
        && host.contains('.')
        && host.parse::<Ipv4Addr>().is_err()
        && !host.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if fits {
        return Ok(());
    }
    Err(IdentityError::Form {
        field,
        expected: "two or more lower-case labels of 1 to 63 letters, digits and inner hyphens",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_names_and_addresses() {
        for name in ["a.se", "idp.example.org", "x-1.y2.example.org"] {
            assert!(DnsName::parse(name, Wildcard::Refused).is_ok(), "{name}");
        }
        assert!(EmailAddress::parse("Anna.Karin+x@sub.example.org").is_ok());
        assert!(UserPrincipalName::parse("TST2321000016-1002@test.example.org").is_ok());
    }

    /// PRO-17 (refusing side): nothing outside ASCII, no unchecked A-label.
    #[test]
    fn refuses_names_that_are_not_plain() {
        for name in [
            "",
            "se",
            "a..se",
            ".se",
            "a.se.",
            "-a.se",
            "a-.se",
            "A.se",
            "å.se",
            "xn--4ca.se",
            "a_b.se",
            "1.2.3.4",
            "a.1",
            "*.se",
            "*.example.org",
            "a b.se",
            "a.se\n",
            "a.se/",
        ] {
            assert!(DnsName::parse(name, Wildcard::Refused).is_err(), "{name:?}");
        }
        assert!(DnsName::parse(&format!("{}.se", "a".repeat(64)), Wildcard::Refused).is_err());
        assert!(DnsName::parse(&"a.".repeat(140), Wildcard::Refused).is_err());
    }

    #[test]
    fn a_wildcard_stands_alone_and_first_and_not_over_a_top_domain() {
        assert!(DnsName::parse("*.example.org", Wildcard::Allowed).is_ok());
        for name in ["*.se", "a.*.se", "a*.example.org", "*", "*.*.example.org"] {
            assert!(DnsName::parse(name, Wildcard::Allowed).is_err(), "{name}");
        }
    }

    #[test]
    fn refuses_addresses_that_are_not_plain() {
        for address in [
            "a",
            "@a.se",
            "a@",
            "a@se",
            "a@@a.se",
            "å@a.se",
            "a@ä.se",
            "a@A.se",
            ".a@a.se",
            "a.@a.se",
            "a..b@a.se",
            "a b@a.se",
            "\"a\"@a.se",
            "a@a.se\r\n",
            "a@[1.2.3.4]",
        ] {
            assert!(EmailAddress::parse(address).is_err(), "{address:?}");
            assert!(UserPrincipalName::parse(address).is_err(), "{address:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@a.se", "a".repeat(65))).is_err());
    }
}

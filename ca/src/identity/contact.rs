//! DNS names of functions and servers.
//!
//! A caller sends internationalised names as the certificate has them, in A-labels (PRO-17).

use super::host::{self, Labels};
use super::{Field, IdentityError, length_within};

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
    pub const MAX: usize = host::MAX;

    /// Reads a DNS name of at least two labels.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: characters (upper case among them), length, labels, wildcards, names that
    /// are IPv4 addresses, and labels with `--` in third place that are no A-labels of IDNA 2008.
    pub fn parse(text: &str, wildcard: Wildcard) -> Result<Self, IdentityError> {
        let field = Field::Dns;
        length_within(field, text, 1, Self::MAX)?;
        let host = match (text.strip_prefix("*."), wildcard) {
            (Some(host), Wildcard::Allowed) => host,
            _ => text,
        };
        host::read(field, host, Labels::Ascii)?;
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_plain_names_and_a_labels() {
        for name in ["a.se", "idp.example.org", "x-1.y2.example.org", "xn--4ca.se"] {
            assert!(DnsName::parse(name, Wildcard::Refused).is_ok(), "{name}");
        }
    }

    /// PRO-17: nothing outside ASCII, no A-label that is none.
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
            "xn--a.se",
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
}

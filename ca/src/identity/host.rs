//! Host names: in DNS names, mail addresses and user principal names.
//!
//! A certificate has hosts as A-labels and in small letters (RFC 9549 §2.2, RFC 9598 §3), and every
//! one conforms to IDNA 2008 without mappings (RFC 9598 §4): what is written in letters is one of the
//! scripts that names have, lower case and composed, and comes back the same from its A-label.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::{Field, IdentityError, Script, every_character};

/// The most characters (RFC 1034 §3.1, less the root's octets).
pub(super) const MAX: usize = 253;

/// Whether a host may be written in letters outside ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// A-labels only.
    Ascii,
    /// U-labels too, which become A-labels.
    Any,
}

/// Reads a host of at least two labels, in the form that certificates have.
pub(super) fn read(field: Field, text: &str, labels: Labels) -> Result<String, IdentityError> {
    every_character(field, text, |c| match labels {
        Labels::Ascii => is_host(c),
        Labels::Any => is_host(c) || (!c.is_ascii() && is_small_letter(c)),
    })?;
    let form = IdentityError::Form {
        field,
        expected: "two or more lower-case labels of 1 to 63 letters, digits and inner hyphens, \
                   those with other letters by IDNA 2008",
    };
    let read: Option<Vec<Cow<'_, str>>> = text.split('.').map(label).collect();
    let host = read.ok_or_else(|| form.clone())?.join(".");
    let fits = host.len() <= MAX
        && host.contains('.')
        && host.parse::<Ipv4Addr>().is_err()
        && !host.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if fits { Ok(host) } else { Err(form) }
}

const fn is_host(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')
}

fn is_small_letter(c: char) -> bool {
    Script::of(c).is_some() && c.to_lowercase().eq([c])
}

/// The label as certificates have it: an LDH label that is not reserved, or an A-label.
fn label(text: &str) -> Option<Cow<'_, str>> {
    let ldh = |label: &str| {
        (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !text.is_ascii() {
        let ascii = to_ascii(text)?;
        return Some(Cow::Owned(ascii));
    }
    match (ldh(text), text.get(2..4)) {
        (true, Some("--")) => {
            let (letters, readable) = idna::domain_to_unicode(text);
            let again = readable.ok().and_then(|()| to_ascii(&letters))?;
            (again == text && !letters.is_ascii()).then_some(Cow::Borrowed(text))
        }
        (true, _) => Some(Cow::Borrowed(text)),
        (false, _) => None,
    }
}

/// The A-label of a U-label, if it is one of a single script and needs no mapping.
fn to_ascii(letters: &str) -> Option<String> {
    let known = |c: char| c.is_ascii() && is_host(c) || is_small_letter(c);
    let mixed = Script::one_of(Field::Dns, letters).is_err();
    if letters.contains('.') || mixed || !letters.chars().all(known) {
        return None;
    }
    let ascii = idna::domain_to_ascii_strict(letters).ok()?;
    let (again, readable) = idna::domain_to_unicode(&ascii);
    (readable.is_ok() && again == letters).then_some(ascii)
}

/// The host as people read it, in U-labels (RFC 9549 §2.3); `None` where it has no A-label, or one that is none.
pub(crate) fn in_letters(host: &str) -> Option<String> {
    let (letters, readable) = idna::domain_to_unicode(host);
    readable.ok()?;
    (!letters.is_ascii()).then_some(letters)
}

/// Domains whose mail addresses and user principal names are nobody's: those that are reserved for
/// tests and examples, and those that an operator names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestDomains(Vec<String>);

impl TestDomains {
    /// RFC 2606 §2, §3; RFC 6761 §6.2 to §6.5.
    const RESERVED: [&str; 7] =
        ["example", "example.com", "example.net", "example.org", "invalid", "localhost", "test"];

    /// The reserved ones, and `own` beside them: each as a host in A-labels and small letters.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]: one that is no host of two labels or more.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a str>) -> Result<Self, IdentityError> {
        own.into_iter()
            .map(|domain| read(Field::Dns, domain, Labels::Ascii))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `host` is one of them or lies below one.
    pub(super) fn contain(&self, host: &str) -> bool {
        let under = |domain: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        Self::is_reserved(host) || self.0.iter().any(|domain| under(domain))
    }

    /// Whether `host` is reserved: no real address has it.
    pub(super) fn is_reserved(host: &str) -> bool {
        Self::RESERVED.into_iter().any(|domain| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(text: &str) -> Result<String, IdentityError> {
        read(Field::Email, text, Labels::Any)
    }

    /// PRO-17: U-labels become A-labels; A-labels are read back first. Expected by Python's `idna`.
    #[test]
    fn hosts_stand_in_certificates_as_a_labels() {
        for (letters, ascii) in [
            ("exämple.se", "xn--exmple-cua.se"),
            ("åäö.se", "xn--4cab6c.se"),
            ("faß.de", "xn--fa-hia.de"),
            ("παράδειγμα.gr", "xn--hxajbheg2az3al.gr"),
            ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
            ("sub.läkare.example", "sub.xn--lkare-gra.example"),
            ("a.se", "a.se"),
        ] {
            assert_eq!(any(letters).as_deref(), Ok(ascii), "{letters}");
            assert_eq!(any(ascii).as_deref(), Ok(ascii), "{ascii}");
            assert_eq!(read(Field::Dns, ascii, Labels::Ascii).as_deref(), Ok(ascii), "{ascii}");
            if letters != ascii {
                assert!(read(Field::Dns, letters, Labels::Ascii).is_err(), "{letters}");
            }
        }
    }

    /// PRO-17: no mapping, no symbol, no two scripts, no A-label that is none.
    #[test]
    fn refuses_hosts_that_idna_2008_does_not_have() {
        for host in [
            "Exämple.se",
            "exÄmple.se",
            "exa\u{308}mple.se",
            "ex☃mple.se",
            "ex😀.se",
            "пpимер.рф",
            "ä-.se",
            "-ä.se",
            "ab--ä.se",
            "l·l.se",
            "ſa.se",
            "ĳ.se",
            "a\u{200d}b.se",
            "xn--a.se",
            "xn--.se",
            "xn--zzzzzzzzzzz.se",
            "xn--exmple-cu.se",
            "xn--Exmple-cua.se",
            "xn--n3h.se", // U+2603
            "ab--c.se",
            "ä.1",
            "ä",
            "ä..se",
        ] {
            assert!(any(host).is_err(), "{host:?}: {:?}", any(host));
        }
        assert!(any(&format!("{}.se", "ä".repeat(63))).is_err());
        assert!(any(&format!("{}.se", "ä.".repeat(60))).is_err());
    }

    #[test]
    fn reserved_names_and_configured_domains_are_for_tests() {
        let own = TestDomains::new(["testmail.region.se"]).unwrap();

        for host in ["example.org", "a.example.net", "x.test", "a.b.invalid", "c.example"] {
            assert!(TestDomains::default().contain(host), "{host}");
        }
        for host in ["region.se", "example.se", "anexample.org", "test.se", "example.org.se"] {
            assert!(!TestDomains::default().contain(host) && !own.contain(host), "{host}");
        }
        assert!(own.contain("testmail.region.se") && own.contain("a.testmail.region.se"));
        assert!(!own.contain("atestmail.region.se"));
        for domain in ["se", "Region.se", "region..se", ""] {
            assert!(TestDomains::new([domain]).is_err(), "{domain}");
        }
    }
}

//! Entries of the usual form, known at a glance: a list may have millions of them.
//!
//! What is recognised here breaks no rule; whatever is not, sound or unsound, goes the long way through the tree,
//! which says what is wrong with it. The tests hold the two against each other octet by octet.

/// What the rules for the list as a whole need of a sound entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usual<'a> {
    /// Content octets of userCertificate.
    pub(super) serial: &'a [u8],
    /// Whether it has a reason, and so extensions.
    pub(super) has_reason: bool,
    /// Octets of the whole entry.
    pub(super) length: usize,
}

/// `Extensions { Extension { 2.5.29.21, OCTET STRING { ENUMERATED } } }` without the code at its end.
const REASON: &[u8] =
    &[0x30, 0x0c, 0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01];

/// The entry at the front of `octets`, if it is a positive minimal serial, a UTCTime and at most a stated reason.
pub(super) fn read(octets: &[u8]) -> Option<Usual<'_>> {
    let [0x30, length @ 0..=0x7f, rest @ ..] = octets else { return None };
    let content = rest.get(..usize::from(*length))?;
    let [0x02, length @ 1..=20, rest @ ..] = content else { return None };
    let (serial, rest) = rest.split_at_checked(usize::from(*length))?;
    let [0x01..=0x7f, ..] = serial else { return None };
    let [0x17, 0x0d, rest @ ..] = rest else { return None };
    let (date, extensions) = rest.split_at_checked(13)?;
    let has_reason = match extensions.strip_prefix(REASON) {
        Some([1..=6 | 9]) => true,
        None if extensions.is_empty() => false,
        _ => return None,
    };
    is_time(date).then_some(Usual { serial, has_reason, length: content.len().checked_add(2)? })
}

/// `YYMMDDHHMMSSZ` on a day that every year has.
fn is_time(date: &[u8]) -> bool {
    let Some(digits) = date.strip_suffix(b"Z") else { return false };
    let pair = |at: usize| match digits.get(at..at.saturating_add(2)) {
        Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => (tens & 0x0f) * 10 + (ones & 0x0f),
        _ => u8::MAX,
    };
    let days = match pair(2) {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28,
        _ => return false,
    };
    pair(0) < 100 && (1..=days).contains(&pair(4)) && pair(6) < 24 && pair(8) < 60 && pair(10) < 60
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entries;
    use super::*;
    use crate::finding::Report;

    const PLAIN: &[u8] = b"\x30\x13\x02\x02\x41\x01\x17\x0d261123015900Z";
    const WITH_REASON: &[u8] = b"\x30\x21\x02\x02\x41\x01\x17\x0d261130235959Z\
        \x30\x0c\x30\x0a\x06\x03\x55\x1d\x15\x04\x03\x0a\x01\x04";

    #[test]
    fn knows_the_usual_entries() {
        for (entry, has_reason) in [(PLAIN, false), (WITH_REASON, true)] {
            let seen = read(&[entry, b"next"].concat()).map(|it| (it.has_reason, it.length));
            assert_eq!(seen, Some((has_reason, entry.len())));
            assert_eq!(read(&entry[..entry.len() - 1]), None, "cut short");
        }
    }

    /// No octet of a usual entry can be changed so that the glance lets pass what the tree finds fault with.
    #[test]
    fn what_passes_at_a_glance_passes_the_long_way() {
        let (mut passed, mut refused) = (0, 0);
        for entry in [PLAIN, WITH_REASON] {
            for place in 0..entry.len() {
                for octet in 0..=u8::MAX {
                    let mut changed = entry.to_vec();
                    changed[place] = octet;
                    let Some(usual) = read(&changed) else {
                        refused += 1;
                        continue;
                    };
                    passed += 1;
                    let whole = &changed[..usual.length];
                    let mut report = Report::new("crl");
                    Entries::judge_alone(whole, &mut report);
                    let findings = report.into_findings();
                    assert!(findings.is_empty(), "{place} {octet:02x}: {findings}");
                }
            }
        }
        assert!(passed > 100 && refused > 1000, "{passed} passed, {refused} refused");
    }
}

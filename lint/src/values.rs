//! Rules for single values of the universal types, whatever structure they stand in.

use x509::der::DateTime;
use x509::time::UnixTime;

use crate::finding::Report;
use crate::rules::{
    BIT_STRING_PADDING, BOOLEAN, CALENDAR, GENERALIZED_TIME, IA5_STRING, MINIMAL_INTEGER,
    NAMED_BITS, NULL_EMPTY, OID_FORM, PRINTABLE_STRING, SET_ORDER, UTC_TIME, UTF8_STRING,
};
use crate::tree::{Node, tag};

/// Judges a value and all its parts.
pub(crate) fn judge(node: &Node<'_>, report: &mut Report) {
    judge_except(node, None, report);
}

/// Judges a value and all its parts but one: the name of an issuer, which is copied byte for byte
/// whatever its strings are (PRO-15).
pub(crate) fn judge_except(node: &Node<'_>, copied: Option<&Node<'_>>, report: &mut Report) {
    if copied.is_some_and(|copied| copied.offset == node.offset) {
        return;
    }
    match node.tag {
        tag::BOOLEAN => boolean(node, report),
        tag::INTEGER | tag::ENUMERATED => minimal_integer(node, report),
        tag::BIT_STRING => bit_string_padding(node, report),
        tag::NULL => null_empty(node, report),
        tag::OID => oid_form(node, report),
        tag::UTF8_STRING => utf8_string(node, report),
        tag::PRINTABLE_STRING => printable_string(node, report),
        tag::IA5_STRING => ia5_string(node, report),
        tag::UTC_TIME => utc_time(node, report),
        tag::GENERALIZED_TIME => generalized_time(node, report),
        tag::SET => set_order(node, report),
        _ => {}
    }
    for part in &node.parts {
        judge_except(part, copied, report);
    }
}

/// X.690 §11.1: one octet, 00 or FF.
pub(crate) fn boolean(node: &Node<'_>, report: &mut Report) {
    if !matches!(node.content, [0x00 | 0xff]) {
        report.add(&BOOLEAN, node.offset, format!("BOOLEAN {}", hex(node.content)));
    }
}

/// X.690 §8.3.2: at least one octet, and the first nine bits not all equal.
pub(crate) fn minimal_integer(node: &Node<'_>, report: &mut Report) {
    let minimal = match node.content {
        [] => false,
        [0x00, second, ..] => *second >= 0x80,
        [0xff, second, ..] => *second < 0x80,
        [_, ..] => true,
    };
    if !minimal {
        report.add(&MINIMAL_INTEGER, node.offset, format!("INTEGER {}", hex(node.content)));
    }
}

/// X.690 §11.2.1, §8.6.2: 0 to 7 unused bits, all zero; none in an empty string.
pub(crate) fn bit_string_padding(node: &Node<'_>, report: &mut Report) {
    let padded = match node.content {
        [] => false,
        [unused] => *unused == 0,
        [unused, .., last] => *unused <= 7 && last.trailing_zeros() >= u32::from(*unused),
    };
    if !padded {
        report.add(&BIT_STRING_PADDING, node.offset, format!("BIT STRING {}", hex(node.content)));
    }
}

/// X.690 §11.2.2: a BIT STRING with named bits ends in a one, or is empty. The caller knows that
/// its bits have names.
pub(crate) fn named_bits(node: &Node<'_>, report: &mut Report) {
    let (unused, last) = match node.content {
        [unused, .., last] => (*unused, *last),
        _ => return,
    };
    if last.trailing_zeros() > u32::from(unused) {
        report.add(&NAMED_BITS, node.offset, format!("named bits {}", hex(node.content)));
    }
}

/// X.690 §8.8.2.
pub(crate) fn null_empty(node: &Node<'_>, report: &mut Report) {
    if !node.content.is_empty() {
        report.add(&NULL_EMPTY, node.offset, format!("NULL {}", hex(node.content)));
    }
}

/// X.690 §8.19.2: arcs in the fewest octets, the last octet ends an arc.
fn oid_form(node: &Node<'_>, report: &mut Report) {
    let starts = std::iter::once(&0).chain(node.content).zip(node.content);
    let padded = starts.into_iter().any(|(before, octet)| before & 0x80 == 0 && *octet == 0x80);
    if padded || node.content.last().is_none_or(|last| last & 0x80 != 0) {
        report.add(&OID_FORM, node.offset, format!("OBJECT IDENTIFIER {}", hex(node.content)));
    }
}

/// RFC 5280 §4.1.2.4 with RFC 3629: well-formed UTF-8, and no control characters, which no name
/// has and every log mangles.
fn utf8_string(node: &Node<'_>, report: &mut Report) {
    match std::str::from_utf8(node.content) {
        Err(_) => report.add(&UTF8_STRING, node.offset, "not UTF-8"),
        Ok(text) => {
            if let Some(control) = text.chars().find(|c| c.is_control()) {
                let seen = format!("control character U+{:04X}", u32::from(control));
                report.add(&UTF8_STRING, node.offset, seen);
            }
        }
    }
}

/// X.680 §41.4: letters, digits, space and `'()+,-./:=?`. Not `@`, `_`, `*` or `&`.
fn printable_string(node: &Node<'_>, report: &mut Report) {
    if let Some(illegal) = node.content.iter().find(|octet| !is_printable(octet)) {
        let seen = format!("octet {illegal:02x} in a PrintableString");
        report.add(&PRINTABLE_STRING, node.offset, seen);
    }
}

/// X.680 §41.4.
pub(crate) fn is_printable(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(octet)
}

/// X.680 §41, ISO 646: seven bits; no control characters. Also judges the implicit IA5Strings of
/// general names (RFC 5280 §4.2.1.6).
pub(crate) fn ia5_string(node: &Node<'_>, report: &mut Report) {
    if let Some(illegal) = node.content.iter().find(|octet| !(0x20..0x7f).contains(*octet)) {
        report.add(&IA5_STRING, node.offset, format!("octet {illegal:02x} in an IA5String"));
    }
}

/// RFC 5280 §4.1.2.5.1: `YYMMDDHHMMSSZ`.
fn utc_time(node: &Node<'_>, report: &mut Report) {
    if !is_time_of(node.content, 12) {
        report.add(&UTC_TIME, node.offset, format!("UTCTime {}", text(node.content)));
    } else {
        calendar(node, report);
    }
}

/// RFC 5280 §4.1.2.5.2, RFC 6960 §4.2.2.1: `YYYYMMDDHHMMSSZ`, no fraction.
pub(crate) fn generalized_time(node: &Node<'_>, report: &mut Report) {
    if !is_time_of(node.content, 14) {
        report.add(
            &GENERALIZED_TIME,
            node.offset,
            format!("GeneralizedTime {}", text(node.content)),
        );
    } else {
        calendar(node, report);
    }
}

fn is_time_of(content: &[u8], digits: usize) -> bool {
    content.split_last().is_some_and(|(last, rest)| {
        *last == b'Z' && rest.len() == digits && rest.iter().all(u8::is_ascii_digit)
    })
}

/// ISO 8601: a day and a time of day that exist; seconds 00 to 59 (RFC 5280 knows no leap second).
fn calendar(node: &Node<'_>, report: &mut Report) {
    if Moment::of(node).is_none() {
        report.add(&CALENDAR, node.offset, format!("time {}", text(node.content)));
    }
}

/// X.690 §11.6: the parts of a SET OF ascend.
fn set_order(node: &Node<'_>, report: &mut Report) {
    if !node.parts.is_sorted_by(|one, next| one.octets <= next.octets) {
        report.add(&SET_ORDER, node.offset, "parts of a SET OF do not ascend");
    }
}

/// A UTCTime or GeneralizedTime as calendar fields, in the order in which they compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Moment {
    /// The time of a UTCTime or GeneralizedTime whose form is legal.
    pub(crate) fn of(node: &Node<'_>) -> Option<Self> {
        let digits = node.content.strip_suffix(b"Z")?;
        let (century, rest) = match (node.tag, digits.len()) {
            (tag::UTC_TIME, 12) => (None, digits),
            (_, 14) => digits.split_at_checked(2).map(|(century, rest)| (Some(century), rest))?,
            _ => return None,
        };
        let pairs: Vec<u8> = rest.chunks(2).map(two_digits).collect::<Option<_>>()?;
        let [in_century, month, day, hour, minute, second] = *pairs.as_slice() else { return None };
        let century = match century {
            Some(century) => two_digits(century)?,
            // RFC 5280 §4.1.2.5.1: 50 to 99 are 1950 to 1999.
            None if in_century >= 50 => 19,
            None => 20,
        };
        let year = u16::from(century) * 100 + u16::from(in_century);
        let exists = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        exists.then_some(Self { year, month, day, hour, minute, second })
    }

    /// In Unix time; `None` before 1970.
    pub(crate) fn unix(self) -> Option<UnixTime> {
        let Self { year, month, day, hour, minute, second } = self;
        DateTime::new(year, month, day, hour, minute, second).ok().map(UnixTime::from)
    }

    /// The same day and time `years` later, whether or not that day exists.
    pub(crate) const fn years_later(self, years: u16) -> Self {
        Self { year: self.year + years, ..self }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

fn two_digits(pair: &[u8]) -> Option<u8> {
    match pair {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => Some((tens - b'0') * 10 + (ones - b'0')),
        _ => None,
    }
}

const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// At most 20 octets in hexadecimal, for messages.
pub(crate) fn hex(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for octet in octets.iter().take(20) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    if octets.len() > 20 {
        text.push('…');
    }
    text
}

/// At most 40 octets as ASCII, others escaped, for messages.
pub(crate) fn text(octets: &[u8]) -> String {
    octets
        .iter()
        .take(40)
        .flat_map(|octet| std::ascii::escape_default(*octet))
        .map(char::from)
        .collect()
}

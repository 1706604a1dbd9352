//! The entries of a CRL, judged one by one in constant memory.

use std::io::{self, Read};

use crate::certificate::{read_fact, time_choice};
use crate::finding::Report;
use crate::oid;
use crate::rules::{EMPTY_LIST_ABSENT, KNOWN_CRITICAL, NOT_CRITICAL, REASON, SERIAL_ORDER};
use crate::structure::{Extensions, is_time};
use crate::tree::{self, Misshapen, Node, tag};
use crate::values::hex;

use super::source::{Begun, Source};
use super::usual;

/// Octets of one entry. Ours have at most 60, imported serials included.
const LONGEST_ENTRY: u64 = 1 << 16;

/// What the fields after the list have to know about it.
#[derive(Debug, Default)]
pub(super) struct Entries {
    count: u64,
    last_serial: Vec<u8>,
    /// Offset of the first entry with reason removeFromCRL.
    pub(super) removed_at: Option<u64>,
    /// Whether an entry has extensions, which version 1 knows not.
    pub(super) has_extensions: bool,
}

impl Entries {
    /// Reads and judges the list; `None` after a finding that stops reading.
    pub(super) fn read<R: Read>(
        source: &mut Source<R>,
        list: &Begun,
        report: &mut Report,
    ) -> io::Result<Option<Self>> {
        let mut entries = Self::default();
        let mut octets = Vec::new();
        let mut left = list.header.length;
        if left == 0 {
            report.add(&EMPTY_LIST_ABSENT, list.offset, "an empty list of entries");
        }
        let outer = report.enter("crl entry 1");
        while left > 0 {
            if let Some(length) = entries.pass_usual(source.ahead(), left) {
                source.pass(length);
                left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                continue;
            }
            let Some(begun) = source.begin(left, report)? else { return Ok(None) };
            left = left.saturating_sub(begun.length());
            if !source.finish_into(&begun, LONGEST_ENTRY, &mut octets, report)? {
                return Ok(None);
            }
            entries.count += 1;
            report.enter(format!("crl entry {}", entries.count));
            if let Some(entry) = tree::read(&octets, begun.offset, report)
                && let Err(misshapen) = entries.judge(&entry, report)
            {
                misshapen.report(report);
            }
            if !report.is_readable() {
                return Ok(None);
            }
        }
        report.enter(outer);
        Ok(Some(entries))
    }

    /// Notes a sound entry at the front of `ahead`, and returns its length. `None` where there is none: the next one is
    /// judged at length.
    fn pass_usual(&mut self, ahead: &[u8], left: u64) -> Option<usize> {
        let usual = usual::read(ahead)?;
        let fits = u64::try_from(usual.length).is_ok_and(|length| length <= left);
        if !fits || (self.count > 0 && !self.is_above_last(usual.serial)) {
            return None;
        }
        self.count += 1;
        self.has_extensions |= usual.has_reason;
        self.last_serial.clear();
        self.last_serial.extend_from_slice(usual.serial);
        Some(usual.length)
    }

    #[cfg(test)]
    pub(super) fn judge_alone(octets: &[u8], report: &mut Report) {
        if let Some(entry) = tree::read(octets, 0, report)
            && let Err(misshapen) = Self::default().judge(&entry, report)
        {
            misshapen.report(report);
        }
    }

    /// RFC 5280 §5.1.2.6.
    fn judge(&mut self, entry: &Node<'_>, report: &mut Report) -> Result<(), Misshapen> {
        let mut fields = entry.expect(tag::SEQUENCE, "an entry")?.fields();
        let serial = fields.required(tag::INTEGER, "a userCertificate")?;
        let date = fields.any("a revocationDate")?;
        let extensions = fields.optional(tag::SEQUENCE);
        fields.end("the end of an entry")?;
        if !is_time(date) {
            return Err(Misshapen::at(date.offset, "a revocationDate"));
        }
        time_choice(date, report);
        self.serial_order(serial, report);
        if let Some(extensions) = extensions {
            self.has_extensions = true;
            let extensions = Extensions::read(extensions, report)?;
            self.judge_extensions(&extensions, report);
        }
        Ok(())
    }

    /// Every serial once, ascending by length and then octet by octet, so that two CRLs can be
    /// compared in one pass.
    fn serial_order(&mut self, serial: &Node<'_>, report: &mut Report) {
        if self.count > 1 && !self.is_above_last(serial.content) {
            let seen = format!("{} after {}", hex(serial.content), hex(&self.last_serial));
            report.add(&SERIAL_ORDER, serial.offset, seen);
        }
        self.last_serial.clear();
        self.last_serial.extend_from_slice(serial.content);
    }

    fn is_above_last(&self, serial: &[u8]) -> bool {
        (serial.len(), serial) > (self.last_serial.len(), self.last_serial.as_slice())
    }

    fn judge_extensions(&mut self, extensions: &Extensions<'_, '_>, report: &mut Report) {
        if let Some((code, offset)) = reason(extensions, report) {
            if code == [REMOVE_FROM_CRL] {
                self.removed_at.get_or_insert(offset);
            } else {
                reason_is_stated(code, offset, report);
            }
        }
        read_fact(extensions, oid::ID_CE_INVALIDITY_DATE, invalidity_date, report);
        criticality(extensions, report);
    }
}

/// RFC 5280 §5.3.1: only delta CRLs know this reason.
const REMOVE_FROM_CRL: u8 = 8;

fn reason<'a>(extensions: &Extensions<'_, 'a>, report: &mut Report) -> Option<(&'a [u8], u64)> {
    read_fact(
        extensions,
        oid::ID_CE_CRL_REASONS,
        |value, _| Ok((value.expect(tag::ENUMERATED, "a CRLReason")?.content, value.offset)),
        report,
    )
}

/// RFC 5280 §5.3.1: a reason that exists and says something: unspecified (0) is left out, 7 is not
/// used, removeFromCRL (8) stands in delta CRLs alone, aACompromise (10) is for attribute
/// certificates.
pub(crate) fn reason_is_stated(code: &[u8], offset: u64, report: &mut Report) {
    if !matches!(code, [1..=6 | 9]) {
        report.add(&REASON, offset, format!("CRLReason {}", hex(code)));
    }
}

/// RFC 5280 §5.3.2: GeneralizedTime.
fn invalidity_date(value: &Node<'_>, _: &mut Report) -> Result<(), Misshapen> {
    value.expect(tag::GENERALIZED_TIME, "an invalidityDate").map(|_| ())
}

/// RFC 5280 §5.3.1, §5.3.2: reason and invalidityDate are not critical; §5.3.3: certificateIssuer,
/// which is critical, belongs to indirect CRLs, which we do not make.
fn criticality(extensions: &Extensions<'_, '_>, report: &mut Report) {
    for extension in extensions.iter().filter(|extension| extension.critical) {
        let known = [oid::ID_CE_CRL_REASONS, oid::ID_CE_INVALIDITY_DATE];
        let rule =
            if known.iter().any(|id| extension.is(*id)) { &NOT_CRITICAL } else { &KNOWN_CRITICAL };
        report.add(rule, extension.id.offset, format!("{} is critical", extension.name()));
    }
}

//! Two lists side by side: most entries are on both, as they were.

use std::io::Read;

use super::CrlReader;
use crate::serial::SerialNumber;
use crate::{stream, tlv};

impl<R: Read> CrlReader<R> {
    /// Goes by the next entry of both lists, where it is the same octet by octet; its serial number. What the entry says is not
    /// looked at. `None` where they differ, or one of them does not lie whole in its buffer: read both then.
    pub fn pass_same<S: Read>(&mut self, other: &mut CrlReader<S>) -> Option<SerialNumber> {
        let [tlv::SEQUENCE, length @ 0..=0x7f, ..] = self.source.ahead() else { return None };
        let octets = usize::from(*length).checked_add(2)?;
        let entry = self.source.ahead().get(..octets)?;
        let fits = |position: u64, end: u64| position.saturating_add(stream::octets(entry)) <= end;
        if !other.source.ahead().starts_with(entry)
            || !fits(self.source.position, self.entries_end)
            || !fits(other.source.position, other.entries_end)
        {
            return None;
        }
        let [_, _, tlv::INTEGER, length @ 0..=0x7f, rest @ ..] = entry else { return None };
        let serial = rest.get(..usize::from(*length))?;
        let serial = SerialNumber::from_content_octets(serial).ok()?;
        self.source.pass(octets);
        other.source.pass(octets);
        self.entries = self.entries.saturating_add(1);
        other.entries = other.entries.saturating_add(1);
        Some(serial)
    }
}

//! Rows of lists: read in the millions, so in one column each (migration 24).

use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateState, CertificateStatus, HeldFrom,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::columns::to_reason;
use super::connection::{Row, Rows};
use crate::StoreError;
use crate::crl::RevokedRow;

/// Rows of the column `entry` as they are asked for.
pub(super) struct Listed<'a> {
    pub(super) rows: Rows<'a>,
    /// Certificates that have ended before are passed over.
    pub(super) not_expired_before: UnixTime,
}

impl Iterator for Listed<'_> {
    type Item = Result<RevokedRow, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let read = match self.rows.next() {
                Ok(row) => read(row?),
                Err(error) => Err(error.into()),
            };
            if !matches!(&read, Ok(row) if row.status.not_after < self.not_expired_before) {
                return Some(read);
            }
        }
    }
}

fn read(row: Row<'_>) -> Result<RevokedRow, StoreError> {
    let entry = row.get_ref(0)?.as_bytes().ok().and_then(Entry::read).ok_or_else(damaged)?;
    let time = |secs| UnixTime::from_secs(secs).map_err(|_| damaged());
    let reason = u8::try_from(entry.facts >> 2 & 15).map_err(|_| damaged())?;
    let state = usize::try_from(entry.facts >> 6 & 7).ok().and_then(|state| STATES.get(state));
    Ok(RevokedRow {
        serial: entry.serial,
        status: CertificateStatus {
            state: *state.ok_or_else(damaged)?,
            reason: to_reason((reason != NO_REASON).then_some(reason))?,
            effective_time: time(entry.facts >> 9)?,
            invalidity_date: entry.invalidity.map(time).transpose()?,
            not_after: time(entry.not_after)?,
            classes: AnswerClasses {
                before_activation: match entry.facts & 2 {
                    0 => BeforeActivation::Good,
                    _ => BeforeActivation::Held,
                },
                after_expiry: match entry.facts & 1 {
                    0 => AfterExpiry::Kept,
                    _ => AfterExpiry::Unknown,
                },
            },
        },
    })
}

const fn damaged() -> StoreError {
    StoreError::Stored { what: "list" }
}

/// States by the number that stands for them.
const STATES: [CertificateState; 6] = [
    CertificateState::Issued,
    CertificateState::Activated,
    CertificateState::Held(HeldFrom::Issued),
    CertificateState::Held(HeldFrom::Activated),
    CertificateState::Revoked,
    CertificateState::Voided,
];

/// Stands for no reason.
const NO_REASON: u8 = 15;

/// Parts of the column, whose expression stands in the migrations.
struct Entry {
    serial: SerialNumber,
    /// Effective time, three bits of state, four of reason, and one for each answer class.
    facts: u64,
    not_after: u64,
    invalidity: Option<u64>,
}

impl Entry {
    /// Octets of the longest: a serial with its length, six of facts, and five for each date.
    const MAX_OCTETS: usize = 1 + SerialNumber::MAX_OCTETS + 6 + 5 + 5;

    fn read(text: &[u8]) -> Option<Self> {
        // Eight digits at a time, so a few more than there can be.
        let mut octets = [0; Self::MAX_OCTETS + 3];
        let octets = octets_of(text, &mut octets)?;
        let (length, rest) = octets.split_first()?;
        let (serial, rest) = rest.split_at_checked(usize::from(*length))?;
        let (facts, rest) = rest.split_first_chunk::<6>()?;
        let (not_after, rest) = rest.split_first_chunk::<5>()?;
        Some(Self {
            serial: SerialNumber::from_content_octets(serial).ok()?,
            facts: number(facts),
            not_after: number(not_after),
            invalidity: match rest {
                [] => None,
                rest => Some(number(rest.first_chunk::<5>().filter(|_| rest.len() == 5)?)),
            },
        })
    }
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

/// What hexadecimal digits say; `None` unless they are an even count of lower-case ones that have room.
fn octets_of<'a>(text: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let (eights, rest) = text.as_chunks::<8>();
    let mut last = [b'0'; 8];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    let mut octets = room.chunks_exact_mut(4);
    for eight in eights.iter().chain((!rest.is_empty()).then_some(&last)) {
        octets.next()?.copy_from_slice(&four_of(*eight)?);
    }
    room.get(..text.len() / 2)
}

/// Four octets of eight digits, all at once: a branch for each digit would be taken wrongly every third time.
fn four_of(digits: [u8; 8]) -> Option<[u8; 4]> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_le_bytes(digits);
    // Letters have bit 6, and low bits from 1 on.
    let values = (text & (0x0f * ONES)).wrapping_add((text >> 6 & ONES) * 9);
    let letters = values.wrapping_add(6 * ONES) >> 4 & ONES;
    let again = values.wrapping_add(u64::from(b'0') * ONES).wrapping_add(letters * 39);
    if again != text || values & (0xf0 * ONES) != 0 {
        return None;
    }
    let pairs = (values << 4 | values >> 8) & 0x00ff_00ff_00ff_00ff;
    let [first, _, second, _, third, _, fourth, _] = pairs.to_le_bytes();
    Some([first, second, third, fourth])
}

#[cfg(test)]
mod tests {
    use rusqlite::params;
    use status::RevocationReason;

    use super::super::columns::{
        STATUS_COLUMNS, from_after, from_before, from_serial, from_state, status,
    };
    use super::super::connection::Connection;
    use super::*;

    const COLUMNS: &str = "issuer INTEGER, serial BLOB, state TEXT, reason INTEGER, effective INTEGER, \
        invalidity INTEGER, not_after INTEGER, before_activation TEXT, after_expiry TEXT, \
        requested_at INTEGER, epoch INTEGER, idx INTEGER, listed INTEGER";

    /// REV-08: what a list reads of a certificate is what everybody else reads of it, whatever its serial, state, reason, classes and
    /// times; and it comes in the order of serials.
    #[test]
    fn a_list_reads_what_the_columns_say() {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        let migration = include_str!("../../migrations/0024_entries_in_one_column.sql");
        let before = format!(
            "CREATE TABLE serial ({COLUMNS}) STRICT; CREATE INDEX serial_listed ON serial (issuer);"
        );
        sqlite.execute_batch(&(before + migration)).unwrap();
        let reasons = (0..=10).filter_map(RevocationReason::from_code).map(|one| Some(one.code()));
        let reasons: Vec<_> = reasons.chain([None]).collect();
        let kinds: Vec<_> = STATES
            .into_iter()
            .flat_map(|state| reasons.iter().map(move |reason| (state, *reason)))
            .collect();
        let mut serials = Vec::new();
        for (state, reason) in kinds {
            for (before, after, effective, invalidity) in [
                (BeforeActivation::Good, AfterExpiry::Kept, 0, None),
                (BeforeActivation::Good, AfterExpiry::Unknown, 1_790_000_000, Some(1_700_000_000)),
                (BeforeActivation::Held, AfterExpiry::Kept, UnixTime::LAST.secs(), Some(0)),
            ] {
                // Of every length, with every kind of octet in it.
                let number = u8::try_from(serials.len()).unwrap();
                let octets = [number.wrapping_mul(83), number, 0, 0xff, number ^ 0x5a].repeat(4);
                let serial = &octets[..1 + usize::from(number) % 20];
                let serial = SerialNumber::from_content_octets(serial).unwrap();
                serials.push(serial);
                sqlite
                    .execute(
                        "INSERT INTO serial VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, NULL, NULL, 1)",
                        params![
                            from_serial(&serial),
                            from_state(state),
                            reason,
                            effective.cast_signed(),
                            invalidity,
                            UnixTime::LAST.secs().cast_signed(),
                            from_before(before),
                            from_after(after),
                        ],
                    )
                    .unwrap();
            }
        }
        let connection = Connection::Sqlite(sqlite);
        let sql = format!("SELECT entry, serial, {STATUS_COLUMNS} FROM serial ORDER BY entry");
        let mut statement = connection.prepare_cached(&sql).unwrap();
        let (mut rows, mut seen) = (statement.query([]).unwrap(), Vec::new());
        while let Some(row) = rows.next().unwrap() {
            let listed = read(row).unwrap();
            assert_eq!(Some(listed.status), status(row).unwrap());
            seen.push(listed.serial);
        }
        serials.sort();
        assert_eq!(seen, serials);
    }

    #[test]
    fn a_damaged_entry_is_refused() {
        let entry = b"02410100d5627705030070a71c80";
        assert!(Entry::read(entry).is_some());
        let refused = |text: &[u8]| Entry::read(text).is_none();
        assert!(refused(&entry[..entry.len() - 1]) && refused(&[entry, &b"0"[..]].concat()));
        assert!(refused(b"15410100d5627705030070a71c80") && refused(b""));
        for place in 0..entry.len() {
            for octet in [b'g', b'A', b'/', b':', b'`', 0, 0xff] {
                let mut changed = *entry;
                changed[place] = octet;
                assert!(refused(&changed), "{place} {octet:02x}");
            }
        }
    }
}

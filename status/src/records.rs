//! The certificates of the index, packed: 40 octets each and 5 to 11 for finding them.
//!
//! Records stand in pages in the order of their issuing; a hash table with open addressing maps
//! (issuer, serial) to the record's number. Nothing is ever removed, so the table needs no
//! tombstones, and pages make growth free of copying.

use std::hash::{BuildHasher as _, RandomState};

use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::reason::RevocationReason;
use crate::shown::{AfterExpiry, AnswerClasses, BeforeActivation, CertificateStatus};
use crate::state::{CertificateState, HeldFrom};

const PAGE: usize = 4096;

/// The most certificates: one less than the numbers that a slot of the table can hold.
const MAX_RECORDS: usize = 0xffff_fffe;

/// Certificates by issuer and serial number.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pages: Vec<Vec<Record>>,
    count: usize,
    /// Record number + 1, or 0 for a free slot. The length is 0 or a power of two.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl Records {
    /// Returns the number of certificates.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Returns the octets that are allocated.
    pub(crate) fn octets(&self) -> usize {
        let pages = self.pages.len() * PAGE * size_of::<Record>();
        pages
            + self.pages.capacity() * size_of::<Vec<Record>>()
            + self.slots.capacity() * size_of::<u32>()
    }

    /// Returns the status of a certificate.
    pub(crate) fn find(&self, key: &Key) -> Option<CertificateStatus> {
        self.record(self.number_of(key)?).map(Record::status)
    }

    /// Returns every certificate of an issuer, in the order of their issuing.
    pub(crate) fn of_issuer(
        &self,
        issuer: u16,
    ) -> impl Iterator<Item = (SerialNumber, CertificateStatus)> {
        let records = self.pages.iter().flatten().filter(move |r| r.key.issuer() == issuer);
        records.filter_map(|record| Some((record.key.serial()?, record.status())))
    }

    /// Sets the status of a certificate, which is added if it is not there.
    ///
    /// Returns `None`, having changed nothing, if no further certificate fits.
    pub(crate) fn set(&mut self, key: Key, status: &CertificateStatus) -> Option<()> {
        let record = Record::new(key, status);
        if let Some(number) = self.number_of(&key) {
            *self.pages.get_mut(number / PAGE)?.get_mut(number % PAGE)? = record;
            return Some(());
        }
        if self.count >= MAX_RECORDS {
            return None;
        }
        // At most three slots in four are taken.
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let number = self.count;
        if number.is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        self.pages.last_mut()?.push(record);
        self.count += 1;
        self.take_slot(number);
        Some(())
    }

    fn number_of(&self, key: &Key) -> Option<usize> {
        let mut slot = self.home(key)?;
        loop {
            let number = usize::try_from(*self.slots.get(slot)?).ok()?.checked_sub(1)?;
            if self.record(number)?.key == *key {
                return Some(number);
            }
            slot = self.after(slot);
        }
    }

    fn record(&self, number: usize) -> Option<&Record> {
        self.pages.get(number / PAGE)?.get(number % PAGE)
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(64);
        // The old table goes first: both at once would be the most that is ever needed.
        self.slots = Vec::new();
        self.slots = vec![0; length];
        for number in 0..self.count {
            self.take_slot(number);
        }
    }

    /// Enters a record into the first free slot from its home on.
    fn take_slot(&mut self, number: usize) {
        let Some(mut slot) = self.record(number).and_then(|record| self.home(&record.key)) else {
            return;
        };
        while self.slots.get(slot).is_some_and(|taken| *taken != 0) {
            slot = self.after(slot);
        }
        if let Some(free) = self.slots.get_mut(slot) {
            *free = u32::try_from(number + 1).unwrap_or_default();
        }
    }

    /// Returns the slot where the search for a key begins; `None` if there are no slots.
    fn home(&self, key: &Key) -> Option<usize> {
        let mask = u64::try_from(self.slots.len().checked_sub(1)?).ok()?;
        usize::try_from(self.hasher.hash_one(key.0) & mask).ok()
    }

    const fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

/// An issuer's number in the index and a serial number: 2 + 1 + 20 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 23]);

impl Key {
    pub(crate) fn new(issuer: u16, serial: &SerialNumber) -> Self {
        let content = serial.as_octets();
        let mut key = [0; 23];
        let [high, low, length, octets @ ..] = &mut key;
        [*high, *low] = issuer.to_be_bytes();
        *length = u8::try_from(content.len()).unwrap_or_default();
        octets.iter_mut().zip(content).for_each(|(to, from)| *to = *from);
        Self(key)
    }

    const fn issuer(&self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_be_bytes([high, low])
    }

    fn serial(&self) -> Option<SerialNumber> {
        let [_, _, length, octets @ ..] = &self.0;
        SerialNumber::from_content_octets(octets.get(..usize::from(*length))?).ok()
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    key: Key,
    /// State in the low three bits, then one bit for each answer class.
    state: u8,
    /// 0 for none.
    reason: u8,
    effective_time: Seconds,
    /// 0 for none.
    invalidity_date: Seconds,
    not_after: Seconds,
}

impl Record {
    fn new(key: Key, status: &CertificateStatus) -> Self {
        let place = CertificateState::ALL.iter().position(|state| *state == status.state);
        let state = place.and_then(|place| u8::try_from(place).ok()).unwrap_or_default();
        let before = match status.classes.before_activation {
            BeforeActivation::Good => 0,
            BeforeActivation::Held => BEFORE,
        };
        let after = match status.classes.after_expiry {
            AfterExpiry::Kept => 0,
            AfterExpiry::Unknown => AFTER,
        };
        Self {
            key,
            state: state | before | after,
            reason: status.reason.map_or(0, RevocationReason::code),
            effective_time: Seconds::of(status.effective_time),
            invalidity_date: Seconds::of(status.invalidity_date.unwrap_or(UnixTime::EPOCH)),
            not_after: Seconds::of(status.not_after),
        }
    }

    fn status(&self) -> CertificateStatus {
        let place = usize::from(self.state & STATE);
        let state = CertificateState::ALL.get(place).copied();
        let before_activation =
            if self.state & BEFORE == 0 { BeforeActivation::Good } else { BeforeActivation::Held };
        let after_expiry =
            if self.state & AFTER == 0 { AfterExpiry::Kept } else { AfterExpiry::Unknown };
        let invalidity_date = self.invalidity_date.time();
        CertificateStatus {
            state: state.unwrap_or(CertificateState::Held(HeldFrom::Issued)),
            effective_time: self.effective_time.time(),
            reason: RevocationReason::from_code(self.reason),
            invalidity_date: (invalidity_date != UnixTime::EPOCH).then_some(invalidity_date),
            not_after: self.not_after.time(),
            classes: AnswerClasses { before_activation, after_expiry },
        }
    }
}

const STATE: u8 = 0b0_0111;
const BEFORE: u8 = 0b0_1000;
const AFTER: u8 = 0b1_0000;

/// A time in 40 bits, which reach beyond the year 9999.
#[derive(Debug, Clone, Copy)]
struct Seconds([u8; 5]);

impl Seconds {
    const fn of(time: UnixTime) -> Self {
        let [_, _, _, octets @ ..] = time.secs().to_be_bytes();
        Self(octets)
    }

    fn time(self) -> UnixTime {
        let [a, b, c, d, e] = self.0;
        UnixTime::from_secs(u64::from_be_bytes([0, 0, 0, a, b, c, d, e])).unwrap_or(UnixTime::LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_40_octets() {
        assert_eq!(size_of::<Record>(), 40);
    }

    /// The most of it is right after the table has grown.
    #[test]
    fn a_certificate_takes_at_most_60_octets_with_its_place_in_the_table() {
        let status = CertificateStatus {
            state: CertificateState::Activated,
            effective_time: UnixTime::EPOCH,
            reason: None,
            invalidity_date: None,
            not_after: UnixTime::LAST,
            classes: AnswerClasses {
                before_activation: BeforeActivation::Good,
                after_expiry: AfterExpiry::Kept,
            },
        };
        let mut records = Records::default();
        let mut most = 0;
        for number in 0..250_000_u32 {
            let serial =
                SerialNumber::from_content_octets(&[&[1], &number.to_be_bytes()[..]].concat());
            records.set(Key::new(0, &serial.unwrap()), &status).unwrap();
            if records.len() >= 100_000 {
                most = most.max(records.octets().div_ceil(records.len()));
            }
        }
        assert!((45..=60).contains(&most), "{most}");
    }

    #[test]
    fn every_status_reads_back() {
        let secs = |secs| UnixTime::from_secs(secs).unwrap();
        let serial = SerialNumber::from_content_octets(&[0x00, 0x90]).unwrap();
        let key = Key::new(7, &serial);
        for state in CertificateState::ALL {
            for reason in RevocationReason::ALL.map(Some).into_iter().chain([None]) {
                for before_activation in [BeforeActivation::Good, BeforeActivation::Held] {
                    for after_expiry in [AfterExpiry::Kept, AfterExpiry::Unknown] {
                        let status = CertificateStatus {
                            state,
                            effective_time: secs(1_795_300_000),
                            reason,
                            invalidity_date: reason.map(|_| secs(1)),
                            not_after: UnixTime::LAST,
                            classes: AnswerClasses { before_activation, after_expiry },
                        };
                        assert_eq!(Record::new(key, &status).status(), status);
                    }
                }
            }
        }
        assert_eq!((key.issuer(), key.serial()), (7, Some(serial)));
    }
}

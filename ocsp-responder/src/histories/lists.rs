//! CRLs and deltas as the room `crl` makes them from the store, read back by another library, and judged by what the acts
//! said: the full list is what is revoked, and base and delta are the full list of that instant (CRL-08).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Seek as _};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use ca::audit::EventCode;
use crl::{
    CrlEntry, CrlIssuer, CrlNumber, CrlOrder, CrlSpool, Departure, Listing, MAX_OCTETS, NewDates,
    PreparedCrl, PreviousCrl,
};
use sha2::{Digest as _, Sha256};
use status::Position;
use store::{CrlIntent, CrlScope, Log, RevokedRow, StoreError};
use x509::crl::{CrlForm, CrlKind, CrlReader, ReasonCode, RevokedEntry};
use x509::key::SignatureAlgorithm;
use x509::serial::SerialNumber;
use x509::signing::IntentId;
use x509::time::UnixTime;

use super::Planted;
use super::conformance::histories::{Dice, Inside};
use super::conformance::world::{World, at, audit, fresh};
use crate::authority::Authority;

/// Date and reason by serial, as another library reads them.
type Entries = BTreeMap<SerialNumber, (UnixTime, Option<u8>)>;

type Spooled = CrlSpool<Cursor<Vec<u8>>>;

pub(super) struct Lists {
    dice: Dice,
    planted: Planted,
    issuer: CrlIssuer,
    /// The full list that was published last.
    full: Option<Published>,
    /// The last delta to it.
    delta: Option<Vec<u8>>,
    /// The highest number that was published.
    number: Option<CrlNumber>,
    /// A relying party that puts each delta to what it has.
    party: Entries,
    pub(super) happened: BTreeSet<&'static str>,
}

struct Published {
    der: Vec<u8>,
    number: CrlNumber,
    this_update: UnixTime,
}

/// A list in the making.
struct Making {
    number: CrlNumber,
    scope: CrlScope,
    now: UnixTime,
    next_update: UnixTime,
}

impl Lists {
    pub(super) fn new(seed: u64, planted: Planted, authority: Arc<Authority>) -> Self {
        let certificate = authority.certificate.clone();
        Self {
            dice: Dice::of(seed ^ 0x6c69_7374_7300),
            planted,
            issuer: CrlIssuer::new(certificate, SignatureAlgorithm::EcdsaP256Sha256).unwrap(),
            full: None,
            delta: None,
            number: None,
            party: BTreeMap::new(),
            happened: BTreeSet::new(),
        }
    }

    pub(super) fn look(&mut self, inside: &Inside<'_>) {
        let store = &inside.world.store;
        let is_full = match (self.dice.throw(8), &self.full) {
            (0, _) | (1 | 2, None) => true,
            (1..=4, Some(_)) => false,
            _ => return,
        };
        // No list is made by a clock behind the logs (architecture §2.5).
        let last = [Log::Status, Log::Audit].map(|log| store.log_head(log).unwrap().last_time);
        if last.into_iter().any(|last| inside.now < last) {
            self.happened.insert("a clock kept a list from being made");
            return;
        }
        // The logs have reached the list's time before anything is read: what it lacks is dated later (REV-06).
        store.record_audit(&audit(EventCode::CrlBegun), inside.now).unwrap();
        if is_full { self.make_full(inside) } else { self.make_delta(inside) }
    }

    /// Above the store's numbers and above what was published (CRL-02).
    fn begin(&mut self, inside: &Inside<'_>, scope: CrlScope) -> Making {
        let id = inside.world.issuer.id();
        let stored = inside.world.store.next_crl_number(id, &CrlScope::full()).unwrap();
        let above = self.number.as_ref().map(|number| number.next().unwrap());
        if above.as_ref().is_some_and(|above| *above > stored) {
            self.happened.insert("a list was numbered above what a restored database knew");
        }
        let number = match above {
            Some(above) => stored.max(above),
            None => stored,
        };
        let next_update = inside.now.checked_add(Duration::from_secs(7200)).unwrap();
        Making { number, scope, now: inside.now, next_update }
    }

    fn make_full(&mut self, inside: &Inside<'_>) {
        let making = self.begin(inside, CrlScope::full());
        let last = self.full.take();
        let previous_update = last.as_ref().map(|last| last.this_update);
        let planted = self.planted;
        let mut previous = last.as_ref().map(|last| PreviousCrl::ours(reader(&last.der)));
        let kind = CrlKind::COMPLETE;
        let der =
            self.make(inside, &making, kind, previous_update, |order, rows, spool, departure| {
                let lost = usize::from(planted == Planted::RowsLost);
                let rows = rows.skip(lost);
                crl::prepare(order, rows, spool, previous.take(), &mut |entry| departure(entry))
                    .unwrap()
            });
        let (entries, number) = read(&der, None);
        let expected = expected(inside, previous_update);
        assert_eq!(entries, expected, "full list {number:?} at {}", making.now);
        self.judge_number(&number, &making.number);
        if inside
            .certificates
            .iter()
            .any(|(serial, one)| one.shown().is_some() && !expected.contains_key(serial))
        {
            self.happened.insert("an entry left a list after its end");
        }
        self.happened.insert("a full list was made");
        self.party = entries;
        self.delta = None;
        self.full = Some(Published { der, number: making.number, this_update: making.now });
    }

    fn make_delta(&mut self, inside: &Inside<'_>) {
        let making = self.begin(inside, CrlScope::delta());
        let Some(base) = self.full.take() else { return };
        let last = self.delta.take();
        let planted = self.planted;
        let kind = CrlKind::Delta { base: base.number.as_octets() };
        let since = Some(base.this_update);
        let der = self.make(inside, &making, kind, since, |order, rows, spool, departure| {
            let last = last.as_deref().map(reader);
            let rows = crl::delta(reader(&base.der), last, rows, |entry| departure(entry));
            let rows = rows.filter(|row| {
                let reason = row.as_ref().ok().and_then(|row| row.revoked().reason);
                planted != Planted::RemovalsLost || reason != Some(ReasonCode::RemoveFromCrl)
            });
            let none: Option<PreviousCrl<&[u8]>> = None;
            let unexplained = &mut |_: &RevokedEntry| Departure::Unexplained;
            crl::prepare(order, rows, spool, none, unexplained).unwrap()
        });
        let (entries, number) = read(&der, Some(&base.number));
        self.judge_number(&number, &making.number);
        let expected = expected(inside, since);
        let together = applied(read(&base.der, None).0, &entries);
        assert_eq!(together, expected, "base and delta {number:?} at {}", making.now);
        self.party = applied(std::mem::take(&mut self.party), &entries);
        assert_eq!(self.party, expected, "base and deltas one after the other, {number:?}");
        let removes = |(_, reason): &(UnixTime, Option<u8>)| *reason == Some(REMOVE);
        if entries.is_empty() {
            self.happened.insert("a delta said nothing");
        }
        if entries.values().any(removes) {
            self.happened.insert("a delta took back a hold");
        }
        self.delta = Some(der);
        self.full = Some(base);
    }

    fn judge_number(&mut self, found: &[u8], wanted: &CrlNumber) {
        assert_eq!(found, wanted.as_octets(), "number");
        let risen = self.number.as_ref().is_none_or(|last| last < wanted);
        assert!(risen, "number {wanted} after {:?}", self.number);
        self.number = Some(wanted.clone());
    }

    /// Rows of one snapshot, prepared as `prepare` does it, recorded, signed, recorded.
    fn make(
        &self,
        inside: &Inside<'_>,
        making: &Making,
        kind: CrlKind<'_>,
        previous: Option<UnixTime>,
        prepare: impl FnOnce(
            &CrlOrder<'_>,
            &mut dyn Iterator<Item = Result<CrlEntry, StoreError>>,
            &mut Spooled,
            &dyn Fn(&RevokedEntry) -> Departure,
        ) -> PreparedCrl,
    ) -> Vec<u8> {
        let order = CrlOrder {
            issuer: &self.issuer,
            intent: IntentId::from_bytes(fresh()),
            number: &making.number,
            kind,
            this_update: making.now,
            next_update: making.next_update,
            issuing_distribution_point: None,
            expired_certs_on_crl: None,
            new_dates: NewDates::SincePrevious,
        };
        let listing = Listing::UntilExpired { previous };
        let mut spool = Spooled { file: Cursor::default(), path: "spool".into() };
        let (mut prepare, mut made) = (Some(prepare), None);
        let world = inside.world;
        world
            .store
            .revoked(world.issuer.id(), at(0), &mut |snapshot| {
                let position = Position { epoch: snapshot.head.epoch, index: snapshot.head.size };
                let expired = RefCell::new(BTreeMap::new());
                let mut rows = snapshot.rows.filter_map(|row| listed(row, listing, &expired));
                let departure = |entry: &RevokedEntry| departure(world, entry, &expired.borrow());
                let prepare = prepare.take().unwrap();
                made = Some((prepare(&order, &mut rows, &mut spool, &departure), position));
            })
            .unwrap();
        let (prepared, position) = made.unwrap();
        sign(world, making, prepared, position, spool)
    }
}

/// What a list made now says: what is revoked, and has not ended before the list before.
fn expected(inside: &Inside<'_>, previous: Option<UnixTime>) -> Entries {
    let stays = |not_after| previous.is_none_or(|previous| previous <= not_after);
    let of = inside.certificates.iter().filter(|(_, one)| stays(one.not_after));
    of.filter_map(|(serial, one)| {
        let (time, reason) = one.shown()?;
        Some((*serial, (time, reason.map(ReasonCode::code))))
    })
    .collect()
}

const REMOVE: u8 = 8;

/// A relying party's list after a delta (RFC 5280 §6.3.3).
fn applied(mut list: Entries, delta: &Entries) -> Entries {
    for (serial, said) in delta {
        if said.1 == Some(REMOVE) {
            list.remove(serial);
        } else {
            list.insert(*serial, *said);
        }
    }
    list
}

/// Another library's reading: entries and number. A list without a base is full.
fn read(der: &[u8], base: Option<&CrlNumber>) -> (Entries, Vec<u8>) {
    let (rest, list) = x509_parser::parse_x509_crl(der).unwrap();
    assert!(rest.is_empty());
    let mut entries = Entries::new();
    for entry in list.iter_revoked_certificates() {
        let serial = SerialNumber::from_content_octets(entry.raw_serial()).unwrap();
        let secs = u64::try_from(entry.revocation_date.timestamp()).unwrap();
        let reason = entry.reason_code().map(|(_, reason)| reason.0);
        let twice = entries.insert(serial, (UnixTime::from_secs(secs).unwrap(), reason));
        assert!(twice.is_none(), "{serial} stands twice");
    }
    let indicator = list.extensions().iter().find(|one| one.oid.to_id_string() == "2.5.29.27");
    // An INTEGER, short: the base's number.
    let found = indicator.map(|one| (one.critical, one.value.get(2..).unwrap().to_vec()));
    assert_eq!(found, base.map(|base| (true, base.as_octets().to_vec())), "base");
    let mut number = list.crl_number().unwrap().to_bytes_be();
    if number.first().is_some_and(|first| *first > 0x7f) {
        number.insert(0, 0);
    }
    (entries, number)
}

fn reader(der: &[u8]) -> CrlReader<&[u8]> {
    CrlReader::start(der, CrlForm::CertificateList, MAX_OCTETS).unwrap()
}

/// The entry of a row; the rows that expiry keeps off the list are remembered.
fn listed(
    row: Result<RevokedRow, StoreError>,
    listing: Listing,
    expired: &RefCell<BTreeMap<SerialNumber, UnixTime>>,
) -> Option<Result<CrlEntry, StoreError>> {
    let row = row.unwrap();
    let entry = CrlEntry::of(row.serial, &row.status, listing);
    if entry.is_none() {
        expired.borrow_mut().insert(row.serial, row.status.not_after);
    }
    entry.map(Ok)
}

/// Why a certificate has no entry any more.
fn departure(
    world: &World,
    entry: &RevokedEntry,
    expired: &BTreeMap<SerialNumber, UnixTime>,
) -> Departure {
    if let Some(not_after) = expired.get(&entry.serial) {
        return Departure::Expired { not_after: *not_after };
    }
    match world.store.serial_status(world.issuer.id(), &entry.serial) {
        Ok(Some(row)) if row.status.revocation().is_none() => Departure::Released,
        _ => Departure::Unexplained,
    }
}

/// Record, sign, verify, record, release.
fn sign(
    world: &World,
    making: &Making,
    prepared: PreparedCrl,
    position: Position,
    mut spool: Spooled,
) -> Vec<u8> {
    let facts = CrlIntent {
        issuer: world.issuer.id(),
        scope: making.scope.clone(),
        number: making.number.clone(),
        position,
        this_update: making.now,
        next_update: making.next_update,
        node: world.node.clone(),
    };
    let intent = audit(EventCode::CrlIntent);
    let recorded =
        world.store.record_crl_intent(&prepared.pending, &facts, &intent, making.now).unwrap();
    let tbs = spool.file.get_ref();
    let signature = world.issuer.pair.sign(&SystemRandom::new(), tbs).unwrap();
    let _input = prepared.pending.input(&recorded).unwrap();
    let signed = prepared.pending.finish(signature.as_ref().to_vec()).unwrap();
    spool.file.rewind().unwrap();
    let mut der = Vec::new();
    let finished = crl::finish(&signed, &mut spool.file, &mut der).unwrap();
    assert_eq!(finished.sha256, <[u8; 32]>::from(Sha256::digest(&der)));
    let issued = audit(EventCode::CrlIssued);
    let (id, length) = (world.issuer.id(), finished.length);
    world.store.record_crl_issued(&signed, finished.sha256, length, &issued, making.now).unwrap();
    world.store.mark_crl_published(id, &making.scope, &making.number, making.now).unwrap();
    der
}

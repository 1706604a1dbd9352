//! Signing wave after wave under a clock that the test sets, and what the outer host believes of it.

mod finals;
mod torn;
mod upkeep;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::signature::EcdsaKeyPair;
use status::presigned::{PresignedFile, PresignedHead, Wave};
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, IssuerRef,
    RevocationReason, StatusEntry,
};
use x509::certificate::Certificate;
use x509::ocsp::CertStatus;
use x509::serial::SerialNumber;
use x509::time::UnixTime;
use x509::validity::Validity;

use super::presigner::{Outcome, PresignError, Presigner, PresignerSettings, Presigning};
use super::refused::StockError;
use super::stock::{Stock, StockKeeper, TakesUp};
use crate::authority::{Authorities, Authority};
use crate::config::DelegateSource;
use crate::delegate::{Delegate, DelegateSigner, Delegates, KeyPlace};
use crate::metrics::Metrics;
use crate::signer::Counter;
use crate::testing::{self, Token, delegate_certificate, pair};
use crate::view::View;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const START: u64 = 1_800_000_000;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn serial(number: u32) -> SerialNumber {
    SerialNumber::from_content_octets(&[&[0x40][..], &number.to_be_bytes()].concat()).unwrap()
}

/// An inner zone with one CA, and an outer host beside it.
struct Zones {
    folder: tempfile::TempDir,
    ca: EcdsaKeyPair,
    token: Arc<Token>,
    authorities: Authorities,
    delegates: Arc<Delegates>,
    view: Arc<View>,
    presigner: Presigner,
    stock: Arc<Stock>,
    keeper: StockKeeper,
}

impl Zones {
    fn new(certificates: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = pair();
        let authority = authority_of(&ca, "person3");
        let token = Arc::new(Token::new());
        let view = Arc::new(View::new(1, Duration::from_secs(DAY), Duration::ZERO));
        let log_time = at(START - HOUR);
        let mut entries = vec![StatusEntry::IssuerDeclared { log_time, issuer: authority.issuer }];
        entries.extend((0..certificates).map(|number| issued(number, 100 * DAY)));
        view.advance(&entries, at(START)).unwrap();
        let delegates = Arc::new(Delegates::default());
        let state = folder.path().join("outer");
        fs::create_dir(&state).unwrap();
        let stock = Arc::new(Stock::open(&state).unwrap());
        let keeper = Self::keeper_of(folder.path(), &stock, &view);
        let presigner = Self::presigner_of(folder.path(), &view, &delegates);
        let zones = Self {
            authorities: Authorities::new(vec![authority], 1),
            folder,
            ca,
            token,
            delegates,
            view,
            presigner,
            stock,
            keeper,
        };
        zones.delegate(START - 300);
        zones
    }

    fn presigner_of(folder: &Path, view: &Arc<View>, delegates: &Arc<Delegates>) -> Presigner {
        let settings = PresignerSettings {
            publication: folder.to_owned(),
            validity: Duration::from_secs(2 * HOUR),
            at_once: 2.try_into().unwrap(),
            names: vec!["person3".to_owned(), "person4".to_owned()],
        };
        Presigner::new(
            settings,
            Arc::clone(view),
            Arc::clone(delegates),
            Arc::<Metrics>::default(),
            Arc::<Presigning>::default(),
        )
    }

    fn keeper_of(folder: &Path, stock: &Arc<Stock>, view: &Arc<View>) -> StockKeeper {
        let validity = Duration::from_secs(2 * HOUR);
        StockKeeper::new(
            folder,
            Arc::clone(stock),
            Arc::clone(view),
            validity,
            Duration::from_secs(1),
            TakesUp::All,
        )
    }

    fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authorities.list()[0])
    }

    /// A certificate of the CA for the token's key, as delegates have them, from `begin` on.
    fn delegate_certificate(&self, begin: u64) -> Certificate {
        let validity = Validity::between(at(begin), at(begin + 14 * DAY - 1)).unwrap();
        delegate_certificate(&self.ca, &self.authority(), &self.token, validity)
    }

    fn delegate(&self, begin: u64) {
        let certificate = self.delegate_certificate(begin);
        let key = certificate.public_key().spki_hash();
        let counter = Counter::open(self.folder.path(), key).unwrap();
        let signer = DelegateSigner { place: KeyPlace::Token, service: self.token.clone() };
        let delegate = Delegate::proven(certificate, counter, signer);
        self.delegates.set("person3", vec![Arc::new(delegate)]);
    }

    /// A checkpoint of this time, with these entries more.
    fn beat(&self, now: u64, entries: &[StatusEntry]) {
        self.view.advance(entries, at(now)).unwrap();
    }

    /// Signs until nothing is left to do; how many signatures that took.
    fn sign(&mut self, now: u64) -> u64 {
        let before = self.token.signed.load(Ordering::SeqCst);
        while self.presigner.step(&self.authorities, at(now)).unwrap() == Outcome::Done {}
        self.token.signed.load(Ordering::SeqCst) - before
    }

    fn file(&self, wave: Wave) -> PathBuf {
        self.folder.path().join(format!("presigned/person3/{wave}.answers"))
    }

    fn keep(&mut self, now: u64, refused: &mut dyn FnMut(&StockError)) {
        let authority = self.authority();
        self.keeper.step(&authority, DelegateSource::Requested, at(now), refused);
    }

    /// The codes of what the outer host refuses.
    fn refused(&mut self, now: u64) -> Vec<&'static str> {
        let mut codes = Vec::new();
        self.keep(now, &mut |error| codes.push(error.code()));
        codes
    }

    fn given(&self, number: u32) -> Option<CertStatus> {
        Some(self.stock.find(&self.authority(), &serial(number))?.said.status)
    }
}

fn authority_of(ca: &EcdsaKeyPair, name: &str) -> Arc<Authority> {
    let validity = Validity::between(at(START - DAY), at(START + 900 * DAY)).unwrap();
    testing::authority_of(ca, name, validity)
}

fn issued(number: u32, lasts: u64) -> StatusEntry {
    let classes = AnswerClasses {
        before_activation: BeforeActivation::Good,
        after_expiry: AfterExpiry::Unknown,
    };
    entry(number, Change::Issued { not_after: at(START + lasts), classes })
}

fn entry(number: u32, change: Change) -> StatusEntry {
    let (time, issuer) = (at(START - HOUR), IssuerRef::from_index(0));
    StatusEntry::Certificate(CertificateEntry::own(time, issuer, serial(number), change))
}

fn revoked(number: u32) -> StatusEntry {
    let reason = Some(RevocationReason::KeyCompromise);
    entry(number, Change::Revoked { reason, invalidity_date: None })
}

/// Item 3, OCSP-11: each certificate has its answer; what the log changes is signed for at once and alone; a start signs nothing
/// that is signed, and what is forgotten after its end is answered for no more.
#[test]
fn what_the_log_changes_is_signed_for_at_once_and_nothing_else_is() {
    let mut zones = Zones::new(200);
    assert_eq!(zones.sign(START), 200);
    assert!(zones.refused(START).is_empty());
    assert!((0..200).all(|number| zones.given(number) == Some(CertStatus::Good)));
    assert_eq!(zones.given(200), None);

    zones.beat(START + 1, &[revoked(7), issued(200, DAY)]);
    assert_eq!(zones.sign(START + 1), 2);
    assert!(zones.refused(START + 1).is_empty());
    assert!(matches!(zones.given(7), Some(CertStatus::Revoked { .. })));
    assert_eq!(
        (zones.given(200), zones.given(8)),
        (Some(CertStatus::Good), Some(CertStatus::Good))
    );

    // The same after a start, when a revocation has come while nobody signed.
    zones.beat(START + 2, &[revoked(8)]);
    zones.presigner = Zones::presigner_of(zones.folder.path(), &zones.view, &zones.delegates);
    assert_eq!(zones.sign(START + 2), 1);
    assert!(zones.refused(START + 2).is_empty());
    assert!(matches!(zones.given(8), Some(CertStatus::Revoked { .. })));

    // A week after its end.
    zones.beat(START + 9 * DAY, &[]);
    assert_eq!(zones.sign(START + 9 * DAY), 200, "all but one, whose time was up");
    assert!(zones.refused(START + 9 * DAY).is_empty());
    assert_eq!(zones.given(200), None);
}

/// Item 3: the load is flat. Over a period every answer is signed once, in no five minutes much more than in others, and none ends before
/// its successor is there.
#[test]
fn answers_are_signed_anew_in_even_waves() {
    let mut zones = Zones::new(240);
    zones.sign(START);
    let mut counts = Vec::new();
    for minute in (5..=120).step_by(5) {
        let now = START + minute * 60;
        zones.beat(now, &[]);
        counts.push(zones.sign(now));
    }
    assert_eq!(counts.iter().sum::<u64>(), 480, "240 in an hour");
    assert!(counts.iter().all(|count| (5..=50).contains(count)), "20 on average: {counts:?}");
    for wave in Wave::all() {
        let Ok(octets) = fs::read(zones.file(wave)) else { continue };
        let file = PresignedFile::read(&octets).unwrap();
        let oldest = file.answers().map(|answer| answer.said.next_update).min();
        assert!(oldest.is_none_or(|ends| ends > at(START + 3 * HOUR - 300)));
    }
}

/// Without a fresh checkpoint or a delegate nothing is signed; a signature that fails leaves the file as it was, and the wave is tried
/// again; a damaged file is made anew.
#[test]
fn what_fails_leaves_the_files_as_they_were_and_heals() {
    let mut zones = Zones::new(50);
    assert_eq!(zones.presigner.step(&zones.authorities, at(START + 11)).unwrap(), Outcome::NotNow);
    assert_eq!(zones.sign(START), 50);
    let wave = Wave::of(&serial(7));
    let before = fs::read(zones.file(wave)).unwrap();

    zones.beat(START + 1, &[revoked(7)]);
    zones.token.fails_after.store(0, Ordering::SeqCst);
    let failed = zones.presigner.step(&zones.authorities, at(START + 1)).unwrap_err();
    assert!(matches!(failed, PresignError::Sign(_)) && failed.code() == "presign-not-signed");
    assert_eq!(fs::read(zones.file(wave)).unwrap(), before);
    let delegates = zones.delegates.of("person3");
    zones.delegates.set("person3", Vec::new());
    assert_eq!(zones.presigner.step(&zones.authorities, at(START + 1)).unwrap(), Outcome::NotNow);
    zones.delegates.set("person3", delegates);
    zones.token.fails_after.store(u64::MAX, Ordering::SeqCst);
    assert!(zones.sign(START + 3) >= 1);
    assert_ne!(fs::read(zones.file(wave)).unwrap(), before);

    fs::write(zones.file(wave), b"damaged").unwrap();
    zones.presigner = Zones::presigner_of(zones.folder.path(), &zones.view, &zones.delegates);
    assert!(zones.sign(START + 2) >= 1);
    assert!(zones.refused(START + 2).is_empty());
    assert!(matches!(zones.given(7), Some(CertStatus::Revoked { .. })));
}

/// Item 3: what is too old, of the future, or by a key that is no delegate is refused under its code, and what was believed
/// before is given on; a file that was of the future is taken up when its time has come. A start believes what was believed.
#[test]
fn files_that_are_stale_early_or_by_a_stranger_are_refused_and_the_old_kept() {
    let mut zones = Zones::new(1);
    zones.sign(START);
    let wave = Wave::of(&serial(0));
    let first = fs::read(zones.file(wave)).unwrap();
    assert!(zones.refused(START).is_empty());

    zones.beat(START + 2 * HOUR, &[]);
    zones.sign(START + 2 * HOUR);
    assert_eq!(zones.refused(START + HOUR), ["presigned-future"]);
    assert_eq!(zones.given(0), Some(CertStatus::Good));
    assert!(zones.refused(START + 2 * HOUR).is_empty());
    let second = fs::read(zones.file(wave)).unwrap();

    // To a host that has none yet.
    let state = zones.folder.path().join("second");
    fs::create_dir(&state).unwrap();
    zones.stock = Arc::new(Stock::open(&state).unwrap());
    zones.keeper = Zones::keeper_of(zones.folder.path(), &zones.stock, &zones.view);
    fs::write(zones.file(wave), &first).unwrap();
    assert!(zones.refused(START + 2 * HOUR).contains(&"presigned-stale"));
    assert_eq!(zones.given(0), None);
    fs::write(zones.file(wave), &second).unwrap();
    zones.refused(START + 2 * HOUR);
    assert_eq!(zones.given(0), Some(CertStatus::Good));

    // Signed by a key that another CA certified.
    let head = PresignedFile::read(&second).unwrap().head().clone();
    let answers: Vec<_> = PresignedFile::read(&second).unwrap().answers().collect();
    let stranger = Zones::new(0).delegate_certificate(START);
    let generation = head.generation + 1;
    let forged = PresignedHead { signers: vec![stranger], generation, ..head };
    fs::write(zones.file(wave), forged.write(answers).unwrap()).unwrap();
    assert_eq!(zones.refused(START + 2 * HOUR), ["presigned-signer"]);
    assert_eq!(zones.given(0), Some(CertStatus::Good));

    let again = Stock::open(&state).unwrap();
    assert!(again.find(&zones.authority(), &serial(0)).is_some());
    assert!(zones.stock.state_of("person3").unwrap().ends > at(START + 3 * HOUR));
}

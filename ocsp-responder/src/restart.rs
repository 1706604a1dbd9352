//! A responder that comes back while the inner zone is away, by a clock that the test sets (architecture §2.3).

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::follow::FollowRules;
use ledger::note::NotePublicKey;
use ledger::origin::{LogName, LogOrigin};
use ledger::{Checkpoint, CheckpointNote, Edge, NoteSignError, NoteSigner, NoteToSign, Timestamp};
use status::freshness::{AnswerSigning, Contract, Timing};
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, IssuerId, IssuerRef,
    StatusEntry,
};
use x509::ocsp::CertStatus;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::answer::{NeverIssued, Times, look_up, times};
use crate::follow::{FollowError, Follower, Step};
use crate::view::View;

const DAY: Duration = Duration::from_secs(86_400);

/// The last moment at which the inner zone was there.
fn lost() -> UnixTime {
    UnixTime::from_secs(1_800_000_000).unwrap()
}

fn later(after: Duration) -> UnixTime {
    lost().checked_add(after).unwrap()
}

struct Key(Ed25519KeyPair);

impl NoteSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        Ok(self.0.sign(&note.message()).as_ref().try_into().unwrap())
    }
}

/// The inner zone, and what the outer host has of it.
struct Zones {
    key: Key,
    edge: Edge,
    folder: tempfile::TempDir,
}

impl Zones {
    /// One certificate, issued before the inner zone was lost.
    fn new() -> Self {
        let key = Key(Ed25519KeyPair::generate().unwrap());
        let mut zones = Self { key, edge: Edge::new(), folder: tempfile::tempdir().unwrap() };
        fs::create_dir(zones.state()).unwrap();
        let classes = AnswerClasses {
            before_activation: BeforeActivation::Good,
            after_expiry: AfterExpiry::Kept,
        };
        let issued = Change::Issued { not_after: later(DAY * 900), classes };
        let entries = [
            StatusEntry::IssuerDeclared { log_time: lost(), issuer: issuer() },
            StatusEntry::Certificate(CertificateEntry::own(
                lost(),
                IssuerRef::from_index(0),
                serial(),
                issued,
            )),
        ];
        let entries: Vec<_> = entries.iter().map(StatusEntry::encode).collect();
        for file in zones.edge.append(&entries).unwrap() {
            let path = zones.folder.path().join(file.path.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file.bytes).unwrap();
        }
        zones.beat(lost());
        zones
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    fn origin() -> LogOrigin {
        LogOrigin { deployment: "test/demo/ab12".parse().unwrap(), log: LogName::Status, epoch: 1 }
    }

    /// Signs and pushes the head as of `at`.
    fn beat(&self, at: UnixTime) {
        let (size, root) = (self.edge.size(), self.edge.root());
        let head = Checkpoint { origin: Self::origin(), size, root };
        let at = Timestamp::from_secs(at.secs()).unwrap();
        let note = CheckpointNote::sign(head, at, &self.key).unwrap();
        fs::write(self.folder.path().join("checkpoint"), note.to_string()).unwrap();
    }

    /// A responder as it starts, by the schedule.
    fn start(&self, timing: &Timing) -> (Follower, View) {
        let key: NotePublicKey = hex(&self.key.public_key()).parse().unwrap();
        let clock_bound = Duration::ZERO;
        let freshness = timing.freshness;
        let rules = FollowRules { origin: Self::origin(), key, freshness, clock_bound };
        let follower = Follower::new(self.folder.path(), Path::new(&self.state()), rules).unwrap();
        (follower, View::new(1, freshness, clock_bound))
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn issuer() -> IssuerId {
    IssuerId::from_bytes([1; 32])
}

fn serial() -> SerialNumber {
    SerialNumber::from_random([1; 16])
}

/// The times of a good answer; `None` is tryLater. The delegate is the one that ends first of all that a loss can leave.
fn good(view: &View, timing: &Timing, now: UnixTime) -> Option<Times> {
    let left = Timing::delegates_outlast();
    view.read(now, |seen| {
        let issuer = seen.index.issuer(&issuer());
        let finding = look_up(seen.index, issuer, Some(&serial()), NeverIssued::Unknown, now);
        assert_eq!(finding.status, CertStatus::Good);
        times((finding.status, finding.ends), seen.checkpoint, now, timing.validity, later(left))
    })?
}

/// Relying parties that bear five days, and an outage of three days and a half that they must not notice.
const LONG: &str = "[outage]\ninner-zone = 302400\n[[class]]\nname = \"closed-network\"\nmax-age = 432000\nclock-skew = 300\n";

/// Promise 5: a responder that is restarted after three days without the inner zone answers, from the log that it has,
/// where the contract bears that; with times that say how old that is; and to the second as long as it bears it.
#[test]
fn three_days_without_the_inner_zone_are_survived_by_answers_where_the_contract_bears_them() {
    let zones = Zones::new();
    let timing = Contract::parse(LONG).unwrap().timing(AnswerSigning::WhenAsked).unwrap();
    let (mut follower, view) = zones.start(&timing);
    assert_eq!(follower.step(&view, lost()).unwrap(), Step::Advanced { entries: 2 });

    let (mut follower, view) = zones.start(&timing);
    let now = later(DAY * 3);
    assert_eq!(follower.step(&view, now).unwrap(), Step::Advanced { entries: 2 });

    let given = good(&view, &timing, now).unwrap();
    assert_eq!((given.this_update, given.produced_at), (lost(), now));
    assert!(given.next_update > now && given.next_update <= later(DAY * 5));
    assert!(good(&view, &timing, later(timing.freshness)).is_some());
    assert_eq!(good(&view, &timing, later(timing.freshness + Duration::from_secs(1))), None);
}

/// The same where the contract bears a minute: it starts, says tryLater, and the first checkpoint heals it: the delegate that it had lasts
/// four days at least from the loss, and nothing need be asked for first. After that another must come.
#[test]
fn three_days_without_the_inner_zone_end_in_try_later_where_the_contract_bears_less_and_heal_at_once()
 {
    let zones = Zones::new();
    let timing = Timing::USUAL;
    let (mut follower, view) = zones.start(&timing);
    follower.step(&view, lost()).unwrap();

    let (mut follower, view) = zones.start(&timing);
    let now = later(DAY * 3);
    assert!(matches!(follower.step(&view, now), Err(FollowError::Advance(_))));
    assert_eq!(good(&view, &timing, now), None, "never a stale good");

    zones.beat(now);
    assert_eq!(follower.step(&view, now).unwrap(), Step::Advanced { entries: 2 });
    assert!(good(&view, &timing, now).is_some());
    let last = later(DAY * 4 - Duration::from_secs(1));
    assert!(good(&view, &timing, last).is_none(), "the log is stale again");
    zones.beat(last);
    follower.step(&view, last).unwrap();
    assert!(good(&view, &timing, last).is_some(), "the delegate lasts four days");
    assert!(good(&view, &timing, later(DAY * 4)).is_none(), "and at the worst no more");
}

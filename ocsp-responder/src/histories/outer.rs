//! The outer host: what a carrier brings, this program's own code over it, and a judge of its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use hsm::SigningService;
use ledger::edge::TileFile;
use ledger::follow::FollowRules;
use ledger::origin::{LogName, LogOrigin};
use ledger::{Checkpoint, CheckpointNote, Edge, NoteSignError, NoteSigner, NoteToSign, Timestamp};
use store::{IssuerKeeping, Log, NewIssuer};
use tokio::runtime::Runtime;
use x509::crl::ReasonCode;
use x509::ocsp::{
    BasicResponse, CertId, CertIdHash, CertStatus, OcspRequest, OcspResponse, Refusal,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;
use x509::validity::Validity;

use super::Planted;
use super::conformance::histories::{Certificate, Dice, Inside};
use super::conformance::world::{Issuer, at};
use crate::answer::NeverIssued;
use crate::authority::{Authorities, Authority, hex};
use crate::clock;
use crate::delegate::{Delegate, DelegateSigner, Delegates, KeyPlace};
use crate::follow::{Follower, Step};
use crate::metrics::Metrics;
use crate::presigned::Stock;
use crate::responder::{AnswerRules, AnswerSource, Reply, Responder};
use crate::signer::Counter;
use crate::testing::{Token, authority_of, delegate_certificate, key_of, pair};
use crate::view::View;

const NAME: &str = "person3";
const FRESHNESS: Duration = Duration::from_secs(60);
const VALIDITY: Duration = Duration::from_secs(600);
/// How far the clocks of the two zones may be apart.
const CLOCK_BOUND: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// How long a signed unknown may live (promise 5).
const UNKNOWN: Duration = Duration::from_secs(60);
const ASKER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

type Known = BTreeMap<SerialNumber, Certificate>;

struct NoteKey(Ed25519KeyPair);

impl NoteSigner for NoteKey {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        Ok(self.0.sign(&note.message()).as_ref().try_into().unwrap())
    }
}

/// A checkpoint that the inner zone signed.
struct Signed {
    time: UnixTime,
    size: u64,
    octets: String,
    /// The files that it needs, of all that were made.
    files: usize,
}

/// How this program's clock stands to the true time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skew {
    Ahead(u64),
    Behind(u64),
}

impl Skew {
    fn of(self, time: UnixTime) -> UnixTime {
        match self {
            Self::Ahead(secs) => time.checked_add(Duration::from_secs(secs)).unwrap(),
            Self::Behind(secs) => time.saturating_sub(Duration::from_secs(secs)),
        }
    }

    fn is_within_bound(self) -> bool {
        let (Self::Ahead(secs) | Self::Behind(secs)) = self;
        secs <= CLOCK_BOUND.as_secs()
    }
}

pub(super) struct Outer {
    dice: Dice,
    planted: Planted,
    folder: tempfile::TempDir,
    ca: EcdsaKeyPair,
    authority: Arc<Authority>,
    token: Arc<Token>,
    note_key: NoteKey,
    runtime: Rc<Runtime>,
    /// The log as the inner zone publishes it.
    edge: Edge,
    files: Vec<TileFile>,
    checkpoints: Vec<Signed>,
    /// What the acts had said when the log had this size.
    past: BTreeMap<u64, Known>,
    /// How many of the files have been carried, and the newest checkpoint that ever was.
    carried_files: usize,
    newest: Option<UnixTime>,
    /// The true time: it never runs back, as the inner zone's clock may.
    time: UnixTime,
    skew: Skew,
    delegates: Arc<Delegates>,
    program: Program,
    before: Known,
    pub(super) happened: BTreeSet<&'static str>,
}

/// This program's own parts, between two starts.
struct Program {
    follower: Follower,
    view: Arc<View>,
    responder: Arc<Responder>,
}

/// A question that was answered, and whether it had to wait for a checkpoint.
struct Answered {
    reply: Reply,
    arrival: UnixTime,
    waited: bool,
}

impl Outer {
    pub(super) fn new(seed: u64, planted: Planted) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["publish", "state"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        let (ca, token) = (pair(), Arc::new(Token::new()));
        let life = Validity::between(at(0), at(900 * 86_400)).unwrap();
        let authority = authority_of(&ca, NAME, life);
        let certificate = delegate_certificate(&ca, &authority, &token, life);
        let counter = Counter::open(folder.path(), certificate.public_key().spki_hash()).unwrap();
        let delegates = Arc::new(Delegates::default());
        let signer = DelegateSigner { place: KeyPlace::Token, service: token.clone() };
        delegates.set(NAME, vec![Arc::new(Delegate::proven(certificate, counter, signer))]);
        let note_key = NoteKey(Ed25519KeyPair::generate().unwrap());
        let program = Program::start(
            folder.path().into(),
            planted,
            &note_key,
            &authority,
            &delegates,
            &token,
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self {
            dice: Dice::of(seed ^ 0x6f75_7465_7200),
            planted,
            folder,
            ca,
            authority,
            token,
            note_key,
            runtime: Rc::new(runtime),
            edge: Edge::new(),
            files: Vec::new(),
            checkpoints: Vec::new(),
            past: BTreeMap::new(),
            carried_files: 0,
            newest: None,
            time: at(0),
            skew: Skew::Ahead(0),
            delegates,
            program,
            before: BTreeMap::new(),
            happened: BTreeSet::new(),
        }
    }

    pub(super) fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority)
    }

    /// The CA as the store knows it.
    pub(super) fn issuer(&self) -> Issuer {
        let (certificate, public) = (&self.authority.certificate, key_of(&self.ca));
        let declared = NewIssuer {
            id: self.authority.issuer,
            certificate_der: certificate.as_der().to_vec(),
            subject_der: certificate.subject().as_der().to_vec(),
            spki_der: public.spki_der().to_vec(),
            ski: Some(public.key_bits_sha1().to_vec()),
            ..Issuer::new(NAME, IssuerKeeping::Online).declared
        };
        let pkcs8 = self.ca.to_pkcs8v1().unwrap();
        let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
        Issuer { pair, public, declared }
    }

    pub(super) fn look(&mut self, inside: &Inside<'_>) {
        self.time = self.time.max(inside.now);
        self.publish(inside);
        self.sign_checkpoint(inside.now);
        self.suffer();
        self.carry();
        self.follow();
        self.ask_about_some(inside);
        self.before.clone_from(inside.certificates);
    }

    /// Tiles of what is new in the log.
    fn publish(&mut self, inside: &Inside<'_>) {
        let store = &inside.world.store;
        let size = store.log_head(Log::Status).unwrap().size;
        while self.edge.size() < size {
            let entries = store.log_entries(Log::Status, 1, self.edge.size()..size).unwrap();
            let octets: Vec<_> = entries.into_iter().map(|entry| entry.bytes).collect();
            self.files.extend(self.edge.append(&octets).unwrap());
        }
        let known = self.past.entry(size).or_insert_with(|| inside.certificates.clone());
        assert_eq!(known, inside.certificates, "an act that the log does not have");
    }

    fn sign_checkpoint(&mut self, time: UnixTime) {
        // A clock that was set back signs nothing that followers would take for older.
        if self.checkpoints.last().is_some_and(|last| last.time > time) {
            return;
        }
        let (size, root) = (self.edge.size(), self.edge.root());
        let head = Checkpoint { origin: origin(), size, root };
        let timestamp = Timestamp::from_secs(time.secs()).unwrap();
        let note = CheckpointNote::sign(head, timestamp, &self.note_key).unwrap();
        let (octets, files) = (note.to_string(), self.files.len());
        self.checkpoints.push(Signed { time, size, octets, files });
    }

    /// What happens to an outer host.
    fn suffer(&mut self) {
        match self.dice.throw(16) {
            0 => {
                self.program = Program::start(
                    self.folder.path().into(),
                    self.planted,
                    &self.note_key,
                    &self.authority,
                    &self.delegates,
                    &self.token,
                );
                self.happened.insert("the outer host was started anew");
            }
            1 => self.skew = Skew::Ahead(self.dice.throw(2)),
            2 => self.skew = Skew::Behind(self.dice.throw(2)),
            3 => {
                let secs = self.dice.pick(&[5, 30, 100, 5000]).unwrap();
                let skews = [Skew::Ahead(secs), Skew::Behind(secs)];
                self.skew = self.dice.pick(&skews).unwrap();
                self.happened.insert("the clocks were further apart than they may be");
            }
            4..=6 => self.skew = Skew::Ahead(0),
            _ => {}
        }
        if self.planted == Planted::ClocksApart {
            // The judge believes that there is no difference.
            self.skew = Skew::Ahead(0);
        }
        self.set_clock();
    }

    /// What this program's clock shows.
    fn clock(&self) -> UnixTime {
        let behind = if self.planted == Planted::ClocksApart { 40 } else { 0 };
        self.skew.of(self.time).saturating_sub(Duration::from_secs(behind))
    }

    fn set_clock(&self) {
        clock::tests::set(self.clock());
    }

    /// All that there is, most times.
    fn carry(&mut self) {
        let last = self.checkpoints.len() - 1;
        match self.dice.throw(10) {
            0 | 1 => {
                self.happened.insert("the outer host lagged");
            }
            2 => {
                self.carry_files(self.files.len());
                self.happened.insert("a carrier brought tiles without their checkpoint");
            }
            3 => {
                let place = u64::try_from(last).unwrap();
                let place = usize::try_from(self.dice.throw(place + 1)).unwrap();
                self.carry_checkpoint(place);
                if self.newest.is_some_and(|newest| newest > self.checkpoints[place].time) {
                    self.happened.insert("a carrier put an older checkpoint back");
                }
            }
            _ => self.carry_checkpoint(last),
        }
    }

    fn carry_files(&mut self, upto: usize) {
        for file in self.files.iter().take(upto).skip(self.carried_files) {
            let path = self.folder.path().join("publish").join(file.path.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.bytes).unwrap();
        }
        self.carried_files = self.carried_files.max(upto);
    }

    fn carry_checkpoint(&mut self, place: usize) {
        self.carry_files(self.checkpoints[place].files);
        let checkpoint = &self.checkpoints[place];
        fs::write(self.folder.path().join("publish/checkpoint"), &checkpoint.octets).unwrap();
        self.newest = self.newest.max(Some(checkpoint.time));
    }

    /// The program looks once. It never goes back.
    fn follow(&mut self) {
        let (before, position, _) = self.program.view.state();
        let stepped = self.program.follower.step(&self.program.view, self.clock());
        let (after, now_at, _) = self.program.view.state();
        assert!(after >= before && now_at >= position, "the program went back: {stepped:?}");
        if matches!(stepped, Ok(Step::Advanced { .. })) {
            let known = |one: &Signed| Some(one.time) == after && one.size == now_at.index;
            assert!(self.checkpoints.iter().any(known), "nobody signed what is followed");
        }
    }

    /// What has just changed, some by lot, and one that nobody issued.
    fn ask_about_some(&mut self, inside: &Inside<'_>) {
        let all: Vec<SerialNumber> = inside.certificates.keys().copied().collect();
        let changed = all.iter().copied();
        let changed =
            changed.filter(|one| self.before.get(one) != inside.certificates.get(one)).take(3);
        let mut serials: Vec<SerialNumber> = changed.collect();
        serials.extend((0..3).filter_map(|_| self.dice.pick(&all)));
        if self.dice.throw(3) == 0 {
            serials.push(SerialNumber::from_random([9; 16]));
        }
        for serial in serials {
            self.ask_about(inside, serial);
        }
    }

    fn ask_about(&mut self, inside: &Inside<'_>, serial: SerialNumber) {
        let hash = self.dice.pick(&[CertIdHash::Sha1, CertIdHash::Sha256]).unwrap();
        let ca = &self.authority.certificate;
        let id = CertId::new(hash, ca.subject().as_der(), ca.public_key(), serial);
        let nonce = (self.dice.throw(4) == 0).then(|| vec![7; 16]);
        let request =
            OcspRequest { cert_ids: vec![id.clone()], nonce: nonce.clone(), preferred: Vec::new() };
        let Some(answered) = self.answer_to(inside, request.to_der()) else {
            self.happened.insert("what was not yet heard of got no answer");
            return;
        };
        match OcspResponse::from_der(&answered.reply.body).unwrap() {
            OcspResponse::Refused(code) => {
                assert_eq!(code, Refusal::TryLater.code(), "refused {serial}");
                self.judge_silence(&serial, &answered);
            }
            OcspResponse::Basic(basic) => {
                assert_eq!(
                    (basic.nonce.as_deref(), &basic.answers[0].cert_id),
                    (nonce.as_deref(), &id)
                );
                self.judge(inside, &serial, &basic, &answered);
            }
        }
    }

    /// Asks; where the question waits, time goes on, and mostly a newer checkpoint comes. `None` if none does, for
    /// then it is put off in the end, which takes seconds and is shown elsewhere.
    fn answer_to(&mut self, inside: &Inside<'_>, der: Vec<u8>) -> Option<Answered> {
        let arrival = self.clock();
        let (runtime, responder) = (Rc::clone(&self.runtime), Arc::clone(&self.program.responder));
        runtime.block_on(async {
            let mut asked = pin!(responder.answer(&der, ASKER));
            loop {
                tokio::select! {
                    biased;
                    reply = &mut asked => return Some(Answered { reply, arrival, waited: false }),
                    () = tokio::task::yield_now() => {}
                }
                if responder.waiting() > 0 {
                    break;
                }
            }
            let may_say = arrival.checked_add(CLOCK_BOUND).unwrap();
            let came = self.dice.throw(3) > 0 && self.newer_comes(inside) > Some(may_say);
            if !came {
                return None;
            }
            Some(Answered { reply: asked.await, arrival, waited: true })
        })
    }

    /// Three seconds pass, in which the inner zone signs and its carrier comes: what is followed then.
    fn newer_comes(&mut self, inside: &Inside<'_>) -> Option<UnixTime> {
        let pass = Duration::from_secs(3);
        self.time = self.time.checked_add(pass).unwrap();
        self.set_clock();
        self.sign_checkpoint(inside.now.checked_add(pass).unwrap());
        self.carry_checkpoint(self.checkpoints.len() - 1);
        self.follow();
        self.program.view.state().0
    }

    /// Nothing was said: so the log is stale or of the future by the program's clock, or it does not have the serial.
    fn judge_silence(&mut self, serial: &SerialNumber, answered: &Answered) {
        let (rests_on, position, _) = self.program.view.state();
        let now = self.clock();
        let usable = rests_on
            .is_some_and(|time| now.since(time) <= FRESHNESS && time.since(now) <= CLOCK_BOUND);
        let has_it = self.past.get(&position.index).is_some_and(|then| then.contains_key(serial));
        assert!(!(usable && (has_it || answered.waited)), "no answer about {serial} at {position}");
        if !usable && rests_on.is_some() {
            self.happened.insert("nothing was said past the freshness of the log");
        }
    }

    /// Something was said.
    fn judge(
        &mut self,
        inside: &Inside<'_>,
        serial: &SerialNumber,
        basic: &BasicResponse,
        answered: &Answered,
    ) {
        basic.verify(&key_of(&self.token.pair)).unwrap();
        let [said] = basic.answers.as_slice() else { panic!("one question, one answer") };
        let position = answered.reply.position.unwrap();
        let what = format!("{:?} of {serial} at {position}", said.status);
        let now = self.clock();
        // It may rest on nothing newer than what was carried.
        let newest = self.newest.unwrap();
        assert!(now.since(newest) <= FRESHNESS, "{what} past its freshness");
        let next_update = said.next_update.unwrap();
        assert!(said.this_update <= basic.produced_at && basic.produced_at <= now, "{what}: times");
        assert!(now < next_update, "{what} has ended");
        assert!(next_update.since(said.this_update) <= VALIDITY, "{what} lives too long");
        // The time of a checkpoint, or that of the signature where the inner zone's clock was ahead.
        let rests = |one: &Signed| {
            let cut = one.time > said.this_update && said.this_update == basic.produced_at;
            (one.time == said.this_update || cut) && one.size <= position.index
        };
        let rests = self.checkpoints.iter().any(rests);
        assert!(rests, "{what}: no checkpoint is of its thisUpdate");
        let then = self.past.get(&position.index).expect("a position that nobody published");
        let of_then = then.get(serial).copied();
        let ends = of_then.and_then(|one| one.forgotten_from());
        let forgotten = ends.is_some_and(|ends| now >= ends);
        let expected = match of_then {
            Some(one) if !forgotten => Some(one.shown()),
            _ => None,
        };
        match (said.status, expected) {
            (CertStatus::Unknown, None) => {
                assert!(next_update.since(now) <= UNKNOWN, "{what} lives too long");
                self.judge_unknown(inside, (serial, &what), of_then, answered);
            }
            (CertStatus::Good, Some(None)) => {
                self.happened.insert("said good");
                if inside.certificates[serial].shown().is_some() {
                    let often = "what was revoked inside was good outside, as long as it may be";
                    self.happened.insert(often);
                }
            }
            (CertStatus::Revoked { at, reason }, Some(Some(shown))) => {
                assert_eq!((at, reason), shown, "{what}");
                let hold = reason == Some(ReasonCode::CertificateHold);
                self.happened.insert(if hold { "said on hold" } else { "said revoked" });
            }
            _ => panic!("{what}, and the acts say {of_then:?}"),
        }
        if basic.produced_at < answered.arrival {
            self.happened.insert("a kept answer was given");
        }
        if answered.waited && of_then.is_some() {
            self.happened.insert("what was issued a moment ago was waited for");
        }
    }

    /// Unknown was said: of what a week has made forgotten, or from a checkpoint younger than the question, so never of
    /// what had been issued before it, wherever the clocks are as far apart as is configured.
    fn judge_unknown(
        &mut self,
        inside: &Inside<'_>,
        (serial, what): (&SerialNumber, &str),
        of_then: Option<Certificate>,
        answered: &Answered,
    ) {
        if of_then.is_some() {
            self.happened.insert("said unknown a week after the end");
            return;
        }
        if self.skew.is_within_bound() {
            let issued = inside.certificates.contains_key(serial);
            assert!(!issued, "{what}: unknown though it was issued before the question");
        }
        let may_say = answered.arrival.checked_add(CLOCK_BOUND).unwrap();
        assert!(
            self.newest > Some(may_say),
            "{what}: unknown from a checkpoint before the question"
        );
        self.happened.insert("said unknown of what was never issued");
    }
}

impl Program {
    /// The program as it starts, on what its folders hold.
    fn start(
        folder: PathBuf,
        planted: Planted,
        note_key: &NoteKey,
        authority: &Arc<Authority>,
        delegates: &Arc<Delegates>,
        token: &Arc<Token>,
    ) -> Self {
        let freshness = match planted {
            Planted::StaleLog => WEEK,
            _ => FRESHNESS,
        };
        let (read_bound, unknown_bound) = match planted {
            Planted::ClocksApart => (Duration::from_secs(3600), Duration::ZERO),
            _ => (CLOCK_BOUND, CLOCK_BOUND),
        };
        let key = hex(&note_key.public_key()).parse().unwrap();
        let rules = FollowRules { origin: origin(), key, freshness, clock_bound: read_bound };
        let (publication, state) = (folder.join("publish"), folder.join("state"));
        let follower = Follower::new(&publication, &state, rules).unwrap();
        let view = Arc::new(View::new(1, freshness, read_bound));
        let authorities = Authorities::new(vec![Arc::clone(authority)], 1);
        let service: Arc<dyn SigningService> = Arc::<Token>::clone(token);
        let rules = AnswerRules {
            validity: VALIDITY,
            max_age: FRESHNESS,
            clock_bound: unknown_bound,
            cache: 64,
            never_issued: NeverIssued::Unknown,
        };
        let responder = Responder::new(
            Arc::clone(&view),
            Arc::new(arc_swap::ArcSwap::from_pointee(authorities)),
            Arc::clone(delegates),
            AnswerSource::Keys { service, finals: Arc::new(Stock::open(&state).unwrap()) },
            rules,
            Arc::<Metrics>::default(),
        );
        Self { follower, view, responder: Arc::new(responder) }
    }
}

fn origin() -> LogOrigin {
    LogOrigin { deployment: "test/demo/ab12".parse().unwrap(), log: LogName::Status, epoch: 1 }
}

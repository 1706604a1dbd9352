//! OCSP under load for a long time, while certificates are issued and revoked, lists and delegates renewed and the
//! responder restarted: no answer is wrong, none fails, and no program grows.
//!
//! Each answer is judged exactly, whatever the machine does meanwhile: `Sigill-Position` says which entries of the status
//! log it rests on, the API says which entry each act became, and what the answer says must be what those entries say.
//! Its signature and the delegate's are verified here; OpenSSL hears and verifies samples, and the CRLs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::budget;
use support::demo::{fetch, until};
use support::program::Server;
use support::spoken;
use support::suite::Check;
use x509::certificate::Certificate;
use x509::ocsp::{CertId, CertIdHash, CertStatus, OcspRequest, OcspResponse};
use x509::serial::SerialNumber;

use crate::accounts::Received;
use crate::api::Request;
use crate::deployment::{AUTHORITY, Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] =
    &[("soak::no_answer_is_wrong_or_fails", no_answer_is_wrong_or_fails)];

/// Those who ask at once.
const ASKERS: usize = 4;
/// How long they ask as fast as they can, to know what half of that is.
const MEASURED_FOR: Duration = Duration::from_secs(3);
/// One question in so many has a nonce, and so an answer that is signed for it alone.
const NONCE_EVERY: u64 = 8;
/// The certificates that are there at the beginning.
const AT_FIRST: usize = 24;
/// Between two acts that change a status.
const ACT_EVERY: Duration = Duration::from_millis(250);
/// Between two samples by OpenSSL, and two looks at memory.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);
/// How long anything may take that has to come about.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// What a program may have grown from the first third of the time to the last, beside a quarter.
const GROWN: u64 = 32 << 20;

/// What can be said of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Good,
    Revoked,
    Unknown,
}

impl From<CertStatus> for Said {
    fn from(status: CertStatus) -> Self {
        match status {
            CertStatus::Good => Self::Good,
            CertStatus::Revoked { .. } | CertStatus::NeverIssued => Self::Revoked,
            CertStatus::Unknown => Self::Unknown,
        }
    }
}

/// What one certificate was, from which entry of the status log on.
struct History {
    serial: SerialNumber,
    id: String,
    entries: Vec<(u64, Said)>,
}

impl History {
    /// What an answer must say that rests on the entries before `first`.
    fn at(&self, first: u64) -> Said {
        let before = self.entries.iter().rev().find(|(index, _)| *index < first);
        before.map_or(Said::Unknown, |(_, said)| *said)
    }
}

/// An answer that rests on more than the API has told of yet.
type Open = (usize, u64, Said);

/// What everybody sees.
struct Soak {
    address: SocketAddr,
    issuer: Certificate,
    histories: RwLock<Vec<History>>,
    /// The last entry that the API has told of; all before it stand in the histories.
    known: AtomicU64,
    /// The most that an answer has rested on.
    seen: AtomicU64,
    over: AtomicBool,
    /// While the responder is restarted nobody asks, as behind whatever spreads questions over several.
    away: AtomicBool,
    /// How often it was started again: a connection to the one before is no more.
    starts: AtomicUsize,
    /// Askers that have a question out.
    asking: AtomicUsize,
    answers: AtomicU64,
    /// Questions that were to be asked again (tryLater).
    put_off: AtomicU64,
    delegates: Mutex<BTreeSet<[u8; 32]>>,
}

impl Soak {
    /// Judges what can be judged; the rest waits for the API.
    fn judge(&self, open: &mut Vec<Open>) {
        let histories = self.histories.read().expect("no asker failed");
        let known = self.known.load(Ordering::Acquire);
        open.retain(|(which, first, said)| {
            if *first > known + 1 {
                return true;
            }
            let history = &histories[*which];
            assert_eq!(*said, history.at(*first), "{} at {first}", history.serial);
            false
        });
    }

    /// One question, if the responder is there: what was asked, and what came back.
    fn ask(&self, line: &mut Option<Line>, number: u64) -> Option<Open> {
        let (which, serial) = {
            let histories = self.histories.read().expect("no asker failed");
            // Spread over all, old and new, of which the responder has heard: what has just been released may be put off
            // by a machine that stands still, and is asked about in the suite's `known`.
            let seen = self.seen.load(Ordering::Acquire);
            let heard = histories.iter().take_while(|one| one.entries[0].0 < seen).count();
            let count = u64::try_from(heard.max(2)).expect("a count");
            let which =
                usize::try_from(number.wrapping_mul(2_654_435_761) % count).expect("an index");
            (which, histories[which].serial)
        };
        let nonce = number.is_multiple_of(NONCE_EVERY).then(|| number.to_be_bytes().to_vec());
        let hash = CertIdHash::ALL[usize::try_from(number % 4).expect("an index")];
        let (name, key) = (self.issuer.subject().as_der(), self.issuer.public_key());
        let cert_ids = vec![CertId::new(hash, name, key, serial)];
        let request = OcspRequest { cert_ids, nonce: nonce.clone(), preferred: Vec::new() };
        self.asking.fetch_add(1, Ordering::SeqCst);
        let answered = (!self.away.load(Ordering::SeqCst)).then(|| {
            let start = self.starts.load(Ordering::SeqCst);
            line.take_if(|line| line.start != start);
            let der = request.to_der();
            // A kept connection is the responder's to close; a new one it must answer.
            let kept = line.take().and_then(|mut line| Some((line.post(&der)?, line)));
            let (answer, open) = kept.unwrap_or_else(|| {
                let mut fresh = Line::open(self.address, start);
                (fresh.post(&der).expect("a new connection is answered"), fresh)
            });
            *line = Some(open);
            answer
        });
        self.asking.fetch_sub(1, Ordering::SeqCst);
        let Some((first, body)) = answered else {
            *line = None;
            return None;
        };
        let response = OcspResponse::from_der(&body).expect("a response");
        if response == OcspResponse::Refused(3) {
            // Its status changed while it was signed: asked again, it is answered.
            self.put_off.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let OcspResponse::Basic(basic) = response else {
            let (starts, answers) = (&self.starts, &self.answers);
            let said = OcspResponse::from_der(&body);
            panic!("{serial} after {answers:?} answers and {starts:?} restarts: {said:?}");
        };
        let delegate = Certificate::from_der(&basic.certificates[0]).expect("a delegate");
        delegate.verify_signed_by(key).expect("the CA's delegate");
        basic.verify(delegate.public_key()).expect("its signature");
        assert!(nonce.is_none() || basic.nonce == nonce, "{serial}: another nonce");
        assert_eq!(basic.answers.len(), 1);
        assert_eq!(basic.answers[0].cert_id.serial(), Some(serial));
        self.delegates.lock().expect("no asker failed").insert(delegate.fingerprint());
        self.answers.fetch_add(1, Ordering::Relaxed);
        let first = first.expect("an answer says what it rests on");
        self.seen.fetch_max(first, Ordering::AcqRel);
        Some((which, first, basic.answers[0].status.into()))
    }

    /// Asks until the end, no more than so many questions a second where `rate` is not 0.
    fn asker(&self, who: usize, rate: u64, until: impl Fn() -> bool) {
        let (mut line, mut open) = (None, Vec::new());
        let mut number = u64::try_from(who).expect("a number") << 40;
        let pause = Duration::from_secs(1).checked_div(u32::try_from(rate).unwrap_or(u32::MAX));
        let mut next = Instant::now();
        while !until() {
            number += 1;
            match self.ask(&mut line, number) {
                Some(answer) => open.push(answer),
                None => thread::sleep(Duration::from_millis(5)),
            }
            self.judge(&mut open);
            let Some(pause) = pause else { continue };
            // Who is late does not make up for it by asking faster.
            next = (next + pause).max(Instant::now());
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let judged = until_judged(&mut open, |open| self.judge(open));
        assert!(judged, "{} answers rest on entries that nobody told of", open.len());
    }
}

/// What is still open when all acts have been told of rests on entries of others: delegates, which are certificates too.
fn until_judged(open: &mut Vec<Open>, judge: impl Fn(&mut Vec<Open>)) -> bool {
    let judged = until(READY_LIMIT, || {
        judge(open);
        open.is_empty().then_some(())
    });
    judged.is_some()
}

/// A connection that is kept, to the responder of this start.
struct Line {
    stream: BufReader<TcpStream>,
    start: usize,
}

impl Line {
    fn open(address: SocketAddr, start: usize) -> Self {
        let stream = TcpStream::connect(address).expect("the responder accepts");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(READY_LIMIT)).expect("a socket");
        Self { stream: BufReader::new(stream), start }
    }

    /// The first entry that the answer does not rest on, where it says so, and the answer; `None` where the
    /// connection has been closed before it.
    fn post(&mut self, body: &[u8]) -> Option<(Option<u64>, Vec<u8>)> {
        let length = body.len();
        let head = format!("POST / HTTP/1.1\r\nHost: ocsp\r\nContent-Length: {length}\r\n\r\n");
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat()).ok()?;
        let (mut first, mut length) = (None, 0);
        let mut text = String::new();
        self.stream.read_line(&mut text).ok().filter(|octets| *octets > 0)?;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        loop {
            text.clear();
            self.stream.read_line(&mut text).expect("it answers");
            let Some((name, value)) = text.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().expect("a length"),
                "sigill-position" => first = index_of(value),
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).expect("it answers");
        Some((first, answer))
    }
}

/// The index of a position `<epoch>.<index>`.
fn index_of(position: &str) -> Option<u64> {
    position.split_once('.')?.1.parse().ok()
}

fn told(answer: &Value) -> u64 {
    index_of(answer["position"].as_str().unwrap_or_default()).expect("a position")
}

/// Issues and revokes, one act after the other.
struct Acts<'a> {
    deployment: &'a Deployment,
    line: Option<crate::api::Line>,
    number: u64,
}

impl Acts<'_> {
    fn issue(&mut self, soak: &Soak) -> usize {
        self.number += 1;
        let api = self.deployment.api();
        let order = self.deployment.order(&format!("soak-{}", self.number));
        let answer = api.persevere(&mut self.line, &order);
        let issued = Received::read("soak", &answer);
        let index = told(&answer.json());
        let entries = vec![(index, Said::Good)];
        let mut histories = soak.histories.write().expect("no asker failed");
        histories.push(History { serial: issued.serial, id: issued.id, entries });
        soak.known.store(index, Ordering::Release);
        histories.len() - 1
    }

    fn revoke(&mut self, soak: &Soak, which: usize) {
        self.number += 1;
        let id = soak.histories.read().expect("no asker failed")[which].id.clone();
        let path = format!("/v1/certificates/{id}/revocation");
        let key = format!("soak-{}", self.number);
        let request = Request::post(path, key, &json!({ "reason": "superseded" }));
        let answer = self.deployment.api().persevere(&mut self.line, &request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let index = told(&answer.json());
        let mut histories = soak.histories.write().expect("no asker failed");
        histories[which].entries.push((index, Said::Revoked));
        soak.known.store(index, Ordering::Release);
    }

    /// A revocation and a new certificate, in turn; the first two certificates stay what they are.
    fn next(&mut self, soak: &Soak, turn: usize) {
        let good = {
            let histories = soak.histories.read().expect("no asker failed");
            histories.iter().skip(2).position(|one| one.entries.len() == 1)
        };
        match good {
            Some(which) if turn.is_multiple_of(2) => self.revoke(soak, which + 2),
            _ => {
                self.issue(soak);
            }
        }
    }
}

/// What OpenSSL hears of the certificate that stays good and of the one that was revoked first, and says of the CRL.
fn sampled(deployment: &Deployment, soak: &Soak, numbers: &mut Vec<String>) {
    let of = |name: &str| deployment.home.join(format!("ceremony/out/{name}.cer"));
    let (issuer, root) = (of(AUTHORITY), deployment.home.join("trust/root.pem"));
    let chain = deployment.home.join("trust/chain.pem").display().to_string();
    let (issuer, root) = (issuer.display().to_string(), root.display().to_string());
    let serials: Vec<SerialNumber> = {
        let histories = soak.histories.read().expect("no asker failed");
        histories.iter().take(2).map(|history| history.serial).collect()
    };
    let url = deployment.ocsp_url();
    for (serial, wanted) in serials.into_iter().zip(["good", "revoked"]) {
        let number = format!("0x{serial}");
        let asked = ["ocsp", "-issuer", &issuer, "-serial", &number, "-url", &url];
        let trust = ["-CAfile", &root, "-verify_other", &chain, "-timeout", "60"];
        let said = spoken::openssl(deployment.folder(), &[&asked[..], &trust].concat());
        let said = said.expect("openssl is there").text;
        assert!(said.contains("Response verify OK"), "{said}");
        assert!(said.contains(&format!("{number}: {wanted}")), "{said}");
    }
    let list = fetch(&format!("{url}/crl/{AUTHORITY}.crl"));
    fs::write(deployment.folder().join("soak.crl"), list).expect("a file");
    let judged = ["crl", "-inform", "DER", "-in", "soak.crl", "-noout", "-CAfile", &chain];
    let judged = [&judged[..], &["-crlnumber", "-verify"]].concat();
    let said = spoken::openssl(deployment.folder(), &judged).expect("openssl is there").text;
    assert!(said.contains("verify OK"), "{said}");
    let number = said.lines().find_map(|line| line.strip_prefix("crlNumber=")).expect("a number");
    let number = format!("{:0>40}", number.trim_start_matches("0x"));
    assert!(numbers.last().is_none_or(|last| *last <= number), "{numbers:?} {number}");
    if numbers.last() != Some(&number) {
        numbers.push(number);
    }
}

/// Resident octets of a process.
fn resident(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).expect("it runs");
    let pages: u64 = text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4096
}

/// The most that a program had in the first third of the time, and in the last.
fn is_flat(what: &str, seen: &[u64]) {
    let third = (seen.len() / 3).max(1);
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    let (first, last) = (most(&seen[..third]), most(&seen[seen.len() - third..]));
    println!("measured: memory of {what} = {} MiB, then {} MiB", first >> 20, last >> 20);
    assert!(last <= first + first / 4 + GROWN, "{what} grew: {seen:?}");
}

/// Whether the responder says that it can do its work.
fn is_ready(deployment: &Deployment) -> bool {
    let file = deployment.home.join("config/ocsp.toml");
    let config = fs::read_to_string(file).expect("a configuration");
    let config: toml::Value = toml::from_str(&config).expect("TOML");
    let url =
        format!("http://{}/readyz", config["observe"]["listen"].as_str().expect("an address"));
    let asked = ["--silent", "--fail", "--max-time", "30", &url];
    spoken::run(std::process::Command::new("curl").args(asked), &[]).code == 0
}

/// Takes the responder away from those who ask, ends it, and starts it again; of another kind of key the first time.
fn restart(deployment: &Deployment, soak: &Soak, responder: &mut Server, number: usize) {
    soak.away.store(true, Ordering::SeqCst);
    let quiet = || (soak.asking.load(Ordering::SeqCst) == 0).then_some(());
    assert!(until(READY_LIMIT, quiet).is_some(), "a question is never answered");
    if number.is_multiple_of(2) {
        assert!(responder.end(READY_LIMIT).success(), "{}", responder.printed());
    } else {
        responder.kill();
    }
    if number == 0 {
        let file = deployment.home.join("config/ocsp.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let kind = "delegates = \"requested\"\n";
        assert!(text.contains(kind), "{text}");
        let other = format!("{kind}delegate-key = \"rsa-2048\"\n");
        fs::write(&file, text.replace(kind, &other)).expect("a configuration");
    }
    *responder = deployment.responder();
    let ready = || is_ready(deployment).then_some(());
    assert!(until(READY_LIMIT, ready).is_some(), "not ready: {}", responder.printed());
    soak.starts.fetch_add(1, Ordering::SeqCst);
    soak.away.store(false, Ordering::SeqCst);
}

/// OCSP-01, promise 5: half of the measured maximum, with revocations, delegate roll-over, CRL renewals and responder
/// restarts: zero wrong, zero failed answers, memory flat.
fn no_answer_is_wrong_or_fails(_: &Template) {
    // The second delegate may follow the first at once: all begin an hour earlier than they are made.
    let earlier = |file| (file, "backdate    = \"5m\"", "backdate    = \"60m\"");
    let template = Template::make_with(&["root.toml", "issuing.toml", "ocsp.toml"].map(earlier));
    let Some(mut deployment) = template.copy() else { return };
    let lasts = Duration::from_secs(budget::count("soak-seconds"));
    deployment.start_with("\n[revocation]\nalone = 1000000\n");
    let der = fs::read(deployment.home.join(format!("ceremony/out/{AUTHORITY}.cer")));
    let soak = Soak {
        address: deployment.ocsp_url().replace("http://", "").parse().expect("an address"),
        issuer: Certificate::from_der(&der.expect("a file")).expect("a certificate"),
        histories: RwLock::default(),
        known: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        over: AtomicBool::new(false),
        away: AtomicBool::new(false),
        starts: AtomicUsize::new(0),
        asking: AtomicUsize::new(0),
        answers: AtomicU64::new(0),
        put_off: AtomicU64::new(0),
        delegates: Mutex::default(),
    };
    let mut acts = Acts { deployment: &deployment, line: None, number: 0 };
    (0..AT_FIRST).for_each(|_| {
        acts.issue(&soak);
    });
    acts.revoke(&soak, 1);
    let mut responder = deployment.responder();
    let ready = || is_ready(&deployment).then_some(());
    assert!(until(READY_LIMIT, ready).is_some(), "not ready: {}", responder.printed());
    // The first delegate is an entry of the log too: now the API has told of one behind it.
    acts.issue(&soak);

    let ends = Instant::now() + MEASURED_FOR;
    thread::scope(|scope| {
        for who in 0..ASKERS {
            let soak = &soak;
            scope.spawn(move || soak.asker(who, 0, || Instant::now() >= ends));
        }
    });
    let most = soak.answers.swap(0, Ordering::Relaxed) / MEASURED_FOR.as_secs();
    let rate = (most / 2 / u64::try_from(ASKERS).expect("a number")).max(1);
    let begun = Instant::now();
    let (mut memory, mut numbers): (BTreeMap<&str, Vec<u64>>, Vec<String>) = Default::default();
    let mut restarts = 0;
    thread::scope(|scope| {
        // Whatever fails ends all, so that it is told.
        let over = Over(&soak.over);
        for who in 0..ASKERS {
            let soak = &soak;
            scope.spawn(move || {
                let over = Over(&soak.over);
                soak.asker(who, rate, || soak.over.load(Ordering::Relaxed));
                over.not_yet();
            });
        }
        let mut turn = 0;
        let (mut sampled_at, mut acted_at) = (begun, begun);
        let rolled_over = || soak.delegates.lock().expect("no asker failed").len() >= 2;
        let restart_every = (lasts / 3).min(Duration::from_secs(60));
        // A slow machine gets the time for what must have happened.
        let most = lasts + 2 * READY_LIMIT;
        while begun.elapsed() < lasts
            || (!(rolled_over() && restarts >= 2 && numbers.len() >= 2) && begun.elapsed() < most)
        {
            assert!(
                !soak.over.load(Ordering::Relaxed),
                "an asker has failed: {}",
                responder.printed()
            );
            if acted_at.elapsed() >= ACT_EVERY {
                acted_at = Instant::now();
                turn += 1;
                acts.next(&soak, turn);
            }
            if sampled_at.elapsed() >= SAMPLE_EVERY {
                sampled_at = Instant::now();
                sampled(&deployment, &soak, &mut numbers);
                memory.entry("sigill-ocsp").or_default().push(resident(responder.id()));
                memory.entry("sigill-ca").or_default().push(resident(deployment.process()));
            }
            let due = restart_every * (restarts + 1);
            if begun.elapsed() >= due && (begun.elapsed() < lasts || restarts < 2) {
                let number = usize::try_from(restarts).expect("a number");
                restart(&deployment, &soak, &mut responder, number);
                restarts += 1;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // One more entry, so that every answer rests on less than the API has told of.
        acts.issue(&soak);
        drop(over);
    });
    let answers = soak.answers.load(Ordering::Relaxed);
    println!("measured: seconds = {}", begun.elapsed().as_secs());
    println!("measured: answers a second at most = {most}, then half of it");
    println!("measured: answers, none wrong and none failed = {answers}");
    let put_off = soak.put_off.load(Ordering::Relaxed);
    println!("measured: put off with tryLater = {put_off}");
    assert!(put_off <= 1 + answers / 1000, "{put_off} of {answers} put off");
    println!("measured: acts = {}, restarts = {restarts}, CRLs = {}", acts.number, numbers.len());
    assert!(answers > 0 && restarts >= 2 && numbers.len() >= 2, "{restarts} {numbers:?}");
    assert!(soak.delegates.into_inner().expect("no asker failed").len() >= 2, "no roll-over");
    memory.iter().for_each(|(what, seen)| is_flat(what, seen));
}

/// Ends everybody's work when it is dropped, by a failure too.
struct Over<'a>(&'a AtomicBool);

impl Over<'_> {
    /// Whoever ends well ends nobody else.
    fn not_yet(self) {
        std::mem::forget(self);
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

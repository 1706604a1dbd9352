//! Signatures a second through our queue, beside those of the module itself: the same process, token, key and threads.
//!
//! The module's own rate is that of threads with a session each that sign by `C_SignInit` and `C_Sign` and do nothing
//! else. Ours is that of as many callers of a `TokenSigner` on a `Token` of as many sessions. The two take turns. At the
//! end it stands idle, and the CPU time of that is counted. `benches/run --hsm` calls it and prints the table; each result
//! is one line of JSON on standard output.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a measuring program: what goes wrong ends it"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{
    KeyId, KeyOrder, KeyPolicy, Module, PinMarkers, Quirks, Removal, SigningService as _, Token,
    TokenSettings, TokenSigner,
};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::{
    Intent, IntentId, Pending, Recorded, Recorder, SigningInput, SigningKind, ToBeSigned,
};

const USAGE: &str =
    "usage: hsm-rate --module FILE --label LABEL --serial SERIAL --pin FILE --state FOLDER
       --keys p256,rsa2048,rsa4096 --threads 1,2,16 --rounds N --seconds N --idle SECONDS
--seconds is for each half of a round: the module's own, then ours.";

/// Longest wait for a signature or a key.
const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    let options = options();
    let numbers = |name: &str| -> Vec<usize> {
        options[name].split(',').map(|word| word.parse().expect(USAGE)).collect()
    };
    let (rounds, seconds) = (numbers("rounds")[0], numbers("seconds")[0] as u64);
    let module = Module::load(Path::new(&options["module"])).expect("the module loads");
    let device = Device { module, options: &options };
    let maker = device.open(1);
    let mut last = None;
    for kind in options["keys"].split(',') {
        let key = make_key(&maker, kind);
        for threads in numbers("threads") {
            let token = device.open(threads);
            for round in 1..=rounds {
                let span = Duration::from_secs(seconds);
                let own = own_rate(&options, kind, threads, span);
                own.print("own", kind, threads, round);
                queue_rate(&token, &key, threads, span).print("queue", kind, threads, round);
            }
            last = Some(token);
        }
    }
    // The sessions and threads of the last token stand idle.
    let token = last.expect("something was measured");
    let idle = Duration::from_secs(numbers("idle")[0] as u64);
    thread::sleep(Duration::from_millis(500));
    let (before, slept) = (cpu_time(), sleeps());
    thread::sleep(idle);
    let (used, slept) = (cpu_time() - before, sleeps() - slept);
    let threads = fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    println!(
        "{{\"what\": \"idle\", \"threads\": {threads}, \"seconds\": {}, \"cpu_ms\": {:.2}, \"wakeups\": {slept}}}",
        idle.as_secs(),
        used.as_secs_f64() * 1e3
    );
    drop(token);
}

fn options() -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut words = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        options.insert(name.trim_start_matches("--").to_owned(), value);
    }
    let wanted = [
        "module", "label", "serial", "pin", "state", "keys", "threads", "rounds", "seconds", "idle",
    ];
    if let Some(missing) = wanted.iter().find(|name| !options.contains_key(**name)) {
        eprintln!("error: --{missing} is missing\n{USAGE}");
        std::process::exit(2);
    }
    options
}

/// The token as our programs open it.
struct Device<'a> {
    module: Module,
    options: &'a BTreeMap<String, String>,
}

impl Device<'_> {
    fn open(&self, sessions: usize) -> Token {
        let name = TokenName {
            label: self.options["label"].parse().expect("a label"),
            serial: self.options["serial"].parse().expect("a serial number"),
        };
        let settings = TokenSettings {
            name,
            pin: Pin::from_file(Path::new(&self.options["pin"])).expect("a PIN"),
            markers: PinMarkers::in_folder(Path::new(&self.options["state"])).expect("a folder"),
            sessions: NonZeroUsize::new(sessions).expect("a session"),
            deadline: DEADLINE,
            quirks: Quirks::default(),
        };
        Token::open(&self.module, settings).expect("the token opens")
    }
}

fn key_type(kind: &str) -> KeyType {
    match kind {
        "p256" => KeyType::EcP256,
        other => {
            let bits = other.strip_prefix("rsa").and_then(|bits| bits.parse().ok());
            KeyType::Rsa { bits: bits.unwrap_or_else(|| panic!("no such key: {kind}\n{USAGE}")) }
        }
    }
}

fn key_id(kind: &str) -> KeyId {
    KeyId::of_step(&[1; 32], kind)
}

fn make_key(token: &Token, kind: &str) -> PublicKey {
    let id = key_id(kind);
    let order = KeyOrder {
        key_type: key_type(kind),
        label: kind.to_owned(),
        id,
        removal: Removal::Forbidden,
    };
    match token.key_by_id(id).expect("the token tells its keys") {
        Some(key) => key,
        None => token.generate_key(order, DEADLINE).expect("the key is made"),
    }
}

/// The module without us, in the process that is logged in already.
fn own_rate(
    options: &BTreeMap<String, String>,
    kind: &str,
    threads: usize,
    span: Duration,
) -> Measured {
    let context = Pkcs11::new(&options["module"]).expect("the module loads");
    let slot = context
        .get_slots_with_initialized_token()
        .expect("slots")
        .into_iter()
        .find(|slot| {
            context.get_token_info(*slot).is_ok_and(|info| info.label() == options["label"])
        })
        .expect("the token is there");
    let rsa = matches!(key_type(kind), KeyType::Rsa { .. });
    // A digest, or a digest in its DigestInfo.
    let input = vec![7; if rsa { 51 } else { 32 }];
    let wanted = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(key_id(kind).as_bytes().to_vec()),
    ];
    measure(threads, span, || {
        let session = context.open_ro_session(slot).expect("a session");
        let key = session.find_objects(&wanted).expect("objects")[0];
        let mechanism = if rsa { Mechanism::RsaPkcs } else { Mechanism::Ecdsa };
        let input = input.clone();
        move || {
            session.sign(&mechanism, key, &input).expect("a signature");
        }
    })
}

fn queue_rate(token: &Token, key: &PublicKey, threads: usize, span: Duration) -> Measured {
    let signer = TokenSigner::new(DEADLINE);
    signer.add(token, key, KeyPolicy::issuing()).expect("the key proves itself");
    let algorithm = match key.key_type() {
        KeyType::Rsa { .. } => SignatureAlgorithm::RsaPkcs1Sha256,
        _ => SignatureAlgorithm::EcdsaP256Sha256,
    };
    let signer = &signer;
    measure(threads, span, || {
        let input = recorded(key, algorithm);
        move || {
            signer.sign(&input).expect("a signature");
        }
    })
}

struct Memory;

impl Recorder for Memory {
    type Error = Infallible;
    fn record(self, _: &Intent) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What a certificate's signature is asked for with.
fn recorded(key: &PublicKey, algorithm: SignatureAlgorithm) -> SigningInput {
    let bytes = ToBeSigned::Bytes(Arc::from([7; 900].as_slice()));
    let id = IntentId::from_bytes([9; 16]);
    let pending = Pending::new(id, SigningKind::Certificate, key.clone(), algorithm, bytes);
    let pending = pending.expect("bytes to be signed");
    let proof = match Recorded::by(Memory, pending.intent()) {
        Ok(proof) => proof,
        Err(never) => match never {},
    };
    pending.input(&proof).expect("what was recorded")
}

/// What some threads did in some time.
struct Measured {
    /// Nanoseconds, ascending.
    latencies: Vec<u64>,
    elapsed: Duration,
    cpu: Duration,
}

/// Has each of `threads` prepare its work, and do it again and again for `span` once all are ready.
fn measure<W: FnMut()>(threads: usize, span: Duration, prepare: impl Fn() -> W + Sync) -> Measured {
    let (stop, ready) = (AtomicBool::new(false), Barrier::new(threads + 1));
    let (mut latencies, elapsed, cpu) = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let (stop, ready, prepare) = (&stop, &ready, &prepare);
                scope.spawn(move || {
                    let mut work = prepare();
                    // Whatever is looked up once is looked up before.
                    (0..3).for_each(|_| work());
                    let mut latencies = Vec::with_capacity(1 << 18);
                    ready.wait();
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        work();
                        latencies.push(begun.elapsed().as_nanos() as u64);
                    }
                    latencies
                })
            })
            .collect();
        ready.wait();
        let (begun, cpu) = (Instant::now(), cpu_time());
        thread::sleep(span);
        stop.store(true, Ordering::Relaxed);
        let all: Vec<u64> = running
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread panicked"))
            .collect();
        (all, begun.elapsed(), cpu_time() - cpu)
    });
    latencies.sort_unstable();
    Measured { latencies, elapsed, cpu }
}

impl Measured {
    fn print(&self, what: &str, kind: &str, threads: usize, round: usize) {
        let (done, elapsed, cpu) =
            (self.latencies.len() as f64, self.elapsed.as_secs_f64(), self.cpu.as_secs_f64());
        let at = |share: f64| {
            let index = (done * share) as usize;
            self.latencies
                .get(index.min(self.latencies.len() - 1))
                .map_or(0.0, |ns| *ns as f64 / 1e6)
        };
        println!(
            "{{\"what\": \"{what}\", \"key\": \"{kind}\", \"threads\": {threads}, \"round\": {round}, \
             \"per_s\": {:.1}, \"per_cpu_s\": {:.1}, \"cpu_cores\": {:.2}, \"p50_ms\": {:.4}, \
             \"p99_ms\": {:.4}, \"max_ms\": {:.3}}}",
            done / elapsed,
            done / cpu,
            cpu / elapsed,
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}

/// CPU time of this process, its threads included.
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// How often threads of this process went to sleep by themselves: each time something had woken them.
fn sleeps() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("this process has threads");
    let of_task = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let text = fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    tasks.filter_map(of_task).sum()
}

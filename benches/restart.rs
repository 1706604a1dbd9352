//! How long a responder takes to know its certificates again after a restart, and what they take in memory.
//!
//! `cargo run --release -p status --example restart -- 1000000` writes a log of so many certificates, every tenth of
//! which is revoked, into a temporary folder, and reads it as the follower does: entry bundles from files, every
//! entry hashed into the tree and applied to the index, the root compared. Best and worst of five runs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program: it reads the clock, files and arguments, and what goes wrong ends it"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger::tile::{TilePath, TileReadError, TileSource};
use ledger::{Edge, Frontier, Hash, tree};
use status::entry::{CertificateEntry, Change, StatusEntry};
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, Index, IssuerId, IssuerRef, RevocationReason,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

const RUNS: usize = 5;

struct Folder(PathBuf);

impl TileSource for Folder {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        fs::read(self.0.join(path.to_string())).map_err(|_| TileReadError::Missing { path: *path })
    }
}

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "1000000".to_owned());
    let count: u64 = argument.parse().unwrap();
    let folder =
        Folder(std::env::temp_dir().join(format!("sigill-restart-{}", std::process::id())));
    let (size, root) = write(&folder.0, count);
    let before = resident();
    let mut kept = None;
    let (mut times, mut processors) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        drop(kept.take());
        let (started, spent) = (Instant::now(), processor());
        kept = Some(read(&folder, size, root));
        times.push(started.elapsed());
        processors.push(processor() - spent);
    }
    let index = kept.unwrap();
    let (best, worst) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    let certificates = index.len();
    println!("{certificates} certificates, {size} entries");
    println!("read, verified and applied: {} best, {} worst of {RUNS}", ms(*best), ms(*worst));
    let processor = processors.iter().min().unwrap();
    println!(
        "of the processor: {} best; what else runs on the machine does not count",
        ms(*processor)
    );
    println!(
        "memory: {} octets a certificate in the index, {} resident",
        index.octets() / certificates,
        resident().saturating_sub(before) / certificates
    );
    fs::remove_dir_all(folder.0).unwrap();
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// Writes the log; its size and root.
fn write(folder: &Path, count: u64) -> (u64, Hash) {
    let time = UnixTime::of_day(2026, 11, 23).unwrap();
    let issuer = IssuerRef::from_index(0);
    let classes = AnswerClasses {
        before_activation: BeforeActivation::Good,
        after_expiry: AfterExpiry::Kept,
    };
    let mut edge = Edge::new();
    let mut waiting = vec![
        StatusEntry::IssuerDeclared { log_time: time, issuer: IssuerId::from_bytes([7; 32]) }
            .encode(),
    ];
    for number in 0..count {
        // The serial numbers of ours are random; these are spread as widely.
        let mut octets = [0x40; 16];
        octets[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let serial = SerialNumber::from_content_octets(&octets).unwrap();
        let entry = |change| {
            StatusEntry::Certificate(CertificateEntry::own(time, issuer, serial, change)).encode()
        };
        waiting.push(entry(Change::Issued { not_after: UnixTime::LAST, classes }));
        if number % 10 == 0 {
            let reason = Some(RevocationReason::Superseded);
            waiting.push(entry(Change::Revoked { reason, invalidity_date: None }));
        }
        if waiting.len() >= 65_536 || number + 1 == count {
            for file in edge.append(&waiting).unwrap() {
                let path = folder.join(file.path.to_string());
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file.bytes).unwrap();
            }
            waiting.clear();
        }
    }
    (edge.size(), edge.root())
}

fn read(folder: &Folder, size: u64, root: Hash) -> Index {
    let mut index = Index::new(1);
    let frontier = tree::replay(&Frontier::new(), size, folder, |_, octets| {
        let entry = StatusEntry::decode(octets).unwrap();
        index.apply(index.next(), &entry).unwrap();
    });
    assert_eq!(frontier.unwrap().root(), root);
    index
}

/// What this process has had of the processor.
fn processor() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = text.rsplit_once(") ").unwrap().1.split(' ');
    // utime and stime, in hundredths of a second (proc(5)).
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Octets of this process that are in memory.
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

//! What the store does in a second. Measured on purpose only:
//!
//!     cargo test --release -p store --test sqlite -- --ignored --nocapture --test-threads=1 bench::

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use ca::audit::EventCode;
use store::StatusAct;

use crate::conformance::world::{World, at, audit};
use crate::sqlite;

const SPAN: Duration = Duration::from_secs(5);

/// CPU time of this process so far, all threads, from the kernel's ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

/// Runs `act` in `callers` threads for [`SPAN`] and returns how often a second it ended, and how
/// many microseconds of CPU time it took.
fn rate(callers: usize, act: impl Fn(usize) + Sync) -> (f64, f64) {
    let cpu = cpu_seconds();
    let begun = Instant::now();
    let done: u32 = thread::scope(|scope| {
        let act = &act;
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                scope.spawn(move || {
                    let mut done = 0;
                    while begun.elapsed() < SPAN {
                        act(caller);
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let rate = f64::from(done) / begun.elapsed().as_secs_f64();
    (rate, (cpu_seconds() - cpu) * 1e6 / f64::from(done))
}

fn durable_writes() -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("file")).unwrap();
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        file.write_all(&[1; 8192]).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    f64::from(done) / begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "measures for half a minute"]
fn acts_a_second() {
    println!("{:>8.0} durable 8 kB appends a second on this disk", durable_writes());
    for callers in [1, 8, 48, 256] {
        let sqlite = sqlite();
        let world = World::new(&sqlite);
        let ids: Vec<_> = (0..callers).map(|_| world.issue(at(0)).certificate).collect();

        let leaves = rate(callers, |_| {
            world.store.record_audit(&audit(EventCode::ServerStarted), at(1)).unwrap();
        });
        let changes = rate(callers, |caller| {
            world.change(ids[caller], StatusAct::Hold, at(1)).unwrap();
            world.change(ids[caller], StatusAct::Release, at(1)).unwrap();
        });
        let issued = rate(callers, |_| {
            world.issue(at(1));
        });
        println!(
            "{callers:>4} callers, a second (CPU us each): {:>6.0} ({:>4.0}) audit leaves, \
             {:>6.0} ({:>4.0}) status changes, \
             {:>6.0} ({:>4.0}) issue cycles of order, intent, signature, issued",
            leaves.0,
            leaves.1,
            changes.0 * 2.0,
            changes.1 / 2.0,
            issued.0,
            issued.1
        );
    }
}

/// How fast the rows of a CRL come out of the store; they are written past it to save time.
#[test]
#[ignore = "measures a list of half a million entries"]
fn rows_of_a_list() {
    const ROWS: u32 = 500_000;
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    world.issue(at(0));
    let raw = sqlite.raw();
    raw.execute_batch(&format!(
        "BEGIN;
         INSERT INTO serial (issuer, serial, state, reason, effective, not_after,
             before_activation, after_expiry, epoch, idx, listed)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT 1, CAST(x'10' || randomblob(16) AS BLOB), 'revoked', 1, 1790000000, 1990000000,
             'good', 'kept', 1, 1, 1 FROM n;
         COMMIT;"
    ))
    .unwrap();

    for round in ["cold", "warm"] {
        let begun = Instant::now();
        let mut count = 0;
        world
            .store
            .revoked(world.issuer.id(), at(0), &mut |view| {
                view.rows.for_each(|row| count += usize::from(row.is_ok()));
            })
            .unwrap();
        let elapsed = begun.elapsed();
        assert_eq!(count, usize::try_from(ROWS).unwrap());
        println!("{count} rows of a list, {round}: {elapsed:.2?}");
    }
}

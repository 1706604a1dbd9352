//! What a list takes in memory, as the operating system counts it, and what is not held in it.

use std::fs::{File, OpenOptions};

use super::*;
use crate::prepare::prepare_holding;

/// Says to the test, run as a program of its own, how many entries its list has.
const CHILD: &str = "SIGILL_TEST_CRL_ENTRIES";
/// More memory than this, in KiB, no list may take beside what a short one takes: what is held, and whatever else.
const BOUND_KIB: u64 = 32 * 1024;

/// CRL-14: a list twice as long as what is held takes no more memory than one that is just longer, and both a bounded piece more than a
/// short one.
#[test]
fn memory_does_not_grow_with_the_list() {
    if let Ok(count) = std::env::var(CHILD) {
        return prepare_in_a_file(count.parse().unwrap());
    }
    // Where a tool that makes the CA is not installed no child makes one.
    if TestCa::new().is_none() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let name = "judged::memory::memory_does_not_grow_with_the_list";
    let peak_of = |count: &str| {
        let mut child = Command::new(&program);
        let ended = child.args([name, "--exact", "--nocapture"]).env(CHILD, count).output();
        let ended = ended.unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success(), "{said}");
        peak_in(&said)
    };
    let (short, longer, longest) = (peak_of("1000"), peak_of("380000"), peak_of("800000"));
    assert!(longest < longer + 4 * 1024, "{longer} and {longest} KiB, though 20 MB are more");
    assert!(longest < short + BOUND_KIB, "{short} and {longest} KiB");
}

/// In KiB, as the child says it.
fn peak_in(said: &str) -> u64 {
    let peak =
        said.split("peak of memory: ").nth(1).and_then(|peak| peak.split_whitespace().next());
    peak.unwrap_or_else(|| panic!("no list was made: {said}")).parse().unwrap()
}

/// A child that runs no test, because it has another name by now, says that all are well too.
#[test]
#[should_panic(expected = "no list was made")]
fn a_child_that_made_no_list_proves_nothing() {
    peak_in("running 0 tests\n\ntest result: ok. 0 passed");
}

fn prepare_in_a_file(count: u32) {
    let ca = TestCa::new().expect("the tools that the parent found");
    let number = CrlNumber::first();
    let rows = (0..count).map(|index| {
        let mut random = [0; 16];
        random[..4].copy_from_slice(&index.to_be_bytes());
        Ok::<_, &str>(entry_of(random))
    });
    let path = ca.path("spool");
    let file: File =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    let (mut spool, none) = (CrlSpool { file, path: path.into() }, None::<PreviousCrl<&[u8]>>);
    let order = order(&ca.issuer, &number, NOW);
    let made = prepare(&order, rows, &mut spool, none, &mut unexplained).unwrap();
    assert_eq!(made.entries, u64::from(count));
    assert!(made.length > u64::from(count) * 30);
    let status = read("/proc/self/status");
    let status = String::from_utf8(status).unwrap();
    let peak = status.split("VmHWM:").nth(1).unwrap().split_whitespace().next().unwrap();
    println!("peak of memory: {peak} KiB");
}

fn entry_of(random: [u8; 16]) -> CrlEntry {
    CrlEntry::from(RevokedEntry {
        serial: SerialNumber::from_random(random),
        revocation_date: at(NOW - 1),
        reason: Some(ReasonCode::Superseded),
        invalidity_date: None,
    })
}

/// CRL-14: entries that are written before it is known how many there are stand where they would otherwise; and where what announces them
/// would have no place there, nothing is signed.
#[test]
fn entries_written_ahead_stand_in_their_place_or_nothing_is_signed() {
    let Some(ca) = TestCa::new() else { return };
    let number = CrlNumber::first();
    let order = order(&ca.issuer, &number, NOW);
    let rows = || {
        (0..2_000_u16).map(|index| {
            let mut random = [1; 16];
            random[..2].copy_from_slice(&index.to_be_bytes());
            Ok::<_, &str>(CrlEntry::from(RevokedEntry {
                serial: SerialNumber::from_random(random),
                revocation_date: at(NOW - 1),
                reason: (index % 2 == 0).then_some(ReasonCode::KeyCompromise),
                invalidity_date: (index % 3 == 0).then_some(at(NOW - 2)),
            }))
        })
    };
    let prepared = |held| {
        let (mut spool, none) = (spool(), None::<PreviousCrl<&[u8]>>);
        prepare_holding(held, &order, rows(), &mut spool, none, &mut unexplained).map(|made| {
            assert_eq!(made.entries, 2_000);
            spool.file.into_inner()
        })
    };
    let whole = prepared(usize::MAX).unwrap();
    assert!(whole.len() > 70_000, "{}", whole.len());

    assert!(prepared(1 << 16).unwrap() == whole, "the same octets");

    // 65,536 octets and more are announced in an octet more than less.
    for held in [1, 60_000] {
        let refused = prepared(held);
        assert!(matches!(refused, Err(PrepareError::SpoolChanged)), "{held}: {refused:?}");
    }
}

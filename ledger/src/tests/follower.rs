//! What a follower takes and refuses.

use std::time::Duration;

use super::{Files, Key, Log};
use crate::checkpoint::{Checkpoint, CheckpointNote};
use crate::follow::{AdvanceError, FollowRules, verify_advance};
use crate::proof::ProofMakeError;
use crate::time::Timestamp;

const NOW: u64 = 1_795_300_000;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs).unwrap()
}

fn rules() -> FollowRules {
    FollowRules {
        origin: "sigill/test/demo/ab12/status/2".parse().unwrap(),
        key: Key::new(1).public(),
        freshness: Duration::from_secs(30),
        clock_bound: Duration::from_secs(1),
    }
}

fn note(log: &Log, secs: u64, origin: &str) -> CheckpointNote {
    let (size, root) = (log.edge.size(), log.root());
    let checkpoint = Checkpoint { origin: origin.parse().unwrap(), size, root };
    CheckpointNote::sign(checkpoint, at(secs), &Key::new(1)).unwrap()
}

fn status(log: &Log, secs: u64) -> CheckpointNote {
    note(log, secs, "sigill/test/demo/ab12/status/2")
}

fn advance(
    trusted: Option<&CheckpointNote>,
    new: &CheckpointNote,
    files: &Files,
) -> Result<CheckpointNote, AdvanceError> {
    verify_advance(trusted, new.to_string().as_bytes(), &rules(), at(NOW), files)
}

#[test]
fn takes_a_grown_log_and_the_same_one_again() {
    for (old, new) in [(0, 0), (0, 5), (1, 1), (5, 300), (256, 257), (256, 512), (700, 70_000)] {
        let trusted = status(&Log::of_size(old), NOW - 1);
        let log = Log::of_size(new);
        let next = status(&log, NOW);

        assert_eq!(advance(Some(&trusted), &next, &log.files).unwrap(), next, "{old} {new}");
        assert_eq!(advance(Some(&next), &next, &log.files).unwrap(), next);
        assert_eq!(advance(None, &next, &Files::default()).unwrap(), next);
    }
}

#[test]
fn counts_freshness_to_the_second_on_both_sides() {
    let log = Log::of_size(3);
    for secs in [NOW - 30, NOW, NOW + 1] {
        assert!(advance(None, &status(&log, secs), &log.files).is_ok(), "{secs}");
    }
    let refused = advance(None, &status(&log, NOW - 31), &log.files);
    assert!(matches!(refused, Err(AdvanceError::Stale { .. })));
    let refused = advance(None, &status(&log, NOW + 2), &log.files);
    assert!(matches!(refused, Err(AdvanceError::InFuture { .. })));
    let refused = advance(None, &status(&log, Timestamp::MAX.secs()), &log.files);
    assert!(matches!(refused, Err(AdvanceError::InFuture { .. })));
    let refused = advance(None, &status(&log, 0), &log.files);
    assert!(matches!(refused, Err(AdvanceError::Stale { .. })));
}

#[test]
fn refuses_another_log_epoch_or_deployment() {
    let log = Log::of_size(3);
    for origin in [
        "sigill/test/demo/ab12/status/1",
        "sigill/test/demo/ab12/status/3",
        "sigill/test/demo/ab12/audit/2",
        "sigill/test/demo/cd34/status/2",
        "sigill/prod/prod/ab12/status/2",
    ] {
        let other = note(&log, NOW, origin);
        let refused = advance(None, &other, &log.files);
        assert!(matches!(refused, Err(AdvanceError::OtherLog { .. })), "{origin}");
        let refused = advance(Some(&other), &status(&log, NOW), &log.files);
        assert!(matches!(refused, Err(AdvanceError::OtherLog { .. })), "{origin}");
    }
}

#[test]
fn refuses_to_go_back() {
    let (small, large) = (Log::of_size(299), Log::of_size(300));
    let trusted = status(&large, NOW - 1);

    let refused = advance(Some(&trusted), &status(&small, NOW), &small.files);
    assert!(matches!(refused, Err(AdvanceError::Smaller { size: 299, trusted: 300 })));

    let refused = advance(Some(&trusted), &status(&large, NOW - 2), &large.files);
    assert!(matches!(refused, Err(AdvanceError::Earlier { .. })));
}

/// Another history of the same length, of a greater length, and one that changes an old entry
/// (AUD-03).
#[test]
fn refuses_a_log_with_another_past() {
    let trusted = status(&Log::of_size(300), NOW - 1);
    for (kept, forked) in [(299, 1), (299, 400), (0, 1000), (256, 44), (255, 300)] {
        let mut log = Log::of_size(kept);
        log.fork(forked);

        let refused = advance(Some(&trusted), &status(&log, NOW), &log.files);

        let old = 300;
        assert!(
            matches!(refused, Err(AdvanceError::Inconsistent { old: o, .. }) if o == old),
            "{kept} + {forked}"
        );
    }
}

#[test]
fn refuses_a_grown_log_whose_tiles_are_missing_or_false() {
    let trusted = status(&Log::of_size(300), NOW - 1);
    let mut log = Log::of_size(700);
    let next = status(&log, NOW);

    let refused = advance(Some(&trusted), &next, &Files::default());
    assert!(matches!(refused, Err(AdvanceError::Proof(ProofMakeError::Source(_)))));

    log.files.0.values_mut().for_each(|bytes| bytes[0] ^= 1);
    let refused = advance(Some(&trusted), &next, &log.files);
    assert!(matches!(refused, Err(AdvanceError::Inconsistent { .. })));
}

#[test]
fn refuses_what_the_pinned_key_did_not_sign() {
    let log = Log::of_size(3);
    let note = status(&log, NOW);
    let other = FollowRules { key: Key::new(2).public(), ..rules() };

    let refused = verify_advance(None, note.to_string().as_bytes(), &other, at(NOW), &log.files);

    assert!(matches!(refused, Err(AdvanceError::Note(_))));
}

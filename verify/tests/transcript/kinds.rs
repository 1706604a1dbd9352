//! Transcripts of what a root signs after its own ceremony: judged by plan and rehearsal as that of its key is (N1, N33, N34).

use std::path::PathBuf;

use ceremony_core::attendance::{PRESENCE, PRODUCTION, REHEARSAL, TO_BE_SIGNED};
use ceremony_core::transcript::Kind;

use super::people::{ALL, Lines, World, refused};

/// A transcript in which these people answer, and something of this hash is signed so often.
fn signed(
    world: &World,
    (step, purpose): (&str, &str),
    people: &[&str],
    alike: &str,
    times: usize,
) -> PathBuf {
    let mut lines = Lines::begun(&world.plan, purpose);
    let hash = world.plan.hash.to_string();
    for id in people {
        lines.write(step, Kind::Attest, &[id], &[("what", PRESENCE)]);
    }
    let what = [("what", "to be signed alike in every run"), ("sha256", alike)];
    lines.write(step, Kind::Check, &[], &what);
    let compared = [("what", TO_BE_SIGNED), ("sha256", hash.as_str())];
    lines.write(step, Kind::Readback, &["vera-sund"], &compared);
    for intent in ["s1", "s2"].into_iter().take(times) {
        let announced = [("act", "sign"), ("intent", intent), ("tbs_sha256", hash.as_str())];
        lines.write(step, Kind::Intent, &[], &announced);
        lines.write(step, Kind::Result, &[], &[("intent", intent), ("sha256", &hash)]);
    }
    lines.closed(&world.folder.path().join(format!("{purpose}.jsonl")))
}

#[test]
fn what_a_root_signs_later_is_judged_by_plan_and_rehearsal() {
    // The independent person sees the recording.
    let people: Vec<&str> = ALL.into_iter().filter(|id| *id != "ragnar-holm").collect();
    for (plan, step) in [("c3-issuing-certificate", "person-certificate"), ("c5-root-crl", "crl")] {
        let world = World::of(plan);
        let [alike, other] = ["ab", "cd"].map(|octet| octet.repeat(32));
        let held = |purpose: &str, people: &[&str], alike: &str, times: usize| {
            signed(&world, (step, purpose), people, alike, times)
        };
        let rehearsal = held(REHEARSAL, &people, &alike, 1);
        let as_rehearsed = ["--rehearsal", rehearsal.to_str().unwrap()];

        let output = world.judged(&held(PRODUCTION, &people, &alike, 1), &as_rehearsed);
        assert!(output.status.success(), "{plan}: {output:?}");

        // Other octets than those that were rehearsed, whatever else is the same.
        let output = world.judged(&held(PRODUCTION, &people, &other, 1), &as_rehearsed);
        refused(&output, 13, "to be signed alike in every run");
        let output = world.judged(&held(PRODUCTION, &people, &alike, 2), &as_rehearsed);
        refused(&output, 14, "R14: ");
        let output = world.judged(&held(PRODUCTION, &people, &alike, 0), &as_rehearsed);
        refused(&output, 14, "has 0 of the 1 results");
        let output = world.judged(&held(PRODUCTION, &people[1..], &alike, 1), &as_rehearsed);
        refused(&output, 12, "requires 1 of role administrator, and 0");
    }
}

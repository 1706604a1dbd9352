//! The dependency rule and its neighbours, as tests (ARCHITECTURE.md, "The dependency rule").
//!
//! Each module is one guard: what it forbids, the test of the checkout, and tests that show it
//! refuses a made-up offender. A guard returns faults rather than asserting, so that one run names
//! every offence and the guard itself can be tested.

mod dependencies;
mod every_code;
mod length;
mod purity;
mod signing_path;
mod source;
mod told_codes;
mod unsafe_code;
mod unused;
mod vocabulary;

/// Fails with every fault, one a line.
#[track_caller]
fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}

/// Fails unless exactly one fault was found and it mentions `needle`.
#[track_caller]
fn assert_one(faults: &[String], needle: &str) {
    let [fault] = faults else { panic!("wanted one fault, found {faults:?}") };
    assert!(fault.contains(needle), "{fault:?} does not mention {needle:?}");
}

//! Every result of the calls by which a module is loaded, each in a process of its own.
//!
//! A module that does not start is told of by the page's class and not kept: no call is repeated, no PIN
//! is sent, and the same program loads it when the trouble is over, as its own: it is initialised anew
//! when something else has ended it, which a module that somebody else has begun never is.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use hsm::token::TokenName;
use hsm::{Module, SigningService as _};
use serde::{Deserialize, Serialize};
use support::budget;
use support::demo::until;
use support::laboratory::{Counter, Function, module};
use support::softhsm::{Side, SoftHsm, side};
use support::test_name;

use crate::fixture::{Bench, DEADLINE};
use crate::judge::{Compared, compare};
use crate::matrix::no_defect;
use crate::page::Page;
use crate::rows::{LOADED, Often, Outcome, Row, called, chosen, refused, rows, without_rows};

/// Processes that are under way at a time, each with tokens of its own.
const SHARES: usize = 4;

/// What a row came to.
#[derive(Serialize, Deserialize)]
struct Loaded {
    compared: bool,
    done: bool,
    logins: u64,
    recovery: Duration,
    without_rows: Vec<String>,
}

/// A module that says that all is well and gives no list of functions cannot be called at all: the
/// binding reads through it. Loading fails or works whatever the budget, so each row is once.
fn all() -> Vec<Row> {
    let is_one = |row: &Row| row.often == Often::Lasting && !is_lie(row);
    rows(LOADED).into_iter().filter(is_one).collect()
}

fn is_lie(row: &Row) -> bool {
    row.function == Function::GetFunctionList && row.code == 0
}

/// KEY-09, promise 6.
#[test]
fn every_result_of_every_call_of_a_start_is_borne() {
    match side() {
        None => {}
        Some(Side::Parent(_)) => shared_out(),
        Some(Side::Child { softhsm, phase }) if phase == "make" => {
            let bench = Bench::new(&softhsm);
            drop(bench.signing(1));
            let name = [bench.name.label.as_str(), bench.name.serial.as_str()].join("\n");
            fs::write(softhsm.state().join("name"), name).unwrap();
        }
        Some(Side::Child { softhsm, phase }) => {
            let row = all().swap_remove(phase.parse().unwrap());
            let loaded = load(&softhsm, &row).unwrap_or_else(|fault| panic!("{row:?}: {fault}"));
            let text = serde_json::to_vec(&loaded).unwrap();
            fs::write(softhsm.state().join("loaded.json"), text).unwrap();
        }
    }
}

fn shared_out() {
    let name = test_name!(every_result_of_every_call_of_a_start_is_borne);
    let chosen = chosen(all());
    let chosen: Vec<usize> = all()
        .iter()
        .enumerate()
        .filter(|(_, row)| {
            chosen.iter().any(|one| one.function == row.function && one.code == row.code)
        })
        .map(|(place, _)| place)
        .collect();
    let (mut all_done, mut faults) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let shares: Vec<_> = (0..SHARES)
            .map(|share| {
                let chosen = &chosen;
                scope.spawn(move || {
                    let softhsm = SoftHsm::new().unwrap();
                    softhsm.succeeds(name, "make");
                    let (mut done, mut faults) = (Vec::new(), Vec::new());
                    for place in chosen.iter().skip(share).step_by(SHARES) {
                        let ended = softhsm.child(name, &place.to_string());
                        if ended.status.success() {
                            let text = fs::read(softhsm.state().join("loaded.json")).unwrap();
                            done.push((*place, serde_json::from_slice::<Loaded>(&text).unwrap()));
                        } else {
                            let told = String::from_utf8_lossy(&ended.stderr);
                            faults.push(format!("{}\n{told}", ended.status));
                        }
                    }
                    (done, faults)
                })
            })
            .collect();
        for share in shares {
            let (done, failed) = share.join().unwrap();
            all_done.extend(done);
            faults.extend(failed);
        }
    });
    let of_all = all();
    for (function, _) in LOADED {
        let of_one = || all_done.iter().filter(|(place, _)| of_all[*place].function == *function);
        println!(
            "measured: rows of {} (Load) = {}, of the page's class = {}, done all the same = {}",
            function.name(),
            of_one().count(),
            of_one().filter(|(_, loaded)| loaded.compared).count(),
            of_one().filter(|(_, loaded)| loaded.done).count(),
        );
    }
    let slowest = all_done.iter().map(|(_, loaded)| loaded.recovery).max().unwrap_or_default();
    let extra: u64 = all_done.iter().map(|(_, loaded)| loaded.logins.saturating_sub(2)).sum();
    println!("measured: slowest start after a failed one, ms = {}", slowest.as_millis());
    println!("measured: extra logins of starts = {extra}");
    println!("measured: faults of starts = {}", faults.len());
    faults.extend(all_done.into_iter().flat_map(|(_, loaded)| loaded.without_rows));
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    assert_eq!(extra, 0);
}

fn load(softhsm: &SoftHsm, row: &Row) -> Result<Loaded, String> {
    let page = Page::read();
    let name = fs::read_to_string(softhsm.state().join("name")).unwrap();
    let (label, serial) = name.split_once('\n').unwrap();
    let name = TokenName { label: label.parse().unwrap(), serial: serial.parse().unwrap() };
    let bench = Bench::of(softhsm, name);
    let before = bench.laboratory.counted();

    bench.laboratory.disturb(&row.script());
    let mut compared = false;
    // A device that says that it has told of itself, and has told nothing, is taken as it is.
    let done = row.code == 0 && row.function == Function::GetInfo;
    for _ in 0..2 {
        match Module::load_within(&module(), DEADLINE) {
            Ok(_) if done => {}
            Ok(_) => return Err("loaded although the call failed".to_owned()),
            Err(error) if done => return Err(format!("not loaded: {error:?}")),
            Err(error) => {
                let class = page.class(row.function, &row.name, row.code);
                let outcome: Outcome = refused(error.code(), &error);
                compared |= compare(row, &outcome, class)? == Compared::Class;
            }
        }
    }
    let disturbed = bench.laboratory.counted();
    let calls = disturbed.calls(row.function).saturating_sub(before.calls(row.function));
    if calls > if done { 1 } else { 2 } {
        return Err(format!("was repeated: {calls} calls in two starts"));
    }
    // Said of a module that is not, it is found out by the next call.
    let lie =
        row.function == Function::Initialize && row.name == "CKR_CRYPTOKI_ALREADY_INITIALIZED";
    if row.code != 0 && !lie && !compared {
        return Err("the error does not name the call".to_owned());
    }
    if disturbed.calls(Function::Login) > before.calls(Function::Login) {
        return Err("sent a PIN to a module that did not start".to_owned());
    }

    bench.laboratory.calm();
    let began = Instant::now();
    Module::load_within(&module(), DEADLINE).map_err(|error| format!("not again: {error:?}"))?;
    let signing = bench.signing(1);
    signing.sign("first").map_err(|error| format!("does not sign: {error:?}"))?;
    let recovery = began.elapsed();
    if recovery > budget::recovery() {
        return Err(format!("signed after {recovery:?}"));
    }
    let finalise = "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"finalise\"\n";
    bench.laboratory.disturb(finalise);
    let again = until(budget::recovery(), || {
        signing.sign("after something else has ended the module").ok()
    });
    again.ok_or_else(|| format!("is not initialised anew: {:?}", signing.signer.tokens()))?;

    let after = bench.laboratory.counted();
    let logins = after.of(Counter::LoginsRight) - before.of(Counter::LoginsRight);
    no_defect(&before, &after)?;
    Ok(Loaded { compared, done, logins, recovery, without_rows: without_rows(&called(&after)) })
}

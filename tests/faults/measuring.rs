//! Every result of the calls that only probes make, at each one's first call.
//!
//! One probe bears a result of all of them, since each is made in checks of its own; those that a refusal
//! before them kept from being made are disturbed in a probe after it. Whatever the device answers, the
//! probe ends with a row for every check, names the call, logs in no more often than undisturbed, leaves
//! nothing on the token, and the next one finds the device as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use std::{fs, thread};

use hsm::probe::{OtherKeys, ProbeOrder, Report, Verdict, WrongPin, check_ids, probe};
use serde::{Deserialize, Serialize};
use support::laboratory::{Counted, Counter, Function};
use support::softhsm::{Side, SoftHsm, side};
use support::test_name;

use crate::fixture::{Bench, USER_PIN, markers, module, pin};
use crate::judge::HEALED;
use crate::matrix::no_defect;
use crate::page::Page;
use crate::rows::{MEASURED, Often, Row, called, chosen, rows, without_rows};

/// Processes that share the results.
const SHARES: usize = 2;
/// RSA keys that take a software token seconds are not made.
const QUICK: &str = "[mechanisms]\nmost-bits = 2048\n";

#[derive(Default, Serialize, Deserialize)]
struct Done {
    /// Of each function: rows, and those whose call a check names.
    lines: BTreeMap<String, (u64, u64)>,
    probes: u64,
    logins: u64,
    logins_extra: u64,
    wrong_pins: u64,
    left_behind: u64,
    slowest: Duration,
    called: BTreeSet<String>,
    faults: Vec<String>,
}

/// KEY-09, KEY-10.
#[test]
fn every_result_of_every_call_of_a_probe_is_borne() {
    match side() {
        None => {}
        Some(Side::Parent(_)) => shared_out(),
        Some(Side::Child { softhsm, phase }) => {
            let done = Measuring::new(&softhsm).run(phase.parse().unwrap());
            fs::write(softhsm.state().join("done.json"), serde_json::to_vec(&done).unwrap())
                .unwrap();
        }
    }
}

fn shared_out() {
    let name = test_name!(every_result_of_every_call_of_a_probe_is_borne);
    let mut whole = Done::default();
    thread::scope(|scope| {
        let shares: Vec<_> = (0..SHARES)
            .map(|share| {
                scope.spawn(move || {
                    let softhsm = SoftHsm::new().unwrap();
                    softhsm.succeeds(name, &share.to_string());
                    let done = fs::read(softhsm.state().join("done.json")).unwrap();
                    serde_json::from_slice::<Done>(&done).unwrap()
                })
            })
            .collect();
        for share in shares {
            whole.add(share.join().unwrap());
        }
    });
    whole.print();
    whole.faults.extend(without_rows(&whole.called));
    let shown: Vec<&str> = whole.faults.iter().take(40).map(String::as_str).collect();
    assert!(whole.faults.is_empty(), "{} faults\n{}", whole.faults.len(), shown.join("\n"));
}

/// The results that the budget chooses, of one function: the others take the same.
fn results() -> Vec<Row> {
    let of_one = rows(&MEASURED[..1]).into_iter().filter(|row| row.often == Often::Once);
    chosen(of_one.collect())
}

struct Measuring<'a> {
    bench: Bench<'a>,
    page: Page,
    /// What the probe comes to while nothing is disturbed, and how often it logs in.
    calm: Vec<(String, Verdict)>,
    logins: u64,
}

impl<'a> Measuring<'a> {
    fn new(softhsm: &'a SoftHsm) -> Self {
        let bench = Bench::new(softhsm);
        bench.laboratory.disturb(QUICK);
        let mut new = Self { bench, page: Page::read(), calm: Vec::new(), logins: 0 };
        let before = new.bench.laboratory.counted();
        new.calm = verdicts(&new.probe().unwrap());
        new.logins = logins(&before, &new.bench.laboratory.counted());
        new
    }

    fn run(self, share: usize) -> Done {
        let mut done = Done::default();
        for result in results().iter().skip(share).step_by(SHARES) {
            let mut left: Vec<Function> = MEASURED.iter().map(|(function, _)| *function).collect();
            while !left.is_empty() {
                let before = left.len();
                if let Err(fault) = self.disturbed(result, &mut left, &mut done) {
                    done.faults.push(format!("{}: {fault}", result.name));
                }
                if left.len() == before {
                    done.faults.push(format!("{}: not called: {left:?}", result.name));
                    break;
                }
            }
        }
        self.bench.laboratory.disturb(QUICK);
        if verdicts(&self.probe().unwrap()) != self.calm {
            done.faults.push("the device is not what it was".to_owned());
        }
        let counted = self.bench.laboratory.counted();
        done.wrong_pins = counted.of(Counter::LoginsWrong);
        done.called = called(&counted);
        done
    }

    /// One probe, in which the first call of each function that is left ends with the result. Those that
    /// were made are taken off.
    fn disturbed(
        &self,
        result: &Row,
        left: &mut Vec<Function>,
        done: &mut Done,
    ) -> Result<(), String> {
        let of = |function: &Function| Row { function: *function, ..result.clone() }.script();
        let scripts: String = left.iter().map(of).collect();
        self.bench.laboratory.disturb(&format!("{scripts}{QUICK}"));
        let before = self.bench.laboratory.counted();
        let began = Instant::now();
        let report = self.probe().map_err(|code| format!("not probed: {code}"))?;
        let took = began.elapsed();
        let after = self.bench.laboratory.counted();
        let made: Vec<Function> = left.clone();
        left.retain(|function| after.calls(*function) == before.calls(*function));
        let logins = logins(&before, &after);
        done.probes += 1;
        done.logins += logins;
        // A session on which a refused call has left its operation is closed, and its login with it.
        let left_active =
            report.rows.iter().filter(|row| row.seen.contains("CKR_OPERATION_ACTIVE"));
        let explained = self.logins + u64::try_from(left_active.count()).unwrap();
        done.logins_extra += logins.saturating_sub(explained);
        done.slowest = done.slowest.max(took);
        done.left_behind += u64::from(report.left_behind != Some(0));
        let ids: Vec<&str> = report.rows.iter().map(|row| row.id.as_str()).collect();
        if ids != check_ids().collect::<Vec<_>>() {
            return Err(format!("checks are missing: {ids:?}"));
        }
        for function in made.into_iter().filter(|function| !left.contains(function)) {
            let line = done.lines.entry(function.name().to_owned()).or_default();
            line.0 += 1;
            line.1 += u64::from(self.named(result, function, &report)?);
        }
        if report.left_behind != Some(0) {
            let failed: Vec<_> =
                report.failed().map(|row| format!("{} {}", row.id, row.seen)).collect();
            return Err(format!("left behind: {:?}; {failed:?}", report.left_behind));
        }
        if logins > explained {
            return Err(format!("{logins} logins, explained are {explained}"));
        }
        no_defect(&before, &after)
    }

    /// Whether a check names the call with its result. One that says that session or token are gone is no
    /// word of what was asked for, so the check that met it has failed.
    fn named(&self, result: &Row, function: Function, report: &Report) -> Result<bool, String> {
        let text = format!("{} returned {}", function.name(), result.name);
        let rows: Vec<_> = report.rows.iter().filter(|row| row.seen.contains(&text)).collect();
        let class = self.page.class(function, &result.name, result.code);
        if class == "reconnect" && HEALED.contains(&class) {
            for row in &rows {
                if row.verdict != Verdict::Failed {
                    return Err(format!("{} is {}: {}", row.id, row.verdict, row.seen));
                }
            }
        }
        Ok(!rows.is_empty())
    }

    fn probe(&self) -> Result<Report, &'static str> {
        let softhsm = self.bench.softhsm;
        let order = ProbeOrder {
            name: self.bench.name.clone(),
            pin: pin(softhsm, "probe", USER_PIN),
            markers: markers(softhsm),
            other_keys: OtherKeys::Refuse,
            wrong_pin: WrongPin::Never,
            sessions: NonZeroUsize::new(2).unwrap(),
            parallel: NonZeroUsize::new(2).unwrap(),
            idle: None,
            officer: None,
            deadline: Duration::from_secs(120),
        };
        probe(&module(), order, &mut |_| {}).map_err(|error| error.code())
    }
}

fn verdicts(report: &Report) -> Vec<(String, Verdict)> {
    report.rows.iter().map(|row| (row.id.clone(), row.verdict)).collect()
}

fn logins(before: &Counted, after: &Counted) -> u64 {
    after.calls(Function::Login) - before.calls(Function::Login)
}

impl Done {
    fn add(&mut self, share: Self) {
        for (name, (rows, named)) in share.lines {
            let line = self.lines.entry(name).or_default();
            line.0 += rows;
            line.1 += named;
        }
        self.probes += share.probes;
        self.logins += share.logins;
        self.logins_extra += share.logins_extra;
        self.wrong_pins += share.wrong_pins;
        self.left_behind += share.left_behind;
        self.slowest = self.slowest.max(share.slowest);
        self.called.extend(share.called);
        self.faults.extend(share.faults);
    }

    fn print(&self) {
        for (name, (rows, named)) in &self.lines {
            println!("measured: rows of {name} (Measure) = {rows}, named by a check = {named}");
        }
        println!(
            "measured: probes = {}, the slowest, ms = {}",
            self.probes,
            self.slowest.as_millis()
        );
        println!("measured: extra logins of probes = {} of {}", self.logins_extra, self.logins);
        println!("measured: wrong PINs of probes = {}", self.wrong_pins);
        println!("measured: objects that probes left behind = {}", self.left_behind);
        println!("measured: faults of probes = {}", self.faults.len());
    }
}

//! Every result that the binding knows, returned by every call that the hsm room makes: once, and for
//! as long as the trouble lasts.
//!
//! Whatever a device answers, the room must do what the page for operators says, say so within its
//! deadline, sign again when the trouble is over, log in no more often than logins were lost, try no
//! wrong PIN, and neither lose nor double a signature.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use std::{fs, thread};

use hsm::{KeyId, KeyOrder, Removal, SigningService as _};
use serde::{Deserialize, Serialize};
use support::budget;
use support::laboratory::{Counted, Counter, Fate, Function};
use support::softhsm::{Side, SoftHsm, side};
use support::test_name;
use x509::key::KeyType;

use crate::fixture::{Bench, DEADLINE, ROOM, Signing, Unsigned, input_of, markers};
use crate::judge::{Compared, judge, most_renewals, most_withheld};
use crate::page::Page;
use crate::rows::{CALLED, Outcome, Row, Work, called, chosen, refused, rows, without_rows};

/// A module is initialised anew once a second; rows that need it wait so long after the last time.
const BETWEEN_RENEWALS: Duration = Duration::from_millis(1100);
/// Processes that share the rows, each with a token of its own.
const SHARES: usize = 6;

/// KEY-09, KEY-10, KEY-14, promise 6.
#[test]
fn every_result_of_every_call_is_borne() {
    match side() {
        None => {}
        Some(Side::Parent(_)) => shared_out(),
        Some(Side::Child { softhsm, phase }) => {
            let done = Matrix::new(&softhsm).run(phase.parse().unwrap());
            fs::write(softhsm.state().join("done.json"), serde_json::to_vec(&done).unwrap())
                .unwrap();
        }
    }
}

fn shared_out() {
    let name = test_name!(every_result_of_every_call_is_borne);
    let began = Instant::now();
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
    whole.print(began.elapsed());
    whole.faults.extend(without_rows(&whole.called));
    let shown: Vec<&str> = whole.faults.iter().take(40).map(String::as_str).collect();
    assert!(whole.faults.is_empty(), "{} faults\n{}", whole.faults.len(), shown.join("\n"));
}

struct Matrix<'a> {
    bench: Bench<'a>,
    signing: Signing,
    page: Page,
    asked: Vec<Asked>,
    keys: u32,
    renewed: Instant,
}

/// A text that was to be signed, whether the caller got its signature, and how often the key may have
/// worked for nothing.
struct Asked {
    text: String,
    signed: bool,
    most_withheld: usize,
}

/// What the rows of one process came to.
#[derive(Default, Serialize, Deserialize)]
struct Done {
    lines: BTreeMap<String, Line>,
    signatures: u64,
    withheld: u64,
    proofs: u64,
    wrong_pins: u64,
    lost: u64,
    doubled: u64,
    called: BTreeSet<String>,
    faults: Vec<String>,
}

/// The rows of one call in one work.
#[derive(Default, Serialize, Deserialize)]
struct Line {
    rows: u64,
    done: u64,
    compared: u64,
    logins: u64,
    logins_lost: u64,
    logins_extra: u64,
    renewals: u64,
    slowest: Duration,
    recovery: Duration,
}

impl<'a> Matrix<'a> {
    fn new(softhsm: &'a SoftHsm) -> Self {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        let (asked, renewed) = (Vec::new(), Instant::now());
        Self { bench, signing, page: Page::read(), asked, keys: 0, renewed }
    }

    fn run(mut self, share: usize) -> Done {
        let mut done = Done::default();
        for row in chosen(rows(CALLED)).iter().skip(share).step_by(SHARES) {
            let line = done.lines.entry(row.line()).or_default();
            if let Err(fault) = self.row(row, line) {
                done.faults.push(format!("{row:?}: {fault}"));
            }
        }
        self.reconcile(&mut done);
        let counted = self.counted();
        done.wrong_pins = counted.of(Counter::LoginsWrong);
        done.called = called(&counted);
        done
    }

    fn row(&mut self, row: &Row, line: &mut Line) -> Result<(), String> {
        if row.work == Work::Revive {
            thread::sleep(BETWEEN_RENEWALS.saturating_sub(self.renewed.elapsed()));
        }
        let before = self.counted();
        let first = self.asked.len();
        self.bench.laboratory.disturb(&row.script());
        let began = Instant::now();
        let outcome = self.work(row.work);
        let took = began.elapsed();
        let disturbed = self.counted();
        let struck = disturbed.of(Counter::Struck) - before.of(Counter::Struck);
        let strikes = struck.saturating_sub(row.prepared());
        let judged = judge(&self.page, row, &outcome, strikes);
        let most_withheld = most_withheld(&self.page, row);
        self.asked.iter_mut().skip(first).for_each(|asked| asked.most_withheld = most_withheld);

        let pin = self.pin_is_not_tried_again(&outcome);
        self.bench.laboratory.calm();
        let recovery = self.recovers()?;
        let after = self.counted();
        if after.of(Counter::Initialised) > before.of(Counter::Initialised) {
            self.renewed = Instant::now();
        }
        let logins = after.of(Counter::LoginsRight) - before.of(Counter::LoginsRight);
        let renewals = after.of(Counter::Initialised) - before.of(Counter::Initialised);
        // Whoever initialises the module anew has lost the login once more.
        let lost = row.logins_lost() + renewals;
        line.rows += 1;
        line.done += u64::from(matches!(outcome, Outcome::Done));
        line.compared += u64::from(judged == Ok(Compared::Class));
        line.logins += logins;
        line.logins_lost += logins.min(lost);
        line.logins_extra += logins.saturating_sub(lost);
        line.renewals += renewals;
        line.slowest = line.slowest.max(took);
        line.recovery = line.recovery.max(recovery);
        judged.map_err(|fault| format!("{fault}; {outcome:?}"))?;
        pin?;
        if strikes == 0 {
            return Err(format!("the call did not occur: {outcome:?}"));
        }
        if took > DEADLINE + ROOM {
            return Err(format!("answered after {took:?}, deadline {DEADLINE:?}"));
        }
        let most_renewals = most_renewals(&self.page, row, began.elapsed());
        if renewals > most_renewals {
            return Err(format!("initialised {renewals} times, explained are {most_renewals}"));
        }
        if logins > lost {
            return Err(format!("{logins} logins where {lost} were lost"));
        }
        no_defect(&before, &after)
    }

    fn work(&mut self, work: Work) -> Outcome {
        match work {
            Work::Sign | Work::Withhold | Work::Reopen | Work::Revive => self.sign(),
            Work::Probe => match self.signing.token.probe(DEADLINE) {
                Ok(()) => Outcome::Done,
                Err(error) => refused(error.code(), &error),
            },
            Work::Make => self.make(),
            other => panic!("{other:?} is another table's"),
        }
    }

    fn sign(&mut self) -> Outcome {
        let text = format!("certificate {}", self.asked.len());
        let signed = self.signing.sign(&text);
        self.asked.push(Asked { text, signed: signed.is_ok(), most_withheld: 0 });
        match signed {
            Ok(()) => Outcome::Done,
            Err(Unsigned::Refused(error)) => refused(error.code(), &error),
            Err(Unsigned::Wrong) => panic!("a signature that does not verify was returned"),
        }
    }

    fn make(&mut self) -> Outcome {
        self.keys += 1;
        let step = format!("key {}", self.keys);
        let order = KeyOrder {
            key_type: KeyType::EcP256,
            id: KeyId::of_step(&[8; 32], &step),
            label: step,
            removal: Removal::Allowed,
        };
        let made = self.signing.token.generate_key(order, DEADLINE);
        match made.and_then(|key| self.signing.token.destroy_key(&key)) {
            Ok(()) => Outcome::Done,
            Err(error) => refused(error.code(), &error),
        }
    }

    /// After a PIN that the device called wrong there is no login call until an operator has spoken.
    fn pin_is_not_tried_again(&mut self, outcome: &Outcome) -> Result<(), String> {
        let Outcome::Refused { code: "hsm-pin-refused", .. } = outcome else { return Ok(()) };
        self.bench.laboratory.calm();
        let before = self.counted().calls(Function::Login);
        for _ in 0..3 {
            if let Outcome::Done = self.sign() {
                return Err("signed although its PIN was refused".to_owned());
            }
        }
        let tried = self.counted().calls(Function::Login) - before;
        markers(self.bench.softhsm).clear(&self.bench.name).unwrap();
        if tried > 0 { Err(format!("tried the PIN {tried} times more")) } else { Ok(()) }
    }

    /// Signs as soon as it can, and waits until the room has found its token.
    fn recovers(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        let mut signed = None;
        loop {
            if signed.is_none() {
                match self.sign() {
                    Outcome::Done => signed = Some(began.elapsed()),
                    refused if began.elapsed() > budget::recovery() => {
                        let waited = began.elapsed();
                        return Err(format!("not recovered after {waited:?}: {refused:?}"));
                    }
                    Outcome::Refused { .. } => {}
                }
            }
            let state = self.signing.token.state();
            match signed {
                Some(took) if state.lost_for.is_none() => return Ok(took),
                Some(_) if began.elapsed() > budget::recovery() => {
                    let waited = began.elapsed();
                    return Err(format!("signs, and is called lost after {waited:?}: {state:?}"));
                }
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn counted(&self) -> Counted {
        self.bench.laboratory.counted()
    }

    /// KEY-14: what the device signed is what callers got, what was held back, and proofs.
    fn reconcile(&self, done: &mut Done) {
        let mut made: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for signed in self.bench.laboratory.signed() {
            let (delivered, withheld) = made.entry(signed.input).or_default();
            match signed.fate {
                Fate::Delivered => *delivered += 1,
                Fate::Withheld => *withheld += 1,
                Fate::Spoiled => done.faults.push("a signature was spoiled".to_owned()),
            }
        }
        for asked in &self.asked {
            let made = made.remove(&hexadecimal(&input_of(asked.text.as_bytes())));
            let (delivered, withheld) = made.unwrap_or_default();
            let wanted = usize::from(asked.signed);
            done.lost += u64::from(delivered < wanted);
            done.doubled += u64::from(delivered > wanted);
            if delivered != wanted || withheld > asked.most_withheld {
                let text = &asked.text;
                done.faults.push(format!("{text:?}: {delivered} delivered, {withheld} held back"));
            }
            done.signatures += u64::from(asked.signed);
            done.withheld += u64::try_from(withheld).unwrap();
        }
        let proof = hexadecimal(&input_of(&hsm::proof_text(&self.signing.key)));
        let (proofs, _) = made.remove(&proof).unwrap_or_default();
        // Each key of `make` proves itself when it is made and again before it is destroyed.
        let of_others: usize = made.values().map(|(delivered, _)| delivered).sum();
        let most = usize::try_from(self.keys).unwrap() * 2;
        if of_others > most {
            let fault = format!("{of_others} signatures that nobody asked for, {most} explained");
            done.faults.push(fault);
        }
        done.proofs = u64::try_from(proofs + of_others).unwrap();
        let counted = self.signing.signer.uses()[0].signatures;
        if counted != done.signatures {
            let returned = done.signatures;
            done.faults.push(format!("the room counts {counted}, callers got {returned}"));
        }
    }
}

impl Done {
    fn add(&mut self, share: Self) {
        for (name, of_share) in share.lines {
            let line = self.lines.entry(name).or_default();
            line.rows += of_share.rows;
            line.done += of_share.done;
            line.compared += of_share.compared;
            line.logins += of_share.logins;
            line.logins_lost += of_share.logins_lost;
            line.logins_extra += of_share.logins_extra;
            line.renewals += of_share.renewals;
            line.slowest = line.slowest.max(of_share.slowest);
            line.recovery = line.recovery.max(of_share.recovery);
        }
        self.signatures += share.signatures;
        self.withheld += share.withheld;
        self.proofs += share.proofs;
        self.wrong_pins += share.wrong_pins;
        self.lost += share.lost;
        self.doubled += share.doubled;
        self.called.extend(share.called);
        self.faults.extend(share.faults);
    }

    fn print(&self, took: Duration) {
        println!(
            "{:<28} {:>5} {:>5} {:>8} {:>7} {:>6} {:>9} {:>9}",
            "call (work)", "rows", "done", "compared", "logins", "extra", "slowest", "recovery"
        );
        for (name, line) in &self.lines {
            println!(
                "{name:<28} {:>5} {:>5} {:>8} {:>7} {:>6} {:>6} ms {:>6} ms",
                line.rows,
                line.done,
                line.compared,
                line.logins,
                line.logins_extra,
                line.slowest.as_millis(),
                line.recovery.as_millis(),
            );
        }
        let sum = |figure: fn(&Line) -> u64| self.lines.values().map(figure).sum::<u64>();
        let most = |figure: fn(&Line) -> Duration| {
            self.lines.values().map(figure).max().unwrap_or_default().as_millis()
        };
        println!("measured: rows = {} of {}", sum(|line| line.rows), rows(CALLED).len());
        println!(
            "measured: errors that name the call, of the page's class = {}",
            sum(|line| line.compared)
        );
        println!("measured: done all the same = {}", sum(|line| line.done));
        println!("measured: slowest answer, ms = {}", most(|line| line.slowest));
        println!("measured: slowest recovery, ms = {}", most(|line| line.recovery));
        println!("measured: logins = {}", sum(|line| line.logins));
        println!("measured: logins lost to rows = {}", sum(|line| line.logins_lost));
        println!("measured: initialisations = {}", sum(|line| line.renewals));
        println!("measured: extra logins = {}", sum(|line| line.logins_extra));
        println!("measured: wrong PINs = {}", self.wrong_pins);
        println!("measured: signatures returned = {}", self.signatures);
        println!("measured: signatures that the device held back = {}", self.withheld);
        println!("measured: signatures of key proofs = {}", self.proofs);
        println!("measured: signatures lost = {}", self.lost);
        println!("measured: signatures doubled = {}", self.doubled);
        println!("measured: faults = {}", self.faults.len());
        println!("measured: seconds = {:.1}", took.as_secs_f64());
    }
}

/// The room has not misused the device.
pub(crate) fn no_defect(before: &Counted, after: &Counted) -> Result<(), String> {
    for counter in [
        Counter::LoginsWrong,
        Counter::AfterFinalise,
        Counter::FinalisedUnderCalls,
        Counter::SharedSession,
        Counter::ScriptErrors,
    ] {
        let seen = after.of(counter) - before.of(counter);
        if seen > 0 {
            return Err(format!("{} = {seen}", counter.name()));
        }
    }
    Ok(())
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

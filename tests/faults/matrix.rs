//! Every result that the binding knows, returned by every call that the hsm room makes: once, and for
//! as long as the trouble lasts.
//!
//! Whatever a device answers, the room must say so within its deadline, sign again when the trouble is
//! over, log in no more often than logins were lost, try no wrong PIN, and neither lose nor double a
//! signature.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hsm::{FailureClass, KeyId, KeyOrder, Removal};
use support::budget;
use support::laboratory::{Counted, Counter, Fate, Function, RESULTS};
use support::softhsm::{Side, SoftHsm, side};
use support::test_name;
use x509::key::KeyType;

use crate::fixture::{Bench, DEADLINE, Signing, Unsigned, failed_call, input_of, markers};

/// Results that no version of the standard has: a vendor's, and one from the future.
const FOREIGN: [u64; 2] = [0x8000_0023, 0x7000_0001];
/// Within this time after the end of the trouble the next signature is there.
const RECOVERY: Duration = Duration::from_secs(5);

/// What is done so that a function gets called.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    /// A signature on an open session.
    Sign,
    /// A sign of life.
    Probe,
    /// A signature after all sessions were lost, so that everything is opened and found anew.
    Reopen,
    /// A signature after something else in the process has finalised the module.
    Revive,
    /// A key made, and destroyed again.
    Make,
}

/// The functions that the room calls, and the work in which each is disturbed.
const CALLED: &[(Function, Work)] = &[
    (Function::Initialize, Work::Revive),
    (Function::GetSlotList, Work::Reopen),
    (Function::GetTokenInfo, Work::Reopen),
    (Function::OpenSession, Work::Reopen),
    (Function::CloseSession, Work::Reopen),
    (Function::GetSessionInfo, Work::Probe),
    (Function::GetSessionInfo, Work::Reopen),
    (Function::Login, Work::Reopen),
    (Function::FindObjectsInit, Work::Reopen),
    (Function::FindObjects, Work::Reopen),
    (Function::FindObjectsFinal, Work::Reopen),
    (Function::GetAttributeValue, Work::Reopen),
    (Function::SignInit, Work::Sign),
    (Function::SignInit, Work::Revive),
    (Function::Sign, Work::Sign),
    (Function::GenerateKeyPair, Work::Make),
    (Function::DestroyObject, Work::Make),
];

/// Called when the module is loaded, before anything can be disturbed, or when tokens are initialised.
const ELSEWHERE: &[Function] = &[
    Function::GetFunctionList,
    Function::GetInfo,
    Function::GetSlotInfo,
    Function::InitToken,
    Function::InitPIN,
    Function::Logout,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Often {
    Once,
    Lasting,
}

#[derive(Clone, Debug)]
struct Row {
    function: Function,
    work: Work,
    name: String,
    code: u64,
    often: Often,
}

/// KEY-09, KEY-10, KEY-14, promise 6.
#[test]
fn every_result_of_every_call_is_borne() {
    let name = test_name!(every_result_of_every_call_is_borne);
    match side() {
        None => {}
        Some(Side::Parent(softhsm)) => {
            let output = softhsm.child(name, "matrix");
            print!("{}", String::from_utf8_lossy(&output.stdout));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Some(Side::Child { softhsm, .. }) => Matrix::new(&softhsm).run(),
    }
}

fn rows() -> Vec<Row> {
    let foreign = FOREIGN.map(|code| (format!("{code:#x}"), code));
    let known = RESULTS.iter().map(|(name, code)| ((*name).to_owned(), *code));
    let results: Vec<(String, u64)> = known.chain(foreign).collect();
    let mut rows = Vec::new();
    for &(function, work) in CALLED {
        for (name, code) in &results {
            for often in [Often::Once, Often::Lasting] {
                rows.push(Row { function, work, name: name.clone(), code: *code, often });
            }
        }
    }
    rows
}

/// As many rows as the budget says, spread over all of them.
fn chosen() -> Vec<Row> {
    let all = rows();
    let wanted = usize::try_from(budget::count("laboratory-rows")).unwrap().min(all.len());
    let total = all.len();
    // 7919 is prime and divides no number of rows, so each place is met once.
    let spread = all.into_iter().enumerate();
    spread.filter(|(place, _)| (place * 7919) % total < wanted).map(|(_, row)| row).collect()
}

struct Matrix<'a> {
    bench: Bench<'a>,
    signing: Signing,
    asked: Vec<Asked>,
    keys: u32,
}

/// A text that was to be signed, and whether the caller got its signature.
struct Asked {
    text: String,
    signed: bool,
}

/// How a row's work ended.
#[derive(Debug)]
enum Outcome {
    Done,
    Refused { code: &'static str, result: Option<String>, class: Option<FailureClass> },
}

#[derive(Default)]
struct Summary {
    rows: usize,
    struck: usize,
    done: usize,
    classes: BTreeMap<String, usize>,
    slowest: Duration,
    recovery: Duration,
    logins: u64,
}

impl<'a> Matrix<'a> {
    fn new(softhsm: &'a SoftHsm) -> Self {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        Self { bench, signing, asked: Vec::new(), keys: 0 }
    }

    fn run(mut self) {
        let began = Instant::now();
        let rows = chosen();
        let mut faults = Vec::new();
        let mut summaries: BTreeMap<String, Summary> = BTreeMap::new();
        for row in &rows {
            let key = format!("{} ({:?})", row.function.name(), row.work);
            let summary = summaries.entry(key).or_default();
            if let Err(fault) = self.row(row, summary) {
                faults.push(format!("{row:?}: {fault}"));
            }
        }
        print_table(&summaries, rows.len(), began.elapsed());
        self.reconcile(&mut faults);
        self.calls_are_listed(&mut faults);
        let shown: Vec<&str> = faults.iter().take(40).map(String::as_str).collect();
        assert!(faults.is_empty(), "{} faults\n{}", faults.len(), shown.join("\n"));
    }

    fn row(&mut self, row: &Row, summary: &mut Summary) -> Result<(), String> {
        let before = self.counted();
        self.bench.laboratory.disturb(&script(row));
        let began = Instant::now();
        let outcome = self.work(row.work);
        let took = began.elapsed();
        let disturbed = self.counted();
        let struck = disturbed.of(Counter::Struck) - before.of(Counter::Struck);
        let by_preparation = u64::from(matches!(row.work, Work::Reopen | Work::Revive));
        summary.rows += 1;
        summary.struck += usize::from(struck > by_preparation);
        summary.slowest = summary.slowest.max(took);
        match &outcome {
            Outcome::Done => summary.done += 1,
            Outcome::Refused { class, code, .. } => {
                let class = class.map_or_else(|| (*code).to_owned(), |class| format!("{class:?}"));
                *summary.classes.entry(class).or_default() += 1;
            }
        }

        let judged = judge(row, &outcome);
        let pin = self.pin_is_not_tried_again(&outcome);
        self.bench.laboratory.calm();
        let recovery = self.recovers()?;
        summary.recovery = summary.recovery.max(recovery);
        let after = self.counted();
        let logins = after.of(Counter::LoginsRight) - before.of(Counter::LoginsRight);
        summary.logins += logins;
        judged?;
        pin?;
        if took > DEADLINE + Duration::from_millis(500) {
            return Err(format!("answered after {took:?}, deadline {DEADLINE:?}"));
        }
        let lost = logins_lost(row);
        if logins > lost {
            return Err(format!("{logins} logins where {lost} were lost"));
        }
        if struck == 0 {
            return Err("the call did not occur".to_owned());
        }
        no_defect(&before, &after)
    }

    fn work(&mut self, work: Work) -> Outcome {
        match work {
            Work::Sign | Work::Reopen | Work::Revive => self.sign(),
            Work::Probe => match self.signing.token.probe(DEADLINE) {
                Ok(()) => Outcome::Done,
                Err(error) => refused(error.code(), &error),
            },
            Work::Make => self.make(),
        }
    }

    fn sign(&mut self) -> Outcome {
        let text = format!("certificate {}", self.asked.len());
        let signed = self.signing.sign(&text);
        self.asked.push(Asked { text, signed: signed.is_ok() });
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

    fn recovers(&mut self) -> Result<Duration, String> {
        let began = Instant::now();
        loop {
            match self.sign() {
                Outcome::Done => return Ok(began.elapsed()),
                refused if began.elapsed() > RECOVERY => {
                    return Err(format!("not recovered after {RECOVERY:?}: {refused:?}"));
                }
                Outcome::Refused { .. } => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn counted(&self) -> Counted {
        self.bench.laboratory.counted()
    }

    /// KEY-14: what the device signed is what callers got, and proofs.
    fn reconcile(&self, faults: &mut Vec<String>) {
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for signed in self.bench.laboratory.signed() {
            if signed.fate != Fate::Delivered {
                faults.push(format!("a signature was {:?}", signed.fate));
            }
            *made.entry(signed.input).or_default() += 1;
        }
        let mut returned = 0_u64;
        for asked in &self.asked {
            let made = made.remove(&hexadecimal(&input_of(asked.text.as_bytes())));
            if made.unwrap_or_default() != usize::from(asked.signed) {
                faults.push(format!("{:?} was signed {made:?} times", asked.text));
            }
            returned += u64::from(asked.signed);
        }
        let proof = hexadecimal(&input_of(&hsm::proof_text(&self.signing.key)));
        let proofs = made.remove(&proof).unwrap_or_default();
        // Each key of `make` proves itself when it is made and again before it is destroyed.
        let of_others: usize = made.values().sum();
        let most = usize::try_from(self.keys).unwrap() * 2;
        if of_others > most {
            faults.push(format!("{of_others} signatures that nobody asked for, {most} explained"));
        }
        let counted = self.signing.signer.uses()[0].signatures;
        if counted != returned {
            faults.push(format!("the room counts {counted} signatures, callers got {returned}"));
        }
        println!(
            "signatures: {returned} returned, {proofs} proofs, {of_others} proofs of new keys"
        );
    }

    /// No function is called that the matrix leaves out.
    fn calls_are_listed(&self, faults: &mut Vec<String>) {
        let listed: BTreeSet<Function> =
            CALLED.iter().map(|(function, _)| *function).chain(ELSEWHERE.iter().copied()).collect();
        let counted = self.counted();
        let called = Function::ALL.iter().filter(|function| counted.calls(**function) > 0);
        let missing = called.filter(|function| !listed.contains(function));
        faults.extend(missing.map(|function| format!("{} has no rows", function.name())));
    }
}

fn script(row: &Row) -> String {
    let prepared = |act: &str| {
        format!("[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"{act}\"\n")
    };
    let prepared = match row.work {
        Work::Reopen => prepared("drop-sessions"),
        Work::Revive => prepared("finalise"),
        Work::Sign | Work::Probe | Work::Make => String::new(),
    };
    let calls = if row.often == Often::Once { "1" } else { "all" };
    format!(
        "{prepared}[[fault]]\nfunction = \"{}\"\ncalls = \"{calls}\"\nresult = {:#x}\n",
        row.function.name(),
        row.code
    )
}

fn refused(code: &'static str, error: &(dyn std::error::Error + 'static)) -> Outcome {
    let call = failed_call(error);
    Outcome::Refused {
        code,
        result: call.map(|call| call.result().to_owned()),
        class: call.map(hsm::Pkcs11Failure::class),
    }
}

/// What must come of a row, whatever the room's own table says.
fn judge(row: &Row, outcome: &Outcome) -> Result<(), String> {
    let on_session = matches!(row.function, Function::SignInit | Function::Sign);
    match outcome {
        Outcome::Refused { result, class, .. } if row.often == Often::Once => {
            if on_session && LOST.contains(&row.name.as_str()) {
                return Err(format!("a lost session was not made good: {outcome:?}"));
            }
            if on_session && *class == Some(FailureClass::SessionLost) && is_of(row, result) {
                return Err(format!("what heals was not tried again: {outcome:?}"));
            }
            Ok(())
        }
        Outcome::Done if row.often == Often::Lasting && on_session && row.code != 0 => {
            Err("signed although the call always fails".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_of(row: &Row, result: &Option<String>) -> bool {
    result.as_ref().is_some_and(|result| *result == row.name)
}

/// Results by which devices say that a session, its login or its handles are gone.
const LOST: &[&str] = &[
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_SESSION_CLOSED",
    "CKR_DEVICE_ERROR",
    "CKR_DEVICE_REMOVED",
    "CKR_TOKEN_NOT_PRESENT",
    "CKR_GENERAL_ERROR",
    "CKR_FUNCTION_FAILED",
    "CKR_OPERATION_ACTIVE",
    "CKR_OPERATION_NOT_INITIALIZED",
    "CKR_KEY_HANDLE_INVALID",
    "CKR_USER_NOT_LOGGED_IN",
    "CKR_CRYPTOKI_NOT_INITIALIZED",
];

/// How many logins the row itself has lost. A token that cannot say whether anybody is logged in is
/// left, with its login, and logged in to when it can.
fn logins_lost(row: &Row) -> u64 {
    match row.work {
        Work::Reopen | Work::Revive => 1,
        Work::Probe if row.often == Often::Lasting => 1,
        Work::Sign | Work::Probe | Work::Make => 0,
    }
}

fn no_defect(before: &Counted, after: &Counted) -> Result<(), String> {
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

fn print_table(summaries: &BTreeMap<String, Summary>, rows: usize, took: Duration) {
    println!(
        "{:<32} {:>5} {:>6} {:>5} {:>7} {:>9} {:>9}  refusals",
        "call (work)", "rows", "struck", "done", "logins", "slowest", "recovery"
    );
    for (name, row) in summaries {
        let classes: Vec<String> =
            row.classes.iter().map(|(class, count)| format!("{class} {count}")).collect();
        println!(
            "{name:<32} {:>5} {:>6} {:>5} {:>7} {:>6} ms {:>6} ms  {}",
            row.rows,
            row.struck,
            row.done,
            row.logins,
            row.slowest.as_millis(),
            row.recovery.as_millis(),
            classes.join(", ")
        );
    }
    println!("{rows} rows of {} in {:.1} s", self::rows().len(), took.as_secs_f64());
}

#[test]
fn the_rows_are_spread_over_all_functions() {
    let chosen = chosen();
    for (function, work) in CALLED {
        let found = chosen.iter().any(|row| row.function == *function && row.work == *work);
        assert!(found, "{function:?} {work:?}");
    }
}

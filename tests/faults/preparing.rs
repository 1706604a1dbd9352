//! Every result of the calls by which a blank token is initialised: once, and for as long as the trouble
//! lasts.
//!
//! It is done as ceremonies do it: a token that is there is taken as it is, one without a user PIN is
//! finished. Whatever the device answers, nothing is tried twice, no second token is made, and when the
//! trouble is over the same order leaves one token that takes its PIN. Other tokens are not disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use std::{fs, thread};

use hsm::token::{PinState, TokenName, list};
use hsm::{NewToken, Token, TokenSettings, init_token};
use serde::{Deserialize, Serialize};
use support::laboratory::{Counter, Function};
use support::softhsm::{Side, SoftHsm, alone, side};
use support::test_name;

use crate::fixture::{Bench, DEADLINE, ROOM, SO_PIN, Signing, USER_PIN, markers, module, pin};
use crate::judge::{Compared, compare};
use crate::matrix::no_defect;
use crate::page::Page;
use crate::rows::{Outcome, PREPARED, Row, called, chosen, refused, rows, without_rows};

/// Processes that share the rows. Each row makes a token, and a module with many is slow.
const SHARES: usize = 32;
/// Processes that are under way at a time.
const AT_ONCE: usize = 4;

#[derive(Default, Serialize, Deserialize)]
struct Done {
    lines: BTreeMap<String, Line>,
    wrong_pins: u64,
    called: BTreeSet<String>,
    faults: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Line {
    rows: u64,
    done: u64,
    compared: u64,
    logins: u64,
    logins_extra: u64,
    recovery: Duration,
}

/// KEY-09, promise 6.
#[test]
fn every_result_of_every_call_of_an_initialisation_is_borne() {
    match side() {
        None => {}
        Some(Side::Parent(_)) => shared_out(),
        Some(Side::Child { softhsm, phase }) => {
            let done = Preparing::new(&softhsm).run(phase.parse().unwrap());
            fs::write(softhsm.state().join("done.json"), serde_json::to_vec(&done).unwrap())
                .unwrap();
        }
    }
}

/// A token that is there and does not answer is not made a second time, wherever the answer is missing.
#[test]
fn no_token_is_made_beside_one_that_does_not_answer() {
    alone(test_name!(no_token_is_made_beside_one_that_does_not_answer), |softhsm| {
        let preparing = Preparing::new(softhsm);
        let laboratory = &preparing.bench.laboratory;
        let label = "sg-td-ab12-half";
        let fails = |function: &str, calls: u64| {
            laboratory.disturb(&format!(
                "[[fault]]\nfunction = {function:?}\ncalls = \"{calls}\"\n\
                 result = \"CKR_DEVICE_ERROR\"\n"
            ));
            preparing.prepare(label)
        };
        fails("C_InitPIN", 1).unwrap_err();
        laboratory.calm();
        let tokens = list(&module()).unwrap().len();
        let slots = u64::try_from(tokens).unwrap() + 1;

        // The ceremony's own look passes a slot over; the one before a token is made does not.
        for call in slots + 1..=slots * 2 {
            let refused = fails("C_GetTokenInfo", call).unwrap_err();
            assert!(matches!(refused, Outcome::Refused { code: "hsm-init", .. }), "{refused:?}");
        }
        laboratory.calm();
        assert_eq!(list(&module()).unwrap().len(), tokens);
        let name = preparing.prepare(label).unwrap();
        preparing.open(&name).unwrap();
        assert_eq!(list(&module()).unwrap().len(), tokens);
    });
}

fn shared_out() {
    let name = test_name!(every_result_of_every_call_of_an_initialisation_is_borne);
    let mut whole = Done::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                scope.spawn(move || {
                    let mut done = Done::default();
                    for share in (first..SHARES).step_by(AT_ONCE) {
                        let softhsm = SoftHsm::new().unwrap();
                        softhsm.succeeds(name, &share.to_string());
                        let text = fs::read(softhsm.state().join("done.json")).unwrap();
                        done.add(serde_json::from_slice(&text).unwrap());
                    }
                    done
                })
            })
            .collect();
        for thread in threads {
            whole.add(thread.join().unwrap());
        }
    });
    whole.print();
    whole.faults.extend(without_rows(&whole.called));
    let shown: Vec<&str> = whole.faults.iter().take(40).map(String::as_str).collect();
    assert!(whole.faults.is_empty(), "{} faults\n{}", whole.faults.len(), shown.join("\n"));
}

struct Preparing<'a> {
    bench: Bench<'a>,
    /// Another token of the module, which nothing disturbs.
    signing: Signing,
    page: Page,
}

impl<'a> Preparing<'a> {
    fn new(softhsm: &'a SoftHsm) -> Self {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(1);
        Self { bench, signing, page: Page::read() }
    }

    fn run(self, share: usize) -> Done {
        let mut done = Done::default();
        for (place, row) in chosen(rows(PREPARED)).iter().enumerate().skip(share).step_by(SHARES) {
            let line = done.lines.entry(row.line()).or_default();
            if let Err(fault) = self.row(row, &format!("sg-td-ab12-row-{place}"), line) {
                done.faults.push(format!("{row:?}: {fault}"));
            }
        }
        let counted = self.bench.laboratory.counted();
        done.wrong_pins = counted.of(Counter::LoginsWrong);
        done.called = called(&counted);
        done
    }

    fn row(&self, row: &Row, label: &str, line: &mut Line) -> Result<(), String> {
        let laboratory = &self.bench.laboratory;
        let before = laboratory.counted();
        let tokens = list(&module()).unwrap().len();

        laboratory.disturb(&row.script());
        let began = Instant::now();
        let outcome = self.prepare(label).map(|_| Outcome::Done).unwrap_or_else(|refused| refused);
        let took = began.elapsed();
        let strikes = laboratory.counted().of(Counter::Struck) - before.of(Counter::Struck);
        laboratory.calm();
        let class = self.page.class(row.function, &row.name, row.code);
        let compared = compare(row, &outcome, class)? == Compared::Class;
        self.expected(row, &outcome, strikes)?;
        if took > DEADLINE + ROOM {
            return Err(format!("answered after {took:?}"));
        }

        let began = Instant::now();
        let mut attempts = 1;
        if let Outcome::Refused { code: "hsm-pin-refused", .. } = outcome {
            let tried = laboratory.counted().calls(Function::Login);
            match self.prepare(label) {
                Err(Outcome::Refused { code: "hsm-pin-refused-before", .. }) => {}
                other => return Err(format!("after a refused PIN: {other:?}")),
            }
            if laboratory.counted().calls(Function::Login) > tried {
                return Err("the PIN was sent again".to_owned());
            }
            markers(self.bench.softhsm).clear(&self.named(label)).unwrap();
        }
        let name = match self.prepare(label) {
            Ok(name) => name,
            Err(refused) => return Err(format!("{outcome:?}, and then {refused:?}")),
        };
        attempts += 1;
        let opened = self.open(&name).or_else(|code| match code {
            // The device said that it had set a PIN, and had not: the same order finishes the token.
            "hsm-pin-not-set" if row.code == 0 => {
                attempts += 1;
                self.prepare(label).map_err(|_| "hsm-init").and_then(|name| self.open(&name))
            }
            other => Err(other),
        });
        opened.map_err(|code| format!("{outcome:?}, and then does not open: {code}"))?;
        let recovery = began.elapsed();
        self.signing.sign(label).map_err(|error| format!("disturbed another token: {error:?}"))?;

        let after = laboratory.counted();
        let made = list(&module()).unwrap().len() - tokens;
        if made != 1 {
            return Err(format!("{made} tokens were made"));
        }
        // The security officer's at each attempt, and the user's.
        let logins = after.calls(Function::Login) - before.calls(Function::Login);
        line.rows += 1;
        line.done += u64::from(matches!(outcome, Outcome::Done));
        line.compared += u64::from(compared);
        line.logins += logins;
        line.logins_extra += logins.saturating_sub(attempts + 1);
        line.recovery = line.recovery.max(recovery);
        if logins > attempts + 1 {
            return Err(format!("{logins} logins in {attempts} attempts and one opening"));
        }
        no_defect(&before, &after)
    }

    /// As a ceremony does it.
    fn prepare(&self, label: &str) -> Result<TokenName, Outcome> {
        let known = list(&module()).map_err(|error| refused(error.code(), &error))?;
        let mut known = known.into_iter().filter(|token| token.label == label);
        if let Some(token) = known.next().filter(|token| token.pin != PinState::NotSet) {
            assert_eq!(known.count(), 0, "two tokens {label}");
            let serial = token.serial.parse().unwrap();
            return Ok(TokenName { label: label.parse().unwrap(), serial });
        }
        let softhsm = self.bench.softhsm;
        let new = NewToken {
            label: label.parse().unwrap(),
            so_pin: pin(softhsm, "so", SO_PIN),
            user_pin: pin(softhsm, "user", USER_PIN),
        };
        init_token(&module(), &new, &markers(softhsm))
            .map_err(|error| refused(error.code(), &error))
    }

    fn named(&self, label: &str) -> TokenName {
        let token = list(&module()).unwrap().into_iter().find(|token| token.label == label);
        let serial = token.unwrap().serial.parse().unwrap();
        TokenName { label: label.parse().unwrap(), serial }
    }

    fn open(&self, name: &TokenName) -> Result<(), &'static str> {
        let settings = TokenSettings { name: name.clone(), ..self.bench.settings(1) };
        Token::open(&module(), settings).map(drop).map_err(|error| error.code())
    }

    /// Nothing is repeated, and only what says nothing of the token is passed over.
    fn expected(&self, row: &Row, outcome: &Outcome, strikes: u64) -> Result<(), String> {
        let done = matches!(outcome, Outcome::Done);
        let listing = matches!(row.function, Function::GetSlotList | Function::GetTokenInfo);
        if strikes == 0 || (strikes > 1 && !listing) {
            return Err(format!("was called {strikes} times: {outcome:?}"));
        }
        match row.function {
            // A token that is made is not refused for it.
            Function::Logout if !done => Err(format!("made, and refused: {outcome:?}")),
            Function::InitToken | Function::InitPIN | Function::OpenSession | Function::Login
                if done && row.code != 0 =>
            {
                Err("done although the call failed".to_owned())
            }
            Function::GetSlotList if done && row.code != 0 => {
                Err("done although the tokens were not told".to_owned())
            }
            _ => Ok(()),
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
            line.logins_extra += of_share.logins_extra;
            line.recovery = line.recovery.max(of_share.recovery);
        }
        self.wrong_pins += share.wrong_pins;
        self.called.extend(share.called);
        self.faults.extend(share.faults);
    }

    fn print(&self) {
        for (name, line) in &self.lines {
            println!(
                "measured: rows of {name} = {}, of the page's class = {}, done all the same = {}, \
                 logins = {}, extra = {}, made good within ms = {}",
                line.rows,
                line.compared,
                line.done,
                line.logins,
                line.logins_extra,
                line.recovery.as_millis()
            );
        }
        let extra: u64 = self.lines.values().map(|line| line.logins_extra).sum();
        println!("measured: extra logins of initialisations = {extra}");
        println!("measured: wrong PINs of initialisations = {}", self.wrong_pins);
        println!("measured: faults of initialisations = {}", self.faults.len());
    }
}

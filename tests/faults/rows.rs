//! The rows of the matrix: which call returns what, in which work, how often.

use std::collections::BTreeSet;

use hsm::FailureClass;
use support::budget;
use support::laboratory::{Counted, Function, RESULTS};

use crate::fixture::failed_call;

/// Results that no version of the standard has: a vendor's, and one from the future.
pub(crate) const FOREIGN: [u64; 2] = [0x8000_0023, 0x7000_0001];

/// What is done so that a function gets called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// A signature on an open session.
    Sign,
    /// The same, and the device has signed before it says the result.
    Withhold,
    /// A sign of life.
    Probe,
    /// A signature after all sessions were lost, so that everything is opened and found anew.
    Reopen,
    /// A signature after something else in the process has finalised the module.
    Revive,
    /// A key made, and destroyed again.
    Make,
    /// The module is loaded, for the first time in its process.
    Load,
    /// A blank token is initialised.
    Prepare,
    /// The same, and the device has done it before it says the result.
    Undone,
    /// A device is probed.
    Measure,
}

/// The functions that the room calls, and the work in which each is disturbed.
pub(crate) const CALLED: &[(Function, Work)] = &[
    (Function::Initialize, Work::Revive),
    (Function::Finalize, Work::Revive),
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
    (Function::Sign, Work::Withhold),
    (Function::GenerateKeyPair, Work::Make),
    (Function::DestroyObject, Work::Make),
];

/// Those by which a module is loaded: loading.rs.
pub(crate) const LOADED: &[(Function, Work)] = &[
    (Function::GetFunctionList, Work::Load),
    (Function::Initialize, Work::Load),
    (Function::GetInfo, Work::Load),
];

/// Those by which a token is initialised: preparing.rs.
pub(crate) const PREPARED: &[(Function, Work)] = &[
    (Function::GetSlotList, Work::Prepare),
    (Function::GetTokenInfo, Work::Prepare),
    (Function::InitToken, Work::Prepare),
    (Function::InitToken, Work::Undone),
    (Function::OpenSession, Work::Prepare),
    (Function::Login, Work::Prepare),
    (Function::InitPIN, Work::Prepare),
    (Function::InitPIN, Work::Undone),
    (Function::Logout, Work::Prepare),
];

/// Those that only probes call: measuring.rs.
pub(crate) const MEASURED: &[(Function, Work)] = &[
    (Function::GetMechanismList, Work::Measure),
    (Function::GetMechanismInfo, Work::Measure),
    (Function::GenerateRandom, Work::Measure),
    (Function::CreateObject, Work::Measure),
    (Function::CopyObject, Work::Measure),
    (Function::SetAttributeValue, Work::Measure),
    (Function::EncryptInit, Work::Measure),
    (Function::Encrypt, Work::Measure),
    (Function::DecryptInit, Work::Measure),
    (Function::SignUpdate, Work::Measure),
    (Function::SignFinal, Work::Measure),
    (Function::GenerateKey, Work::Measure),
    (Function::WrapKey, Work::Measure),
    (Function::UnwrapKey, Work::Measure),
];

/// Those of `called` that have no rows. The laboratory counts every call, so this is what is never called.
pub(crate) fn without_rows(called: &BTreeSet<String>) -> Vec<String> {
    let tables = [CALLED, LOADED, PREPARED, MEASURED];
    let with: BTreeSet<&str> = tables.concat().iter().map(|(one, _)| one.name()).collect();
    let without = called.iter().filter(|function| !with.contains(function.as_str()));
    without.map(|function| format!("{function} is called and has no rows")).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Often {
    Once,
    Lasting,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) function: Function,
    pub(crate) work: Work,
    pub(crate) name: String,
    pub(crate) code: u64,
    pub(crate) often: Often,
}

impl Row {
    /// What the laboratory does.
    pub(crate) fn script(&self) -> String {
        let prepared = |act: &str| {
            format!("[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"{act}\"\n")
        };
        let (prepared, how) = match self.work {
            Work::Reopen => (prepared("drop-sessions"), ""),
            Work::Revive => (prepared("finalise"), ""),
            Work::Withhold => (String::new(), "asks = \"value\"\npassed = true\n"),
            Work::Undone => (String::new(), "passed = true\n"),
            Work::Sign | Work::Probe | Work::Make | Work::Load | Work::Prepare | Work::Measure => {
                (String::new(), "")
            }
        };
        let calls = if self.often == Often::Once { "1" } else { "all" };
        format!(
            "{prepared}[[fault]]\nfunction = \"{}\"\ncalls = \"{calls}\"\n{how}result = {:#x}\n",
            self.function.name(),
            self.code
        )
    }

    /// How many of the faults that strike are preparation.
    pub(crate) fn prepared(&self) -> u64 {
        u64::from(matches!(self.work, Work::Reopen | Work::Revive))
    }

    /// How many logins the row itself has lost. A token that cannot say whether anybody is logged in is
    /// left, with its login, and logged in to when it can.
    pub(crate) fn logins_lost(&self) -> u64 {
        match self.work {
            Work::Reopen | Work::Revive => 1,
            Work::Probe if self.often == Often::Lasting => 1,
            _ => 0,
        }
    }

    /// Its line of the table.
    pub(crate) fn line(&self) -> String {
        format!("{} ({:?})", self.function.name(), self.work)
    }
}

/// All rows of a table: each result of each function, once and lasting.
pub(crate) fn rows(table: &[(Function, Work)]) -> Vec<Row> {
    let foreign = FOREIGN.map(|code| (format!("{code:#x}"), code));
    let known = RESULTS.iter().map(|(name, code)| ((*name).to_owned(), *code));
    let results: Vec<(String, u64)> = known.chain(foreign).collect();
    let mut rows = Vec::new();
    for &(function, work) in table {
        for (name, code) in &results {
            for often in [Often::Once, Often::Lasting] {
                rows.push(Row { function, work, name: name.clone(), code: *code, often });
            }
        }
    }
    rows
}

/// Of the rows of a table as large a part as the budget says of the matrix, spread over all of them.
pub(crate) fn chosen(all: Vec<Row>) -> Vec<Row> {
    let of_matrix = rows(CALLED).len();
    let budget = usize::try_from(budget::count("laboratory-rows")).unwrap().min(of_matrix);
    let total = all.len();
    let wanted = (total * budget).div_ceil(of_matrix);
    // 7919 is prime and divides no number of rows, so each place is met once.
    let spread = all.into_iter().enumerate();
    spread.filter(|(place, _)| (place * 7919) % total < wanted).map(|(_, row)| row).collect()
}

/// How a row's work ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Refused { code: &'static str, call: Option<FailedCall> },
}

/// The call that an error names.
#[derive(Debug)]
pub(crate) struct FailedCall {
    pub(crate) function: String,
    pub(crate) result: String,
    pub(crate) class: FailureClass,
}

pub(crate) fn refused(code: &'static str, error: &(dyn std::error::Error + 'static)) -> Outcome {
    let call = failed_call(error).map(|call| FailedCall {
        function: call.function().to_owned(),
        result: call.result().to_owned(),
        class: call.class(),
    });
    Outcome::Refused { code, call }
}

/// The functions that were called.
pub(crate) fn called(counted: &Counted) -> BTreeSet<String> {
    let called = Function::ALL.iter().filter(|function| counted.calls(**function) > 0);
    called.map(|function| function.name().to_owned()).collect()
}

#[test]
fn the_rows_are_spread_over_all_functions() {
    for table in [CALLED, PREPARED] {
        let chosen = chosen(rows(table));
        for (function, work) in table {
            let found = chosen.iter().any(|row| row.function == *function && row.work == *work);
            assert!(found, "{function:?} {work:?}");
        }
    }
}

//! The schedule of answers, and the freshness contract that it must keep.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use status::freshness::{AnswerSigning, Contract, ContractError, Refused, Timing};
use thiserror::Error;

/// What the configuration says of the schedule, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) signed: AnswerSigning,
    pub(crate) validity: Option<u64>,
    pub(crate) max_age: Option<u64>,
    pub(crate) freshness: Option<u64>,
}

impl Written {
    /// What is written, and for the rest what the contract says, or the usual without one.
    ///
    /// # Errors
    ///
    /// [`ContractFault`]: with what is written, a class of the contract would meet what it excludes.
    pub(crate) fn timing(self, contract: Option<&Path>) -> Result<Timing, ContractFault> {
        let timing = self.under(contract)?;
        let (validity, max_age) = (timing.validity.as_secs(), timing.max_age.as_secs());
        if (60..=7 * 86_400).contains(&validity) && max_age < validity {
            return Ok(timing);
        }
        Err(ContractFault::Validity { validity, max_age })
    }

    fn under(self, contract: Option<&Path>) -> Result<Timing, ContractFault> {
        let [validity, max_age, freshness] =
            [self.validity, self.max_age, self.freshness].map(|secs| secs.map(Duration::from_secs));
        let Some(path) = contract else {
            return Ok(Timing {
                answers: self.signed,
                validity: validity.unwrap_or(Timing::USUAL.validity),
                max_age: max_age.unwrap_or(Timing::USUAL.max_age),
                freshness: freshness.unwrap_or(Timing::USUAL.freshness),
                ..Timing::USUAL
            });
        };
        let path = path.to_owned();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ContractFault::Read { path, source }),
        };
        let contract = match Contract::parse(&text) {
            Ok(contract) => contract,
            Err(source) => return Err(ContractFault::Malformed { path, source }),
        };
        contract
            .timing_of_answers(self.signed, validity, max_age, freshness)
            .map_err(|source| ContractFault::Broken { path, source })
    }
}

impl ContractFault {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Broken { source: Refused::Nonce { .. } | Refused::Unservable(_), .. } => {
                "contract-unservable"
            }
            Self::Broken { .. } => "contract-broken",
            Self::Malformed { .. } => "contract-malformed",
            Self::Read { .. } => "contract-unreadable",
            Self::Validity { .. } => "config-value",
        }
    }

    /// What to do next.
    pub(crate) const fn next_step(&self) -> &'static str {
        match self {
            Self::Broken { source: Refused::Nonce { .. }, .. } => {
                "declare the class without nonce if it takes answers that have none, or let answers be signed when asked"
            }
            Self::Broken { source: Refused::Unservable(_), .. } => {
                "let the class that is named bear more or ask more often, or the outage be shorter"
            }
            Self::Broken { .. } => {
                "leave validity, max-age and freshness out to have them derived, or correct the one that is too long"
            }
            Self::Malformed { .. } => {
                "correct what is named; environments/demo/freshness.toml tells each key"
            }
            Self::Read { .. } => "correct the path, or the file's permissions",
            Self::Validity { .. } => {
                "correct the value; environments/demo/ocsp.toml tells each key"
            }
        }
    }
}

/// Why there is no schedule.
#[derive(Debug, Error)]
pub(crate) enum ContractFault {
    #[error("[answers] and [log] freshness do not go with the contract {path:?}")]
    Broken {
        path: PathBuf,
        #[source]
        source: Refused,
    },
    #[error("freshness contract {path:?} is refused")]
    Malformed {
        path: PathBuf,
        #[source]
        source: ContractError,
    },
    #[error("cannot read freshness contract {path:?}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "configuration key answers.validity = {validity} is refused, wanted is 60 to 604800 seconds and above \
         answers.max-age = {max_age}"
    )]
    Validity { validity: u64, max_age: u64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(written: Written, file: &str) -> Result<Timing, ContractFault> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo");
        written.timing(Some(&folder.join(file)))
    }

    /// OCSP-10: what is not written follows from the contract, and what breaks it is refused with the login that shows it.
    #[test]
    fn a_contract_yields_the_schedule_and_refuses_what_breaks_it() {
        let nothing = Written::default();
        let derived = timing(nothing, "freshness.toml").unwrap();
        assert_eq!((derived.validity.as_secs(), derived.freshness.as_secs()), (6900, 900));
        assert_eq!(nothing.timing(None).unwrap(), Timing::USUAL);
        for (written, seen) in [
            (Written { validity: Some(7000), ..nothing }, "relied on: good, 7300 s old"),
            (Written { freshness: Some(6000), ..nothing }, "nothing valid to rely on"),
            (Written { max_age: Some(3000), ..nothing }, "nothing valid to rely on"),
        ] {
            let refused = timing(written, "freshness.toml").unwrap_err();
            assert_eq!(refused.code(), "contract-broken", "{written:?}");
            let told = format!("{:#}", anyhow::Error::new(refused));
            assert!(told.contains(seen), "{written:?}: {told}");
            assert!(written.timing(None).is_ok(), "without a contract nothing is compared");
        }
    }

    #[test]
    fn refuses_a_contract_that_is_not_there_or_is_none() {
        let code = |file| timing(Written::default(), file).unwrap_err().code();

        assert_eq!(code("none.toml"), "contract-unreadable");
        assert_eq!(code("hierarchy.toml"), "contract-malformed");
    }

    #[test]
    fn refuses_answers_that_end_before_their_copies_or_last_too_long() {
        let nothing = Written::default();
        for written in [
            Written { validity: Some(59), max_age: Some(1), ..nothing },
            Written { validity: Some(604_801), ..nothing },
            Written { validity: Some(300), ..nothing },
        ] {
            assert_eq!(written.timing(None).unwrap_err().code(), "config-value", "{written:?}");
        }
        assert!(Written { validity: Some(301), ..nothing }.timing(None).is_ok());
    }
}

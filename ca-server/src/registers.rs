//! Registers: the port through which is asked, at issuing, what HSA and the personal-data service say of a holder (decision 0061).
//!
//! An adapter answers one question on a thread of its own. The port gives it a time and counts how many are under way: a register that hangs
//! costs who orders by a routine that demands it the time-out, and nobody else anything. What an answer may be and what follows from it is
//! in `ca::register`.

mod file;
mod http;
mod stub;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::book::Book;
use ca::deployment::{Deployment, Environment};
use ca::register::{Answer, Question, RegisterFault, RegisterKind};
use serde::Deserialize;
use x509::time::UnixTime;

use self::file::FileRegister;
use self::http::{HttpRegister, HttpSection};
use self::stub::StubRegister;
use crate::config::ConfigFile;
use crate::start::Told;

/// Seconds that may be waited for an answer.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=30;
/// Questions that may be under way.
const AT_ONCE: std::ops::RangeInclusive<usize> = 1..=64;

/// `[register]`: what is asked when a certificate is issued to a person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RegisterSection {
    /// The HSA catalogue.
    employment: Option<SourceSection>,
    /// The personal-data service.
    person: Option<SourceSection>,
}

/// One register.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SourceSection {
    /// What records, logs and metrics call it, 1 to 32 characters a-z0-9-.
    source: String,
    /// A file that an integration of the operator puts there and replaces (docs/formats/register-answer.md).
    file: Option<PathBuf>,
    /// A program of the operator that is asked over mutual TLS.
    http: Option<HttpSection>,
    /// Answers that somebody has made up; refused outside environment test.
    stub: Option<PathBuf>,
    /// Seconds that an answer may take, 1 to 30.
    #[serde(default = "default_timeout")]
    timeout: u64,
    /// Questions that may be under way, 1 to 64; further ones are refused at once.
    #[serde(default = "default_at_once")]
    at_once: usize,
}

const fn default_timeout() -> u64 {
    5
}

const fn default_at_once() -> usize {
    8
}

impl RegisterSection {
    /// The paths that it names.
    pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let both = self.employment.iter_mut().chain(&mut self.person);
        both.flat_map(|one| {
            let http = one.http.iter_mut().flat_map(HttpSection::paths);
            one.file.iter_mut().chain(&mut one.stub).chain(http)
        })
        .collect()
    }
}

/// Why an adapter gives no answer, for the log of the operator; it names no person.
#[derive(Clone, Debug, PartialEq, Eq)]
enum AskFault {
    /// What came is none.
    Malformed(String),
    /// Nothing came.
    Unavailable(String),
}

/// Something that answers questions.
trait Register: Send + Sync {
    /// Answers, or says why not. May block; whoever asks waits no longer than `within`, and an answer that comes later is nobody's.
    ///
    /// # Errors
    ///
    /// [`AskFault`].
    fn answer(
        &self,
        question: &Question,
        within: Duration,
        now: UnixTime,
    ) -> Result<Answer, AskFault>;

    /// What is wrong before anything is asked, as far as that can be seen.
    ///
    /// # Errors
    ///
    /// [`AskFault`].
    fn check(&self) -> Result<(), AskFault> {
        Ok(())
    }
}

/// A register, and how long and how often it is asked.
#[derive(Clone)]
pub(crate) struct Port {
    register: RegisterKind,
    source: String,
    adapter: Arc<dyn Register>,
    timeout: Duration,
    at_once: usize,
    under_way: Arc<AtomicUsize>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("register", &self.register)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A question under way, until its adapter has ended.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Port {
    /// What records call it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Asks, and waits at most the time-out.
    ///
    /// # Errors
    ///
    /// [`RegisterFault`] of the register itself.
    pub(crate) fn ask(&self, question: &Question, now: UnixTime) -> Result<Answer, RegisterFault> {
        let asked = self.asked(question, now);
        let outcome = asked.as_ref().map_or_else(|fault| fault.code(), |_| "answered");
        let (register, source) = (self.register.name(), self.source.clone());
        metrics::counter!("sigill_register_questions_total", "register" => register, "source" => source, "outcome" => outcome)
            .increment(1);
        metrics::gauge!("sigill_register_unavailable", "register" => register)
            .set(if asked.is_ok() { 0.0 } else { 1.0 });
        asked
    }

    fn asked(&self, question: &Question, now: UnixTime) -> Result<Answer, RegisterFault> {
        let Some(under_way) = self.place() else { return Err(RegisterFault::Busy) };
        let (adapter, asked, within) = (Arc::clone(&self.adapter), question.clone(), self.timeout);
        let (told, heard) = sync_channel(1);
        let ask = move || {
            let answer = adapter.answer(&asked, within, now);
            drop(under_way);
            // Who asked may have gone.
            let _ = told.send(answer);
        };
        let thread = std::thread::Builder::new().name(format!("register {}", self.register));
        let answer = match thread.spawn(ask) {
            Ok(_) => heard.recv_timeout(within),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        let (fault, why) = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(AskFault::Malformed(why))) => (RegisterFault::Malformed, why),
            Ok(Err(AskFault::Unavailable(why))) => (RegisterFault::Unavailable, why),
            Err(RecvTimeoutError::Timeout) => {
                (RegisterFault::TimedOut { limit: within }, "no answer in time".to_owned())
            }
            Err(RecvTimeoutError::Disconnected) => {
                (RegisterFault::Unavailable, "no thread that asks".to_owned())
            }
        };
        tracing::warn!(
            problem.code = fault.code(),
            register.name = self.register.name(),
            register.source = self.source,
            "register gives no answer: {why}"
        );
        Err(fault)
    }

    /// A place among the questions under way.
    fn place(&self) -> Option<UnderWay> {
        let more = |count: usize| (count < self.at_once).then_some(count.saturating_add(1));
        let taken = self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| UnderWay(Arc::clone(&self.under_way)))
    }
}

/// The registers of a deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registers(BTreeMap<RegisterKind, Port>);

impl Registers {
    /// Reads `[register]`. No register is asked.
    ///
    /// # Errors
    ///
    /// Names the value that cannot be, or the file.
    pub(crate) fn read(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Self> {
        let Some(section) = &config.register else { return Ok(Self::default()) };
        let both = [
            (RegisterKind::Employment, &section.employment),
            (RegisterKind::Person, &section.person),
        ];
        let mut ports = BTreeMap::new();
        for (register, section) in both {
            if let Some(section) = section {
                ports.insert(register, port(register, section, deployment)?);
            }
        }
        Ok(Self(ports))
    }

    /// A register, where the deployment has it.
    pub(crate) fn port(&self, register: RegisterKind) -> Option<&Port> {
        self.0.get(&register)
    }

    /// Registers that could not answer now, as far as that is seen without asking.
    pub(crate) fn unready(&self) -> impl Iterator<Item = anyhow::Error> + '_ {
        self.0.values().filter_map(|port| {
            let (AskFault::Malformed(why) | AskFault::Unavailable(why)) =
                port.adapter.check().err()?;
            Some(anyhow::Error::new(Told::new(
                RegisterFault::Unavailable.code(),
                format!("[register.{}] cannot be asked: {why}", port.register),
                "mend what the line names; nothing is issued by routines that demand it (docs/operations/register.md)",
            )))
        })
    }

    /// Routines that demand a register which is not here: outside environment test nothing is issued by them.
    pub(crate) fn lacking(
        &self,
        book: &Book,
        deployment: Deployment,
    ) -> impl Iterator<Item = anyhow::Error> {
        let environment = deployment.environment();
        let mut lacking = Vec::new();
        for register in RegisterKind::ALL {
            let demands = |routine: &&ca::routine::Routine| {
                routine.is_for(environment)
                    && routine.registers.iter().any(|one| one.register == register)
            };
            let absent = self.port(register).is_none() && environment != Environment::Test;
            let routine = book.routines().iter().find(demands).filter(|_| absent);
            lacking.extend(routine.map(|routine| {
                anyhow::Error::new(Told::new(
                    RegisterFault::NotConfigured.code(),
                    format!(
                        "routine {} demands the {register} register, and there is no section [register.{register}]: nothing is issued by it",
                        routine.name
                    ),
                    "configure the register (docs/operations/register.md)",
                ))
            }));
        }
        lacking.into_iter()
    }
}

fn port(
    register: RegisterKind,
    section: &SourceSection,
    deployment: Deployment,
) -> anyhow::Result<Port> {
    let told = |what: &str| Told::config(format!("[register.{register}] {what}"));
    let SourceSection { source, file, http, stub, timeout, at_once } = section;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    ensure!(
        (1..=32).contains(&source.len()) && source.bytes().all(plain),
        told(&format!("source = {source:?}: 1 to 32 of a-z0-9-"))
    );
    ensure!(
        TIMEOUTS.contains(timeout),
        told(&format!("timeout = {timeout}, allowed are 1 to 30 seconds"))
    );
    ensure!(AT_ONCE.contains(at_once), told(&format!("at-once = {at_once}, allowed are 1 to 64")));
    let adapter: Arc<dyn Register> = match (file, http, stub) {
        (Some(path), None, None) => Arc::new(FileRegister::new(register, path.clone())),
        (None, Some(http), None) => {
            let http = HttpRegister::new(http, deployment);
            Arc::new(http.with_context(|| told("http cannot be used"))?)
        }
        (None, None, Some(path)) => {
            let environment = deployment.environment();
            ensure!(
                environment == Environment::Test,
                told(&format!(
                    "stub stands in environment {environment}: answers that somebody has made up are for environment test alone"
                ))
            );
            Arc::new(StubRegister::new(path.clone()))
        }
        _ => return Err(told("names no adapter, or two: one of file, http and stub").into()),
    };
    Ok(Port {
        register,
        source: source.clone(),
        adapter,
        timeout: Duration::from_secs(*timeout),
        at_once: *at_once,
        under_way: Arc::default(),
    })
}

#[cfg(test)]
pub(crate) mod tests;

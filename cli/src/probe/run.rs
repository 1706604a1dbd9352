//! A vantage point that works by itself: asks the CA what to look at, looks, signs what it saw, and sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::{ObservationsRequest, ObservationsTaken, ProbeTarget, ProbeWork};
use status::ProbeMethod;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::key::Vantage;
use super::spool::Spool;
use super::web::Web;
use super::{Looked, PinnedIssuer, list, now, ocsp};
use crate::client::{Client, ClientError, Connection};

/// How far our clock may be from the CA's before nothing is signed any more.
const CLOCKS: Duration = Duration::from_secs(5);
/// Pages of work of one round; the next one goes on behind them.
const PAGES: usize = 50;

/// A vantage point at work.
pub(crate) struct Prober {
    pub(crate) connection: Connection,
    pub(crate) web: Web,
    pub(crate) vantage: Vantage,
    pub(crate) issuers: Vec<PinnedIssuer>,
    pub(crate) objects: Option<PathBuf>,
    pub(crate) spool: Spool,
    /// A list is not fetched more often.
    pub(crate) lists_every: Duration,
    pub(crate) memory: Memory,
}

/// What it remembers between two rounds; a restart may forget it.
#[derive(Default)]
pub(crate) struct Memory {
    /// The last work, which is gone through again while the CA is away.
    targets: Vec<ProbeTarget>,
    after: Option<String>,
    /// Serials that are to be looked for in a list.
    wanted: BTreeMap<List, BTreeSet<Vec<u8>>>,
    fetched: BTreeMap<List, Instant>,
}

/// A list: place of the issuer, and URL.
type List = (usize, String);

/// What came of a round: a line for everything that did not come off, and what the CA said.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) faults: BTreeSet<String>,
    pub(crate) seen: usize,
    pub(crate) receipted: usize,
    pub(crate) differences: BTreeSet<String>,
}

impl Prober {
    /// Looks at everything once, and sends what was seen. An error is one of this machine: a folder that takes nothing.
    pub(crate) fn round(&mut self) -> Result<Round, ClientError> {
        let mut round = Round::default();
        let Ok(time) = now() else {
            round
                .faults
                .insert("the clock of this machine stands before 1970 or after 9999".to_owned());
            return Ok(round);
        };
        let gone = self.spool.forget(time)?;
        if gone > 0 {
            round
                .faults
                .insert(format!("{gone} observations were not sent in a day, and are forgotten"));
        }
        // Certificate and key are read anew: they are renewed while this runs.
        let client = match Client::connect(&self.connection) {
            Ok(client) => Some(client),
            Err(error) => {
                round.faults.insert(line(&error));
                None
            }
        };
        if let Some(client) = &client {
            self.send(client, &mut round)?;
        }
        for _ in 0..PAGES {
            let more = match client.as_ref().map(|client| self.fetch(client)) {
                Some(Ok(page)) => page,
                Some(Err(fault)) => {
                    round.faults.insert(fault.line);
                    if fault.clock {
                        return Ok(round);
                    }
                    false
                }
                None => false,
            };
            self.look_by_asking(&mut round)?;
            if let Some(client) = &client {
                self.send(client, &mut round)?;
            }
            if !more {
                break;
            }
        }
        self.look_at_lists(&mut round)?;
        if let Some(client) = &client {
            self.send(client, &mut round)?;
        }
        Ok(round)
    }

    /// Fetches a page of work; true when there is another one.
    fn fetch(&mut self, client: &Client) -> Result<bool, Fault> {
        let query: Vec<(&str, String)> =
            self.memory.after.iter().map(|after| ("after", after.clone())).collect();
        let before = now().map_err(|error| Fault { line: error.line(), clock: true })?;
        let work: ProbeWork = client
            .get("/v1/probe/work", &query)
            .map_err(|error| Fault { line: line(&error), clock: false })?;
        let after = now().map_err(|error| Fault { line: error.line(), clock: true })?;
        if let Some(line) = clock_fault(before, after, work.now) {
            return Err(Fault { line, clock: true });
        }
        self.memory.targets = work.targets;
        self.memory.after = work.next;
        Ok(self.memory.after.is_some())
    }

    /// Asks OCSP responders, and notes which lists are to be looked at.
    fn look_by_asking(&mut self, round: &mut Round) -> Result<(), ClientError> {
        for target in &self.memory.targets {
            let place = self.issuers.iter().position(|one| one.id.to_string() == target.issuer);
            let serial: Result<SerialNumber, _> = target.serial.parse();
            let (Some(place), Ok(serial)) = (place, serial) else {
                round.faults.insert(format!("issuer {} is not among --issuers", target.issuer));
                continue;
            };
            let Some(issuer) = self.issuers.get(place) else { continue };
            for look in &target.looks {
                match look.method.parse() {
                    // The lists themselves say where their deltas are.
                    Ok(ProbeMethod::Crl | ProbeMethod::CrlDelta) => {
                        let list = (place, look.url.clone());
                        let wanted = self.memory.wanted.entry(list).or_default();
                        wanted.insert(serial.as_octets().to_vec());
                    }
                    Ok(method) => {
                        let objects = self.objects.as_deref();
                        let seen =
                            ocsp::look(&self.web, method, &look.url, issuer, serial, objects)
                                .and_then(|it| it.signed(&self.vantage, method, &look.url, issuer));
                        match seen {
                            Ok(seen) => {
                                self.spool.keep(&seen)?;
                                round.seen = round.seen.saturating_add(1);
                            }
                            Err(fault) => {
                                round.faults.insert(fault.line());
                            }
                        }
                    }
                    Err(_) => {
                        round.faults.insert(format!(
                            "method {:?} is not known here: this program is older than the CA",
                            look.method
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Fetches the lists that are due, each once for all serials.
    fn look_at_lists(&mut self, round: &mut Round) -> Result<(), ClientError> {
        let begun = Instant::now();
        let every = self.lists_every;
        let due = |fetched: Option<&Instant>| {
            fetched.is_none_or(|last| begun.saturating_duration_since(*last) >= every)
        };
        let lists: Vec<List> = self.memory.wanted.keys().cloned().collect();
        for list in lists {
            if !due(self.memory.fetched.get(&list)) {
                continue;
            }
            let wanted = self.memory.wanted.remove(&list).unwrap_or_default();
            let (place, url) = &list;
            let Some(issuer) = self.issuers.get(*place) else { continue };
            let serials: Vec<SerialNumber> = wanted
                .iter()
                .filter_map(|octets| SerialNumber::from_content_octets(octets).ok())
                .collect();
            for look in list::look(&self.web, url, issuer, &serials, self.objects.as_deref()) {
                let signed = look.looked.and_then(|looked| {
                    let sign =
                        |one: Looked| one.signed(&self.vantage, look.method, &look.url, issuer);
                    looked.into_iter().map(sign).collect::<Result<Vec<_>, _>>()
                });
                match signed {
                    Ok(all) => {
                        for seen in &all {
                            self.spool.keep(seen)?;
                        }
                        round.seen = round.seen.saturating_add(all.len());
                    }
                    Err(fault) => {
                        round.faults.insert(fault.line());
                    }
                }
            }
            self.memory.fetched.insert(list, begun);
        }
        Ok(())
    }

    /// Sends what waits. What the CA does not take as it stands is dropped; where it does not answer, all is kept.
    fn send(&self, client: &Client, round: &mut Round) -> Result<(), ClientError> {
        loop {
            let batch = self.spool.batch()?;
            if batch.statements.is_empty() {
                return Ok(());
            }
            let request = ObservationsRequest { observations: batch.statements.clone() };
            let taken: ObservationsTaken =
                match client.post("/v1/probe/observations", "observations", &request) {
                    Ok(taken) => taken,
                    Err(error) => {
                        round.faults.insert(line(&error));
                        return Ok(());
                    }
                };
            batch.sent()?;
            round.receipted = round.receipted.saturating_add(taken.receipted);
            round.differences.extend(taken.differences);
            let refused = taken.refused.into_iter();
            round.faults.extend(refused.map(|one| format!("{}: {}", one.code, one.detail)));
        }
    }
}

/// Why there is no page of work.
struct Fault {
    line: String,
    clock: bool,
}

/// Ours is wrong, or the CA's: what is signed by a wrong clock proves nothing.
fn clock_fault(before: UnixTime, after: UnixTime, of_the_ca: u64) -> Option<String> {
    let behind = before.secs().saturating_sub(of_the_ca);
    let ahead = of_the_ca.saturating_sub(after.secs());
    let apart = Duration::from_secs(behind.max(ahead));
    (apart > CLOCKS).then(|| {
        format!(
            "the clock of this machine is {} s {} that of the CA: nothing is looked at until they agree to {} s",
            apart.as_secs(),
            if behind > ahead { "ahead of" } else { "behind" },
            CLOCKS.as_secs()
        )
    })
}

/// An error in one line.
fn line(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told_of_and_a_slow_answer_is_not() {
        let at = |secs: u64| UnixTime::from_secs(1_800_000_000 + secs).unwrap();
        let of_ca = |secs: u64| 1_800_000_000 + secs;

        assert_eq!(clock_fault(at(0), at(30), of_ca(15)), None);
        assert_eq!(clock_fault(at(10), at(10), of_ca(5)), None);
        assert_eq!(clock_fault(at(10), at(10), of_ca(15)), None);
        assert!(clock_fault(at(10), at(10), of_ca(4)).unwrap().contains("6 s ahead"));
        assert!(clock_fault(at(10), at(12), of_ca(100)).unwrap().contains("88 s behind"));
    }
}

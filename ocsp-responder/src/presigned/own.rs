//! What is to be signed for one CA: its certificates by wave, and which waves have changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use status::presigned::Wave;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

/// After a failure nothing is signed for its CA for so long, so that the others have their turns.
const REST: Duration = Duration::from_secs(2);
/// A wave whose file failed is tried again after this.
const TRIED_AGAIN: Duration = Duration::from_secs(60);

/// One CA's certificates. A certificate takes some 24 octets.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) name: String,
    waves: Vec<Members>,
    /// Waves that the log has changed, the longest known first.
    changed: VecDeque<Wave>,
    /// Waves whose files have not been looked at since the start.
    unseen: BTreeSet<Wave>,
    /// Waves whose files failed, and when.
    failed: BTreeMap<Wave, UnixTime>,
    /// When something last failed.
    failed_at: Option<UnixTime>,
    /// What failed, as it was told.
    told: Option<&'static str>,
    /// In which step it last had its turn.
    pub(super) served: u64,
}

/// By what a CA's most urgent wave is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) now: UnixTime,
    /// How often each wave has its turn.
    pub(super) period: Duration,
    /// Answers that do not last so long are signed anew, whosever turn it is.
    pub(super) margin: Duration,
    /// The end of the delegate that would sign: nothing that it signs lasts longer.
    pub(super) delegate_ends: UnixTime,
    /// What was taken last had changed: what ends goes before what has changed.
    pub(super) after_change: bool,
}

impl Look {
    /// Whether an answer ends before long and a later one can be signed.
    pub(super) fn ends_early(&self, ends: UnixTime) -> bool {
        ends.since(self.now) <= self.margin && self.delegate_ends > ends
    }
}

/// Why a wave is looked at, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The log has changed it.
    Changed,
    /// Its answers end before long.
    Ending,
    /// Its file has not been looked at since the start, or its moment has come: CAs take turns.
    InTurn,
}

/// The certificates of one wave.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// In their order.
    pub(super) serials: Vec<SerialNumber>,
    /// When the oldest answer of the file was made; `None` while it has none.
    pub(super) oldest: Option<UnixTime>,
    /// When the first of its answers ends, but for those of certificates that are forgotten then.
    pub(super) ends: Option<UnixTime>,
}

impl Own {
    /// A CA with these certificates.
    pub(super) fn new(name: String, serials: impl Iterator<Item = SerialNumber>) -> Self {
        let mut waves: Vec<Members> = Vec::new();
        waves.resize_with(Wave::all().count(), Members::default);
        for serial in serials {
            if let Some(members) = waves.get_mut(usize::from(Wave::of(&serial).number())) {
                members.serials.push(serial);
            }
        }
        for members in &mut waves {
            members.serials.sort_unstable();
            members.serials.shrink_to_fit();
        }
        Self {
            name,
            waves,
            changed: VecDeque::new(),
            unseen: Wave::all().collect(),
            failed: BTreeMap::new(),
            failed_at: None,
            told: None,
            served: 0,
        }
    }

    pub(super) fn members(&self, wave: Wave) -> Option<&Members> {
        self.waves.get(usize::from(wave.number()))
    }

    pub(super) fn members_mut(&mut self, wave: Wave) -> Option<&mut Members> {
        self.waves.get_mut(usize::from(wave.number()))
    }

    /// The log has said something about a certificate.
    pub(super) fn note(&mut self, serial: SerialNumber) {
        let wave = Wave::of(&serial);
        if let Some(members) = self.members_mut(wave)
            && let Err(place) = members.serials.binary_search(&serial)
        {
            members.serials.insert(place, serial);
        }
        if !self.changed.contains(&wave) {
            self.changed.push_back(wave);
        }
    }

    /// The wave that is to be looked at now.
    pub(super) fn next(&self, look: &Look) -> Option<(Urgency, Wave)> {
        if self.failed_at.is_some_and(|at| is_within(at, REST, look.now)) {
            return None;
        }
        let is_open = |wave: &Wave| {
            !self.failed.get(wave).is_some_and(|at| is_within(*at, TRIED_AGAIN, look.now))
        };
        let changed = || {
            let wave = self.changed.iter().find(|wave| is_open(wave))?;
            Some((Urgency::Changed, *wave))
        };
        let ending = || {
            let ends = |wave: Wave| self.members(wave).and_then(|members| members.ends);
            let open = Wave::all().filter(is_open).filter_map(|wave| Some((ends(wave)?, wave)));
            let (_, wave) = open.filter(|(ends, _)| look.ends_early(*ends)).min()?;
            Some((Urgency::Ending, wave))
        };
        let is_due = |wave: &Wave| {
            let oldest = self.members(*wave).and_then(|members| members.oldest);
            oldest.is_some_and(|oldest| wave.is_due(oldest, look.now, look.period))
        };
        let in_turn = || {
            let unseen = self.unseen.iter().copied().find(is_open);
            let due = || Wave::all().filter(is_open).find(is_due);
            Some((Urgency::InTurn, unseen.or_else(due)?))
        };
        let urgent =
            if look.after_change { ending().or_else(changed) } else { changed().or_else(ending) };
        urgent.or_else(in_turn)
    }

    /// The wave's file says what the log says.
    pub(super) fn done(&mut self, wave: Wave) {
        self.unseen.remove(&wave);
        self.changed.retain(|changed| *changed != wave);
        self.failed.remove(&wave);
        if self.failed.is_empty() {
            self.told = None;
        }
    }

    /// Passes over the CA for a moment, and over `wave` for longer where its file is at fault. Whether that is to be told: it was not
    /// told since all was well.
    pub(super) fn fail(&mut self, wave: Option<Wave>, code: &'static str, now: UnixTime) -> bool {
        self.failed_at = Some(now);
        self.failed.extend(wave.map(|wave| (wave, now)));
        self.told.replace(code) != Some(code)
    }

    /// Waves that are still to be looked at.
    pub(super) fn behind(&self) -> usize {
        self.changed.len() + self.unseen.len()
    }

    /// Certificates, and when the first of all their answers ends.
    pub(super) fn figures(&self) -> (usize, Option<UnixTime>) {
        let certificates = self.waves.iter().map(|members| members.serials.len()).sum();
        (certificates, self.waves.iter().filter_map(|members| members.ends).min())
    }
}

/// Whether `now` is less than `span` after `at`; a clock that was set back since ends the wait.
fn is_within(at: UnixTime, span: Duration, now: UnixTime) -> bool {
    now >= at && now.since(at) < span
}

//! What is to be signed for one CA: its certificates by wave, and which waves have changed.

use std::collections::{BTreeSet, VecDeque};

use status::presigned::Wave;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

/// One CA's certificates. A certificate takes some 24 octets.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) name: String,
    waves: Vec<Members>,
    /// Waves that the log has changed, the longest known first.
    changed: VecDeque<Wave>,
    /// Waves whose files have not been looked at since the start.
    unseen: BTreeSet<Wave>,
}

/// Why a wave is looked at, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The log has changed it.
    Changed,
    /// Its file has not been looked at since the start.
    Unseen,
    /// Its moment has come.
    Due,
}

/// The certificates of one wave.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// In their order.
    pub(super) serials: Vec<SerialNumber>,
    /// When the oldest answer of the file was made; `None` while it has none.
    pub(super) oldest: Option<UnixTime>,
    /// When the first of its answers ends.
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
        Self { name, waves, changed: VecDeque::new(), unseen: Wave::all().collect() }
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
    pub(super) fn next(&self, is_due: impl Fn(Wave, UnixTime) -> bool) -> Option<(Urgency, Wave)> {
        let due = || {
            Wave::all().find(|wave| {
                let oldest = self.members(*wave).and_then(|members| members.oldest);
                oldest.is_some_and(|oldest| is_due(*wave, oldest))
            })
        };
        let changed = self.changed.front().map(|wave| (Urgency::Changed, *wave));
        let unseen = || self.unseen.first().map(|wave| (Urgency::Unseen, *wave));
        changed.or_else(unseen).or_else(|| due().map(|wave| (Urgency::Due, wave)))
    }

    /// The wave's file says what the log says.
    pub(super) fn done(&mut self, wave: Wave) {
        self.unseen.remove(&wave);
        self.changed.retain(|changed| *changed != wave);
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

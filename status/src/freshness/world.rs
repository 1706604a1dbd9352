//! What responder, lists, caches and parties do at any second, by the rules that the programs keep.

use std::time::Duration;

use super::contract::{Method, PartyClass};
use super::timing::{AnswerSigning, PUBLISHED_WITHIN, Timing, resign_after};

const SECOND: Duration = Duration::from_secs(1);

/// What can be away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of the inner zone: no checkpoints, no lists.
    InnerZone,
    /// The way outwards: checkpoints and lists are made and do not arrive.
    Publication,
    /// The tokens with the CAs' keys: no lists; revocations are published all the same.
    IssuingToken,
    /// The token that signs answers: no new ones.
    ResponderToken,
}

impl Part {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::InnerZone, "inner-zone"),
        (Self::Publication, "publication"),
        (Self::IssuingToken, "issuing-token"),
        (Self::ResponderToken, "responder-token"),
    ];

    /// Its name in words of commands and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(part, _)| *part == self).map_or("", |(_, name)| name)
    }
}

/// A part that is away between two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// What.
    pub part: Part,
    /// The last moment at which it is there.
    pub from: Duration,
    /// The first moment at which it is there again.
    pub until: Duration,
}

impl Away {
    fn covers(&self, at: Duration) -> bool {
        self.from < at && at < self.until
    }
}

/// Something signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) this_update: Duration,
    pub(super) next_update: Duration,
}

/// A delta, and the list that it belongs to.
#[derive(Clone, Copy, Debug)]
struct Delta {
    made: Duration,
    /// When it could be had.
    seen: Duration,
    /// When the list was made that it belongs to.
    base: Duration,
}

/// A copy that somebody keeps for others.
#[derive(Clone, Copy, Debug)]
struct Kept<T = Signed> {
    signed: T,
    /// The first moment at which it is not given any more.
    until: Duration,
}

/// The deployment as one class meets it.
#[derive(Debug)]
pub(super) struct World<'a> {
    timing: &'a Timing,
    away: &'a [Away],
    /// When each list was made, and when it could be had; both rise.
    lists: Vec<(Duration, Duration)>,
    /// The deltas, where somebody reads them; as the lists.
    deltas: Vec<Delta>,
    /// What the responder keeps.
    kept: Option<Kept>,
    /// What lies in a cache on the way.
    cached: Option<Kept>,
    /// The delta that lies there.
    cached_delta: Option<Kept<Delta>>,
}

impl<'a> World<'a> {
    /// Begins with a list, and plays until `end` for those who ask by this method.
    pub(super) fn new(timing: &'a Timing, away: &'a [Away], end: Duration, method: Method) -> Self {
        let mut world = Self {
            timing,
            away,
            lists: vec![(Duration::ZERO, Duration::ZERO)],
            deltas: Vec::new(),
            kept: None,
            cached: None,
            cached_delta: None,
        };
        world.make_lists(end);
        if method == Method::CrlDelta {
            world.make_deltas(end);
        }
        world
    }

    fn make_lists(&mut self, end: Duration) {
        let mut made = Duration::ZERO;
        loop {
            let due = made + self.timing.crl_period.max(SECOND);
            made = self.back(due, &[Part::InnerZone, Part::IssuingToken]);
            if made > end {
                return;
            }
            let seen = self.back(made + PUBLISHED_WITHIN, &[Part::InnerZone, Part::Publication]);
            self.lists.push((made, seen));
        }
    }

    /// With each list comes a delta to it, and then one a period, until the next list.
    fn make_deltas(&mut self, end: Duration) {
        let period = self.timing.delta_period.max(SECOND);
        let mut next_lists = self.lists.iter().skip(1).map(|(made, _)| *made).collect::<Vec<_>>();
        next_lists.push(end + SECOND);
        for ((base, listed), next) in self.lists.clone().into_iter().zip(next_lists) {
            let (mut made, mut seen) = (base, listed);
            loop {
                self.deltas.push(Delta { made, seen, base });
                made = self.back(made + period, &[Part::InnerZone, Part::IssuingToken]);
                if made >= next {
                    break;
                }
                seen = self.back(made + PUBLISHED_WITHIN, &[Part::InnerZone, Part::Publication]);
            }
        }
    }

    /// The first moment from `at` on at which none of these is away.
    fn back(&self, mut at: Duration, parts: &[Part]) -> Duration {
        while let Some(away) = self.covering(at, parts) {
            at = away.until;
        }
        at
    }

    fn covering(&self, at: Duration, parts: &[Part]) -> Option<&Away> {
        self.away.iter().find(|away| parts.contains(&away.part) && away.covers(at))
    }

    /// The newest checkpoint that has arrived.
    fn checkpoint(&self, mut at: Duration) -> Duration {
        while let Some(away) = self.covering(at, &[Part::InnerZone, Part::Publication]) {
            at = away.from;
        }
        at
    }

    /// What the responder answers; `None` is tryLater. It keeps answers without a nonce until half of their life, and
    /// gives nothing once the checkpoint is too old.
    pub(super) fn ask(&mut self, at: Duration, method: Method) -> Option<Signed> {
        let checkpoint = self.checkpoint(at);
        if at - checkpoint > self.timing.freshness {
            return None;
        }
        if self.timing.answers == AnswerSigning::Beforehand {
            return Some(self.signed_beforehand(at)).filter(|signed| at < signed.next_update);
        }
        let kept = self.kept.filter(|kept| method == Method::Ocsp && at < kept.until);
        if let Some(kept) = kept {
            return Some(kept.signed);
        }
        let signed =
            Signed { this_update: checkpoint, next_update: checkpoint + self.timing.validity };
        if self.covering(at, &[Part::ResponderToken]).is_some() || signed.next_update <= at {
            return None;
        }
        if method == Method::Ocsp {
            self.kept = Some(Kept { signed, until: at + resign_after(signed.next_update - at) });
        }
        Some(signed)
    }

    /// The answer that has arrived at `at`. The first question of all finds one that was just signed.
    fn signed_beforehand(&mut self, at: Duration) -> Signed {
        let Timing { validity, .. } = *self.timing;
        let made_at = |made: Duration| Kept {
            signed: Signed { this_update: made, next_update: made + validity },
            until: made + resign_after(validity).max(SECOND),
        };
        let mut kept = self.kept.unwrap_or_else(|| made_at(self.checkpoint(at)));
        loop {
            let made = self.back(kept.until, &[Part::InnerZone, Part::ResponderToken]);
            let sent = made.saturating_add(PUBLISHED_WITHIN);
            if self.back(sent, &[Part::InnerZone, Part::Publication]) > at {
                break;
            }
            kept = made_at(made);
        }
        self.kept = Some(kept);
        kept.signed
    }

    /// The list that is served, expired or not.
    pub(super) fn list(&self, at: Duration) -> Signed {
        let served = self.lists.partition_point(|(_, seen)| *seen <= at);
        let (this_update, _) =
            self.lists.get(served.saturating_sub(1)).copied().unwrap_or_default();
        Signed { this_update, next_update: this_update + self.timing.crl_lifetime }
    }

    /// The delta that is served, expired or not.
    fn delta(&self, at: Duration) -> Option<Delta> {
        let served = self.deltas.partition_point(|delta| delta.seen <= at);
        self.deltas.get(served.checked_sub(1)?).copied()
    }

    /// List and delta that are served, expired or not: what both together say is as old as the younger, and ends with the one that
    /// ends first. `None` where the delta belongs to a newer list.
    fn together(&self, list: Signed, delta: Delta) -> Option<Signed> {
        (delta.base <= list.this_update).then(|| Signed {
            this_update: list.this_update.max(delta.made),
            next_update: list.next_update.min(delta.made + self.timing.delta_lifetime),
        })
    }

    /// What is served to those who read lists by this method, expired or not.
    pub(super) fn listed(&self, at: Duration, method: Method) -> Option<Signed> {
        match method {
            Method::Crl => Some(self.list(at)),
            Method::CrlDelta => self.together(self.list(at), self.delta(at)?),
            Method::Ocsp | Method::OcspWithNonce => None,
        }
    }

    /// The delta through the cache on the way.
    fn fetch_delta(&mut self, at: Duration) -> Option<Delta> {
        if let Some(kept) = self.cached_delta.filter(|kept| at < kept.until) {
            return Some(kept.signed);
        }
        let delta = self.delta(at)?;
        let left = (delta.made + self.timing.delta_lifetime).saturating_sub(at + SECOND);
        let until = at + self.timing.max_age.min(left);
        self.cached_delta = Some(Kept { signed: delta, until });
        Some(delta)
    }

    /// What a party of this method gets at `at`, through a cache where there can be one.
    pub(super) fn fetch(&mut self, at: Duration, method: Method) -> Option<Signed> {
        if method == Method::OcspWithNonce {
            return self.ask(at, method);
        }
        if method == Method::CrlDelta {
            let list = self.fetch(at, Method::Crl)?;
            let delta = self.fetch_delta(at)?;
            return self.together(list, delta);
        }
        if let Some(kept) = self.cached.filter(|kept| at < kept.until) {
            return Some(kept.signed);
        }
        let signed = match method {
            Method::Crl | Method::CrlDelta => self.list(at),
            Method::Ocsp | Method::OcspWithNonce => self.ask(at, method)?,
        };
        // Less than what is left (OCSP-09, CRL-12).
        let left = signed.next_update.saturating_sub(at + SECOND);
        self.cached = Some(Kept { signed, until: at + self.timing.max_age.min(left) });
        Some(signed)
    }
}

/// A party of a class, with what it fetched last. It uses that as long as it is valid, whenever it gets nothing newer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Party<'a> {
    pub(super) class: &'a PartyClass,
    held: Option<Signed>,
}

impl<'a> Party<'a> {
    pub(super) const fn new(class: &'a PartyClass) -> Self {
        Self { class, held: None }
    }

    /// Asks.
    pub(super) fn fetch(&mut self, world: &mut World<'_>, at: Duration) {
        if let Some(signed) = world.fetch(at, self.class.method) {
            self.held = Some(signed);
        }
    }

    /// The age of what it relies on at `at`, if its clock is as slow as it may be; `None` where even then nothing is valid.
    pub(super) fn relied_on(&self, at: Duration) -> Option<Duration> {
        let held = self.held.filter(|held| at <= held.next_update + self.class.skew)?;
        Some(at.saturating_sub(held.this_update))
    }

    /// Whether it has something valid at `at`, if its clock is as fast as it may be.
    pub(super) fn has_valid(&self, at: Duration) -> bool {
        self.held.is_some_and(|held| at + self.class.skew <= held.next_update)
    }

    pub(super) const fn held(&self) -> Option<Signed> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn timing() -> Timing {
        Timing { crl_lifetime: HOUR * 6, ..Timing::USUAL }
    }

    /// CRL-03: the publisher frozen for one period and for two: the list that is served is valid all the time.
    #[test]
    fn a_list_is_valid_through_two_frozen_periods_and_not_for_ever() {
        let timing = Timing { crl_lifetime: HOUR * 3 + PUBLISHED_WITHIN, ..timing() };
        for (periods, valid) in [(1, true), (2, true), (3, false)] {
            for part in [Part::Publication, Part::IssuingToken, Part::InnerZone] {
                let from = HOUR * 10 - SECOND;
                let away = [Away { part, from, until: from + HOUR * periods }];
                let world = World::new(&timing, &away, HOUR * 24, Method::Crl);
                let always = (0..24 * 60).map(|minute| Duration::from_secs(minute * 60));
                let expired = always.filter(|at| world.list(*at).next_update < *at).count();
                assert_eq!(expired == 0, valid, "{part:?} {periods}");
            }
        }
    }

    /// Each answer is made when half of the life of the one before is over, whoever asks, and is there a minute later; what could not
    /// be made is made up for, and nothing is given past its end or from a stale log.
    #[test]
    fn answers_signed_beforehand_come_at_the_half_of_their_life() {
        let timing = Timing { answers: AnswerSigning::Beforehand, freshness: HOUR / 2, ..timing() };
        let minute = Duration::from_secs(60);
        let away = [Away { part: Part::InnerZone, from: HOUR, until: HOUR + HOUR / 4 }];
        let mut world = World::new(&timing, &away, HOUR * 5, Method::Ocsp);
        let mut ask = |at: Duration| world.ask(at, Method::Ocsp).map(|signed| signed.this_update);

        assert_eq!(ask(Duration::ZERO), Some(Duration::ZERO));
        assert_eq!(ask(HOUR / 2 + minute - SECOND), Some(Duration::ZERO), "on its way");
        assert_eq!(ask(HOUR / 2 + minute), Some(HOUR / 2));
        assert_eq!(ask(HOUR + minute * 5), Some(HOUR / 2), "made at the last moment, not arrived");
        assert_eq!(ask(HOUR + minute * 15), Some(HOUR));
        assert_eq!(ask(HOUR * 2), Some(HOUR + HOUR / 2));

        let away = [Away { part: Part::ResponderToken, from: HOUR - SECOND, until: HOUR * 2 }];
        let mut world = World::new(&timing, &away, HOUR * 5, Method::Ocsp);
        let mut ask = |at: Duration| world.ask(at, Method::Ocsp).map(|signed| signed.this_update);
        assert_eq!(ask(Duration::ZERO), Some(Duration::ZERO));
        assert_eq!(ask(HOUR * 3 / 2 - SECOND), Some(HOUR / 2));
        assert_eq!(ask(HOUR * 3 / 2), None, "its end, and none came");
        assert_eq!(ask(HOUR * 2 + minute), Some(HOUR * 2));
    }

    /// Item by item what the responder does: kept to half of its life, tryLater when the log is stale or the token away.
    #[test]
    fn answers_are_kept_to_their_half_and_never_given_from_a_stale_log() {
        let timing = timing();
        let away = [
            Away { part: Part::ResponderToken, from: HOUR, until: HOUR * 2 },
            Away { part: Part::InnerZone, from: HOUR * 3, until: HOUR * 4 },
        ];
        let mut world = World::new(&timing, &away, HOUR * 5, Method::Ocsp);
        let mut ask = |at: Duration| world.ask(at, Method::Ocsp).map(|signed| signed.this_update);

        assert_eq!(ask(SECOND), Some(SECOND));
        assert_eq!(ask(HOUR / 2), Some(SECOND), "kept");
        assert_eq!(ask(HOUR - SECOND), Some(HOUR - SECOND), "signed anew");
        assert_eq!(ask(HOUR + HOUR / 4), Some(HOUR - SECOND), "the token is away, and it is kept");
        assert_eq!(ask(HOUR + HOUR * 3 / 4), None, "the token is away");
        assert_eq!(ask(HOUR * 3 - SECOND), Some(HOUR * 3 - SECOND));
        assert_eq!(ask(HOUR * 3 + SECOND * 60), Some(HOUR * 3 - SECOND));
        assert_eq!(
            ask(HOUR * 3 + SECOND * 61),
            None,
            "a kept answer is not given from a stale log"
        );
        assert_eq!(ask(HOUR * 4), Some(HOUR * 4));
    }

    /// CRL-08: with a new list comes a delta to it; who has a copy of the list before has nothing new until that copy has ended, and
    /// list and delta together are as young as the younger and end with the first.
    #[test]
    fn a_delta_goes_with_its_own_list_or_an_earlier_one() {
        let minute = Duration::from_secs(60);
        let timing = Timing {
            crl_period: minute * 60,
            crl_lifetime: minute * 240,
            delta_period: minute * 25,
            delta_lifetime: minute * 90,
            max_age: minute * 5,
            ..timing()
        };
        let mut world = World::new(&timing, &[], HOUR * 5, Method::CrlDelta);
        let mut fetch = |at: Duration| world.fetch(at, Method::CrlDelta);
        let signed = |made: u32, until: u32| {
            Some(Signed { this_update: minute * made, next_update: minute * until })
        };

        assert_eq!(fetch(minute * 26), signed(25, 115));
        assert_eq!(fetch(minute * 58), signed(50, 140), "until the next list, which is on its way");
        assert_eq!(fetch(minute * 61), signed(50, 140), "copies of both");
        assert_eq!(fetch(minute * 64), signed(60, 150));
        let mut world = World::new(&timing, &[], HOUR * 5, Method::CrlDelta);
        assert!(world.fetch(minute * 59, Method::Crl).is_some());
        assert_eq!(world.fetch(minute * 62, Method::CrlDelta), None, "a copy of the list before");
        assert!(world.fetch(minute * 64, Method::CrlDelta).is_some());
        let shorter = Timing { crl_lifetime: minute * 70, ..timing };
        let world = World::new(&shorter, &[], HOUR * 5, Method::CrlDelta);
        assert_eq!(world.listed(minute * 26, Method::CrlDelta), signed(25, 70));
        assert_eq!(world.listed(minute * 26, Method::Ocsp), None);
    }
}

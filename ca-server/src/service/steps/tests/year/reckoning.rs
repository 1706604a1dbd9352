//! What must strike in a year, and when, reckoned another way: days are counted from 1970, the almanac of a year is a list that is written out day by
//! day, Easter is Carter's, and nothing of `ca::calendar` or `ca::steps` is asked.

use super::{COMES_BY, DAY, HOUR, History, Later, Plan, When, Year, bounds};

/// The spans of the routine, and which days are free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    activation: u64,
    claim: u64,
    unused: u64,
    name_months: u64,
    /// Days past the one that is said.
    later: u64,
    summer_time: bool,
    good_friday: bool,
    ascension: bool,
    midsummer_eve: bool,
    christmas_eve: bool,
}

impl Rules {
    pub(super) const SWEDEN: Self = Self {
        activation: 5,
        claim: 14,
        unused: 100,
        name_months: 3,
        later: 0,
        summer_time: true,
        good_friday: true,
        ascension: true,
        midsummer_eve: true,
        christmas_eve: true,
    };

    /// Each with one rule that is not Sweden's, or not the routine's.
    pub(super) fn bent() -> [(&'static str, Self); 11] {
        let own = Self::SWEDEN;
        [
            ("a working day more", Self { activation: 6, ..own }),
            ("a working day less", Self { activation: 4, ..own }),
            ("a day less to claim", Self { claim: 13, ..own }),
            ("a day more unused", Self { unused: 101, ..own }),
            ("a month more of a former name", Self { name_months: 4, ..own }),
            ("a day later than said", Self { later: 1, ..own }),
            ("no summer time", Self { summer_time: false, ..own }),
            ("work on Good Friday", Self { good_friday: false, ..own }),
            ("work on Ascension Day", Self { ascension: false, ..own }),
            ("work on Midsummer Eve", Self { midsummer_eve: false, ..own }),
            ("work on Christmas Eve", Self { christmas_eve: false, ..own }),
        ]
    }
}

/// A year, day by day.
pub(super) struct Almanac {
    year: u64,
    first: u64,
}

const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl Almanac {
    pub(super) fn new(year: u64) -> Self {
        let first = (1970..year).map(|one| if is_leap(one) { 366 } else { 365 }).sum();
        Self { year, first }
    }

    /// Days since 1970 of 1 January.
    pub(super) const fn first_day(&self) -> u64 {
        self.first
    }

    fn of_day(day: u64) -> Self {
        let mut almanac = Self::new(1970 + day / 366);
        while Self::new(almanac.year + 1).first <= day {
            almanac = Self::new(almanac.year + 1);
        }
        almanac
    }

    fn length(&self, month: u64) -> u64 {
        let index = usize::try_from(month - 1).unwrap();
        MONTHS[index] + u64::from(month == 2 && is_leap(self.year))
    }

    fn day(&self, month: u64, day: u64) -> u64 {
        self.first + (1..month).map(|one| self.length(one)).sum::<u64>() + day - 1
    }

    /// Month and day of the month.
    fn date(&self, day: u64) -> (u64, u64) {
        let (mut month, mut left) = (1, day - self.first);
        while left >= self.length(month) {
            left -= self.length(month);
            month += 1;
        }
        (month, left + 1)
    }

    pub(super) fn written(day: u64) -> String {
        let almanac = Self::of_day(day);
        let (month, of_month) = almanac.date(day);
        format!("{:04}-{month:02}-{of_month:02}", almanac.year)
    }

    /// 0 is Monday; 1 January 1970 was a Thursday.
    const fn weekday(day: u64) -> u64 {
        (day + 3) % 7
    }

    fn last_sunday(&self, month: u64) -> u64 {
        let end = self.day(month, self.length(month));
        end - (Self::weekday(end) + 1) % 7
    }

    /// Easter Day of 1900 to 2099 (Carter).
    fn easter(&self) -> u64 {
        let before = 225 - 11 * (self.year % 19);
        let mut moon = (before - 21) % 30 + 21;
        if moon > 48 {
            moon -= 1;
        }
        let weekday = (self.year + self.year / 4 + moon + 1) % 7;
        self.day(3, 1) + moon + 7 - weekday - 1
    }

    /// The days of the year on which nobody works, Saturdays and Sundays apart.
    fn free(&self, rules: &Rules) -> Vec<u64> {
        let easter = self.easter();
        let saturday_from = |month, day| {
            let from = self.day(month, day);
            from + (5 + 7 - Self::weekday(from)) % 7
        };
        let midsummer = saturday_from(6, 20);
        let mut free = vec![
            self.day(1, 1),
            self.day(1, 6),
            easter,
            easter + 1,
            self.day(5, 1),
            easter + 49,
            self.day(6, 6),
            midsummer,
            saturday_from(10, 31),
            self.day(12, 25),
            self.day(12, 26),
            self.day(12, 31),
        ];
        let more = [
            (rules.good_friday, easter - 2),
            (rules.ascension, easter + 39),
            (rules.midsummer_eve, midsummer - 1),
            (rules.christmas_eve, self.day(12, 24)),
        ];
        free.extend(more.into_iter().filter(|(is_free, _)| *is_free).map(|(_, day)| day));
        free
    }
}

/// The day in Stockholm at a second.
fn local_day(at: u64, rules: &Rules) -> u64 {
    let almanac = Almanac::of_day(at / DAY);
    let from = almanac.last_sunday(3) * DAY + HOUR;
    let until = almanac.last_sunday(10) * DAY + HOUR;
    let summer = rules.summer_time && (from..until).contains(&at);
    (at + HOUR + if summer { HOUR } else { 0 }) / DAY
}

/// The second at which a day is over in Stockholm.
fn end_of(day: u64, rules: &Rules) -> u64 {
    let next = day + 1;
    let almanac = Almanac::of_day(next);
    let summer =
        rules.summer_time && next > almanac.last_sunday(3) && next <= almanac.last_sunday(10);
    next * DAY - HOUR - if summer { HOUR } else { 0 }
}

fn days_after(at: u64, days: u64, rules: &Rules) -> u64 {
    end_of(local_day(at, rules) + days, rules)
}

fn working_days_after(at: u64, count: u64, rules: &Rules) -> u64 {
    let (mut day, mut left) = (local_day(at, rules), count);
    while left > 0 {
        day += 1;
        let free = Almanac::of_day(day).free(rules);
        if Almanac::weekday(day) < 5 && !free.contains(&day) {
            left -= 1;
        }
    }
    end_of(day, rules)
}

fn months_after(at: u64, months: u64, rules: &Rules) -> u64 {
    let day = local_day(at, rules);
    let almanac = Almanac::of_day(day);
    let (month, of_month) = almanac.date(day);
    let all = month - 1 + months;
    let then = Almanac::new(almanac.year + all / 12);
    let month = all % 12 + 1;
    end_of(then.day(month, of_month.min(then.length(month))), rules)
}

/// When the schedule first comes by at this second or after.
fn seen(at: u64) -> u64 {
    let rounds = (0..2).flat_map(|more| COMES_BY.map(|hour| (at / DAY + more) * DAY + hour * HOUR));
    rounds.into_iter().find(|round| *round >= at).unwrap()
}

/// All that strikes in the year.
pub(super) fn reckon(year: &Year, rules: &Rules) -> History {
    let (_, end) = bounds(year);
    let mut history = History::new();
    let mut strikes = |name: String, kind, at: u64| {
        if at < end {
            history.insert(name, (kind, at));
        }
    };
    for (place, plan) in year.plans.iter().enumerate() {
        let (over, ends_by) = order(plan, rules);
        if let (Some(at), None) = (over, ends_by) {
            strikes(format!("order {place}"), "expired", seen(at));
        }
        if let Some(since) = plan.renamed {
            let at = months_after(since, rules.name_months, rules);
            match ends_by {
                Some(Ends::Activated(step)) if step < at => {
                    strikes(format!("former name {place}"), "step", step);
                }
                Some(Ends::Cancelled(step)) if step < at => {}
                _ => strikes(format!("former name {place}"), "deadline", seen(at)),
            }
        }
    }
    for (place, later) in year.laters.iter().enumerate() {
        if let Some(at) = strikes_at(later, rules) {
            strikes(format!("later {place}"), "revoked", seen(at));
        }
    }
    history
}

/// What ends an order that is not overdue before.
#[derive(Clone, Copy)]
enum Ends {
    Activated(u64),
    Cancelled(u64),
}

/// When an order is over by itself, as far as its steps in time leave it, and which of its steps ends it.
fn order(plan: &Plan, rules: &Rules) -> (Option<u64>, Option<Ends>) {
    let mut due = days_after(plan.ordered, rules.unused, rules);
    let steps = [
        plan.identified.map(|at| (at, 0)),
        plan.issued.map(|at| (at, 1)),
        plan.activated.map(|at| (at, 2)),
        plan.cancelled.map(|at| (at, 3)),
    ];
    let mut steps: Vec<(u64, u8)> = steps.into_iter().flatten().collect();
    steps.sort_unstable();
    for (at, step) in steps {
        // Nobody can take back what the schedule has ended; until it comes by somebody may.
        if at >= due && (step != 3 || at >= seen(due)) {
            break;
        }
        match step {
            0 => due = due.min(working_days_after(at, rules.activation, rules)),
            1 => due = due.min(days_after(at, rules.claim, rules)),
            2 => return (None, Some(Ends::Activated(at))),
            _ => return (None, Some(Ends::Cancelled(at))),
        }
    }
    (Some(due), None)
}

/// When a revocation of later strikes; `None` where it is taken back before.
fn strikes_at(later: &Later, rules: &Rules) -> Option<u64> {
    let at = match later.when {
        When::At(at) => at + rules.later * DAY,
        When::LastDay(day) => end_of(day + rules.later, rules),
    };
    later.taken_back.is_none_or(|back| back >= at).then_some(at)
}

//! The schedule, and its derivation from a contract.

use std::time::Duration;

use thiserror::Error;

use super::contract::{Contract, Method, PartyClass};

/// A list, or a file of answers signed beforehand, is made, pushed and served at most this long after it is due.
pub const PUBLISHED_WITHIN: Duration = Duration::from_secs(60);
/// Answers last five days at most, and never longer than the delegate that signs them.
const LONGEST_ANSWER: Duration = Duration::from_secs(5 * 86_400);
/// Lists last ten days at most.
const LONGEST_LIST: Duration = Duration::from_secs(10 * 86_400);
/// The longest that others keep copies where the classes leave a choice, and the longest pause between two lists.
const USUAL_MAX_AGE: Duration = Duration::from_secs(300);
const USUAL_PERIOD: Duration = Duration::from_secs(3600);
const USUAL_DELTA_PERIOD: Duration = Duration::from_secs(600);
/// Lists are not made more often than this by time alone.
const SHORTEST_PERIOD: Duration = Duration::from_secs(60);
/// A delegate's life (architecture §2.3).
const DELEGATE_LIFE: Duration = Duration::from_secs(14 * 86_400);

/// How long after its signature an answer is signed anew, when `left` was left of it then: half (OCSP-10).
#[must_use]
pub const fn resign_after(left: Duration) -> Duration {
    Duration::from_secs(left.as_secs() / 2)
}

/// When answers are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerSigning {
    /// When somebody asks, and kept to half of their life.
    #[default]
    WhenAsked,
    /// Beforehand, in the inner zone, and anew whenever half of their life is over; the responder holds no key.
    Beforehand,
}

/// The times that both programs keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When answers are signed.
    pub answers: AnswerSigning,
    /// From thisUpdate to nextUpdate of an OCSP answer.
    pub validity: Duration,
    /// How long others may keep a good or revoked answer, or a CRL (HTTP max-age).
    pub max_age: Duration,
    /// How old a checkpoint may be before every question gets tryLater.
    pub freshness: Duration,
    /// Between two CRLs.
    pub crl_period: Duration,
    /// From thisUpdate to nextUpdate of a CRL.
    pub crl_lifetime: Duration,
    /// Between two delta CRLs of a CA that makes such.
    pub delta_period: Duration,
    /// From thisUpdate to nextUpdate of a delta CRL.
    pub delta_lifetime: Duration,
}

impl Timing {
    /// What holds where no contract is declared.
    pub const USUAL: Self = Self {
        answers: AnswerSigning::WhenAsked,
        validity: Duration::from_secs(3600),
        max_age: USUAL_MAX_AGE,
        freshness: Duration::from_secs(60),
        crl_period: USUAL_PERIOD,
        crl_lifetime: Duration::from_secs(48 * 3600),
        delta_period: USUAL_DELTA_PERIOD,
        delta_lifetime: Duration::from_secs(3 * USUAL_DELTA_PERIOD.as_secs()),
    };

    /// The age of the youngest delegate at which the next is asked for, as soon as fewer than two live.
    pub const DELEGATES_RENEWED_AFTER: Duration = Duration::from_secs(4 * 86_400);

    /// How long the youngest delegate lasts at the least from any instant on, while renewals are answered: two live
    /// until the elder ends, and then the younger is as far from its end as they were apart. So earlier renewal does
    /// not make it more.
    #[must_use]
    pub fn delegates_outlast() -> Duration {
        let renewal = Self::DELEGATES_RENEWED_AFTER;
        renewal.min(DELEGATE_LIFE.saturating_sub(renewal))
    }
}

impl Contract {
    /// The schedule that follows: answers and lists as long as the strictest class bears, copies and pauses as
    /// the classes leave room for.
    ///
    /// # Errors
    ///
    /// [`Unservable`] names the class that no schedule satisfies, and what it would have to bear.
    pub fn timing(&self, answers: AnswerSigning) -> Result<Timing, Unservable> {
        let usual = Timing::USUAL;
        let asking = [Method::Ocsp, Method::OcspWithNonce];
        let validity =
            longest(self.by(&asking)).map_or(usual.validity, |most| most.min(LONGEST_ANSWER));
        let crl_lifetime = longest(self.by(&[Method::Crl]))
            .map_or(usual.crl_lifetime, |most| most.min(LONGEST_LIST));
        let delta_lifetime = longest(self.by(&[Method::CrlDelta]))
            .map_or(usual.delta_lifetime, |most| most.min(LONGEST_LIST));
        let freshness = self.outage;
        // When the oldest answer that is still given out is as old as it gets.
        let given_until = match answers {
            AnswerSigning::WhenAsked => {
                freshness + resign_after(validity.saturating_sub(freshness))
            }
            // The next one was due when the inner zone went away.
            AnswerSigning::Beforehand => resign_after(validity) + freshness + PUBLISHED_WITHIN,
        };
        let shortest = if self.reads_deltas() { delta_lifetime } else { crl_lifetime };
        let most = shortest.min(crl_lifetime).as_secs() / 8;
        let mut max_age = USUAL_MAX_AGE.min(Duration::from_secs(most));
        for class in self.by(&asking) {
            let signed_for_it =
                class.method == Method::OcspWithNonce && answers == AnswerSigning::WhenAsked;
            let given = if signed_for_it { freshness } else { given_until };
            let needed = given + class.poll + class.skew;
            let Some(room) = validity.checked_sub(needed).filter(|_| freshness < validity) else {
                return Err(Unservable { class: class.name.clone(), lasts: validity, needed });
            };
            if class.method == Method::Ocsp {
                max_age = max_age.min(Duration::from_secs(room.as_secs()));
            }
        }
        let mut crl_period = usual.crl_period;
        for class in self.by(&[Method::Crl]) {
            let beside = class.skew + class.poll + max_age + PUBLISHED_WITHIN;
            let third = Duration::from_secs(crl_lifetime.saturating_sub(beside).as_secs() / 3);
            if third < SHORTEST_PERIOD {
                let needed = beside + SHORTEST_PERIOD * 3;
                return Err(Unservable { class: class.name.clone(), lasts: crl_lifetime, needed });
            }
            crl_period = crl_period.min(third);
        }
        let mut delta_period = usual.delta_period;
        for class in self.by(&[Method::CrlDelta]) {
            let beside = beside_deltas(class, max_age);
            let third = |lasts: Duration| {
                let third = Duration::from_secs(lasts.saturating_sub(beside).as_secs() / 3);
                let needed = beside + SHORTEST_PERIOD * 3;
                let class = class.name.clone();
                Some(third).filter(|third| *third >= SHORTEST_PERIOD).ok_or(Unservable {
                    class,
                    lasts,
                    needed,
                })
            };
            delta_period = delta_period.min(third(delta_lifetime)?);
            crl_period = crl_period.min(third(crl_lifetime)?);
        }
        if self.reads_deltas() {
            // Who reads both bears two missed deltas only if no more lists are missed with them.
            delta_period = delta_period.min(crl_period);
        }
        Ok(Timing {
            answers,
            validity,
            max_age,
            freshness,
            crl_period,
            crl_lifetime,
            delta_period,
            delta_lifetime,
        })
    }

    /// `timing` with the lists that would end first of all that a `sigill-ca` under this contract may make: what a
    /// responder must reckon with, which does not know them.
    pub(super) fn with_tightest_lists(&self, timing: Timing, derived: Timing) -> Timing {
        let needed = self.by(&[Method::Crl]).map(|class| {
            derived.crl_period * 3 + PUBLISHED_WITHIN + derived.max_age + class.poll + class.skew
        });
        let with_deltas = |period: Duration| {
            let needed =
                move |class: &PartyClass| period * 3 + beside_deltas(class, derived.max_age);
            self.by(&[Method::CrlDelta]).map(needed)
        };
        let needed = needed.chain(with_deltas(derived.crl_period)).max();
        let crl_lifetime = needed.unwrap_or(derived.crl_lifetime).min(derived.crl_lifetime);
        let needed = with_deltas(derived.delta_period).max();
        let delta_lifetime = needed.unwrap_or(derived.delta_lifetime).min(derived.delta_lifetime);
        let Timing { crl_period, delta_period, .. } = derived;
        Timing { crl_period, crl_lifetime, delta_period, delta_lifetime, ..timing }
    }
}

/// What a delta, and the list that it belongs to, have to last beside three periods for a class that reads both: a full list may be made
/// just then, and a copy of the one before lies on the way when the copy of the delta has gone. The two do not go together, and the
/// party asks once more.
pub(super) fn beside_deltas(class: &PartyClass, max_age: Duration) -> Duration {
    class.skew + (class.poll + max_age) * 2 + PUBLISHED_WITHIN
}

/// The longest that something may be believed among these classes, the slowest clock counted.
fn longest<'a>(classes: impl Iterator<Item = &'a PartyClass>) -> Option<Duration> {
    classes.map(|class| class.max_age.saturating_sub(class.skew)).min()
}

/// No schedule satisfies a class.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "no schedule satisfies class {class}: by the strictest max-age and its clock-skew nothing lasts longer than \
     {} s, and {} s are needed for outage, renewal, caches, polls-every and clock-skew of this class",
    lasts.as_secs(), needed.as_secs()
)]
pub struct Unservable {
    /// The class.
    pub class: String,
    /// How long an answer or list may last for the strictest class.
    pub lasts: Duration,
    /// How long it would have to last for this one.
    pub needed: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// OCSP-10: the schedule of the shipped example, to the second; an upgrade that changes it changes this test.
    #[test]
    fn the_example_yields_this_schedule() {
        let text = include_str!("../../../environments/demo/freshness.toml");
        let contract = Contract::parse(text).unwrap();

        let timing = contract.timing(AnswerSigning::WhenAsked).unwrap();

        assert_eq!(
            timing,
            Timing {
                answers: AnswerSigning::WhenAsked,
                validity: secs(6900),
                max_age: secs(300),
                freshness: secs(900),
                crl_period: secs(3600),
                crl_lifetime: secs(86_100),
                delta_period: secs(600),
                delta_lifetime: secs(1800),
            }
        );
    }

    /// CRL-08: for a class that reads deltas these are as long as it bears, and so often that two may be missed and full lists come between;
    /// the full list may be much older.
    #[test]
    fn deltas_follow_from_the_class_that_reads_them() {
        let class = |rest: &str| {
            let text = format!(
                "[[class]]\nname = \"near\"\nmax-age = 2400\nclock-skew = 60\ncrl-only = true\ndeltas = true\n{rest}"
            );
            Contract::parse(&text).unwrap().timing(AnswerSigning::WhenAsked)
        };

        let timing = class("").unwrap();

        assert_eq!(timing.delta_lifetime, secs(2340));
        assert_eq!(timing.max_age, secs(292));
        assert_eq!(timing.delta_period, secs((2340 - 60 - 2 * 292 - 60) / 3));
        assert_eq!((timing.crl_period, timing.crl_lifetime), (secs(3600), secs(48 * 3600)));
        let refused = class("polls-every = 800\n").unwrap_err();
        assert_eq!((refused.lasts, refused.needed), (secs(2340), secs(60 + 2 * 1092 + 60 + 180)));
    }

    /// CRL-08: another class wants full lists more often than the deltas' class wants deltas: two missed deltas are no more than two missed
    /// lists, which is what a list lasts for.
    #[test]
    fn deltas_come_at_least_as_often_as_full_lists() {
        let text = "[outage]\ninner-zone = 10\n\
            [[class]]\nname = \"deltas\"\nmax-age = 2882\nclock-skew = 56\npolls-every = 122\ncrl-only = true\ndeltas = true\n\
            [[class]]\nname = \"lists\"\nmax-age = 1657\nclock-skew = 0\npolls-every = 512\ncrl-only = true\n";
        let contract = Contract::parse(text).unwrap();

        let timing = contract.timing(AnswerSigning::WhenAsked).unwrap();

        assert_eq!((timing.crl_period, timing.delta_period), (secs(292), secs(292)));
        assert_eq!(contract.counter_example(&timing), None);
    }

    #[test]
    fn a_class_that_cannot_be_served_is_named_with_what_it_lacks() {
        let text =
            "[[class]]\nname = \"quick\"\nmax-age = 600\nclock-skew = 120\npolls-every = 300\n";

        let refused = Contract::parse(text).unwrap().timing(AnswerSigning::WhenAsked).unwrap_err();

        assert_eq!(
            (refused.class.as_str(), refused.lasts, refused.needed),
            ("quick", secs(480), secs(690))
        );
    }

    /// Architecture, section 2.3: hour by hour over a year of renewals, two living delegates at most, the youngest
    /// never has less left than what is said, and at times no more.
    #[test]
    fn the_youngest_delegate_lasts_as_long_as_is_said() {
        const HOUR: u64 = 3600;
        let life = DELEGATE_LIFE.as_secs();
        let mut given = vec![0_u64];
        let mut least = u64::MAX;
        for now in (0..365 * 24).map(|hour| hour * HOUR) {
            let youngest = given.last().copied().unwrap();
            least = least.min(youngest + life - now);
            given.retain(|since| since + life > now);
            if now - youngest >= Timing::DELEGATES_RENEWED_AFTER.as_secs() && given.len() < 2 {
                given.push(now);
            }
        }
        assert_eq!(secs(least), Timing::delegates_outlast());
        assert_eq!(Timing::delegates_outlast(), secs(4 * 86_400));
    }
}

//! The time, by a clock that no machine of ours sets: two people type what it shows (R03).

use ceremony_core::refusal::Refusal;
use x509::time::UnixTime;

use super::Room;
use super::layout::Screen;
use crate::stopped::Stopped;
use crate::works::now;

/// How far this machine's clock may be off, in seconds.
const FARTHEST: u64 = 60;
/// Seconds of a day: what is typed has no date, which stands in the plan's window.
const DAY: u64 = 86_400;
/// How often something that is no time may be typed.
const TRIES: usize = 3;
/// How an answers file says: the time that it is, and so many seconds more.
const NOW: &str = "@now";

impl Room<'_> {
    /// Has two people type the time.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R03 for one that is more than a minute from this machine's.
    pub(super) fn two_clocks(&self) -> anyhow::Result<()> {
        ["1", "2"].into_iter().try_for_each(|who| self.one_clock(who))
    }

    fn one_clock(&self, who: &str) -> anyhow::Result<()> {
        let l = self.desk.language;
        let screen = Screen::new(format!("clock {who}"), format!("{} {who}/2", l.pick("Klockan", "The clock")))
            .tell(l.pick(
                "En oberoende klocka (radio- eller satellitstyrd) står i rummet. Person 1 och därefter person 2 skriver vad den visar i UTC, var och en för sig. Den här maskinens tid visas inte.",
                "An independent clock (set by radio or satellite) stands in the room. Person 1, then person 2 types what it shows in UTC, each alone. This machine's time is not shown.",
            ))
            .asks(l.pick("Tiden i UTC, TT:MM:SS", "The time in UTC, HH:MM:SS"));
        for _ in 0..TRIES {
            let typed = self.desk.ask(&screen)?;
            let now = now()?;
            let shown = match typed.strip_prefix(NOW).filter(|_| self.desk.is_driven()) {
                Some(more) => {
                    Some(now.secs().saturating_add(more.trim().parse().unwrap_or(0)) % DAY)
                }
                None => seconds(&typed),
            };
            if let Some(shown) = shown {
                return Ok(judge(now, shown)?);
            }
        }
        anyhow::bail!("what was typed is no time of the form HH:MM:SS; nothing was done")
    }
}

/// Seconds since midnight.
fn seconds(typed: &str) -> Option<u64> {
    let mut parts = typed.trim().split(':');
    let mut part = |below: u64| {
        let is_number =
            |text: &&str| text.len() == 2 && text.bytes().all(|one| one.is_ascii_digit());
        let text = parts.next().filter(is_number)?;
        text.parse::<u64>().ok().filter(|value| *value < below)
    };
    let time = part(24)? * 3600 + part(60)? * 60 + part(60)?;
    parts.next().is_none().then_some(time)
}

/// The shorter way around midnight counts.
fn judge(now: UnixTime, shown: u64) -> Result<(), Stopped> {
    let off = (now.secs() % DAY).abs_diff(shown);
    let off = off.min(DAY.saturating_sub(off));
    if off <= FARTHEST {
        return Ok(());
    }
    Err(Stopped {
        refusal: Refusal::Clock,
        refused: format!(
            "this machine's clock is {off} s from the independent one; {FARTHEST} s are allowed"
        ),
        next_step: "set this machine's clock, and begin anew; no token was touched",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_is_a_time() {
        assert_eq!(seconds("00:00:00"), Some(0));
        assert_eq!(seconds(" 23:59:59 "), Some(DAY - 1));
        for no in [
            "",
            "7:00:00",
            "24:00:00",
            "12:60:00",
            "12:00:60",
            "12:00",
            "12:00:00:00",
            "+1:00:00",
            "ab:cd:ef",
        ] {
            assert_eq!(seconds(no), None, "{no}");
        }
    }

    /// N23: more than a minute off, before, after and around midnight.
    #[test]
    fn a_clock_that_is_more_than_a_minute_off_is_refused() {
        let noon = UnixTime::from_secs(DAY * 20_000 + 43_200).unwrap();
        let midnight = UnixTime::from_secs(DAY * 20_000 + 10).unwrap();
        for (now, shown, holds) in [
            (noon, 43_200, true),
            (noon, 43_260, true),
            (noon, 43_140, true),
            (noon, 43_261, false),
            (noon, 43_110, false),
            (noon, 0, false),
            (midnight, DAY - 40, true),
            (midnight, DAY - 80, false),
        ] {
            let judged = judge(now, shown);
            assert_eq!(judged.is_ok(), holds, "{shown}");
            if let Err(refused) = judged {
                assert_eq!((refused.refusal.code(), refused.refusal.exit_code()), ("R03", 13));
            }
        }
    }
}

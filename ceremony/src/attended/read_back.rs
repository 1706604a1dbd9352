//! Reading back blindly: what the program expects is not shown, a witness reads it from a paper that another machine printed, and what is typed is
//! compared. Whoever is shown a hash and asked whether it is right says yes.

use anyhow::Context as _;
use ceremony_core::script::Language;
use ceremony_core::words::Fingerprint;

use super::Room;
use super::layout::Screen;
use crate::stopped::Paused;
use crate::works::random;

/// How many words, or groups of digits, are typed.
const ASKED: usize = 4;
/// How often something else may be typed.
const TRIES: usize = 3;
/// How an answers file says: what is printed of this file on another machine.
const PAPER: &str = "@paper ";

/// Which of the 32 words, and which of the 16 groups of digits; of the same octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// From 0.
    words: [usize; ASKED],
}

impl Places {
    /// Drawn, in rising order, each of another group.
    pub(super) fn draw() -> anyhow::Result<Self> {
        let drawn = random::<64>()?;
        let mut groups: Vec<usize> = Vec::new();
        for octet in drawn.iter().take(48) {
            let group = usize::from(octet & 15);
            if groups.len() < ASKED && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups.sort_unstable();
        let halves = drawn.iter().skip(48).map(|octet| usize::from(octet & 1));
        let words: Vec<usize> =
            groups.iter().zip(halves).map(|(group, half)| group * 2 + half).collect();
        // 48 draws of 16 that have fewer than four different ones are a broken generator.
        Ok(Self { words: words.try_into().ok().context("no random numbers for a read-back")? })
    }

    pub(super) fn of_words(self) -> String {
        self.words.map(|place| (place + 1).to_string()).join(", ")
    }

    fn of_groups(self) -> String {
        self.words.map(|place| (place / 2 + 1).to_string()).join(", ")
    }

    /// What stands there.
    pub(super) fn picked(self, words: &[&str]) -> String {
        self.words.map(|place| words.get(place).copied().unwrap_or_default()).join(" ")
    }

    fn groups(self, hash: &Fingerprint) -> String {
        let groups = hash.groups();
        let groups: Vec<&str> = groups.split(' ').collect();
        self.words.map(|place| groups.get(place / 2).copied().unwrap_or_default()).join(" ")
    }

    /// Whether this is what stands there, as words or as groups of digits, in any case.
    fn are_of(self, hash: &Fingerprint, typed: &str) -> bool {
        let typed = typed.split_whitespace().collect::<Vec<_>>().join(" ");
        typed.eq_ignore_ascii_case(&self.picked(&hash.words()))
            || typed.eq_ignore_ascii_case(&self.groups(hash))
    }
}

impl Room<'_> {
    /// Has the hash of a file read back from paper, and shows it whole afterwards. The file lies here, in the home or beside the plan.
    ///
    /// # Errors
    ///
    /// [`Paused`] where it was read otherwise three times.
    pub(crate) fn read_back(
        &self,
        what: &str,
        path: &std::path::Path,
        expected: &Fingerprint,
    ) -> anyhow::Result<()> {
        let l = self.desk.language;
        let title = format!("{}: {what}", l.pick("Läs tillbaka i blindo", "Read back blindly"));
        for wrong in 0..TRIES {
            let places = Places::draw()?;
            let screen = Screen::new(format!("read-back {what}"), title.as_str())
                .tell_all((wrong > 0).then(|| again(l, TRIES - wrong)))
                .tell(l.pick("Fil:", "File:"))
                .tell(format!("    {}", path.display()))
                .tell(l.pick(
                    "Filens hash skrivs ut från en annan maskin:",
                    "The hash of the file is printed from another machine, by",
                ))
                .tell(format!("    sigill-ceremony words {}", file_name(path)))
                .tell(l.pick(
                    "Vittnet läser ur det papperet; operatören skriver det vittnet läser. Den här skärmen visar inte vad som väntas.",
                    "The witness reads from that paper; the operator types what the witness reads. This screen does not show what is expected.",
                ))
                .asks(format!(
                    "{} {}\n{} {} · {}",
                    l.pick("Orden", "Words"),
                    places.of_words(),
                    l.pick("eller siffergrupperna", "or groups of digits"),
                    places.of_groups(),
                    l.pick("p: paus", "p: pause"),
                ));
            let mut typed = self.desk.ask(&screen)?;
            if let Some(file) = typed.strip_prefix(PAPER).filter(|_| self.desk.is_driven()) {
                let octets = std::fs::read(file).with_context(|| file.to_owned())?;
                typed = places.picked(&Fingerprint::of(&octets).words());
            }
            if places.are_of(expected, &typed) {
                return self.whole(what, expected);
            }
        }
        let why = format!(
            "{what} {}",
            l.pick(
                "lästes tre gånger annorlunda än på den här maskinen",
                "was read three times otherwise than on this machine",
            )
        );
        Err(Paused { why }.into())
    }

    /// Shows a hash whole, to be ticked off.
    pub(super) fn whole(&self, what: &str, hash: &Fingerprint) -> anyhow::Result<()> {
        let l = self.desk.language;
        let screen = Screen::new(format!("whole {what}"), format!("SHA-256: {what}"))
            .tell(l.pick(
                "Stämmer. Alla bockar av hela värdet på sina papper:",
                "That is right. Everybody ticks off the whole value on his paper:",
            ))
            .tell_all(hash.lines_of_groups().into_iter().map(|line| format!("  {line}")))
            .tell_all(numbered(&hash.words()))
            .asks(l.pick(
                "Enter: alla har bockat av · p: paus",
                "Enter: everybody has ticked it off · p: pause",
            ));
        drop(self.desk.ask(&screen)?);
        Ok(())
    }
}

/// Words in lines of four, each line with the number of its first.
pub(crate) fn numbered(words: &[&str]) -> Vec<String> {
    let lines = words.chunks(4).enumerate();
    lines.map(|(line, words)| format!("  {:>2}  {}", line * 4 + 1, words.join(" "))).collect()
}

fn again(l: Language, left: usize) -> String {
    match l {
        Language::Swedish => {
            format!(
                "DET STÄMMER INTE. Jämför papperen, läs sedan de ord som nu begärs. Försök kvar: {left}."
            )
        }
        Language::English => {
            format!(
                "THAT IS NOT IT. Compare the papers, then read the words that are asked for now. Tries left: {left}."
            )
        }
    }
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N38: only what stands at these places, in this order.
    #[test]
    fn only_the_words_that_are_asked_for_are_right() {
        let hash = Fingerprint::of(b"to be signed");
        let places = Places { words: [1, 6, 8, 31] };
        let words = hash.words();
        assert_eq!(places.of_words(), "2, 7, 9, 32");
        assert_eq!(places.of_groups(), "1, 4, 5, 16");
        let right = [words[1], words[6], words[8], words[31]];
        assert!(places.are_of(&hash, &right.join("  ")));
        assert!(places.are_of(&hash, &right.join(" ").to_uppercase()));
        assert!(places.are_of(&hash, &places.groups(&hash)));
        let swapped = [words[6], words[1], words[8], words[31]];
        for wrong in
            [&swapped.join(" "), &right[..3].join(" "), "", &words.join(" "), &hash.groups()]
        {
            assert!(!places.are_of(&hash, wrong), "{wrong}");
        }
        assert!(!places.are_of(&Fingerprint::of(b"something else"), &right.join(" ")));
    }

    /// What is asked for next time is not what was asked for before.
    #[test]
    fn places_are_drawn_and_rise() {
        let drawn: Vec<Places> = (0..20).map(|_| Places::draw().unwrap()).collect();
        assert!(drawn.iter().any(|places| places != &drawn[0]));
        for Places { words } in drawn {
            assert!(words.is_sorted() && words.iter().all(|place| *place < 32), "{words:?}");
            assert!(words.windows(2).all(|pair| pair[0] / 2 < pair[1] / 2), "{words:?}");
        }
    }
}

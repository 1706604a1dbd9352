//! PINs of tokens at the screen: drawn and handed to custodians share by share, put together from theirs, or typed.
//!
//! A PIN is in memory alone, in one value that is wiped, and goes to the token; nothing writes it to a file. Wrong shares and refused PINs are lines
//! of the transcript, and counted over all runs: after the second nothing more is tried (R15).

use std::path::PathBuf;

use anyhow::Context as _;
use ceremony_core::plan::{Pins, PlannedToken, Role};
use ceremony_core::refusal::Refusal;
use ceremony_core::share::{self, Order, PinOf, Share, ShareError, ShareSet};
use ceremony_core::transcript::{Fact, Kind};
use ceremony_core::words::Fingerprint;
use getrandom::SysRng;
use hsm::pin::Pin;
use rand_core::UnwrapErr;
use zeroize::Zeroizing;

use super::Room;
use super::layout::Screen;
use super::read_back::{Places, numbered};
use crate::home::{Home, replace};
use crate::share_command;
use crate::stopped::{Paused, Stopped};
use crate::transcript::Transcript;

/// How many wrong shares or PINs of one token end it.
const WRONG: usize = 2;
/// The member of an EXCEPTION that says of which PIN a wrong share or PIN was.
const OF: &str = "pin";
/// How often a sheet may be read so that its checksum does not fit, and a custodian may read back otherwise than he wrote.
const READINGS: usize = 3;
/// Rows of a sheet's words.
const ROWS: usize = 8;
/// How an answers file says: what was shown just before.
const SHOWN: &str = "@shown";

/// The PINs of a token that is prepared.
pub(crate) struct NewPins {
    pub(crate) officer: Pin,
    pub(crate) user: Pin,
}

/// A PIN that the token refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongPin;

impl Room<'_> {
    /// The PINs for a token that is blank: drawn, and each of their shares in its custodian's hand and read back; or typed.
    ///
    /// # Errors
    ///
    /// [`Paused`] where somebody reads back otherwise than he wrote; the generator's. Nothing was done with the token.
    pub(crate) fn new_pins(
        &self,
        tokens: &Home,
        planned: &PlannedToken,
    ) -> anyhow::Result<NewPins> {
        Ok(NewPins {
            officer: self.new_pin(tokens, planned, PinOf::SecurityOfficer)?,
            user: self.new_pin(tokens, planned, PinOf::User)?,
        })
    }

    /// The PINs of a token that an earlier run began to prepare, from those who have them.
    ///
    /// # Errors
    ///
    /// As [`Self::user_pin`].
    pub(crate) fn pins_again(
        &self,
        transcript: &mut Transcript<'_>,
        tokens: &Home,
        planned: &PlannedToken,
    ) -> anyhow::Result<NewPins> {
        Ok(NewPins {
            officer: self.pin(transcript, tokens, planned, PinOf::SecurityOfficer)?,
            user: self.pin(transcript, tokens, planned, PinOf::User)?,
        })
    }

    /// The user PIN of a token that is there.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R15 after the second wrong share or PIN; [`ShareError`]; [`Paused`].
    pub(crate) fn user_pin(
        &self,
        transcript: &mut Transcript<'_>,
        tokens: &Home,
        planned: &PlannedToken,
    ) -> anyhow::Result<Pin> {
        self.pin(transcript, tokens, planned, PinOf::User)
    }

    /// Tells that the token refused a PIN.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R15 where it was the last that may be tried; the transcript's.
    pub(crate) fn refused(
        &self,
        transcript: &mut Transcript<'_>,
        planned: &PlannedToken,
        _: WrongPin,
    ) -> anyhow::Result<()> {
        let name = named(planned, PinOf::User);
        wrong(transcript, &name, "the token refused the PIN")
    }

    fn pin(
        &self,
        transcript: &mut Transcript<'_>,
        tokens: &Home,
        planned: &PlannedToken,
        of: PinOf,
    ) -> anyhow::Result<Pin> {
        within(transcript, &named(planned, of))?;
        match planned.pins {
            Pins::Shares => self.joined(transcript, tokens, planned, of),
            Pins::Device => self.typed(planned, of, 1),
        }
    }

    fn new_pin(&self, tokens: &Home, planned: &PlannedToken, of: PinOf) -> anyhow::Result<Pin> {
        if planned.pins == Pins::Shares {
            return self.handed_out(tokens, planned, of);
        }
        for _ in 0..READINGS {
            let (one, two) = (self.typed(planned, of, 1)?, self.typed(planned, of, 2)?);
            if one.is_same(&two) {
                return Ok(one);
            }
        }
        let why = "a new PIN was typed three times otherwise the second time".to_owned();
        Err(Paused { why }.into())
    }

    /// A PIN that people know: a device with a quorum of its own asks for its cards besides.
    fn typed(&self, planned: &PlannedToken, of: PinOf, time: u8) -> anyhow::Result<Pin> {
        let l = self.desk.language;
        let screen = Screen::new(
            format!("pin {} {time}", named(planned, of)),
            self.title(planned, of),
        )
        .tell(l.pick(
            "Bara den som har PIN-koden ser på tangentbordet. Inget av det som skrivs visas.",
            "Only who has the PIN looks at the keyboard. Nothing of what is typed is shown.",
        ))
        .asks(match time {
            1 => l.pick("PIN-koden:", "The PIN:"),
            _ => l.pick("PIN-koden en gång till:", "The PIN once more:"),
        });
        Ok(Pin::from_drawn(&self.desk.ask_secret(&screen)?)?)
    }

    /// Draws a PIN, and hands each custodian his share alone.
    fn handed_out(&self, tokens: &Home, planned: &PlannedToken, of: PinOf) -> anyhow::Result<Pin> {
        let role = role(of);
        let quorum = self.plan.people.quorum.of(role).context("the plan has no such quorum")?;
        let duties = self.plan.people.duties.iter().filter(|duty| duty.role == role);
        let mut holders: Vec<(u8, String)> =
            duties.filter_map(|duty| Some((duty.share?, duty.person.to_string()))).collect();
        holders.sort_unstable();
        let custodians: Vec<String> = holders.into_iter().map(|(_, name)| name).collect();
        let order = Order {
            token: planned.label.as_str(),
            pin: of,
            threshold: quorum.m,
            custodians: &custodians,
        };
        // As for `shares make`: where there is randomness now, there is some then.
        getrandom::fill(&mut [0; 1]).context("no random numbers")?;
        let (secret, set, shares) = share::split(&order, UnwrapErr(SysRng))?;
        for share in &shares {
            self.hand(planned, &set, share)?;
        }
        tokens.private("shares")?;
        replace(&record(tokens, planned, of), set.to_json().as_bytes())?;
        Ok(Pin::from_drawn(&secret.pin())?)
    }

    /// A share to its custodian, who writes it down and reads four words of it back.
    fn hand(&self, planned: &PlannedToken, set: &ShareSet, share: &Share) -> anyhow::Result<()> {
        let l = self.desk.language;
        let id = set.custodian(share.number()).unwrap_or_default();
        let person = self.plan.people.persons.iter().find(|person| person.id.as_str() == id);
        let name = person.map_or(id, |person| person.name.as_str());
        let title = format!(
            "{} {}/{}: {}",
            l.pick("Del", "Share"),
            share.number(),
            set.custodians().count(),
            self.title(planned, set.pin()),
        );
        let of = format!("{} {id}", named(planned, set.pin()));
        let alone = Screen::new(format!("alone {of}"), title.as_str())
            .tell(format!("{}: {name}", l.pick("Till", "For")))
            .tell("")
            .tell(format!(
                "{name} {}",
                l.pick(
                    "tar plats ensam vid skärmen. Alla andra vänder sig bort; ingen kamera ser den.",
                    "sits down at the screen alone. All others turn away; no camera sees it.",
                )
            ))
            .asks(l.pick("Enter: jag är ensam vid skärmen · p: paus", "Enter: I am alone at the screen · p: pause"));
        drop(self.desk.ask(&alone)?);
        let text = share.lines();
        let words: Vec<&str> = text.split_whitespace().collect();
        for _ in 0..READINGS {
            let shown = Screen::new(format!("share {of}"), title.as_str())
                .tell(format!("{name} · {} {}", l.pick("sats", "set"), set.name()))
                .tell(l.pick(
                    "Skriv de 32 orden på ditt delblad, med satsens nummer, delens nummer och HSM:ens namn. Visa dem för ingen.",
                    "Write the 32 words on your sheet, with the numbers of set and share and the token's name. Show them to nobody.",
                ))
                .tell("")
                .tell_all(numbered(&words))
                .asks(l.pick("Enter: skrivet, rensa skärmen", "Enter: written, clear the screen"));
            drop(self.desk.ask(&shown)?);
            let places = Places::draw()?;
            let asked = Screen::new(format!("share-back {of}"), title.as_str())
                .tell(format!(
                    "{name}: {}",
                    l.pick(
                        "läs ur ditt blad. Det du skriver syns inte.",
                        "read from your sheet. What you type is not shown.",
                    )
                ))
                .asks(format!("{} {}", l.pick("Orden", "Words"), places.of_words()));
            let typed = self.desk.ask_secret(&asked)?;
            let wanted = Zeroizing::new(places.picked(&words));
            let is_driven = self.desk.is_driven() && typed.as_str() == SHOWN;
            if is_driven || same_words(&typed, &wanted) {
                return Ok(());
            }
        }
        let why = format!("{name} read back otherwise than what was shown, three times");
        Err(Paused { why }.into())
    }

    /// Puts a PIN together from the shares of as many custodians as it takes.
    fn joined(
        &self,
        transcript: &mut Transcript<'_>,
        tokens: &Home,
        planned: &PlannedToken,
        of: PinOf,
    ) -> anyhow::Result<Pin> {
        let path = record(tokens, planned, of);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let set = ShareSet::from_json(&text)?;
        let name = named(planned, of);
        let mut shares: Vec<Share> = Vec::new();
        let mut said: Option<String> = None;
        while shares.len() < usize::from(set.threshold()) {
            let share = self.share(&set, planned, &text, shares.len(), said.take())?;
            match set.judge(&share) {
                Ok(custodian) if shares.iter().any(|other| other.number() == share.number()) => {
                    let custodian = custodian.to_owned();
                    said = Some(ShareError::Twice { custodian }.to_string());
                }
                Ok(_) => shares.push(share),
                Err(error) => {
                    let told = error.to_string();
                    wrong(transcript, &name, &told)?;
                    said = Some(told);
                }
            }
        }
        let secret = set.join(&shares.iter().collect::<Vec<_>>())?;
        Ok(Pin::from_drawn(&secret.pin())?)
    }

    /// One share, from the sheet of whoever sits down.
    fn share(
        &self,
        set: &ShareSet,
        planned: &PlannedToken,
        record: &str,
        given: usize,
        mut said: Option<String>,
    ) -> anyhow::Result<Share> {
        let l = self.desk.language;
        let number = given.saturating_add(1);
        let title = format!(
            "{}: {} {number}/{}",
            self.title(planned, set.pin()),
            l.pick("del", "share"),
            set.threshold()
        );
        let id = format!("joins {} {number}", named(planned, set.pin()));
        for reading in 1..=READINGS {
            let screen = |row: usize, said: Option<String>| {
                Screen::new(id.as_str(), title.as_str())
                    .tell_all(said.map(|said| format!("{said}\n")))
                    .tell(format!("{} {}", l.pick("Sats", "Set"), set.name()))
                    .tell(l.pick(
                        "En delinnehavare i taget, ensam vid tangentbordet. Inget av det som skrivs visas. Fyra ord på varje rad, eller på första raden delbladets fil (/...).",
                        "One custodian at a time, alone at the keyboard. Nothing of what is typed is shown. Four words a row, or on the first row the sheet's file (/...).",
                    ))
                    .tell("")
                    .tell(l.pick("SHA-256 av satsens register:", "SHA-256 of the record of the set:"))
                    .tell_all(Fingerprint::of(record.as_bytes()).lines_of_groups())
                    .asks(format!("{} {row}/{ROWS}:", l.pick("Rad", "Row")))
            };
            let read = self.words(screen, said.take());
            match read? {
                Ok(share) => return Ok(share),
                Err(error) if reading < READINGS => {
                    said = Some(format!(
                        "{error}. {}",
                        l.pick("Läs bladet igen.", "Read the sheet again.")
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("no share was given")
    }

    fn words(
        &self,
        screen: impl Fn(usize, Option<String>) -> Screen,
        said: Option<String>,
    ) -> anyhow::Result<Result<Share, ShareError>> {
        let first = self.desk.ask_secret(&screen(1, said))?;
        if first.starts_with('/') {
            return Ok(Ok(share_command::read(std::path::Path::new(first.trim()))?));
        }
        let mut words = Zeroizing::new(String::with_capacity(ROWS * 256));
        words.push_str(&first);
        for row in 2..=ROWS {
            if words.split_whitespace().count() >= ROWS * 4 {
                break;
            }
            words.push('\n');
            words.push_str(&self.desk.ask_secret(&screen(row, None))?);
        }
        Ok(Share::from_paper(&words))
    }

    fn title(&self, planned: &PlannedToken, of: PinOf) -> String {
        let l = self.desk.language;
        let whose = match of {
            PinOf::User => l.pick("användarens PIN", "user PIN"),
            PinOf::SecurityOfficer => l.pick("säkerhetsofficerens PIN", "security officer's PIN"),
        };
        format!("{whose}, {}", planned.label.as_str())
    }
}

/// The role whose people have the shares.
const fn role(of: PinOf) -> Role {
    match of {
        PinOf::User => Role::Custodian,
        PinOf::SecurityOfficer => Role::SoCustodian,
    }
}

/// What the transcript, answers and files call a PIN.
fn named(planned: &PlannedToken, of: PinOf) -> String {
    let whose = match of {
        PinOf::User => "user",
        PinOf::SecurityOfficer => "so",
    };
    format!("{}-{whose}", planned.name)
}

/// The public record of a set.
fn record(tokens: &Home, planned: &PlannedToken, of: PinOf) -> PathBuf {
    tokens.join(&format!("shares/{}.json", named(planned, of)))
}

fn same_words(typed: &str, wanted: &str) -> bool {
    let (mut typed, mut wanted) = (typed.split_whitespace(), wanted.split_whitespace());
    loop {
        match (typed.next(), wanted.next()) {
            (None, None) => return true,
            (Some(one), Some(two)) if one.eq_ignore_ascii_case(two) => {}
            _ => return false,
        }
    }
}

/// Tells of a wrong share or PIN, and ends where it was the last that may be tried.
fn wrong(transcript: &mut Transcript<'_>, pin: &str, why: &str) -> anyhow::Result<()> {
    let facts = [("reason", Fact::from(why)), (OF, pin.into())];
    transcript.write_of(Kind::Exception, Vec::new(), &facts)?;
    Ok(within(transcript, pin)?)
}

/// Whether another share or PIN may be tried.
fn within(transcript: &Transcript<'_>, pin: &str) -> Result<(), Stopped> {
    let tried = transcript.exceptions().filter(|record| record.text(OF) == Some(pin)).count();
    if tried < WRONG {
        return Ok(());
    }
    Err(Stopped {
        refusal: Refusal::Pin,
        refused: format!(
            "{tried} wrong shares or PINs of {pin} were given, and {WRONG} are the most"
        ),
        next_step: "stop: find out whose they are; go on with another token, in a new home, by a new plan",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N38: words that changed places, and one too few, are other words.
    #[test]
    fn a_share_is_read_back_word_by_word() {
        assert!(same_words(
            " Optic  ONLOOKER ringbolt recover\n",
            "optic onlooker ringbolt recover"
        ));
        for wrong in [
            "onlooker optic ringbolt recover",
            "optic onlooker ringbolt",
            "",
            "optic onlooker ringbolt recover upset",
        ] {
            assert!(!same_words(wrong, "optic onlooker ringbolt recover"), "{wrong}");
        }
    }
}

//! A ceremony with people at the screen: one thing at a time, who does what, what is compared.
//!
//! What may follow what is decided elsewhere, as without people ([`ceremony_core::held`]); here it is shown, asked and typed. Every screen has a name, by which
//! a file may answer it in deployment test/demo.

mod clock;
mod decoded;
mod desk;
mod layout;
mod own_key;
mod pins;
mod process;
mod read_back;
mod terminal;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use ceremony_core::attendance::{LEAVES, PRESENCE};
use ceremony_core::plan::{Duty, Plan, Requirement, Role, Step, Word};
use ceremony_core::script::StepText;
use ceremony_core::transcript::{Fact, Kind};
use ceremony_core::words::Fingerprint;

use crate::home::Home;
use crate::stopped::Paused;
use crate::transcript::Transcript;

pub(crate) use desk::Desk;
use layout::Screen;
pub(crate) use pins::{NewPins, WrongPin};
pub(crate) use process::{Setting, forbid_dumps, judge as judge_process};
pub(crate) use read_back::numbered;

/// How often a person may answer so that it does not hold, before he counts as absent.
const ANSWERS: usize = 3;

/// The room: who may come, and the screen that they sit at.
pub(crate) struct Room<'a> {
    plan: &'a Plan,
    plan_file: &'a Path,
    desk: Desk,
    /// Where people's keys lie, `ID.key` or `ID.toml`.
    people: Option<&'a Path>,
    home: &'a Home,
    /// The PKCS#11 module of the ceremony, whose hash is the plan's.
    module: &'a Path,
    /// Of whom the transcript says already that they are absent in this run.
    absent: RefCell<BTreeSet<Word>>,
    /// Swap, to which memory may be written: told where it is no refusal.
    swap: Option<String>,
}

/// What people decide at a step.
enum Decision {
    /// It is done.
    Go,
    /// Somebody goes.
    Leaves(String),
}

impl<'a> Room<'a> {
    /// Nobody is in it yet.
    pub(crate) fn new(
        plan: &'a Plan,
        plan_file: &'a Path,
        desk: Desk,
        people: Option<&'a Path>,
        home: &'a Home,
        module: &'a Path,
        swap: Option<String>,
    ) -> Self {
        Self { plan, plan_file, desk, people, home, module, absent: RefCell::default(), swap }
    }

    /// The plan, by its hash on paper, and the time, by a clock that is not this machine's.
    ///
    /// # Errors
    ///
    /// [`Paused`]; [`crate::stopped::Stopped`] with R03 for another time.
    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        let l = self.desk.language;
        let plan = self.plan;
        let cover = Screen::new("begin", plan.title.as_str())
            .tell(format!("{} {}", plan.kind.code(), plan.kind.title(l)))
            .tell(format!("{} {}", l.pick("Plan:", "Plan:"), plan.id))
            .tell(format!("{} {}", l.pick("Driftsättning:", "Deployment:"), plan.deployment))
            .tell(format!("{} {}", l.pick("Antal steg:", "Number of steps:"), plan.steps.len()))
            .tell("")
            .tell(l.pick(
                "Följ manuset på papper. Skärmen visar en sak i taget. Vid varje fråga: Enter är ja, p är paus. Paus loggar ut HSM:en; samma kommando fortsätter sedan, och alla visar på nytt att de är där.",
                "Follow the script on paper. The screen shows one thing at a time. At every question Enter is yes and p is pause. A pause logs the token out; the same command goes on later, and everybody shows anew that he is there.",
            ))
            .tell_all(self.swap.iter().map(|swap| {
                format!("{} {swap}.", l.pick("OBS: minnet kan skrivas till disk,", "NOTE: memory may be written to a disk,"))
            }))
            .asks(l.pick("Enter: börja · p: paus", "Enter: begin · p: pause"));
        drop(self.desk.ask(&cover)?);
        self.read_back("plan", self.plan_file, &plan.hash)?;
        self.two_clocks()
    }

    /// Has those come whom the step requires, as far as they can; whether they are enough the transcript says. Then shows the step, until all who are
    /// there have agreed to do it.
    ///
    /// # Errors
    ///
    /// [`Paused`]; the transcript's, too few people among them.
    pub(crate) fn agree(&self, transcript: &mut Transcript<'_>, step: &Step) -> anyhow::Result<()> {
        loop {
            self.gather(transcript, step)?;
            transcript.require(step)?;
            match self.decide(transcript, step)? {
                Decision::Go => return Ok(()),
                Decision::Leaves(who) => self.leaves(transcript, &who)?,
            }
        }
    }

    /// Has those answer whom the step requires and who are not there.
    ///
    /// # Errors
    ///
    /// As [`Self::agree`].
    pub(crate) fn gather(
        &self,
        transcript: &mut Transcript<'_>,
        step: &Step,
    ) -> anyhow::Result<()> {
        for requirement in &step.requires {
            let duties = self.plan.people.duties.iter();
            let mut of_role: Vec<&Duty> =
                duties.filter(|duty| duty.role == requirement.role).collect();
            // Deputies are asked where the others are too few.
            of_role.sort_by_key(|duty| duty.deputy_for.is_some());
            for duty in of_role {
                let present = transcript.present(requirement.role);
                if present.len() >= usize::from(requirement.people) {
                    break;
                }
                if !present.contains(&duty.person.to_string()) {
                    self.comes(transcript, step, *requirement, duty)?;
                }
            }
        }
        Ok(())
    }

    /// Has one person answer the challenge, or says that he is absent.
    fn comes(
        &self,
        transcript: &mut Transcript<'_>,
        step: &Step,
        requirement: Requirement,
        duty: &Duty,
    ) -> anyhow::Result<()> {
        let l = self.desk.language;
        let id = duty.person.as_str();
        let person =
            self.plan.people.person(&duty.person).context("the plan has no such person")?;
        let mut refused: Option<String> = None;
        for _ in 0..ANSWERS {
            let share = duty.share.map(|share| format!(" {share}")).unwrap_or_default();
            let present = transcript.present(requirement.role).len();
            let screen = Screen::new(format!("present {id}"), format!("{} {}", l.pick("Är", "Is"), person.name) + l.pick(" här?", " here?"))
                .tell_all(refused.take().map(|why| format!("{} {why}\n", l.pick("Svaret gäller inte:", "The answer does not hold:"))))
                .tell(format!("{}, {}", person.name, person.employer))
                .tell(format!("{}{share}", duty.role.title(l)))
                .tell(format!(
                    "{} {}: {} × {}, {} {present}",
                    l.pick("Steg", "Step"),
                    step.id,
                    requirement.people,
                    requirement.role.title(l),
                    l.pick("i rummet", "in the room"),
                ))
                .tell("")
                .tell(l.pick(
                    "[ ] Två personer har jämfört legitimationen med listan i manuset.",
                    "[ ] Two people have compared the identity document with the list in the script.",
                ))
                .tell(format!(
                    "[ ] {} {}.",
                    person.name,
                    l.pick("sätter själv in sin nyckel och svarar", "puts in the key and answers in person"),
                ))
                .asks(l.pick(
                    "Enter: svara med egen nyckel · FIL: nyckel eller token i den filen\na SKÄL: är frånvarande · p: paus",
                    "Enter: answer with the own key · FILE: key or token of that file\na REASON: is absent · p: pause",
                ));
            let typed = self.desk.ask(&screen)?;
            if let Some(reason) = absence(&typed) {
                return self.absent(transcript, duty, reason);
            }
            let held = transcript.held().context("this is no ceremony with people")?;
            let challenge = held.attendance().challenge(transcript.head(), step.id.as_str());
            let answered = challenge
                .statement(id)
                .map_err(anyhow::Error::from)
                .and_then(|statement| self.signed(person, &typed, &statement));
            let answer = match answered {
                Err(error) if error.is::<Paused>() => return Err(error),
                Err(error) => {
                    refused = Some(format!("{error:#}"));
                    continue;
                }
                Ok(answer) => answer,
            };
            transcript.enter(step.id.as_str());
            let facts = [("what", Fact::from(PRESENCE)), ("statement", answer.as_str().into())];
            match transcript.write_of(Kind::Attest, vec![id.to_owned()], &facts) {
                Ok(()) => {
                    self.absent.borrow_mut().remove(&duty.person);
                    return Ok(());
                }
                Err(error) if error.is_of_an_answer() => refused = Some(format!("{error:#}")),
                Err(error) => return Err(error.into()),
            }
        }
        self.absent(transcript, duty, "gave no answer that holds")
    }

    fn absent(
        &self,
        transcript: &mut Transcript<'_>,
        duty: &Duty,
        reason: &str,
    ) -> anyhow::Result<()> {
        if self.absent.borrow_mut().insert(duty.person.clone()) {
            let facts = [
                ("reason", Fact::from(format!("absent: {reason}"))),
                ("person", duty.person.to_string().into()),
                ("role", duty.role.name().into()),
            ];
            transcript.write_of(Kind::Exception, Vec::new(), &facts)?;
        }
        Ok(())
    }

    fn decide(&self, transcript: &Transcript<'_>, step: &Step) -> anyhow::Result<Decision> {
        let l = self.desk.language;
        let text = StepText::of(self.plan, &step.id).context("the plan has no such step")?;
        let here: BTreeSet<String> =
            Role::ALL.into_iter().flat_map(|role| transcript.present(role)).collect();
        let mut wrong: Option<String> = None;
        loop {
            let screen = Screen::new(format!("step {}", step.id), text.title.as_str())
                .tell_all(wrong.take())
                .tell_all(text.facts.clone())
                .tell(format!(
                    "{} {}",
                    l.pick("Här nu:", "Here now:"),
                    here.iter().cloned().collect::<Vec<_>>().join(", ")
                ))
                .asks(l.pick(
                    "Enter: alla är överens, gör det\nl NAMN: någon lämnar rummet · p: paus",
                    "Enter: all agree, do it\nl NAME: somebody leaves the room · p: pause",
                ));
            let typed = self.desk.ask(&screen)?;
            match typed.split_once(' ') {
                None if typed.is_empty() => return Ok(Decision::Go),
                Some(("l", who)) if here.contains(who.trim()) => {
                    return Ok(Decision::Leaves(who.trim().to_owned()));
                }
                _ => {
                    wrong = Some(format!(
                        "{} {typed:?}\n",
                        l.pick("Förstods inte:", "Not understood:")
                    ));
                }
            }
        }
    }

    fn leaves(&self, transcript: &mut Transcript<'_>, who: &str) -> anyhow::Result<()> {
        let facts = [("what", Fact::from(LEAVES))];
        Ok(transcript.write_of(Kind::Check, vec![who.to_owned()], &facts)?)
    }

    /// Has somebody declare what the plan says.
    ///
    /// # Errors
    ///
    /// [`Paused`].
    pub(crate) fn declares(&self, who: &str, text: &str) -> anyhow::Result<()> {
        let l = self.desk.language;
        let screen = Screen::new(format!("declare {who}"), l.pick("Intyg", "Declaration"))
            .tell(format!("{who} {}", l.pick("läser högt:", "reads aloud:")))
            .tell("")
            .tell(text)
            .asks(l.pick(
                "Enter: uppläst och intygat · p: paus",
                "Enter: read aloud and declared · p: pause",
            ));
        drop(self.desk.ask(&screen)?);
        Ok(())
    }

    /// Says what the machine does now, which may take long.
    ///
    /// # Errors
    ///
    /// The terminal's.
    pub(crate) fn works(&self, step: &Step) -> anyhow::Result<()> {
        let l = self.desk.language;
        let text = StepText::of(self.plan, &step.id).context("the plan has no such step")?;
        let screen = Screen::new("works", text.title.as_str()).tell(l.pick(
            "Maskinen arbetar. En RSA-nyckel på 4096 bitar kan ta minuter i en HSM. Rör inget.",
            "The machine is at work. An RSA key of 4096 bits may take a token minutes. Touch nothing.",
        ));
        self.desk.tell(&screen)
    }

    /// Has people tick off what was done.
    ///
    /// # Errors
    ///
    /// [`Paused`].
    pub(crate) fn done(&self, step: &Step) -> anyhow::Result<()> {
        let l = self.desk.language;
        let text = StepText::of(self.plan, &step.id).context("the plan has no such step")?;
        let screen = Screen::new(format!("done {}", step.id), text.title.as_str())
            .tell(l.pick("Gjort. Bocka av på papper:", "Done. Tick off on paper:"))
            .tell("")
            .tell_all(text.ticks.clone())
            .asks(l.pick("Enter: avbockat · p: paus", "Enter: ticked off · p: pause"));
        drop(self.desk.ask(&screen)?);
        Ok(())
    }

    /// Shows the head of the transcript, for the papers of all.
    ///
    /// # Errors
    ///
    /// [`Paused`].
    pub(crate) fn head(&self, of: &str, transcript: &Transcript<'_>) -> anyhow::Result<()> {
        let l = self.desk.language;
        let (lines, root) = transcript.head();
        let head = Fingerprint::from_bytes(*root.as_bytes());
        let title = format!("{}: {of}", l.pick("Protokollets huvud", "Head of the transcript"));
        let screen = Screen::new(format!("head {of}"), title)
            .tell(format!(
                "{} {lines}. {}",
                l.pick("Rader:", "Lines:"),
                l.pick(
                    "Alla skriver de fyra första och de fyra sista orden på sitt papper:",
                    "Everybody writes the first four and the last four words on his paper:",
                )
            ))
            .tell("")
            .tell_all(numbered(&head.words()))
            .asks(l.pick("Enter: skrivet · p: paus", "Enter: written · p: pause"));
        drop(self.desk.ask(&screen)?);
        Ok(())
    }
}

/// The reason, where somebody is said to be absent: `a`, with the reason after it.
fn absence(typed: &str) -> Option<&str> {
    match typed.split_once(' ') {
        None if typed == "a" => Some("no reason given"),
        Some(("a", reason)) => Some(reason.trim()),
        _ => None,
    }
}

//! The report of a ceremony, from a bundle of which everything holds: what ETSI EN 319 411-1 GEN-6.5.1-13A asks of it, in its order.
//!
//! It is made from the bundle alone, so that the same bundle gives the same octets; what people say is marked as what they say.

mod duties;
mod html;
mod made;

use std::collections::BTreeSet;

use ceremony_core::attendance::{DECLARATION, PRESENCE};
use ceremony_core::plan::{Duty, Requirement, Role, Word};
use ceremony_core::script::Language;
use ceremony_core::transcript::{Kind, Record, Whole};
use ceremony_core::words::Fingerprint;

use super::check::{Check, Said};
use super::judge::Held;
use super::turns::Turn;
use html::Document;

/// Everything that a report is made from.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub(super) held: &'a Held,
    /// The table of what holds.
    pub(super) rows: &'a [(Check, Said)],
    /// SHA-256 of the bundle.
    pub(super) bundle: Fingerprint,
    pub(super) language: Language,
}

impl<'a> Report<'a> {
    /// The report as one HTML file that needs nothing else.
    pub(super) fn to_html(self) -> String {
        let plan = &self.held.plan;
        let title = self.pick("Rapport från nyckelceremoni", "Report of a key ceremony");
        let mut document = Document::new(self.language, &format!("{title}: {}", plan.title));
        document.first(title, &self.warnings());
        self.first(&mut document);
        document.end_section();
        for part in [
            Self::people,
            Self::functions,
            Self::responsibilities,
            Self::keys,
            Self::tokens,
            Self::generation,
            Self::made,
            Self::rehearsal,
            Self::evidence,
            Self::judged,
            Self::signatures,
        ] {
            part(self, &mut document);
            document.end_section();
        }
        document.end(&format!("{} · SHA-256 {}", plan.id, self.bundle))
    }

    pub(super) fn pick<'b>(self, swedish: &'b str, english: &'b str) -> &'b str {
        self.language.pick(swedish, english)
    }

    /// What must be seen before all else.
    fn warnings(self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.held.is_unattended() {
            lines.push(
                self.pick(
                    "Ingen satt vid ceremonin: programmet jämförde själv vad som signerades, och ingen människa läste det; regeln om en terminal (R20) gällde inte. Nycklarna får inte användas till något som någon förlitar sig på.",
                    "Nobody sat at this ceremony: the program itself compared what was signed, and no person read it; the rule of a terminal (R20) was waived. The keys are for nothing that anybody relies on.",
                )
                .to_owned(),
            );
        }
        for (line, record) in (1..).zip(&self.held.whole.records) {
            let Some(turn) = Turn::of(record) else { continue };
            let (said, more) = turn.said(self.language);
            let word = self.pick("rad", "line");
            let colon = if more.is_empty() { "" } else { ": " };
            lines.push(format!("{said}, {word} {line}, {}{colon}{more}", record.step));
        }
        for one in &self.held.made.given_up {
            let said = self.pick(
                "En signatur kan ha gjorts som ingen använder",
                "A signature may have been made that nobody uses",
            );
            lines.push(format!("{said}: {}, SHA-256 {}", one.what, one.tbs_sha256));
        }
        lines
    }

    fn first(self, document: &mut Document) {
        let Held { plan, whole, .. } = self.held;
        let [from, to] = times(whole);
        let head = Fingerprint::from_bytes(*whole.chain.head().1.as_bytes());
        let exceptions = whole.records.iter().filter(|one| one.kind == Kind::Exception).count();
        document.facts(&[
            (self.pick("Ceremoni", "Ceremony"), format!("{}, {}", plan.id, plan.title)),
            (
                self.pick("Slag", "Kind"),
                format!("{}: {}", plan.kind.code(), plan.kind.title(self.language)),
            ),
            (
                self.pick("Miljö, PKI, instans", "Environment, PKI, instance"),
                plan.deployment.to_string(),
            ),
            (self.pick("Datum och tid (UTC)", "Date and time (UTC)"), format!("{from} – {to}")),
            (self.pick("Förfarande (CPS)", "Procedure (CPS)"), plan.cps_section.to_string()),
            (
                self.pick("Program", "Program"),
                format!(
                    "sigill-ceremony {}, SHA-256 {}",
                    plan.program.version, plan.program.sha256
                ),
            ),
            (
                self.pick("Avbildning, enligt planen", "Image, by the plan"),
                format!("SHA-256 {}: {}", plan.image.sha256, plan.image.build),
            ),
            (self.pick("Avvikelser", "Exceptions"), exceptions.to_string()),
            (self.pick("Planens hash", "Hash of the plan"), plan.hash.to_string()),
            (self.pick("i ord", "in words"), plan.hash.words().join(" ")),
            (self.pick("Protokollets sista hash", "Last head of the transcript"), head.to_string()),
            (self.pick("i ord", "in words"), head.words().join(" ")),
            (self.pick("Paketets hash", "Hash of the bundle"), self.bundle.to_string()),
        ]);
        document.paragraph(self.pick(
            "Rapporten är gjord av sigill-verify ur ett paket där allt stämmer med de två hasharna ovan, som ska stå på deltagarnas egna papper. Vad människor intygar är märkt så.",
            "This report was made by sigill-verify from a bundle in which everything agrees with the two hashes above, which are to stand on the participants' own papers. What people state is marked as that.",
        ));
    }

    pub(super) fn person(self, id: &str) -> String {
        let mut persons = self.held.plan.people.persons.iter();
        let found = persons.find(|person| person.id.as_str() == id);
        found.map_or_else(|| id.to_owned(), |person| person.name.to_string())
    }

    fn people(self, document: &mut Document) {
        document.section(self.pick("Roller och personer", "Roles and people"));
        let plan = &self.held.plan;
        // Ours are those whom the leader's employer employs.
        let leaders = plan.people.of(Role::Administrator);
        let house: BTreeSet<_> = leaders
            .iter()
            .filter_map(|id| plan.people.person(id))
            .map(|person| &person.employer)
            .collect();
        let row = |duty: &Duty| {
            let person = plan.people.person(&duty.person)?;
            let is_ours = house.contains(&person.employer);
            let was_there = self.held.came.contains(person.id.as_str());
            let approved = self.held.approvals.iter().find(|one| one.person == person.id.as_str());
            let did = match (duty.role, approved) {
                (Role::Approver, Some(approval)) => {
                    format!("{} {}", self.pick("godkände", "approved"), approval.time)
                }
                (Role::Approver, None) => self.pick("godkände inte", "did not approve").to_owned(),
                _ if was_there => self.pick("närvarade", "was present").to_owned(),
                _ => self.pick("deltog inte", "took no part").to_owned(),
            };
            let deputy = duty.deputy_for.as_ref().map(|id| {
                format!(
                    " ({} {})",
                    self.pick("ersättare för", "deputy for"),
                    self.person(id.as_str())
                )
            });
            Some(vec![
                format!("{}{}", duty.role.title(self.language), deputy.unwrap_or_default()),
                person.name.to_string(),
                format!("{}, {}", person.employer, person.unit),
                self.pick(
                    if is_ours { "intern" } else { "extern" },
                    if is_ours { "internal" } else { "external" },
                )
                .to_owned(),
                did,
            ])
        };
        let rows: Vec<_> = plan.people.duties.iter().filter_map(row).collect();
        let heads = [
            self.pick("Roll", "Role"),
            self.pick("Person", "Person"),
            self.pick("Arbetsgivare, enhet", "Employer, unit"),
            self.pick("Intern/extern", "Internal/external"),
            self.pick("Deltagande", "Part taken"),
        ];
        document.table(&heads, &rows);
        document.paragraph(self.pick(
            "Intern är den som har samma arbetsgivare som ceremoniledaren. Närvaro är visad med personens nyckel; att nyckeln användes av rätt person intygar de som kontrollerade legitimationer.",
            "Internal is who has the employer of the ceremony administrator. Presence was shown with the person's key; that the right person used it is stated by those who checked identity documents.",
        ));
    }

    fn functions(self, document: &mut Document) {
        document.section(self.pick("Funktioner i varje fas", "Functions in each phase"));
        let Held { plan, whole, approvals, .. } = self.held;
        let names = |ids: &BTreeSet<&str>| {
            ids.iter().map(|id| self.person(id)).collect::<Vec<_>>().join(", ")
        };
        let approvers: BTreeSet<&str> = approvals.iter().map(|one| one.person.as_str()).collect();
        let times_of = approvals.iter().map(|one| one.time.as_str());
        let mut rows = vec![vec![
            self.pick("Före dagen: godkännande", "Before the day: approval").to_owned(),
            Role::Approver.title(self.language).to_owned(),
            names(&approvers),
            [times_of.clone().min(), times_of.max()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" – "),
        ]];
        for step in &plan.steps {
            let of_step: Vec<&Record> =
                whole.records.iter().filter(|record| record.step == step.id.as_str()).collect();
            let acts = |record: &&&Record| matches!(record.kind, Kind::Intent | Kind::Attest);
            let who: BTreeSet<&str> = of_step
                .iter()
                .filter(acts)
                .filter(|record| record.text("what") != Some(PRESENCE))
                .flat_map(|record| record.who.iter().map(String::as_str))
                .collect();
            let required = step.requires.iter().map(|Requirement { role, people }| {
                format!("{people} {}", role.title(self.language))
            });
            let time = |record: Option<&&Record>| record.map(|one| one.time.to_string());
            let span = [time(of_step.first()), time(of_step.last())];
            rows.push(vec![
                format!("{}: {}", step.id, step.operation.name().as_str()),
                required.collect::<Vec<_>>().join(", "),
                names(&who),
                span.into_iter().flatten().collect::<Vec<_>>().join(" – "),
            ]);
        }
        let heads = [
            self.pick("Fas, steg", "Phase, step"),
            self.pick("Krävda funktioner", "Functions required"),
            self.pick("De som deltog", "Those who took part"),
            self.pick("Tid (UTC)", "Time (UTC)"),
        ];
        document.table(&heads, &rows);
    }

    fn responsibilities(self, document: &mut Document) {
        document.section(self.pick(
            "Ansvar under och efter ceremonin",
            "Responsibilities during and after the ceremony",
        ));
        let duties = &self.held.plan.people.duties;
        let row = |role: Role| {
            let [during, after] = duties::of(role, self.language);
            vec![role.title(self.language).to_owned(), during.to_owned(), after.to_owned()]
        };
        let held =
            Role::ALL.into_iter().filter(|role| duties.iter().any(|duty| duty.role == *role));
        let rows: Vec<_> = held.map(row).collect();
        let heads =
            [self.pick("Roll", "Role"), self.pick("Under", "During"), self.pick("Efter", "After")];
        document.table(&heads, &rows);
        let share = |duty: &Duty| {
            let (share, site) = (duty.share?, duty.site.as_ref()?);
            Some(vec![
                self.person(duty.person.as_str()),
                format!("{}, {share}", duty.role.title(self.language)),
                site.to_string(),
            ])
        };
        let shares: Vec<_> = duties.iter().filter_map(share).collect();
        if !shares.is_empty() {
            let heads = [
                self.pick("Person", "Person"),
                self.pick("Del", "Share"),
                self.pick("Plats mellan ceremonier", "Site between ceremonies"),
            ];
            document.table(&heads, &shares);
        }
    }

    fn evidence(self, document: &mut Document) {
        document.section(self.pick("Bevis", "Evidence"));
        let files = self.held.bundle.files();
        let rows: Vec<_> = files
            .map(|(name, octets)| {
                let count = octets.len().to_string();
                vec![name.to_owned(), count, Fingerprint::of(octets).to_string()]
            })
            .collect();
        let heads = [
            self.pick("Fil i paketet", "File of the bundle"),
            self.pick("Oktetter", "Octets"),
            "SHA-256",
        ];
        document.table(&heads, &rows);
        let declared = self.held.whole.records.iter().filter(|record| {
            record.kind == Kind::Attest && record.text("what") == Some(DECLARATION)
        });
        let rows: Vec<_> = declared
            .map(|record| {
                let who: Vec<String> = record.who.iter().map(|id| self.person(id)).collect();
                let text = record.text("text").unwrap_or_default().to_owned();
                vec![who.join(", "), text, record.time.to_string()]
            })
            .collect();
        if rows.is_empty() {
            document.paragraph(self.pick(
                "Ingen utsaga av en människa ingår.",
                "No statement of a person is part of it.",
            ));
        } else {
            let heads = [
                self.pick("Utsaga av", "Statement of"),
                self.pick(
                    "Vad människan intygar (ingen kontroll)",
                    "What the person states (not verified)",
                ),
                self.pick("Tid (UTC)", "Time (UTC)"),
            ];
            document.table(&heads, &rows);
        }
        document.paragraph(self.pick(
            "Utanför paketet: manuset med kryss och plombnummer, deltagarnas papper med planens hash och protokollets sista ord, och inspelningen om en sådan gjordes.",
            "Outside the bundle: the script with its ticks and numbers of seals, the participants' papers with the hash of the plan and the last words of the transcript, and the recording where one was made.",
        ));
    }

    fn judged(self, document: &mut Document) {
        document.section(self.pick("Vad som kontrollerats", "What was verified"));
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(check, said)| vec![check.name().to_owned(), said.clone()])
            .collect();
        document.table(&[self.pick("Rad", "Row"), self.pick("Stämmer", "Holds")], &rows);
        document.paragraph(self.pick(
            "Inte kontrollerat, för ingen fil visar det: vad människor läste, rummet, andra kopior av en nyckel, och att programmet var det med denna hash.",
            "Not verified, since no file shows it: what people read, the room, other copies of a key, and that the program was the one with this hash.",
        ));
    }

    fn signatures(self, document: &mut Document) {
        document.section(self.pick("Underskrifter", "Signatures"));
        document.paragraph(self.pick(
            "Rapporten återger ceremonin riktigt, och ceremonin följde förfarandet.",
            "This report correctly records the ceremony, and the ceremony followed the procedure.",
        ));
        for role in [Role::SecurityOfficer, Role::Auditor, Role::Administrator, Role::Witness] {
            for id in self.signers(role) {
                document.line(&format!("{}, {}", role.title(self.language), self.person(id)));
            }
        }
    }

    /// Who signs for a role: those of it, deputies too, who came. A role of which nobody was there, such as a security officer's, signs by who has it.
    fn signers(self, role: Role) -> BTreeSet<&'a str> {
        let people = &self.held.plan.people;
        let of_role = people.duties.iter().filter(|duty| duty.role == role);
        let came: BTreeSet<&str> = of_role
            .map(|duty| duty.person.as_str())
            .filter(|id| self.held.came.contains(*id))
            .collect();
        if came.is_empty() {
            return people.of(role).into_iter().map(Word::as_str).collect();
        }
        came
    }
}

/// The first and the last time of a transcript.
pub(super) fn times(whole: &Whole) -> [String; 2] {
    [whole.records.first(), whole.records.last()]
        .map(|record| record.map(|record| record.time.to_string()).unwrap_or_default())
}

#[cfg(test)]
#[path = "tests/report.rs"]
mod tests;

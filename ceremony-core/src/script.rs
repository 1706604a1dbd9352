//! The script that people hold in their hands, made from the plan alone: a page a step, with boxes to tick.
//!
//! Since it is made from what the program reads, the paper and the program cannot say different things. The same plan
//! gives the same bytes.

mod html;
mod pages;
mod steps;
mod text;

use serde::Deserialize;

use crate::plan::{Plan, Word};

/// The language of what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Language {
    /// Swedish.
    #[serde(rename = "sv")]
    Swedish,
    /// English.
    #[serde(rename = "en")]
    English,
}

impl Language {
    /// The one of two texts that is in this language.
    #[must_use]
    pub const fn pick<'a>(self, swedish: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Swedish => swedish,
            Self::English => english,
        }
    }

    /// Its tag (RFC 5646).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        self.pick("sv", "en")
    }
}

/// A script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    language: Language,
    /// Stands on every page.
    foot: String,
    pages: Vec<Page>,
}

/// One sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page {
    kind: PageKind,
    title: String,
    items: Vec<Item>,
}

/// What a sheet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageKind {
    /// Around the steps.
    Frame,
    /// One step of the plan.
    Step,
}

/// What stands on a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    /// A paragraph.
    Text(String),
    /// A heading between paragraphs.
    Heading(String),
    /// What something is.
    Fact(String, String),
    /// What is read character by character: hashes, words.
    Mono(Vec<String>),
    /// A box to tick.
    Tick(String),
    /// A line to write on.
    Write(String),
}

impl Script {
    /// The script of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let language = plan.language;
        let mut pages = pages::before(plan);
        let count = plan.steps.len();
        for (number, step) in (1..).zip(&plan.steps) {
            pages.push(steps::page(plan, step, number, count));
        }
        pages.extend(pages::after(plan));
        let digits: String = plan.hash.to_string().chars().take(16).collect();
        Self { language, foot: format!("{} · SHA-256 {digits}…", plan.id), pages }
    }

    /// How many steps of the plan it has pages for.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.pages.iter().filter(|page| page.kind == PageKind::Step).count()
    }

    /// As plain text, 80 columns wide; pages are divided by a form feed.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::of(self)
    }

    /// As one HTML file that needs nothing else and prints a page a sheet.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::of(self)
    }
}

/// What stands on the page of a step, for a screen: the same words as on the paper that people hold in their hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepText {
    /// Which step of how many, and what is done.
    pub title: String,
    /// Who is there and what is done.
    pub facts: Vec<String>,
    /// What people tick when it is done; what they write by hand is left out.
    pub ticks: Vec<String>,
}

impl StepText {
    /// The step of this id; none where the plan has no such step.
    #[must_use]
    pub fn of(plan: &Plan, id: &Word) -> Option<Self> {
        let place = plan.steps.iter().position(|step| step.id == *id)?;
        let step = plan.steps.get(place)?;
        let page = steps::page(plan, step, place.saturating_add(1), plan.steps.len());
        let (mut facts, mut ticks) = (Vec::new(), Vec::new());
        for item in page.items {
            match item {
                Item::Text(text) | Item::Heading(text) => facts.push(text),
                Item::Fact(name, value) => facts.push(format!("{name}: {value}")),
                Item::Mono(lines) => facts.push(lines.join("\n")),
                Item::Tick(text) => ticks.push(format!("[ ] {text}")),
                Item::Write(_) => {}
            }
        }
        Some(Self { title: page.title, facts, ticks })
    }
}

#[cfg(test)]
mod tests;

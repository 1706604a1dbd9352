//! Where a ceremony did not simply go on: lines that an auditor must see before all else.

use ceremony_core::script::Language;
use ceremony_core::transcript::{Kind, Record};

/// Such a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn<'a> {
    /// Something went otherwise than planned: why.
    Exception(&'a str),
    /// The program had ended, and was started anew.
    Run,
    /// People went on after a pause.
    Pause,
    /// A signature was asked for once more: of what, and why.
    Again(&'a str, &'a str),
    /// A later run found what an earlier one made, and told of it.
    Adopted,
}

impl<'a> Turn<'a> {
    /// What a line is, if it is one.
    pub(super) fn of(record: &'a Record) -> Option<Self> {
        let of = |name: &str| record.text(name);
        match record.kind {
            Kind::Exception => Some(Self::Exception(of("reason").unwrap_or_default())),
            Kind::Resume if record.body.contains_key("program") => Some(Self::Run),
            Kind::Resume => Some(Self::Pause),
            Kind::Intent => of("again").map(|why| Self::Again(of("what").unwrap_or_default(), why)),
            Kind::Result if record.body.contains_key("adopted") => Some(Self::Adopted),
            _ => None,
        }
    }

    /// What it is called, and what the line says of it.
    pub(super) fn said(self, language: Language) -> (&'static str, String) {
        let pick = |swedish, english| language.pick(swedish, english);
        match self {
            Self::Exception(reason) => (pick("Avvikelse", "Exception"), reason.to_owned()),
            Self::Run => (
                pick(
                    "Programmet hade avslutats och startades på nytt",
                    "The program had ended, and was started anew",
                ),
                String::new(),
            ),
            Self::Pause => {
                (pick("Fortsättning efter paus", "Gone on with after a pause"), String::new())
            }
            Self::Again(what, why) => (
                pick("En signatur begärdes en gång till", "A signature was asked for once more"),
                format!("{what}, {why}"),
            ),
            Self::Adopted => (
                pick(
                    "En senare körning fann vad en tidigare hade gjort",
                    "A later run found what an earlier one had made",
                ),
                String::new(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use x509::time::UnixTime;

    use super::*;

    fn line(kind: Kind, facts: &[(&str, &str)]) -> Record {
        let body = facts.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
        let (step, body) = ("crl".to_owned(), body.collect());
        Record { time: UnixTime::EPOCH, run_ms: 0, step, kind, who: Vec::new(), body }
    }

    /// Each break is one, in both languages; a line of a ceremony that simply goes on is none.
    #[test]
    fn each_break_is_a_line_of_its_own() {
        for (record, turn, said) in [
            (
                line(Kind::Exception, &[("reason", "lunch")]),
                Turn::Exception("lunch"),
                ("Exception", "lunch"),
            ),
            (
                line(Kind::Resume, &[("program", "0.1.0")]),
                Turn::Run,
                ("The program had ended, and was started anew", ""),
            ),
            (line(Kind::Resume, &[]), Turn::Pause, ("Gone on with after a pause", "")),
            (
                line(Kind::Intent, &[("what", "a.crl"), ("again", "session-lost")]),
                Turn::Again("a.crl", "session-lost"),
                ("A signature was asked for once more", "a.crl, session-lost"),
            ),
            (
                line(Kind::Result, &[("adopted", "found by a later run")]),
                Turn::Adopted,
                ("A later run found what an earlier one had made", ""),
            ),
        ] {
            assert_eq!(Turn::of(&record), Some(turn));
            let (name, more) = turn.said(Language::English);
            assert_eq!((name, more.as_str()), said);
            assert_ne!(turn.said(Language::Swedish).0, name);
        }
        for record in [
            line(Kind::Genesis, &[("program", "0.1.0")]),
            line(Kind::Pause, &[]),
            line(Kind::Intent, &[("what", "a.crl")]),
            line(Kind::Result, &[("intent", "0f")]),
            line(Kind::Check, &[("what", "program")]),
        ] {
            assert_eq!(Turn::of(&record), None);
        }
    }
}

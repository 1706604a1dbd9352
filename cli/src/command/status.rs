//! `sigill status`: what relying parties meet. Works on files alone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use status::freshness::{
    AnswerSigning, Away, ClassWeek, Contract, Part, Span, Timing, WEEK, WrittenDeltas,
};

use crate::client::ClientError;
use crate::terminal::{Terminal, facts, table};

/// What can be asked about status.
#[derive(Debug, Subcommand)]
pub(crate) enum StatusCommand {
    /// Show the schedule that follows from a freshness contract, and what each class of relying parties meets in a week while
    /// parts are away.
    #[command(
        after_help = "Example:\n  sigill status simulate --contract freshness.toml --away inner-zone:24+6 --away responder-token:100+2\n\n\
                      Refused (exit code 1) with a timeline that shows it, where a setting breaks the contract.\n\
                      Parts: inner-zone (all of it), publication (nothing arrives outside), issuing-token (no CRLs),\n\
                      responder-token (no new answers)."
    )]
    Simulate(Simulate),
}

/// A week.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The contract (environments/demo/freshness.toml tells each key).
    #[arg(long, value_name = "FILE")]
    contract: PathBuf,
    /// What is away, from which hour of the week, for how many hours.
    #[arg(long, value_name = "PART:HOUR+HOURS")]
    away: Vec<String>,
    /// When answers are signed: when somebody asks, or beforehand for an outer zone without a key.
    #[arg(long, value_enum, default_value_t = Signed::WhenAsked)]
    signed: Signed,
    /// Seconds from thisUpdate to nextUpdate of answers, instead of what follows from the contract.
    #[arg(long, value_name = "SECONDS")]
    validity: Option<u64>,
    /// Seconds for which others may keep answers and CRLs.
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// Seconds for which a checkpoint counts as fresh.
    #[arg(long, value_name = "SECONDS")]
    freshness: Option<u64>,
    /// Seconds between CRLs.
    #[arg(long, value_name = "SECONDS")]
    crl_period: Option<u64>,
    /// Seconds from thisUpdate to nextUpdate of CRLs.
    #[arg(long, value_name = "SECONDS")]
    crl_lifetime: Option<u64>,
    /// Seconds between delta CRLs.
    #[arg(long, value_name = "SECONDS")]
    delta_crl_period: Option<u64>,
    /// Seconds from thisUpdate to nextUpdate of delta CRLs.
    #[arg(long, value_name = "SECONDS")]
    delta_crl_lifetime: Option<u64>,
    /// The CA makes no deltas: its CRLs must do for those who would read them.
    #[arg(long, conflicts_with_all = ["delta_crl_period", "delta_crl_lifetime"])]
    no_deltas: bool,
}

/// When answers are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Signed {
    /// When somebody asks.
    WhenAsked,
    /// Beforehand, in the inner zone.
    Beforehand,
}

impl From<Signed> for AnswerSigning {
    fn from(signed: Signed) -> Self {
        match signed {
            Signed::WhenAsked => Self::WhenAsked,
            Signed::Beforehand => Self::Beforehand,
        }
    }
}

impl StatusCommand {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<(), ClientError> {
        let Self::Simulate(simulate) = self;
        simulate.run(terminal)
    }
}

impl Simulate {
    fn run(&self, terminal: &Terminal) -> Result<(), ClientError> {
        let path = &self.contract;
        let text = fs::read_to_string(path)
            .map_err(|source| ClientError::File { path: path.clone(), source })?;
        let contract = Contract::parse(&text).map_err(|source| ClientError::Input {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let contract = if self.no_deltas { contract.without_deltas() } else { contract };
        let timing = self.timing(&contract)?;
        let away = self.away.iter().map(|text| away(text)).collect::<Result<Vec<_>, _>>()?;
        let weeks = contract.simulate(&timing, &away);
        let schedule = schedule(&contract, &timing);
        terminal.result(&shown(&schedule, &weeks), || {
            let told = |(name, _, secs): &(&'static str, _, u64)| (*name, format!("{secs} s"));
            let mut lines = facts(&schedule.iter().map(told).collect::<Vec<_>>());
            lines.push(String::new());
            let headings = [
                "CLASS",
                "METHOD",
                "OLDEST RELIED ON",
                "TRY LATER",
                "CRL EXPIRED",
                "NOTHING VALID",
                "TOO OLD",
            ];
            lines.extend(table(&headings, &weeks.iter().map(row).collect::<Vec<_>>()));
            lines
        });
        Ok(())
    }

    /// What both programs would keep, once each has found it good.
    fn timing(&self, contract: &Contract) -> Result<Timing, ClientError> {
        let secs = |written: Option<u64>| written.map(Duration::from_secs);
        let refused = |source| ClientError::Contract {
            path: self.contract.clone(),
            source: Box::new(source),
        };
        let [validity, max_age, freshness] =
            [self.validity, self.max_age, self.freshness].map(secs);
        let answers = contract
            .timing_of_answers(self.signed.into(), validity, max_age, freshness)
            .map_err(refused)?;
        let deltas = WrittenDeltas {
            period: secs(self.delta_crl_period),
            lifetime: secs(self.delta_crl_lifetime),
        };
        let lists = contract
            .timing_of_lists(secs(self.crl_period), secs(self.crl_lifetime), Some(deltas))
            .map_err(refused)?;
        Ok(Timing {
            answers: answers.answers,
            validity: answers.validity,
            max_age: answers.max_age,
            freshness: answers.freshness,
            ..lists
        })
    }
}

/// `inner-zone:24+6`.
fn away(text: &str) -> Result<Away, ClientError> {
    let parsed = || {
        let (name, hours) = text.split_once(':')?;
        let (from, long) = hours.split_once('+')?;
        let (part, _) = Part::ALL.into_iter().find(|(_, known)| *known == name)?;
        let (from, long) = (hour(from)?, hour(long)?);
        Some(Away { part, from, until: from + long })
    };
    parsed().ok_or_else(|| ClientError::Value {
        what: "--away",
        found: text.to_owned(),
        limit: "inner-zone, publication, issuing-token or responder-token, a colon, the hour of the week at which it \
                goes, a plus and for how many hours: inner-zone:24+6",
    })
}

/// An hour of the week.
fn hour(text: &str) -> Option<Duration> {
    let hour: u64 = text.parse().ok()?;
    Some(Duration::from_secs(hour.checked_mul(3600)?)).filter(|hour| *hour <= WEEK)
}

/// Each time by its key in the configurations, by its name in JSON, and in seconds. Deltas where a class reads them.
fn schedule(contract: &Contract, timing: &Timing) -> Vec<(&'static str, &'static str, u64)> {
    let mut schedule = vec![
        ("answers.validity", "validity", timing.validity),
        ("answers.max-age", "max_age", timing.max_age),
        ("log.freshness", "freshness", timing.freshness),
        ("delegates renewed at", "delegates_renewed_at", Timing::DELEGATES_RENEWED_AFTER),
        ("crl-period", "crl_period", timing.crl_period),
        ("crl-lifetime", "crl_lifetime", timing.crl_lifetime),
    ];
    if contract.reads_deltas() {
        schedule.push(("delta-crl-period", "delta_crl_period", timing.delta_period));
        schedule.push(("delta-crl-lifetime", "delta_crl_lifetime", timing.delta_lifetime));
    }
    schedule.into_iter().map(|(key, name, time)| (key, name, time.as_secs())).collect()
}

fn row(week: &ClassWeek) -> Vec<String> {
    let spans = [&week.try_later, &week.crl_expired, &week.nothing_valid, &week.too_old];
    let mut row =
        vec![week.name.clone(), week.method.to_string(), format!("{} s", week.oldest.as_secs())];
    row.extend(spans.map(|spans| {
        let told: Vec<String> = spans
            .iter()
            .map(|span| format!("{} to {}", clock(span.from), clock(span.until)))
            .collect();
        if told.is_empty() { "never".to_owned() } else { told.join(", ") }
    }));
    row
}

/// Hours and minutes of the week.
fn clock(at: Duration) -> String {
    let minutes = at.as_secs() / 60;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn shown(schedule: &[(&'static str, &'static str, u64)], weeks: &[ClassWeek]) -> Value {
    let spans = |spans: &[Span]| -> Value {
        spans
            .iter()
            .map(|span| json!({ "from": span.from.as_secs(), "until": span.until.as_secs() }))
            .collect()
    };
    let classes: Vec<Value> = weeks
        .iter()
        .map(|week| {
            json!({
                "name": week.name,
                "method": week.method.to_string(),
                "oldest_relied_on": week.oldest.as_secs(),
                "try_later": spans(&week.try_later),
                "crl_expired": spans(&week.crl_expired),
                "nothing_valid": spans(&week.nothing_valid),
                "too_old": spans(&week.too_old),
            })
        })
        .collect();
    let times = schedule.iter().map(|(_, name, secs)| ((*name).to_owned(), json!(secs)));
    let mut all: serde_json::Map<String, Value> = times.collect();
    all.insert("classes".to_owned(), Value::Array(classes));
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::terminal::Format;

    fn simulate() -> Simulate {
        Simulate {
            contract: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../environments/demo/freshness.toml"),
            away: vec!["inner-zone:24+6".to_owned()],
            signed: Signed::WhenAsked,
            validity: None,
            max_age: None,
            freshness: None,
            crl_period: None,
            crl_lifetime: None,
            delta_crl_period: None,
            delta_crl_lifetime: None,
            no_deltas: false,
        }
    }

    #[test]
    fn a_week_of_the_example_is_shown() {
        simulate().run(&Terminal::new(Format::Json)).unwrap();
        let contract =
            Contract::parse(include_str!("../../../environments/demo/freshness.toml")).unwrap();
        let away = [away("inner-zone:24+6").unwrap()];

        let weeks = contract.simulate(&contract.timing(AnswerSigning::WhenAsked).unwrap(), &away);

        let rows: Vec<String> = weeks.iter().map(|week| row(week)[3].clone()).collect();
        assert_eq!(rows, ["24:16 to 30:00", "24:16 to 30:00", "24:16 to 30:00", "never"]);
    }

    /// CRL-08: deltas are shown where a class reads them, and a CA without any is another schedule.
    #[test]
    fn deltas_are_shown_where_a_class_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let contract = folder.path().join("freshness.toml");
        let class = "[[class]]\nname = \"near\"\nmax-age = 2400\nclock-skew = 60\ncrl-only = true\ndeltas = true\n";
        fs::write(&contract, class).unwrap();
        let simulate = Simulate { contract, ..simulate() };
        let parsed = Contract::parse(class).unwrap();

        let timing = simulate.timing(&parsed).unwrap();
        let shown = shown(&schedule(&parsed, &timing), &[]);
        assert_eq!(
            (&shown["delta_crl_period"], &shown["crl_lifetime"]),
            (&json!(545), &json!(172_800))
        );
        simulate.run(&Terminal::new(Format::Table)).unwrap();
        let without = parsed.without_deltas();
        let timing = simulate.timing(&without).unwrap();
        assert_eq!(timing.crl_lifetime, Duration::from_secs(2340));
        assert_eq!(schedule(&without, &timing).len(), 6);

        let broken = Simulate { delta_crl_lifetime: Some(2341), ..simulate };
        let error = broken.run(&Terminal::new(Format::Json)).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("(crl-delta, max-age 2400 s"), "{source}");
        Simulate { no_deltas: true, delta_crl_lifetime: None, ..broken }
            .run(&Terminal::new(Format::Json))
            .unwrap();
    }

    /// Promise 9: what breaks the contract is refused with its timeline, and a part that is none with those that are.
    #[test]
    fn settings_that_break_the_contract_are_refused() {
        let broken = Simulate { validity: Some(9000), ..simulate() };
        let error = broken.run(&Terminal::new(Format::Json)).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("relied on: good, 9300 s old"), "{source}");
        let broken = Simulate { signed: Signed::Beforehand, ..simulate() };
        let error = broken.run(&Terminal::new(Format::Json)).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("asks with a nonce"), "{source}");

        for text in ["inner:24+6", "inner-zone:24", "inner-zone:24+x", "inner-zone:169+1"] {
            assert!(matches!(away(text), Err(ClientError::Value { what: "--away", .. })), "{text}");
        }
    }
}

//! `hsm probe`: measures what a token does, and writes its device profile.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hsm::Module;
use hsm::pin::Pin;
use hsm::probe::{OtherKeys, ProbeOrder, Report, Row, Step, Verdict, WrongPin, probe};
use hsm::profile::DeviceProfile;
use indicatif::{ProgressBar, ProgressStyle};

use crate::home::{replace, try_replacing};
use crate::named_token::NamedToken;
use crate::works::now;
use crate::{answer, say};

/// What a probe takes.
#[derive(Debug, Args)]
pub(crate) struct ProbeArguments {
    #[command(flatten)]
    token: NamedToken,
    /// Write the device profile to this file; a file that is there is replaced.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the device profile instead of the table.
    #[arg(long)]
    json: bool,
    /// Probe a token that holds keys; they are not touched.
    #[arg(long)]
    beside_keys: bool,
    /// Try one wrong PIN, on a token without keys.
    #[arg(long)]
    try_wrong_pin: bool,
    /// Throw an empty token away: with the security officer's PIN of this file its user PIN is locked and
    /// set anew, and it is initialised again, under the same label and PINs.
    #[arg(long, value_name = "FILE", conflicts_with = "beside_keys")]
    throw_away: Option<PathBuf>,
    /// Sessions that are tried to be open at a time.
    #[arg(long, value_name = "NUMBER", default_value = "64")]
    sessions: NonZeroUsize,
    /// Sessions that sign in parallel.
    #[arg(long, value_name = "NUMBER", default_value = "8")]
    parallel: NonZeroUsize,
    /// Seconds that a session is left alone before it must sign; 0 leaves the check out.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    idle: u64,
    /// Seconds that one check may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    deadline: u64,
}

/// Probes the token.
///
/// # Errors
///
/// Why nothing was probed, or the profile not written. Failed checks are in the exit code.
pub(crate) fn run(arguments: &ProbeArguments) -> anyhow::Result<ExitCode> {
    let for_profile = |out: &Path| format!("device profile {}", out.display());
    if let Some(out) = &arguments.out {
        // A probe takes minutes, and some of them wipe the token.
        try_replacing(out).with_context(|| format!("{}; nothing was probed", for_profile(out)))?;
    }
    let order = ProbeOrder {
        name: arguments.token.name(),
        pin: arguments.token.pin()?,
        markers: arguments.token.markers()?,
        other_keys: if arguments.beside_keys { OtherKeys::Beside } else { OtherKeys::Refuse },
        wrong_pin: if arguments.try_wrong_pin { WrongPin::Once } else { WrongPin::Never },
        officer: arguments.throw_away.as_deref().map(Pin::from_file).transpose()?,
        sessions: arguments.sessions,
        parallel: arguments.parallel,
        idle: (arguments.idle > 0).then(|| Duration::from_secs(arguments.idle)),
        deadline: Duration::from_secs(arguments.deadline),
    };
    let module = arguments.token.load()?;
    let report = with_progress(&module, order)?;
    let program = concat!("sigill-ceremony ", env!("CARGO_PKG_VERSION"));
    let profile = DeviceProfile::of(&report, now()?, program).to_json()?;
    // First what was found: a file that cannot be written any more costs only the file.
    answer(if arguments.json { profile.trim_end().to_owned() } else { table(&report) }.as_str());
    if let Some(out) = &arguments.out {
        replace(out, profile.as_bytes()).with_context(|| for_profile(out))?;
    }
    match report.left_behind {
        Some(0) => {}
        Some(number) => say(&format!(
            "{number} objects with the label sigill-probe-... could not be removed; the next probe tries again"
        )),
        None => say(
            "the token could not be asked at the end: objects with the label sigill-probe-... that \
             are left, the next probe removes",
        ),
    }
    let failed: Vec<&str> = report.failed().map(|row| row.id.as_str()).collect();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("failed: {}: this device must not hold keys of a CA", failed.join(", ")));
    Ok(ExitCode::FAILURE)
}

/// A bar on a terminal, else a line for each check.
fn with_progress(module: &Module, order: ProbeOrder) -> anyhow::Result<Report> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let is_terminal = std::io::stderr().is_terminal();
    let report = probe(module, order, &mut |step| match step {
        Step::Begins { number, of, id, title } if is_terminal => {
            bar.set_length(u64::try_from(of).unwrap_or(u64::MAX));
            bar.set_position(u64::try_from(number).unwrap_or(u64::MAX).saturating_sub(1));
            bar.set_message(format!("{id} {title}"));
        }
        Step::Begins { number, of, id, title } => say(&format!("{number}/{of} {id} {title}")),
        Step::Ended(_) => {}
    })?;
    bar.finish_and_clear();
    Ok(report)
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "{}\n{} {}, firmware {}, token {} (serial {})\n\n",
        report.module.description,
        report.token.manufacturer,
        report.token.model,
        report.token.firmware,
        report.token.label,
        report.token.serial
    );
    for row in &report.rows {
        text.push_str(&lines(row));
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in &report.rows {
        let count = counts.entry(row.verdict.to_string()).or_default();
        *count = count.saturating_add(1);
    }
    let counts: Vec<String> =
        counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    // Writing into a String cannot fail.
    let _never = write!(text, "\n{} checks: {}", report.rows.len(), counts.join(", "));
    text
}

/// Id, verdict and title; what was seen; and what was expected where that is another thing.
fn lines(row: &Row) -> String {
    const INDENT: &str = "                      ";
    let mut text =
        format!("{}  {:<13}  {}\n{INDENT}{}\n", row.id, row.verdict, row.title, row.seen);
    if matches!(row.verdict, Verdict::Failed | Verdict::Differs) {
        let _never = writeln!(text, "{INDENT}expected: {} ({})", row.expected, row.clause);
    }
    text
}

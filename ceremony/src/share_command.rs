//! `sigill-ceremony shares`: a PIN is drawn and split among custodians, and put together from enough of them.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ceremony_core::share::{self, Order, PinOf, Share, ShareError, ShareSet};
use ceremony_core::words::Fingerprint;
use clap::{Args, Subcommand, ValueEnum};
use getrandom::SysRng;
use hsm::pin::{Pin, line_from_terminal};
use hsm::token::TokenLabel;
use rand_core::UnwrapErr;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde_json::json;
use zeroize::Zeroizing;

use crate::home::{replace, replace_secret};

/// Lines of a sheet's words.
const LINES: usize = 8;
/// How often a custodian may read his sheet wrongly before the command ends.
const READINGS: usize = 3;
/// The longest sheet or record, in octets.
const MAX_OCTETS: u64 = 64 * 1024;
/// What the lines of words begin with on a sheet.
const MARK: &str = "  ";

/// What is done with shares.
#[derive(Debug, Subcommand)]
pub(crate) enum ShareCommand {
    /// Draw a PIN, split it, and write a sheet for each custodian, the public record of the set, and the PIN's file.
    ///
    /// The PIN's file is for initialising the token and is destroyed afterwards; the sheets are printed, sealed and destroyed too. Before anything is written, every
    /// subset of enough shares has given the PIN, and none of one fewer.
    #[command(
        after_help = "Example:\n  sigill-ceremony shares make --token sg-td-ab12-root --pin user --custodian anna --custodian bo --custodian cecilia --threshold 2 --pin-file pins/root --out shares-root"
    )]
    Make(MakeArguments),
    /// Put a PIN together from shares, and write its file.
    ///
    /// A share that is none of the set is named by whose it should be, and nothing is written or tried.
    #[command(
        after_help = "Example (asks for the shares, one after the other, and shows nothing):\n  sigill-ceremony shares join --set shares-root/set.json --pin-file /run/ceremony/root.pin"
    )]
    Join(JoinArguments),
    /// Say whose share a sheet is and whether it is the one that was made; the PIN is not put together. For the yearly roll call.
    #[command(
        after_help = "Example:\n  sigill-ceremony shares check --set shares-root/set.json --share sheet.txt"
    )]
    Check(CheckArguments),
}

/// Whose PIN.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PinName {
    /// The user's.
    User,
    /// The security officer's.
    SecurityOfficer,
}

/// What making takes.
#[derive(Debug, Args)]
pub(crate) struct MakeArguments {
    /// The token's label.
    #[arg(long, value_name = "LABEL")]
    token: TokenLabel,
    /// Whose PIN; user and security officer have sets of different custodians.
    #[arg(long, value_enum)]
    pin: PinName,
    /// A custodian: up to 32 of a-z, 0-9 and -, once for each.
    #[arg(long = "custodian", value_name = "NAME", required = true, value_parser = custodian)]
    custodians: Vec<String>,
    /// How many of them put the PIN together.
    #[arg(long, value_name = "M")]
    threshold: u8,
    /// The PIN's new file, in a folder of mode 0700.
    #[arg(long, value_name = "FILE")]
    pin_file: PathBuf,
    /// The new folder of sheets and record.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What joining takes.
#[derive(Debug, Args)]
pub(crate) struct JoinArguments {
    /// The set's record.
    #[arg(long, value_name = "FILE")]
    set: PathBuf,
    /// The hash of the record, as it stands on every sheet; another record is refused.
    #[arg(long, value_name = "SHA256", value_parser = on_paper)]
    record: Option<Fingerprint>,
    /// A sheet as it was written, or its 32 words alone; left out, the shares are asked for at the terminal.
    #[arg(long = "share", value_name = "FILE")]
    shares: Vec<PathBuf>,
    /// The PIN's new file, in a folder of mode 0700; best on a file system in memory.
    #[arg(long, value_name = "FILE")]
    pin_file: PathBuf,
}

/// What checking takes.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The set's record.
    #[arg(long, value_name = "FILE")]
    set: PathBuf,
    /// The hash of the record, as it stands on every sheet; another record is refused.
    #[arg(long, value_name = "SHA256", value_parser = on_paper)]
    record: Option<Fingerprint>,
    /// The sheet, or its 32 words alone; left out, it is asked for at the terminal.
    #[arg(long, value_name = "FILE")]
    share: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

fn on_paper(text: &str) -> Result<Fingerprint, String> {
    Fingerprint::from_paper(text).map_err(|error| error.to_string())
}

fn custodian(text: &str) -> Result<String, String> {
    let is_fine =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if (1..=32).contains(&text.len()) && text.chars().all(is_fine) {
        return Ok(text.to_owned());
    }
    Err("a custodian is named by 1 to 32 of a-z, 0-9 and -".to_owned())
}

/// Does what is asked.
///
/// # Errors
///
/// [`ShareError`]; the files'.
pub(crate) fn run(command: &ShareCommand) -> anyhow::Result<ExitCode> {
    // A crash leaves no share behind.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("core dumps of this process cannot be forbidden")?;
    match command {
        ShareCommand::Make(arguments) => make(arguments)?,
        ShareCommand::Join(arguments) => join(arguments)?,
        ShareCommand::Check(arguments) => check(arguments)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn make(arguments: &MakeArguments) -> anyhow::Result<()> {
    let order = Order {
        token: &arguments.token.to_string(),
        pin: match arguments.pin {
            PinName::User => PinOf::User,
            PinName::SecurityOfficer => PinOf::SecurityOfficer,
        },
        threshold: arguments.threshold,
        custodians: &arguments.custodians,
    };
    // What draws below cannot say that there is no randomness; where there is some now, there is some then.
    getrandom::fill(&mut [0; 1]).context("no random numbers")?;
    let (secret, set, shares) = share::split(&order, UnwrapErr(SysRng))?;
    anyhow::ensure!(
        arguments.out.symlink_metadata().is_err(),
        "{} is there already; shares go into a new folder",
        arguments.out.display()
    );
    anyhow::ensure!(
        arguments.pin_file.symlink_metadata().is_err(),
        "{} is there already; a PIN's file is never written over",
        arguments.pin_file.display()
    );
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&arguments.out)
        .with_context(|| format!("folder {} is not made", arguments.out.display()))?;
    // The PIN comes last: one that a token may be initialised with has its record and every sheet.
    let record = arguments.out.join("set.json");
    let json = set.to_json();
    let sha256 = Fingerprint::of(json.as_bytes());
    replace(&record, json.as_bytes())?;
    for share in &shares {
        let name = set.custodian(share.number()).unwrap_or_default();
        let path = arguments.out.join(format!("share-{}-{name}.txt", share.number()));
        replace_secret(&path, sheet(&set, share, sha256).as_bytes())?;
        crate::answer(&path.display().to_string());
    }
    Pin::from_drawn(&secret.pin())?.create_file(&arguments.pin_file)?;
    crate::answer(&record.display().to_string());
    crate::say(&format!("record {}: SHA-256\n{}", record.display(), sha256.groups()));
    crate::say(&format!(
        "set {}: {} of {} give the PIN; every subset was tried. Print and seal the sheets, initialise the token with the PIN's file, then destroy these files; keep set.json with the plan.",
        set.name(),
        set.threshold(),
        shares.len()
    ));
    Ok(())
}

/// The sheet of a custodian, in both languages.
fn sheet(set: &ShareSet, share: &Share, record: Fingerprint) -> Zeroizing<String> {
    let (english, swedish) = match set.pin() {
        PinOf::User => ("user PIN", "användarens PIN"),
        PinOf::SecurityOfficer => ("security officer's PIN", "säkerhetsofficerens PIN"),
    };
    let head = format!(
        "PIN-DEL / PIN SHARE {number} av/of {count}\n\nTill/For   {custodian}\nToken      {token}: {swedish} / {english}\nSats/Set   {set_id}\n\
         SHA-256 av/of set.json:\n{record}\n\
         {threshold} delar ger PIN-koden. / {threshold} shares give the PIN.\n\n",
        number = share.number(),
        count = set.custodians().count(),
        custodian = set.custodian(share.number()).unwrap_or_default(),
        token = set.token(),
        set_id = set.name(),
        record = record.lines_of_groups().join("\n"),
        threshold = set.threshold(),
    );
    let words = share.lines();
    let foot = "\nVisa den för ingen. Läs den bara vid en ceremoni, ord för ord, och försegla den sedan igen.\n\
                Show it to nobody. Read it at a ceremony only, word by word, and seal it again.\n";
    let capacity = head.len() + words.len() + LINES * MARK.len() + foot.len();
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    text.push_str(&head);
    for line in words.lines() {
        text.push_str(MARK);
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(foot);
    text
}

fn join(arguments: &JoinArguments) -> anyhow::Result<()> {
    let (set, _) = record(&arguments.set, arguments.record)?;
    let shares = if arguments.shares.is_empty() {
        asked(&set, usize::from(set.threshold()))?
    } else {
        arguments.shares.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?
    };
    let secret = set.join(&shares.iter().collect::<Vec<_>>())?;
    Pin::from_drawn(&secret.pin())?.create_file(&arguments.pin_file)?;
    crate::answer(&arguments.pin_file.display().to_string());
    Ok(())
}

fn check(arguments: &CheckArguments) -> anyhow::Result<()> {
    let (set, sha256) = record(&arguments.set, arguments.record)?;
    let share = match &arguments.share {
        Some(path) => read(path)?,
        None => asked(&set, 1)?.pop().context("no share was given")?,
    };
    let custodian = set.judge(&share)?;
    let number = share.number();
    if arguments.json {
        let found = json!({ "set": set.name(), "token": set.token(), "number": number, "custodian": custodian, "record": sha256.to_string() });
        crate::answer(&found.to_string());
    } else {
        crate::answer(&format!(
            "share {number} of {custodian} is the one that was made (set {})",
            set.name()
        ));
    }
    Ok(())
}

/// The record and its hash, which is shown, since it alone says whose share is wrong: on the sheets it has the same.
fn record(path: &Path, expected: Option<Fingerprint>) -> anyhow::Result<(ShareSet, Fingerprint)> {
    let text = text_of(path)?;
    let found = Fingerprint::of(text.as_bytes());
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(ShareError::OtherRecord { expected, found }.into());
    }
    let set = ShareSet::from_json(&text)?;
    crate::say(&format!(
        "record {}: SHA-256, which stands on every sheet:\n{}",
        path.display(),
        found.groups()
    ));
    Ok((set, found))
}

fn text_of(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let named = || format!("{} cannot be read", path.display());
    let length = fs::metadata(path).with_context(named)?.len();
    anyhow::ensure!(
        length <= MAX_OCTETS,
        "{} has {length} octets; a sheet or record has at most {MAX_OCTETS}",
        path.display()
    );
    Ok(Zeroizing::new(fs::read_to_string(path).with_context(named)?))
}

/// A share from its sheet, or from a file with nothing but its words.
///
/// # Errors
///
/// The file's; [`ShareError`] with what was misread.
pub(crate) fn read(path: &Path) -> anyhow::Result<Share> {
    let text = text_of(path)?;
    let mut words = Zeroizing::new(String::with_capacity(text.len()));
    let is_sheet = text.lines().any(|line| line.starts_with(MARK));
    for line in text.lines().filter(|line| !is_sheet || line.starts_with(MARK)) {
        words.push_str(line);
        words.push(' ');
    }
    Share::from_paper(&words).with_context(|| path.display().to_string())
}

/// Asks for shares at the terminal, one after the other, each judged as soon as it is there.
fn asked(set: &ShareSet, count: usize) -> anyhow::Result<Vec<Share>> {
    crate::say(&format!(
        "set {}, token {}: nothing of what is typed is shown",
        set.name(),
        set.token()
    ));
    let mut shares: Vec<Share> = Vec::new();
    while shares.len() < count {
        let share = one(shares.len().saturating_add(1), count)?;
        let custodian = set.judge(&share)?;
        if shares.iter().any(|other| other.number() == share.number()) {
            return Err(ShareError::Twice { custodian: custodian.to_owned() }.into());
        }
        crate::say(&format!("share of {custodian} is the one that was made"));
        shares.push(share);
    }
    Ok(shares)
}

fn one(number: usize, count: usize) -> anyhow::Result<Share> {
    let mut readings = 1;
    loop {
        let mut words = Zeroizing::new(String::with_capacity(LINES * 256));
        for line in 1..=LINES {
            let question =
                format!("share {number} of {count}, line {line} of {LINES} (four words): ");
            words.push_str(&line_from_terminal(&question)?);
            words.push('\n');
        }
        match Share::from_paper(&words) {
            Ok(share) => return Ok(share),
            Err(error) if readings < READINGS => {
                crate::say(&format!("{error}; read the sheet again"));
                readings += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

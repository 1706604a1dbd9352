//! `sigill-ceremony exchange`: what a ceremony gives back to the zone that asked, as one signed file.
//!
//! What is asked is held against what this side remembers (each request that it answered, each answer that it gave) and against the ceremony
//! that was held: its plan has what the request brings as an input, and its transcript tells of what is given.

mod kept;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ca::deployment::Environment;
use ceremony_core::bundle::Made;
use ceremony_core::exchange::{
    Ceremonys, ExchangeFault, MAX_OCTETS, Matter, Opened, Request, Response, Wanted,
};
use ceremony_core::plan::{Ahead, InputContent, Operation, Plan, RelativeFile, Word};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::Whole;
use ceremony_core::words::Fingerprint;
use clap::{Args, Subcommand};
use crl::CrlNumber;
use hsm::statement::SoftwarePersonKey;
use serde_json::json;
use x509::crl::{CrlForm, CrlReader};

use self::kept::Kept;
use crate::home::replace;
use crate::stopped::Stopped;
use crate::works::now;
use crate::{bundle_command, plan_command};

/// What ends when an exchange file is refused.
pub(crate) const EXIT_CODE: u8 = 21;

/// What is done with exchange files.
#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Answer a request of the zone of the issuing CAs with what a ceremony has signed.
    ///
    /// docs/formats/exchange.md tells the format and what is held against a request. Answered once more, the same request has the same answer.
    /// Exit codes: 21 the request is refused, those of the refusals (docs/ceremonies), 2 wrong use.
    #[command(
        after_help = "Example:\n  sigill-ceremony exchange answer 00000003.request --plan plan.toml --home issuing --state exchanges --key exchanges/zone.key \\\n    --asker-key 6f0c...e1 --out 00000003.response"
    )]
    Answer(AnswerArguments),
}

/// What answering takes.
#[derive(Debug, Args)]
pub(crate) struct AnswerArguments {
    /// The request.
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    /// The plan of the ceremony.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// The home of the ceremony, which came to its end.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The folder of all exchanges of this deployment, mode 0700; made where it is missing.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// File of the software key of this zone, as `person make-key` makes one: not for environment prod.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// SHA-256 of the key of the zone that asks, as `sigill-ca exchange make-key` said it.
    #[arg(long, value_name = "SHA256")]
    asker_key: Fingerprint,
    /// Write the response to this new file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Does it.
///
/// # Errors
///
/// [`ExchangeFault`] for the request; [`Stopped`] for the ceremony; the file system's own.
pub(crate) fn run(command: &ExchangeCommand) -> anyhow::Result<ExitCode> {
    let ExchangeCommand::Answer(arguments) = command;
    let plan = plan_command::read(&arguments.plan)?;
    if plan.deployment.environment() == Environment::Prod {
        return Err(Stopped {
            refusal: Refusal::Deployment,
            refused: format!("{} is a file; the plan is of {}", arguments.key.display(), plan.deployment),
            next_step: "this version signs exchange files with a key in a file alone, which is for environments test and qa; nothing was answered",
        }
        .into());
    }
    let (_, whole) = bundle_command::held(&plan, &arguments.home)?;
    let octets = read(&arguments.request)?;
    let named = || arguments.request.display().to_string();
    let request = Request::open(&octets).with_context(named)?;
    let kept = Kept::open(&arguments.state)?;
    let file = match kept.answer_to(&request) {
        Some(file) => file,
        None => {
            let file = answer(arguments, &plan, &whole, &request, &kept).with_context(named)?;
            kept.keep(request.said.matter.number, &octets, &file)?;
            file
        }
    };
    hand_out(&arguments.out, &file)?;
    tell(arguments, &Response::open(&file)?);
    Ok(ExitCode::SUCCESS)
}

/// A request, which is not read without end.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let longest = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX).saturating_add(1);
    let mut octets = Vec::new();
    file.take(longest).read_to_end(&mut octets).with_context(|| path.display().to_string())?;
    Ok(octets)
}

/// The response, signed.
fn answer(
    arguments: &AnswerArguments,
    plan: &Plan,
    whole: &Whole,
    request: &Opened<Request>,
    kept: &Kept,
) -> anyhow::Result<Vec<u8>> {
    let now = now()?;
    let side = Ceremonys {
        deployment: plan.deployment,
        signer: arguments.asker_key,
        answered: &kept.requests,
        answers: &kept.answers,
        now,
    };
    side.judge(request)?;
    let Given { out, ahead } = made(plan, whole, &request.said)
        .ok_or(ExchangeFault::NotHeld { wanted: request.said.matter.wanted, plan: plan.hash })?;
    let payload = output(whole, &arguments.home, &out)?;
    if let Some(begins) = ahead.map(|ahead| ahead.this_update).filter(|begins| now < *begins) {
        return Err(ExchangeFault::Early { begins, now }.into());
    }
    if request.said.matter.wanted == Wanted::RootCrl {
        comes_last(&request.said.matter, &payload, &kept.given)?;
    }
    let head = Fingerprint::from_bytes(*whole.chain.head().1.as_bytes());
    let response = Response::to(request, plan.hash, head, payload, now);
    let signed = SoftwarePersonKey::open(&arguments.key)?.statement(&response.statement()?)?;
    let file = response.file(&signed).into_bytes();
    // One that could not be read is not handed out.
    Response::open(&file)?;
    Ok(file)
}

/// What is given for a request.
struct Given {
    out: RelativeFile,
    /// What the plan lays out for it, where it was signed ahead.
    ahead: Option<Ahead>,
}

/// What the ceremony made for this request: the step that has what it brings among its inputs, and its issuer. Of CRLs that were signed ahead the first
/// follows that input, and each other one the one before it: so they are released one by one, as the world has them.
fn made(plan: &Plan, whole: &Whole, request: &Request) -> Option<Given> {
    let is = |name: &Word, content: InputContent, sha256: Fingerprint| {
        plan.input(name).is_some_and(|input| input.content == content && input.sha256 == sha256)
    };
    let brought = Fingerprint::of(&request.payload);
    let issues = |issuer: &Word| is(issuer, InputContent::Certificate, request.matter.issuer);
    plan.steps.iter().find_map(|step| match (&step.operation, request.matter.wanted) {
        (Operation::Certificate { key_of, issuer, out, .. }, Wanted::IssuingCertificate)
            if is(key_of, InputContent::Request, brought) && issues(issuer) =>
        {
            Some(Given { out: out.clone(), ahead: None })
        }
        (Operation::Crl { issuer, previous: Some(previous), series, .. }, Wanted::RootCrl)
            if issues(issuer) =>
        {
            let outs = step.operation.outs();
            let place = if is(previous, InputContent::Crl, brought) {
                0
            } else {
                let signed = Made::of(&whole.records).signatures;
                let brought = brought.to_string();
                let before = signed
                    .iter()
                    .find(|one| one.step == step.id.as_str() && one.sha256 == brought)?;
                outs.iter().position(|out| below_out(out) == before.what)?.checked_add(1)?
            };
            let ahead = series.get(place).copied();
            outs.get(place).map(|out| Given { out: out.clone(), ahead })
        }
        _ => None,
    })
}

/// No CRL is given after one with a number as high: what was signed ahead is void once another one was given in its place. The very same may be given again.
fn comes_last(matter: &Matter, payload: &[u8], given: &[Response]) -> anyhow::Result<()> {
    let seen = number(payload)?;
    let of_issuer = given.iter().filter(|one| {
        one.matter.wanted == Wanted::RootCrl
            && one.matter.issuer == matter.issuer
            && one.payload != payload
    });
    let numbers = of_issuer.map(|one| number(&one.payload)).collect::<anyhow::Result<Vec<_>>>()?;
    match numbers.into_iter().max().filter(|highest| *highest >= seen) {
        None => Ok(()),
        Some(highest) => {
            let (seen, given) = (seen.to_string(), highest.to_string());
            Err(ExchangeFault::Superseded { seen, given }.into())
        }
    }
}

fn number(crl: &[u8]) -> anyhow::Result<CrlNumber> {
    let octets = u64::try_from(crl.len()).unwrap_or(u64::MAX);
    let tail = CrlReader::start(crl, CrlForm::CertificateList, octets)?.finish()?;
    let number = tail.extensions.number.context("the CRL has no number")?;
    Ok(CrlNumber::from_content_octets(&number)?)
}

fn below_out(out: &RelativeFile) -> &str {
    out.as_str().trim_start_matches("out/")
}

/// An output of the ceremony, as its transcript tells of it.
fn output(whole: &Whole, home: &Path, out: &RelativeFile) -> anyhow::Result<Vec<u8>> {
    let name = below_out(out);
    let path = home.join("ceremony/out").join(name);
    let octets = fs::read(&path).unwrap_or_default();
    let seen = Fingerprint::of(&octets).to_string();
    let made = Made::of(&whole.records).signatures;
    if made.iter().any(|signature| signature.what == name && signature.sha256 == seen) {
        return Ok(octets);
    }
    Err(Stopped {
        refusal: Refusal::Output,
        refused: format!("{} is not what the transcript tells of", path.display()),
        next_step: "bring the output of the ceremony back from its medium, and find out who changed this one",
    }
    .into())
}

/// Writes the response to a new file. The same one that is there already stays.
fn hand_out(out: &Path, file: &[u8]) -> anyhow::Result<()> {
    match fs::read(out) {
        Ok(found) if found == file => Ok(()),
        Ok(_) => Err(Stopped {
            refusal: Refusal::Output,
            refused: format!("{} exists, and is another", out.display()),
            next_step: "name a new file: no response is written over",
        }
        .into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => replace(out, file),
        Err(error) => Err(error).with_context(|| out.display().to_string()),
    }
}

fn tell(arguments: &AnswerArguments, response: &Opened<Response>) {
    let Response { matter, plan, head, .. } = &response.said;
    crate::answer(&if arguments.json {
        json!({
            "file": arguments.out, "sha256": response.file.to_string(), "number": matter.number,
            "wanted": matter.wanted.name(), "expires": matter.expires.to_string(),
            "plan": plan.to_string(), "head": head.to_string(),
        })
        .to_string()
    } else {
        format!(
            "{}  {}\nnumber {}, {}, until {}\n\nplan\n{plan}\n\nhead\n{head}",
            response.file,
            arguments.out.display(),
            matter.number,
            matter.wanted,
            matter.expires,
        )
    });
}

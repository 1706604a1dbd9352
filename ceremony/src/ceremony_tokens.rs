//! The tokens of a ceremony that nobody sits at: throw-away ones at a rehearsal, else ones that stay, with their PINs in files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use ceremony_core::plan::{Content, PlannedToken};
use ceremony_core::refusal::Refusal;
use ceremony_core::words::Fingerprint;
use hsm::pin::Pin;
use hsm::token::TokenFacts;
use hsm::{Module, NewToken, PinMarkers, Quirks, Token, TokenSettings};

use crate::home::Home;
use crate::stopped::Stopped;
use crate::tokens::{self, draw};

/// Longest wait for a token's answer that is not a key generation.
const DEADLINE: Duration = Duration::from_secs(60);

/// What becomes of tokens after the ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They go with their folder.
    ThrownAway,
    /// They stay, and so do their PINs, in files that only their owner may read.
    Kept,
}

/// Makes a token as the plan has it, or opens the one that an earlier run made.
///
/// # Errors
///
/// [`Stopped`] with R06 for a token that stays and is not as planned; the module's own.
pub(crate) fn open(
    module: &Module,
    home: &Home,
    planned: &PlannedToken,
    fate: Fate,
) -> anyhow::Result<Token> {
    let label = planned.label.as_str().parse()?;
    if fate == Fate::Kept {
        let token = tokens::open_named(home, module, label, "pins", planned.name.as_str())?;
        as_planned(module, planned, &token)?;
        return Ok(token);
    }
    let [so_pin, user_pin] = [Pin::from_drawn(&draw()?)?, Pin::from_drawn(&draw()?)?];
    let markers = PinMarkers::in_folder(&home.join("state"))?;
    let new = NewToken { label, so_pin, user_pin: user_pin.clone() };
    let name = hsm::init_token(module, &new, &markers)
        .with_context(|| format!("throw-away token {}", planned.name))?;
    let settings = TokenSettings {
        name,
        pin: user_pin,
        markers,
        sessions: NonZeroUsize::MIN,
        deadline: DEADLINE,
        quirks: Quirks::default(),
    };
    // Its keys sign nothing that anybody gets, whatever the deployment of the plan.
    Ok(Token::danger_open_software_too(module, settings)?)
}

/// What it says of itself is what the plan says.
fn as_planned(module: &Module, planned: &PlannedToken, token: &Token) -> anyhow::Result<()> {
    let name = token.name();
    let is_it = |facts: &&TokenFacts| {
        facts.label == name.label.as_str() && facts.serial == name.serial.as_str()
    };
    let listed = hsm::token::list(module)?;
    let facts = listed.iter().find(is_it).context("the token is not listed any more")?;
    let serial = planned.serial.as_ref().map_or(facts.serial.as_str(), |serial| serial.as_str());
    for (what, seen, wanted) in [
        ("model", facts.model.as_str(), planned.model.as_str()),
        ("firmware", &facts.firmware, planned.firmware.as_str()),
        ("serial number", &facts.serial, serial),
    ] {
        if seen != wanted {
            let refused = format!("token {name} has {what} {seen:?}, the plan {wanted:?}");
            return Err(stop(refused).into());
        }
    }
    Ok(())
}

/// The plan's tokens are all made in the ceremony, and their module is the one that it names.
///
/// # Errors
///
/// [`Stopped`] with R06 for a token that would be there before, with R04 for another module.
pub(crate) fn judge(planned: &[PlannedToken], module: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(module).with_context(|| module.display().to_string())?;
    let seen = Fingerprint::of(&bytes);
    for token in planned {
        if token.expect != Content::Blank {
            return Err(stop(format!(
                "token {} is to be {} before: only tokens that the ceremony prepares itself are used by a run that \
                 nobody sits at",
                token.name, token.expect
            ))
            .into());
        }
        if token.module_sha256 != seen {
            let refused = format!(
                "module {} has SHA-256 {seen}, the plan names {} for token {}",
                module.display(),
                token.module_sha256,
                token.name
            );
            let next_step = "use the module that the plan names, or plan anew with this one";
            return Err(Stopped { refusal: Refusal::Program, refused, next_step }.into());
        }
    }
    Ok(())
}

fn stop(refused: String) -> Stopped {
    let next_step = "use the planned token, or plan anew with this one; nothing was signed";
    Stopped { refusal: Refusal::Token, refused, next_step }
}

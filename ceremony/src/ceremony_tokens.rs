//! The tokens of a ceremony that nobody sits at: throw-away ones at a rehearsal, else ones that stay, with their PINs in files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use ceremony_core::plan::{Content, PlannedToken};
use ceremony_core::refusal::Refusal;
use ceremony_core::words::Fingerprint;
use hsm::pin::Pin;
use hsm::token::{PinState, TokenFacts, TokenLabel, TokenName};
use hsm::{Module, NewToken, OpenError, PinMarkers, Quirks, Token, TokenSettings};

use crate::attended::NewPins;
use crate::home::Home;
use crate::stopped::Stopped;
use crate::tokens;

/// Longest wait for a token's answer that is not a key generation.
const DEADLINE: Duration = Duration::from_secs(60);

/// Codes of a PIN that the token refused, now or before.
const REFUSED: [&str; 2] = ["hsm-pin-refused", "hsm-pin-refused-before"];
/// Codes of a token of which no PIN is tried any more.
const NO_MORE: [&str; 4] =
    ["hsm-pin-count-low", "hsm-pin-final-try", "hsm-pin-locked", "hsm-pin-in-doubt"];

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
    let [so_pin, user_pin] = tokens::thrown_away(home, "pins", planned.name.as_str())?;
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

/// Opens a token that is there, and makes none in its place.
///
/// # Errors
///
/// [`Stopped`] with R06 where it is not there, or is not as planned; the module's own.
pub(crate) fn recall(
    module: &Module,
    home: &Home,
    planned: &PlannedToken,
) -> anyhow::Result<Token> {
    drop(found(module, planned)?);
    open(module, home, planned, Fate::Kept)
}

/// The token that was made before, with its PINs.
///
/// # Errors
///
/// [`Stopped`] with R06 where it is not there.
pub(crate) fn found(module: &Module, planned: &PlannedToken) -> anyhow::Result<TokenName> {
    let is_it = |token: &&TokenFacts| {
        token.label == planned.label.as_str() && token.pin != PinState::NotSet
    };
    let listed = hsm::token::list(module)?;
    let found: Vec<&TokenFacts> = listed.iter().filter(is_it).collect();
    let [token] = found.as_slice() else {
        return Err(away(planned, found.len()).into());
    };
    Ok(TokenName { label: planned.label.as_str().parse()?, serial: token.serial.parse()? })
}

fn away(planned: &PlannedToken, there: usize) -> Stopped {
    Stopped {
        refusal: Refusal::Token,
        refused: format!(
            "token {} was made before, and is not there: {there} tokens have its label",
            planned.label.as_str()
        ),
        next_step: "bring the token back; no other is made in its place",
    }
}

/// Opens a token by a PIN that people gave.
///
/// # Errors
///
/// [`Stopped`] with R06 for one that is not as planned; the token's own.
pub(crate) fn open_by(
    module: &Module,
    home: &Home,
    planned: &PlannedToken,
    name: TokenName,
    pin: Pin,
) -> anyhow::Result<Token> {
    let settings = TokenSettings {
        name,
        pin,
        markers: PinMarkers::in_folder(&home.join("state"))?,
        sessions: NonZeroUsize::MIN,
        deadline: DEADLINE,
        quirks: Quirks::default(),
    };
    let token = Token::open(module, settings).map_err(no_more)?;
    as_planned(module, planned, &token)?;
    Ok(token)
}

/// A token that tells of its last try, or of none, is no matter of another PIN (R15).
fn no_more(error: OpenError) -> anyhow::Error {
    if NO_MORE.contains(&error.code()) {
        let (refused, next_step) = (error.to_string(), error.next_step());
        return Stopped { refusal: Refusal::Pin, refused, next_step }.into();
    }
    error.into()
}

/// Initialises a blank token with PINs that people have, or opens the one that an earlier run initialised with them.
///
/// # Errors
///
/// As [`open_by`].
pub(crate) fn prepare(
    module: &Module,
    home: &Home,
    planned: &PlannedToken,
    pins: NewPins,
) -> anyhow::Result<Token> {
    let label: TokenLabel = planned.label.as_str().parse()?;
    let NewPins { officer, user } = pins;
    let listed = hsm::token::list(module)?;
    let is_ready =
        |token: &TokenFacts| token.label == label.as_str() && token.pin != PinState::NotSet;
    let name = if listed.iter().any(is_ready) {
        found(module, planned)?
    } else {
        let markers = PinMarkers::in_folder(&home.join("state"))?;
        let new = NewToken { label, so_pin: officer, user_pin: user.clone() };
        hsm::init_token(module, &new, &markers)
            .with_context(|| format!("token {}", planned.name))?
    };
    open_by(module, home, planned, name, user)
}

/// Whether the token refused the PIN, now or before.
pub(crate) fn is_wrong_pin(error: &anyhow::Error) -> bool {
    let told = error.chain().find_map(hsm::told);
    told.is_some_and(|(code, _)| REFUSED.contains(&code))
}

/// Destroys everything in a token, of which no handle is left, and opens it again: it is initialised anew under its own PINs.
///
/// # Errors
///
/// The module's. What is left then is erased by the next call.
pub(crate) fn erase(
    module: &Module,
    home: &Home,
    planned: &PlannedToken,
    name: &TokenName,
    fate: Fate,
) -> anyhow::Result<Token> {
    let so_pin = tokens::officers(home, "pins", planned.name.as_str())?;
    let markers = PinMarkers::in_folder(&home.join("state"))?;
    hsm::erase_token(module, name, &so_pin, &markers)?;
    open(module, home, planned, fate)
}

/// The token that a crash may have left without a user PIN: it was erased, and is opened as it was before.
///
/// # Errors
///
/// As [`recall`].
pub(crate) fn reopen(
    module: &Module,
    home: &Home,
    planned: &PlannedToken,
) -> anyhow::Result<Token> {
    let is_it = |token: &&TokenFacts| token.label == planned.label.as_str();
    let there = hsm::token::list(module)?.iter().filter(is_it).count();
    if there != 1 {
        return Err(away(planned, there).into());
    }
    open(module, home, planned, Fate::Kept)
}

/// What is initialised at a rehearsal is a SoftHSM's token in the folder that is thrown away, never a device's.
///
/// # Errors
///
/// [`Stopped`] with R06; no token was touched.
pub(crate) fn only_thrown_away(module: &Module, home: &Home) -> anyhow::Result<()> {
    let configuration = home.softhsm_configuration()?;
    let is_its = std::env::var_os("SOFTHSM2_CONF").as_deref() == Some(configuration.as_os_str());
    Ok(throwable(is_its, &hsm::token::list(module)?, &hsm::token::blank(module)?)?)
}

fn throwable(is_its: bool, made: &[TokenFacts], blank: &[TokenFacts]) -> Result<(), Stopped> {
    let is_softhsm = |facts: &TokenFacts| {
        facts.manufacturer == "SoftHSM project" && facts.model.starts_with("SoftHSM")
    };
    let refused = match (blank.iter().chain(made).find(|facts| !is_softhsm(facts)), made.first()) {
        (Some(other), _) => {
            format!("the module has a token of {} {}", other.manufacturer, other.model)
        }
        (None, Some(other)) => {
            format!("the module has a token {:?} that was there before", other.label)
        }
        (None, None) if !is_its => "SOFTHSM2_CONF leads to another folder".to_owned(),
        (None, None) => return Ok(()),
    };
    let next_step =
        "rehearse with SoftHSM's module: its tokens are thrown away; nothing was touched";
    Err(Stopped { refusal: Refusal::Token, refused, next_step })
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

/// The plan's tokens are all made in the ceremony, or all in the one whose home `made_in` is, and their module is the one that the plan names.
///
/// # Errors
///
/// [`Stopped`] with R06 for a token that would be elsewhere, with R04 for another module.
pub(crate) fn judge(
    planned: &[PlannedToken],
    made_in: Option<&Path>,
    module: &Path,
) -> anyhow::Result<()> {
    let bytes = std::fs::read(module).with_context(|| module.display().to_string())?;
    let seen = Fingerprint::of(&bytes);
    for token in planned {
        let is_made_here = token.expect == Content::Blank;
        match made_in {
            None if !is_made_here => {
                return Err(stop(format!(
                    "token {} is to be there before, and no --tokens says in which home it was made",
                    token.name
                ))
                .into());
            }
            Some(home) if is_made_here => {
                return Err(stop(format!(
                    "token {} is prepared in this ceremony, and --tokens {} says that it was before",
                    token.name,
                    home.display()
                ))
                .into());
            }
            _ => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    /// No device's token is initialised by a rehearsal, nor one that somebody has.
    #[test]
    fn a_rehearsal_takes_only_tokens_that_are_thrown_away() {
        let facts = |manufacturer: &str, label: &str| TokenFacts {
            label: label.to_owned(),
            serial: String::new(),
            manufacturer: manufacturer.to_owned(),
            model: "SoftHSM v2".to_owned(),
            firmware: String::new(),
            hardware: String::new(),
            pin: PinState::NotSet,
        };
        let blank = [facts("SoftHSM project", "")];
        assert!(throwable(true, &[], &blank).is_ok());
        for (is_its, made, blank, said) in [
            (true, vec![], vec![facts("Vendor", "")], "a token of Vendor"),
            (true, vec![facts("Vendor", "sg")], blank.to_vec(), "a token of Vendor"),
            (true, vec![facts("SoftHSM project", "sg")], blank.to_vec(), "was there before"),
            (false, vec![], blank.to_vec(), "SOFTHSM2_CONF"),
        ] {
            let refused = throwable(is_its, &made, &blank).unwrap_err();
            assert_eq!((refused.refusal.code(), refused.refusal.exit_code()), ("R06", 14));
            assert!(refused.refused.contains(said), "{}", refused.refused);
        }
    }
}

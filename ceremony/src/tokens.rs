//! Tokens of a demo deployment: one a role, each with a PIN and an SO PIN drawn here.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ca::deployment::{Deployment, RoleName};
use hsm::pin::Pin;
use hsm::token::{PinState, TokenLabel, TokenName};
use hsm::{Module, NewToken, PinMarkers, Quirks, Token, TokenSettings};
use zeroize::Zeroizing;

use crate::home::Home;
use crate::refusal::Refusal;

/// Characters of a PIN that are drawn.
const PIN_CHARACTERS: usize = 32;
/// Longest wait for a token's answer that is not a key generation.
const DEADLINE: Duration = Duration::from_secs(60);

/// A role with a token of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The issuing CAs' keys.
    Issuing,
    /// The management CA's key.
    Management,
    /// The responder's identity and delegate keys.
    Responder,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Management => "management",
            Self::Responder => "responder",
        }
    }
}

/// Makes the token of `role` where it is missing, and opens it. PINs are drawn for a token that is
/// to be made, never for one that is there: a new PIN would be a wrong one.
///
/// # Errors
///
/// [`Refusal::PinMissing`] before anything was tried; else which token or PIN file does not fit.
pub(crate) fn open(
    home: &Home,
    module: &Module,
    deployment: Deployment,
    role: Role,
) -> anyhow::Result<Token> {
    let role_name: RoleName = role.name().parse()?;
    let label: TokenLabel = deployment.token_label(&role_name).parse()?;
    open_named(home, module, label, "pins", role.name())
}

/// As [`open`], the token with this label, whose PIN files lie in the folder `pins` below the home, by this name.
///
/// # Errors
///
/// As [`open`].
pub(crate) fn open_named(
    home: &Home,
    module: &Module,
    label: TokenLabel,
    pins: &str,
    name: &str,
) -> anyhow::Result<Token> {
    let files = PinFiles { home, pins, name };
    let markers = PinMarkers::in_folder(&home.join("state"))?;
    let known: Vec<_> = hsm::token::list(module)?
        .into_iter()
        .filter(|token| token.label == label.as_str())
        .collect();
    if known.is_empty() {
        // Not made before: where the operator has moved it away, it must not come back empty.
        if let Some((parent, _)) = pins.split_once('/') {
            home.private(parent)?;
        }
        home.private(pins)?;
        files.draw_missing("pin")?;
        files.draw_missing("so-pin")?;
    }
    let user_pin = files.pin("pin")?;
    let token = match known.as_slice() {
        [token] if token.pin != PinState::NotSet => {
            TokenName { label, serial: token.serial.parse()? }
        }
        [] | [_] => {
            let so_pin = files.pin("so-pin")?;
            let new = NewToken { label, so_pin, user_pin: user_pin.clone() };
            hsm::init_token(module, &new, &markers)
                .with_context(|| format!("token of role {name}"))?
        }
        several => bail!("{} tokens have the label {label}", several.len()),
    };
    Ok(Token::open(
        module,
        TokenSettings {
            name: token,
            pin: user_pin,
            markers,
            sessions: NonZeroUsize::MIN,
            deadline: DEADLINE,
            quirks: Quirks::default(),
        },
    )?)
}

/// The PINs of a throw-away token, of its security officer and its user, which are drawn into files of its folder.
///
/// # Errors
///
/// The generator's; the file system's.
pub(crate) fn thrown_away(home: &Home, pins: &str, name: &str) -> anyhow::Result<[Pin; 2]> {
    home.private(pins)?;
    let files = PinFiles { home, pins, name };
    for kind in ["so-pin", "pin"] {
        files.draw_missing(kind)?;
    }
    Ok([files.pin("so-pin")?, files.pin("pin")?])
}

/// The PIN of the security officer of a token that was made before.
///
/// # Errors
///
/// [`Refusal::PinMissing`]; the file system's.
pub(crate) fn officers(home: &Home, pins: &str, name: &str) -> anyhow::Result<Pin> {
    PinFiles { home, pins, name }.pin("so-pin")
}

/// Where the PINs of a token lie.
struct PinFiles<'a> {
    home: &'a Home,
    pins: &'a str,
    name: &'a str,
}

impl PinFiles<'_> {
    fn path(&self, kind: &str) -> String {
        format!("{}/{}.{kind}", self.pins, self.name)
    }

    fn pin(&self, kind: &str) -> anyhow::Result<Pin> {
        let path = self.path(kind);
        let file = self.home.join(&path);
        if !file.exists() {
            return Err(Refusal::PinMissing { role: self.name.to_owned(), path }.into());
        }
        Ok(Pin::from_file(&file)?)
    }

    fn draw_missing(&self, kind: &str) -> anyhow::Result<()> {
        let file = self.home.join(&self.path(kind));
        if !file.exists() {
            Pin::from_drawn(&draw()?)?.create_file(&file)?;
        }
        Ok(())
    }
}

/// 32 letters and digits, about 190 bits.
///
/// # Errors
///
/// The generator's.
fn draw() -> anyhow::Result<Zeroizing<String>> {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut random = Zeroizing::new([0_u8; PIN_CHARACTERS]);
    getrandom::fill(random.as_mut()).context("no random numbers for a PIN")?;
    let mut text = Zeroizing::new(String::with_capacity(PIN_CHARACTERS));
    for octet in random.iter() {
        let index = usize::from(octet & 63);
        text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'a')));
    }
    Ok(text)
}

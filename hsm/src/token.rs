//! Which token: its label and serial number, both of which must agree, and never its slot.
//!
//! Slot numbers change between processes and after initialisation; labels can be given twice;
//! serial numbers say nothing to an operator. So a token is named by label and serial, and where
//! only one of them is found the error names both values.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::error::{Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};
use thiserror::Error;

use crate::failure::Pkcs11Failure;
use crate::module::Module;
use crate::pool::deadline_in;

/// How long listing waits while the module is being initialised.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// A token's label: `sg-<code>-<instance>-<role>`, 11 to 32 octets (promise 8).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenLabel(Arc<str>);

impl TokenLabel {
    /// The most octets (PKCS#11 `CK_TOKEN_INFO.label`).
    pub const MAX_OCTETS: usize = 32;

    /// The label of a person's own token, which its maker has given: 1 to 32 octets without control characters, no space
    /// first or last. It names no deployment, and no key of a CA lies in such a token.
    ///
    /// # Errors
    ///
    /// [`TokenNameError::PersonLabel`].
    pub fn of_person(text: &str) -> Result<Self, TokenNameError> {
        let fine = (1..=Self::MAX_OCTETS).contains(&text.len())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        let refused = || TokenNameError::PersonLabel(text.to_owned());
        if fine { Ok(Self(text.into())) } else { Err(refused()) }
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that names the deployment: `sg-<code>-<instance>`.
    #[must_use]
    pub fn deployment(&self) -> &str {
        self.0.get(..10).unwrap_or_default()
    }

    /// Whether it is of environment test, by its code: `td` or `ts`.
    pub(crate) fn allows_software(&self) -> bool {
        ["sg-td-", "sg-ts-"].iter().any(|start| self.0.starts_with(start))
    }
}

impl fmt::Display for TokenLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenLabel {
    type Err = TokenNameError;

    fn from_str(text: &str) -> Result<Self, TokenNameError> {
        let word = |part: &str| {
            part.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit())
        };
        let parts: Vec<&str> = text.splitn(4, '-').collect();
        let fine = match parts.as_slice() {
            ["sg", code, instance, role] => {
                ["td", "ts", "qt", "pp"].contains(code)
                    && instance.len() == 4
                    && word(instance)
                    && role.split('-').all(|part| !part.is_empty() && word(part))
                    && text.len() <= Self::MAX_OCTETS
            }
            _ => false,
        };
        if fine { Ok(Self(text.into())) } else { Err(TokenNameError::Label(text.to_owned())) }
    }
}

/// A token's serial number: 1 to 16 printable ASCII characters, as its maker wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenSerial(Arc<str>);

impl TokenSerial {
    /// The serial number.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenSerial {
    type Err = TokenNameError;

    fn from_str(text: &str) -> Result<Self, TokenNameError> {
        let printable = text.bytes().all(|octet| (0x21..0x7f).contains(&octet));
        if printable && (1..=16).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(TokenNameError::Serial(text.to_owned()))
        }
    }
}

/// A token by both its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenName {
    /// Its label.
    pub label: TokenLabel,
    /// Its serial number.
    pub serial: TokenSerial,
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (serial {})", self.label, self.serial)
    }
}

/// Why a text is no label or serial number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenNameError {
    /// Another form.
    #[error(
        "token label {0:?} is not sg-<code>-<instance>-<role> with code td, ts, qt or pp, in at \
         most 32 octets"
    )]
    Label(String),
    /// Another form.
    #[error("token label {0:?} is not 1 to 32 octets without control characters")]
    PersonLabel(String),
    /// Another form.
    #[error("token serial {0:?} is not 1 to 16 printable characters")]
    Serial(String),
}

/// What a token says of itself (KEY-01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// Its label, trailing blanks removed.
    pub label: String,
    /// Its serial number, trailing blanks removed.
    pub serial: String,
    /// Its maker.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its firmware version.
    pub firmware: String,
    /// Its hardware version.
    pub hardware: String,
    /// Whether its PIN can be used.
    pub pin: PinState,
}

/// What a token says of its user PIN before anybody tries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinState {
    /// No wrong PIN since the last login.
    Ready,
    /// A wrong PIN was tried since the last login (`CKF_USER_PIN_COUNT_LOW`).
    TriedWrong,
    /// One try is left (`CKF_USER_PIN_FINAL_TRY`).
    FinalTry,
    /// No try is left (`CKF_USER_PIN_LOCKED`).
    Locked,
    /// The security officer has set no user PIN yet.
    NotSet,
    /// The PIN must be changed before use (`CKF_USER_PIN_TO_BE_CHANGED`).
    MustChange,
}

/// A token that is there now, in a slot that holds only for this process and moment.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) slot: Slot,
    pub(crate) facts: TokenFacts,
    pub(crate) initialised: bool,
}

/// Lists the initialised tokens of `module`.
///
/// # Errors
///
/// [`FindTokenError::Initialising`] and [`FindTokenError::Device`].
pub fn list(module: &Module) -> Result<Vec<TokenFacts>, FindTokenError> {
    listed(module, true)
}

/// Lists the tokens of `module` that are not initialised.
///
/// # Errors
///
/// As [`list`].
pub fn blank(module: &Module) -> Result<Vec<TokenFacts>, FindTokenError> {
    listed(module, false)
}

fn listed(module: &Module, initialised: bool) -> Result<Vec<TokenFacts>, FindTokenError> {
    let _pass = module
        .enter(deadline_in(LIST_WAIT))
        .ok_or_else(|| FindTokenError::Initialising { module: module.path().to_owned() })?;
    let present = present(module)
        .map_err(FindTokenError::Device)?
        .into_iter()
        .filter(|token| token.initialised == initialised);
    Ok(present.map(|token| token.facts).collect())
}

/// Every slot with a token. One that vanishes while it is being asked is left out, so that a broken
/// token does not hide the others.
pub(crate) fn present(module: &Module) -> Result<Vec<Present>, Pkcs11Failure> {
    Ok(asked(module)?.into_iter().filter_map(Result::ok).collect())
}

/// As [`present`], for whoever must know of every token: one that cannot be asked is an error, unless it
/// is certain that it is none of PKCS#11.
pub(crate) fn all_present(module: &Module) -> Result<Vec<Present>, Pkcs11Failure> {
    let unknown = |error: &Error| matches!(error, Error::Pkcs11(RvError::TokenNotRecognized, _));
    let known = asked(module)?.into_iter().filter(|token| !token.as_ref().is_err_and(unknown));
    let failed = |error: Error| Pkcs11Failure::new(&module.path().display(), &error);
    known.map(|token| token.map_err(failed)).collect()
}

fn asked(module: &Module) -> Result<Vec<Result<Present, Error>>, Pkcs11Failure> {
    let failed = |error: Error| Pkcs11Failure::new(&module.path().display(), &error);
    let context = module.context();
    let slots = context.get_slots_with_token().map_err(failed)?.into_iter();
    Ok(slots.map(|slot| context.get_token_info(slot).map(|info| told(slot, &info))).collect())
}

fn told(slot: Slot, info: &TokenInfo) -> Present {
    Present {
        slot,
        initialised: info.token_initialized(),
        facts: TokenFacts {
            label: info.label().trim().to_owned(),
            serial: info.serial_number().trim().to_owned(),
            manufacturer: info.manufacturer_id().trim().to_owned(),
            model: info.model().trim().to_owned(),
            firmware: info.firmware_version().to_string(),
            hardware: info.hardware_version().to_string(),
            pin: pin_state(info),
        },
    }
}

fn pin_state(info: &TokenInfo) -> PinState {
    if !info.user_pin_initialized() {
        PinState::NotSet
    } else if info.user_pin_locked() {
        PinState::Locked
    } else if info.user_pin_final_try() {
        PinState::FinalTry
    } else if info.user_pin_to_be_changed() {
        PinState::MustChange
    } else if info.user_pin_count_low() {
        PinState::TriedWrong
    } else {
        PinState::Ready
    }
}

/// Finds the one token with this label and this serial number.
pub(crate) fn find(module: &Module, name: &TokenName) -> Result<Present, FindTokenError> {
    let tokens: Vec<Present> = present(module)
        .map_err(FindTokenError::Device)?
        .into_iter()
        .filter(|token| token.initialised)
        .collect();
    let has_label = |token: &&Present| token.facts.label == name.label.as_str();
    let has_serial = |token: &&Present| token.facts.serial == name.serial.as_str();
    let mut both = tokens.iter().filter(|token| has_label(token) && has_serial(token));
    match (both.next(), both.next()) {
        (Some(token), None) => return Ok(token.clone()),
        (Some(_), Some(_)) => return Err(FindTokenError::Twice { name: name.clone() }),
        (None, _) => {}
    }
    if let Some(other) = tokens.iter().find(has_serial) {
        return Err(FindTokenError::OtherLabel {
            name: name.clone(),
            found: other.facts.label.clone(),
        });
    }
    if let Some(other) = tokens.iter().find(has_label) {
        return Err(FindTokenError::OtherSerial {
            name: name.clone(),
            found: other.facts.serial.clone(),
        });
    }
    let seen = tokens.into_iter().map(|token| token.facts.label).collect();
    Err(FindTokenError::Missing { name: name.clone(), seen })
}

/// Why a token was not found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FindTokenError {
    /// Neither label nor serial is there.
    #[error("token {name} is not there; the module shows {seen:?}")]
    Missing {
        /// The token that was looked for.
        name: TokenName,
        /// The labels of the tokens that are there.
        seen: Vec<String>,
    },
    /// The serial is there under another label, perhaps another deployment's.
    #[error("token with serial {} is labelled {found:?}, configured is {:?}", .name.serial, .name.label.as_str())]
    OtherLabel {
        /// The token that was looked for.
        name: TokenName,
        /// The label that the token has.
        found: String,
    },
    /// The label is there on another token.
    #[error("token labelled {} has serial {found}, configured is {}", .name.label, .name.serial)]
    OtherSerial {
        /// The token that was looked for.
        name: TokenName,
        /// The serial that the token has.
        found: String,
    },
    /// Two slots show the same label and serial.
    #[error("two slots show the token {name}")]
    Twice {
        /// The token that was looked for.
        name: TokenName,
    },
    /// The tokens could not be listed.
    #[error("tokens could not be listed")]
    Device(#[source] Pkcs11Failure),
    /// The module is being initialised anew, and that took longer than the caller could wait.
    #[error("module {module:?} is being initialised again, which did not end in time")]
    Initialising {
        /// The module.
        module: PathBuf,
    },
}

impl FindTokenError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "hsm-token-missing",
            Self::OtherLabel { .. } => "hsm-token-label-mismatch",
            Self::OtherSerial { .. } => "hsm-token-serial-mismatch",
            Self::Twice { .. } => "hsm-token-twice",
            Self::Device(_) => "hsm-token-list",
            Self::Initialising { .. } => "hsm-initialising",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Missing { seen, .. } if seen.is_empty() => {
                "connect the token; the module shows none at all, so check that the program's environment \
                 has the module's own settings, such as SOFTHSM2_CONF or P11_KIT_SERVER_ADDRESS"
            }
            Self::Missing { .. } => "connect the token, or correct its label and serial",
            Self::OtherLabel { .. } | Self::OtherSerial { .. } => {
                "check that this is the right token of the right deployment, then correct the \
                 configuration; do not relabel the token"
            }
            Self::Twice { .. } => "disconnect one of them",
            Self::Device(failure) => failure.next_step(),
            Self::Initialising { .. } => {
                "try again; if it lasts, the module hangs in its initialisation: restart the program"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 9: a module without its settings shows no token, and that is another thing to mend than a cable.
    #[test]
    fn a_module_that_shows_no_token_points_at_its_settings() {
        let name = TokenName {
            label: "sg-td-ab12-issuing".parse().unwrap(),
            serial: "1".parse().unwrap(),
        };
        let missing = |seen| FindTokenError::Missing { name: name.clone(), seen }.next_step();

        assert!(missing(vec![]).contains("SOFTHSM2_CONF"));
        assert!(!missing(vec!["sg-td-ab12-root".to_owned()]).contains("SOFTHSM2_CONF"));
    }

    #[test]
    fn a_persons_token_has_the_label_that_its_maker_gave() {
        assert_eq!(TokenLabel::of_person("eID Åsa Öberg").unwrap().as_str(), "eID Åsa Öberg");
        for wrong in ["", " a", "a ", "a\nb", &"a".repeat(33)] {
            assert!(TokenLabel::of_person(wrong).is_err(), "{wrong:?}");
        }
    }

    /// Promise 8: labels carry the deployment.
    #[test]
    fn reads_labels_and_refuses_other_forms() {
        let label: TokenLabel = "sg-td-ab12-ocsp-1".parse().unwrap();

        assert_eq!(label.deployment(), "sg-td-ab12");
        assert!(format!("sg-pp-se01-{}", "a".repeat(21)).parse::<TokenLabel>().is_ok());
        for wrong in [
            "",
            "issuing",
            "sg-td-ab12",
            "sg-td-ab12-",
            "sg-xx-ab12-root",
            "sg-td-ab1-root",
            "sg-td-AB12-root",
            "sg-td-ab12-Root",
            "sg-td-ab12-a--b",
            "sg-td-ab12-root ",
            &format!("sg-pp-se01-{}", "a".repeat(22)),
        ] {
            assert!(wrong.parse::<TokenLabel>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn refuses_serials_that_are_empty_long_or_blank() {
        assert!("6f2a3b4c5d6e7f80".parse::<TokenSerial>().is_ok());
        for wrong in ["", "12345678901234567", "a b"] {
            assert!(wrong.parse::<TokenSerial>().is_err(), "{wrong}");
        }
    }
}

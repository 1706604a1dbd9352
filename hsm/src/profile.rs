//! The device profile: what a probe measured, as a file that the programs read.
//!
//! A profile holds for a device: module, model, firmware. It need not be made on the very token
//! that is used, and mostly is not, since a probe wants an empty one. So label and serial number in it
//! say where it was made, and the others are compared with the token in use (KEY-01). The format is
//! told in docs/formats/device-profile.md.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509::key::SignatureAlgorithm;
use x509::time::UnixTime;

use crate::module::Module;
use crate::probe::{Report, Row, Verdict, WRONG_PIN, check_ids};
use crate::quirks::{EcdsaInput, Quirks, WrongPins};
use crate::token::{TokenFacts, TokenName};

/// The first member of every profile of this version.
const FORMAT: &str = "sigill-device-profile/1";

/// A device profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceProfile {
    /// `sigill-device-profile/1`.
    format: String,
    /// When it was measured, RFC 3339.
    probed_at: String,
    /// The program that measured, and its version.
    program: String,
    /// The module, as it told of itself.
    module: ModuleTold,
    /// The token, as it told of itself.
    token: TokenTold,
    /// What the programs heed.
    quirks: Measured,
    /// Every check and what it came to.
    rows: Vec<Row>,
}

/// A module, as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleTold {
    /// Its file.
    pub path: PathBuf,
    /// Manufacturer, description, its version and that of PKCS#11.
    pub description: String,
}

/// A token, as it tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenTold {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Its maker.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its firmware version.
    pub firmware: String,
    /// Its hardware version.
    pub hardware: String,
}

/// What was measured that the programs heed or operators plan by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Measured {
    /// The types of keys that it makes by our template, such as `ec-p256`.
    pub key_types: Vec<String>,
    /// What it is given for ECDSA; `None` where it makes no such signatures.
    pub ecdsa: Option<EcdsaInput>,
    /// RSASSA-PKCS1-v1_5 over a DigestInfo with each of SHA-256, SHA-384 and SHA-512.
    pub rsa_pkcs1: bool,
    /// RSASSA-PSS over a digest, with each of the three.
    pub pss: bool,
    /// Ed25519.
    pub ed25519: bool,
    /// How many sessions are open at a time; `None` where as many as were tried are.
    pub max_sessions: Option<NonZeroUsize>,
    /// How long a session was left alone and still signed.
    pub idle_seconds: Option<u64>,
    /// The longest message that was signed in one call, in octets; `None` where digests are signed.
    pub longest_message: Option<usize>,
    /// Whether it has session objects.
    pub session_objects: bool,
}

impl ModuleTold {
    pub(crate) fn of(module: &Module) -> Self {
        Self { path: module.path().to_owned(), description: module.description().to_owned() }
    }
}

impl TokenTold {
    pub(crate) fn of(facts: &TokenFacts) -> Self {
        Self {
            label: facts.label.clone(),
            serial: facts.serial.clone(),
            manufacturer: facts.manufacturer.clone(),
            model: facts.model.clone(),
            firmware: facts.firmware.clone(),
            hardware: facts.hardware.clone(),
        }
    }
}

impl DeviceProfile {
    /// The profile of what a probe measured. `program` is its name and version.
    #[must_use]
    pub fn of(report: &Report, probed_at: UnixTime, program: &str) -> Self {
        Self {
            format: FORMAT.to_owned(),
            probed_at: probed_at.to_string(),
            program: program.to_owned(),
            module: report.module.clone(),
            token: report.token.clone(),
            quirks: report.measured.clone(),
            rows: report.rows.clone(),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Write`], for a module path that is not UTF-8.
    pub fn to_json(&self) -> Result<String, ProfileError> {
        let mut text = serde_json::to_string_pretty(self).map_err(ProfileError::Write)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads a profile. Members that this version does not know are refused.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ProfileError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let form = |source| ProfileError::Form { path: path.to_owned(), source };
        // The version first, so that a newer file is not refused for its unknown members.
        let value: serde_json::Value = serde_json::from_str(text).map_err(form)?;
        let found = value.get("format").and_then(serde_json::Value::as_str).unwrap_or_default();
        if found != FORMAT {
            let found = found.to_owned();
            return Err(ProfileError::Version { path: path.to_owned(), found });
        }
        let profile: Self = serde_json::from_value(value).map_err(form)?;
        if profile.rows.is_empty() {
            return Err(ProfileError::Empty { path: path.to_owned() });
        }
        Ok(profile)
    }

    fn quirks(&self) -> Quirks {
        let Measured { ecdsa, max_sessions, .. } = self.quirks;
        let ecdsa = ecdsa.unwrap_or_default();
        Quirks { ecdsa, max_sessions, wrong_pins: self.wrong_pins(), measured_on: None }
    }

    fn wrong_pins(&self) -> WrongPins {
        let told = |row: &Row| row.id == WRONG_PIN && row.verdict == Verdict::Passed;
        if self.rows.iter().any(told) { WrongPins::Told } else { WrongPins::Untold }
    }

    /// The ids of the checks in which something that Sigill needs is not so.
    #[must_use]
    pub fn failed(&self) -> Vec<&str> {
        let failed = self.rows.iter().filter(|row| row.verdict == Verdict::Failed);
        failed.map(|row| row.id.as_str()).collect()
    }

    /// The ids of the checks of this version that it has no row of.
    fn missing(&self) -> Vec<&'static str> {
        let there: BTreeSet<&str> = self.rows.iter().map(|row| row.id.as_str()).collect();
        check_ids().filter(|id| !there.contains(id)).collect()
    }

    /// In what module and token differ from those that were probed.
    fn differences(&self, module: &Module, token: &TokenFacts) -> Vec<Difference> {
        self.compare(&ModuleTold::of(module), &TokenTold::of(token))
    }

    fn compare(&self, module: &ModuleTold, token: &TokenTold) -> Vec<Difference> {
        [
            ("module", &self.module.description, &module.description),
            ("manufacturer", &self.token.manufacturer, &token.manufacturer),
            ("model", &self.token.model, &token.model),
            ("firmware", &self.token.firmware, &token.firmware),
            ("hardware", &self.token.hardware, &token.hardware),
        ]
        .into_iter()
        .filter(|(_, probed, used)| probed != used)
        .map(|(what, probed, used)| Difference { what, probed: probed.clone(), used: used.clone() })
        .collect()
    }
}

/// A profile that is heeded, and what a difference from the token in use means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiled {
    profile: Arc<DeviceProfile>,
    mismatch: Mismatch,
}

/// What it means that a profile is of another device than the token in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It is told, and the token is used.
    Told,
    /// The token is not used (environment prod).
    Refused,
}

impl Profiled {
    /// Reads a profile for use. Where differences are refused, one with failed checks is as well, and
    /// one that lacks checks: a row that is not there is no proof of anything.
    ///
    /// # Errors
    ///
    /// [`ProfileError`], [`ProfileError::Failed`] and [`ProfileError::Incomplete`] among them.
    pub fn read(path: &Path, mismatch: Mismatch) -> Result<Self, ProfileError> {
        Self::new(DeviceProfile::read(path)?, mismatch)
    }

    /// As [`Self::read`], of a profile that has been read.
    ///
    /// # Errors
    ///
    /// [`ProfileError::Failed`], [`ProfileError::Incomplete`].
    pub fn new(profile: DeviceProfile, mismatch: Mismatch) -> Result<Self, ProfileError> {
        let failed = profile.failed();
        if !failed.is_empty() {
            let ids = failed.join(", ");
            match mismatch {
                Mismatch::Refused => return Err(ProfileError::Failed { ids }),
                Mismatch::Told => tracing::warn!(
                    problem.code = "hsm-profile-failed",
                    "the device profile has failed checks ({ids}); in environment prod it is refused"
                ),
            }
        }
        let missing = profile.missing();
        if !missing.is_empty() {
            let ids = missing.join(", ");
            match mismatch {
                Mismatch::Refused => return Err(ProfileError::Incomplete { ids }),
                Mismatch::Told => tracing::warn!(
                    problem.code = "hsm-profile-incomplete",
                    "the device profile has no rows of {ids}; in environment prod it is refused"
                ),
            }
        }
        Ok(Self { profile: Arc::new(profile), mismatch })
    }

    /// Whether the device was seen to sign so.
    #[must_use]
    pub fn signs(&self, algorithm: SignatureAlgorithm) -> bool {
        let measured = &self.profile.quirks;
        match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::EcdsaP384Sha384 => {
                measured.ecdsa.is_some()
            }
            SignatureAlgorithm::Ed25519 => measured.ed25519,
            SignatureAlgorithm::RsaPkcs1Sha256
            | SignatureAlgorithm::RsaPkcs1Sha384
            | SignatureAlgorithm::RsaPkcs1Sha512 => measured.rsa_pkcs1,
            SignatureAlgorithm::RsaPssSha256
            | SignatureAlgorithm::RsaPssSha384
            | SignatureAlgorithm::RsaPssSha512 => measured.pss,
        }
    }

    /// The quirks that were measured, of tokens that fit.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        let quirks = self.profile.quirks();
        let wrong_pins = match self.mismatch {
            // The token in use may be another device.
            Mismatch::Told => WrongPins::Untold,
            Mismatch::Refused => quirks.wrong_pins,
        };
        Quirks { measured_on: Some(self.clone()), wrong_pins, ..quirks }
    }

    /// Compares a token with the device that was probed.
    pub(crate) fn judge(
        &self,
        module: &Module,
        name: &TokenName,
        facts: &TokenFacts,
    ) -> Result<(), ProfileError> {
        let differences = self.profile.differences(module, facts);
        if differences.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let (token, differences) = (name.clone(), list.join("; "));
        match self.mismatch {
            Mismatch::Refused => Err(ProfileError::Differs { token, differences }),
            Mismatch::Told => {
                tracing::warn!(
                    problem.code = "hsm-profile-differs",
                    token.label = %name.label,
                    token.serial = %name.serial,
                    "the device profile is of another device: {differences}; probe again"
                );
                Ok(())
            }
        }
    }
}

/// One fact in which two devices differ.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    what: &'static str,
    probed: String,
    used: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, probed, used } = self;
        write!(f, "{what} {used:?}, probed was {probed:?}")
    }
}

/// Why a profile is not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// It cannot be read.
    #[error("device profile {path:?} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no profile of this version.
    #[error("device profile {path:?} is not well formed")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is of another version, or something else.
    #[error("device profile {path:?} has format {found:?}, wanted is {FORMAT:?}")]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// It has no measurements.
    #[error("device profile {path:?} has no rows")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is of another device.
    #[error("device profile is of another device than token {token}: {differences}")]
    Differs {
        /// The token.
        token: TokenName,
        /// In what they differ.
        differences: String,
    },
    /// Something that Sigill needs is not so.
    #[error("device profile has failed checks: {ids}")]
    Failed {
        /// Their ids.
        ids: String,
    },
    /// Checks of this version have no row.
    #[error("device profile has no rows of the checks {ids}")]
    Incomplete {
        /// Their ids.
        ids: String,
    },
    /// It cannot be written as JSON.
    #[error("device profile cannot be written")]
    Write(#[source] serde_json::Error),
}

impl ProfileError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "hsm-profile-unreadable",
            Self::Form { .. } | Self::Version { .. } | Self::Empty { .. } => "hsm-profile-form",
            Self::Differs { .. } => "hsm-profile-differs",
            Self::Failed { .. } => "hsm-profile-failed",
            Self::Incomplete { .. } => "hsm-profile-incomplete",
            Self::Write(_) => "hsm-profile-write",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Read { .. } => "correct [hsm] profile, or the file's permissions",
            Self::Form { .. }
            | Self::Version { .. }
            | Self::Empty { .. }
            | Self::Incomplete { .. } => "make it anew: sigill-ceremony hsm probe --out",
            Self::Differs { .. } => {
                "probe an empty token of this model and firmware, and name its profile in [hsm]"
            }
            Self::Failed { .. } => {
                "read the rows that are named; a device that fails them keeps no keys of this \
                 environment"
            }
            Self::Write(_) => "put the module at a path that is UTF-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
        "format": "sigill-device-profile/1",
        "probed-at": "2026-11-22T08:00:00Z",
        "program": "sigill-ceremony 0.1.0",
        "module": {"path": "/usr/lib/m.so", "description": "Maker M 1.0 (PKCS#11 2.40)"},
        "token": {"label": "sg-td-ab12-spare", "serial": "1", "manufacturer": "Maker",
                  "model": "M", "firmware": "1.2", "hardware": "1.0"},
        "quirks": {"key-types": ["ec-p256"], "ecdsa": "hashed", "rsa-pkcs1": false, "pss": false,
                   "ed25519": false, "max-sessions": 10, "idle-seconds": null,
                   "longest-message": 1024, "session-objects": true},
        "rows": [{"id": "HP-01", "title": "t", "expected": "e", "clause": "c",
                  "verdict": "passed", "seen": "s"}]
    }"#;

    fn parse(text: &str) -> Result<DeviceProfile, ProfileError> {
        DeviceProfile::parse(text, Path::new("profile.json"))
    }

    /// KEY-01: quirks come from what was measured, not from a vendor's name.
    #[test]
    fn a_profile_gives_its_quirks_and_reads_back_as_it_was_written() {
        let profile = parse(TEXT).unwrap();

        let quirks = profile.quirks();
        assert_eq!(quirks.ecdsa, EcdsaInput::Hashed);
        assert_eq!(quirks.max_sessions, NonZeroUsize::new(10));
        assert_eq!(quirks.wrong_pins, WrongPins::Untold);
        assert_eq!(parse(&profile.to_json().unwrap()).unwrap(), profile);
    }

    /// Promise 6: that no flag is up counts only where this very device was seen to raise one.
    #[test]
    fn that_a_token_tells_of_wrong_pins_is_heeded_where_another_device_is_refused() {
        let with = |verdict| {
            let mut profile = parse(TEXT).unwrap();
            let row = profile.rows[0].clone();
            let row = |id: &str| Row { id: id.to_owned(), ..row.clone() };
            profile.rows = check_ids().map(row).collect();
            let told = profile.rows.iter_mut().find(|row| row.id == WRONG_PIN).unwrap();
            told.verdict = verdict;
            profile
        };
        let (told, differs) = (with(Verdict::Passed), with(Verdict::Differs));
        let of = |profile: &DeviceProfile, mismatch| {
            Profiled::new(profile.clone(), mismatch).unwrap().quirks().wrong_pins
        };

        assert_eq!(of(&told, Mismatch::Refused), WrongPins::Told);
        assert_eq!(of(&told, Mismatch::Told), WrongPins::Untold);
        assert_eq!(of(&differs, Mismatch::Refused), WrongPins::Untold);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let changed = |from: &str, to: &str| parse(&TEXT.replacen(from, to, 1)).unwrap_err();

        for (from, to) in [
            ("\"pss\": false", "\"pss\": false, \"psss\": true"),
            ("\"seen\": \"s\"", "\"seen\": \"s\", \"more\": 1"),
            ("\"passed\"", "\"good\""),
            ("\"hashed\"", "\"cooked\""),
            ("\"max-sessions\": 10", "\"max-sessions\": 0"),
            ("\"probed-at\"", "\"probed\""),
            ("{", "["),
        ] {
            assert!(matches!(changed(from, to), ProfileError::Form { .. }), "{to}");
        }
        let newer = changed("profile/1\"", "profile/2\", \"new\": true");
        assert!(matches!(&newer, ProfileError::Version { found, .. } if found.ends_with("/2")));
        assert_eq!(newer.code(), "hsm-profile-form");
        let start = TEXT.find("[{").unwrap();
        let without = format!("{}[]}}", &TEXT[..start]);
        assert!(matches!(parse(&without), Err(ProfileError::Empty { .. })));
    }

    /// KEY-01: the same model with another firmware is another device.
    #[test]
    fn names_in_what_the_token_in_use_differs() {
        let profile = parse(TEXT).unwrap();
        let mut token = profile.token.clone();
        token.label = "sg-td-ab12-issuing".to_owned();
        token.serial = "2".to_owned();
        assert!(profile.compare(&profile.module, &token).is_empty());

        token.firmware = "1.3".to_owned();
        let differences = profile.compare(&profile.module, &token);

        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].to_string(), r#"firmware "1.3", probed was "1.2""#);
    }

    /// KEY-01: in environment prod a device that failed a check signs nothing.
    #[test]
    fn a_profile_with_failed_checks_is_refused_where_differences_are() {
        let failed = parse(&TEXT.replace("\"passed\"", "\"failed\"")).unwrap();

        let refused = Profiled::new(failed.clone(), Mismatch::Refused).unwrap_err();
        assert!(matches!(&refused, ProfileError::Failed { ids } if ids == "HP-01"));
        assert!(Profiled::new(failed, Mismatch::Told).is_ok());
    }

    /// KEY-01: a row that is not there is no proof, so in environment prod all must be.
    #[test]
    fn a_profile_that_lacks_a_check_is_refused_where_differences_are() {
        let mut profile = parse(TEXT).unwrap();
        let row = profile.rows[0].clone();
        profile.rows = check_ids().map(|id| Row { id: id.to_owned(), ..row.clone() }).collect();
        assert!(Profiled::new(profile.clone(), Mismatch::Refused).is_ok());

        profile.rows.retain(|row| row.id != "HP-12");

        let refused = Profiled::new(profile.clone(), Mismatch::Refused).unwrap_err();
        assert!(matches!(&refused, ProfileError::Incomplete { ids } if ids == "HP-12"));
        assert!(Profiled::new(profile, Mismatch::Told).is_ok());
    }

    /// KEY-11: what a device was not seen to sign is not asked of it.
    #[test]
    fn a_profile_says_which_algorithms_its_device_signs() {
        let profile = Profiled::new(parse(TEXT).unwrap(), Mismatch::Told).unwrap();

        assert!(profile.signs(SignatureAlgorithm::EcdsaP384Sha384));
        for none in [
            SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::RsaPkcs1Sha256,
            SignatureAlgorithm::RsaPssSha512,
        ] {
            assert!(!profile.signs(none), "{none}");
        }
    }
}

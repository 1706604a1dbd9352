//! Which log, of which deployment: the first line of a checkpoint and the name of its key.
//!
//! A deployment is (environment, pki, instance). Which pairs of environment and PKI there are is
//! decided above this room; here the three parts are a name whose shape is checked, so that an
//! origin has one spelling and no character that a key name may not have.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::note::KeyName;

/// The name of one installation: `<environment>/<pki>/<instance>`, a-z and 0-9 between the slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentName(String);

impl DeploymentName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeploymentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeploymentName {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let mut parts = text.split('/');
        let (Some(environment), Some(pki), Some(instance), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(OriginError::Shape);
        };
        let plain = |part: &str| {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            (1..=16).contains(&part.len()) && part.bytes().all(allowed)
        };
        if plain(environment) && plain(pki) && plain(instance) && instance.len() == 4 {
            Ok(Self(text.to_owned()))
        } else {
            Err(OriginError::Deployment)
        }
    }
}

/// The logs a deployment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogName {
    /// What every certificate's status is and was.
    Status,
    /// What was done, and refused.
    Audit,
}

impl LogName {
    /// Returns the name as it stands in an origin.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Audit => "audit",
        }
    }
}

/// The identity of one log: `sigill/<environment>/<pki>/<instance>/<log>/<epoch>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogOrigin {
    /// Whose log.
    pub deployment: DeploymentName,
    /// Which of its logs.
    pub log: LogName,
    /// Which epoch; a new one begins only after a four-eyes decision.
    pub epoch: u32,
}

impl LogOrigin {
    /// Returns the origin as the name its key has in signature lines.
    #[must_use]
    pub fn key_name(&self) -> KeyName {
        KeyName::of_origin(self)
    }
}

impl fmt::Display for LogOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sigill/{}/{}/{}", self.deployment, self.log.as_str(), self.epoch)
    }
}

impl FromStr for LogOrigin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let rest = text.strip_prefix("sigill/").ok_or(OriginError::Shape)?;
        let (rest, epoch_text) = rest.rsplit_once('/').ok_or(OriginError::Shape)?;
        let (deployment, log) = rest.rsplit_once('/').ok_or(OriginError::Shape)?;
        let log = [LogName::Status, LogName::Audit]
            .into_iter()
            .find(|name| name.as_str() == log)
            .ok_or(OriginError::Log)?;
        let epoch: u32 = epoch_text.parse().map_err(|_| OriginError::Epoch)?;
        if epoch.to_string() != epoch_text {
            return Err(OriginError::Epoch);
        }
        Ok(Self { deployment: deployment.parse()?, log, epoch })
    }
}

/// Why a text does not name a deployment or one of its logs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OriginError {
    /// The parts.
    #[error("name is not sigill/<environment>/<pki>/<instance>/<log>/<epoch>")]
    Shape,
    /// The parts of the deployment.
    #[error("deployment is not <environment>/<pki>/<instance> of a-z and 0-9, the last of 4")]
    Deployment,
    /// The log.
    #[error("log is neither status nor audit")]
    Log,
    /// The epoch.
    #[error("epoch is not a decimal number below 2^32 without leading zeroes")]
    Epoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_origin_reads_back() {
        for text in [
            "sigill/test/demo/ab12/status/1",
            "sigill/test/systemtest/0000/audit/0",
            "sigill/qa/test/zzzz/status/4294967295",
            "sigill/prod/prod/se01/audit/7",
        ] {
            assert_eq!(text.parse::<LogOrigin>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_every_other_origin() {
        for (text, error) in [
            ("", OriginError::Shape),
            ("example.com/log", OriginError::Shape),
            ("sigill/status/1", OriginError::Shape),
            ("sigill/test/demo/status/1", OriginError::Shape),
            ("sigill/test/demo/ab12/x/status/1", OriginError::Shape),
            ("sigill//demo/ab12/status/1", OriginError::Deployment),
            ("sigill/Test/demo/ab12/status/1", OriginError::Deployment),
            ("sigill/te st/demo/ab12/status/1", OriginError::Deployment),
            ("sigill/test/demo/ab1/status/1", OriginError::Deployment),
            ("sigill/test/demo/AB12/status/1", OriginError::Deployment),
            ("sigill/test/demo/ab12/other/1", OriginError::Log),
            ("sigill/test/demo/ab12/status/", OriginError::Epoch),
            ("sigill/test/demo/ab12/status/01", OriginError::Epoch),
            ("sigill/test/demo/ab12/status/+1", OriginError::Epoch),
            ("sigill/test/demo/ab12/status/4294967296", OriginError::Epoch),
        ] {
            assert_eq!(text.parse::<LogOrigin>(), Err(error), "{text}");
        }
    }
}

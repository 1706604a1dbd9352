//! Why a configuration is refused, and what to do next.

use std::path::PathBuf;

use thiserror::Error;

use crate::contract::ContractFault;

impl ConfigError {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Authority { .. } | Self::Route { .. } | Self::Value { .. } => "config-value",
            Self::Contract(fault) => fault.code(),
            Self::Deployment { .. } => "deployment-unknown",
            Self::Parse { .. } => "config-malformed",
            Self::Read { .. } => "config-unreadable",
        }
    }

    /// What to do next.
    pub(crate) const fn next_step(&self) -> &'static str {
        match self {
            Self::Authority { .. } | Self::Route { .. } | Self::Value { .. } => {
                "correct the value; environments/demo/ocsp.toml tells each key"
            }
            Self::Contract(fault) => fault.next_step(),
            Self::Deployment { .. } => "correct the names of the deployment",
            Self::Parse { .. } => "correct the line that is named; unknown keys are errors",
            Self::Read { .. } => "correct the path, or the file's permissions",
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// A CA's name, twice or malformed, or its hash.
    #[error("authority {name:?}: name is not new, not a-z0-9- or sha256 not 64 hexadecimal digits")]
    Authority { name: String },
    /// The schedule and the freshness contract.
    #[error(transparent)]
    Contract(#[from] ContractFault),
    /// Only the compiled pairs exist.
    #[error("deployment {name} is none of test/demo, test/systemtest, qa/test, prod/prod")]
    Deployment { name: String },
    /// It is not the TOML that this program takes; the cause names line and key.
    #[error("configuration {path:?} is refused")]
    Parse {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file could not be read.
    #[error("cannot read configuration {path:?}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A path that is none, or an object that is not served.
    #[error("serve {object:?} at {path:?} is refused")]
    Route { path: String, object: String },
    /// A value out of its range.
    #[error("configuration key {key} = {found:?} is refused, wanted is {wanted}")]
    Value { key: &'static str, found: String, wanted: &'static str },
}

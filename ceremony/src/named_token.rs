//! The token that a command of the group `hsm` works on: five options, the same for each.

use std::path::PathBuf;

use clap::Args;
use hsm::pin::Pin;
use hsm::token::{TokenLabel, TokenName, TokenSerial};
use hsm::{Module, PinMarkers};

/// Which token, and what is needed to log in to it.
#[derive(Debug, Args)]
pub(crate) struct NamedToken {
    /// Absolute path of the PKCS#11 module.
    #[arg(long, value_name = "FILE")]
    module: PathBuf,
    /// The token's label, such as sg-td-ab12-issuing.
    #[arg(long, value_name = "LABEL")]
    label: TokenLabel,
    /// The token's serial number.
    #[arg(long, value_name = "SERIAL")]
    serial: TokenSerial,
    /// File of the user PIN: mode 0600 in a folder of mode 0700.
    #[arg(long, value_name = "FILE")]
    pin: PathBuf,
    /// Folder of the markers of refused PINs: that of the programs that use the token.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

impl NamedToken {
    /// Its name.
    pub(crate) fn name(&self) -> TokenName {
        TokenName { label: self.label.clone(), serial: self.serial.clone() }
    }

    /// Its module.
    ///
    /// # Errors
    ///
    /// Why it cannot be loaded.
    pub(crate) fn load(&self) -> anyhow::Result<Module> {
        Ok(Module::load(&self.module)?)
    }

    /// The user PIN.
    ///
    /// # Errors
    ///
    /// What is wrong with its file.
    pub(crate) fn pin(&self) -> anyhow::Result<Pin> {
        Ok(Pin::from_file(&self.pin)?)
    }

    /// The markers of refused PINs.
    ///
    /// # Errors
    ///
    /// What is wrong with their folder.
    pub(crate) fn markers(&self) -> anyhow::Result<PinMarkers> {
        Ok(PinMarkers::in_folder(&self.state)?)
    }
}

//! This very program, started again for each part of a ceremony as people start it: each loads the tokens of its own folder.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use ceremony_core::words::Fingerprint;
use hsm::token::TokenName;

use crate::home::{Home, folder_of};

/// Starts them.
pub(super) struct Children<'a> {
    /// The PKCS#11 module of tokens that stay.
    pub(super) module: &'a Path,
}

/// What a part of a ceremony said before it was refused.
#[derive(Debug)]
pub(crate) struct RefusedPart {
    /// Its lines.
    said: String,
    /// Its exit code.
    pub(crate) code: u8,
}

impl std::error::Error for RefusedPart {}

impl fmt::Display for RefusedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.said.trim_end())
    }
}

impl Children<'_> {
    /// Rehearses a plan; with the tokens' module where that is SoftHSM's.
    ///
    /// # Errors
    ///
    /// [`RefusedPart`].
    pub(super) fn rehearse(
        &self,
        plan: &Path,
        approvals: &[impl AsRef<Path>],
        out: &Path,
        is_softhsm: bool,
    ) -> anyhow::Result<()> {
        let mut command = command()?;
        command.arg("rehearse").arg(plan).arg("--out").arg(out);
        // What a rehearsal that was broken off leaves goes with the plan, which is written anew.
        command.env("TMPDIR", folder_of(plan));
        for approval in approvals {
            command.arg("--approval").arg(approval.as_ref());
        }
        if is_softhsm {
            command.arg("--module").arg(self.module);
        }
        said(&mut command).map(drop)
    }

    /// Holds a ceremony with nobody at it, or goes on with it.
    ///
    /// # Errors
    ///
    /// [`RefusedPart`].
    pub(super) fn run(
        &self,
        options: &[(&str, &Path)],
        plan: &Path,
        tokens: Option<&Path>,
    ) -> anyhow::Result<()> {
        let mut command = command()?;
        command.arg("run").arg(plan).arg("--unattended").arg("--module").arg(self.module);
        for (option, value) in options {
            command.arg(option).arg(value);
        }
        if let Some(tokens) = tokens {
            command.arg("--tokens").arg(tokens);
        }
        said(&mut command).map(drop)
    }

    /// The hash of what a token holds that was made in this room.
    ///
    /// # Errors
    ///
    /// [`RefusedPart`]; the room is away.
    pub(super) fn contents(&self, room: &Path, token: &TokenName) -> anyhow::Result<Fingerprint> {
        let room = Home::of_earlier(room)?;
        let mut command = command()?;
        command.args(["hsm", "inventory", "--hash", "--module"]).arg(self.module);
        command.args(["--label", token.label.as_str(), "--serial", token.serial.as_str()]);
        command.arg("--pin").arg(room.join("pins/root.pin")).arg("--state").arg(room.join("state"));
        command.env("SOFTHSM2_CONF", room.softhsm_configuration()?);
        Ok(said(&mut command)?.trim().parse()?)
    }
}

/// A part of a ceremony ends with this process: nobody is left who would go on with it.
fn command() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.arg("--end-with-parent").stdin(Stdio::null());
    Ok(command)
}

/// What it prints, once it came to its end.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().context("cannot start this program again")?;
    if output.status.success() {
        return String::from_utf8(output.stdout).context("this program printed no text");
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Without an exit code it was ended by a signal, of which it says nothing.
    let code = output.status.code().and_then(|code| u8::try_from(code).ok());
    let said = if code.is_none() { format!("error: {}", output.status) } else { said };
    Err(RefusedPart { said, code: code.unwrap_or(1) }.into())
}

//! PINs: from a file that only its owner can reach, or typed by a person. Never from a
//! configuration, an argument or the environment.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::str;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::failure::causes;
use crate::secret_file::{self, SecretFileError};

/// A PIN of a token's user or security officer; wiped when dropped, never shown.
#[derive(Clone)]
pub struct Pin {
    secret: SecretString,
    /// Where it was read from, for messages.
    file: Option<PathBuf>,
}

impl Pin {
    /// The fewest octets of a PIN that we use.
    pub const MIN_OCTETS: usize = 4;
    /// The most octets of a PIN: what tokens take (SoftHSM: 255).
    pub const MAX_OCTETS: usize = 255;

    /// Reads a PIN from a file of mode 0600 in a folder of mode 0700, both owned by the program's
    /// user. One newline at its end is not part of it.
    ///
    /// # Errors
    ///
    /// [`PinError`]; the PIN itself is in no message.
    pub fn from_file(path: &Path) -> Result<Self, PinError> {
        let octets = secret_file::read(path).map_err(PinError::File)?;
        let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let pin = Self::checked(line).ok_or_else(|| PinError::Form { path: path.to_owned() })?;
        Ok(Self { file: Some(path.to_owned()), ..pin })
    }

    /// Takes a PIN that the program itself has drawn, for a demo.
    ///
    /// # Errors
    ///
    /// [`PinError::FormTyped`] unless it has 4 to 255 octets and no control character.
    pub fn from_drawn(drawn: &Zeroizing<String>) -> Result<Self, PinError> {
        Self::checked(drawn.as_bytes()).ok_or(PinError::FormTyped)
    }

    /// Asks for a PIN on the program's terminal, without echo. `question` must name the token.
    ///
    /// # Errors
    ///
    /// [`PinError::NoTerminal`] where there is none; [`PinError::FormTyped`] for another form.
    pub fn from_terminal(question: &str) -> Result<Self, PinError> {
        Self::checked(&typed(question)?).ok_or(PinError::FormTyped)
    }

    /// Writes the PIN to a new file of mode 0600 in a folder of mode 0700. After a crash it is there whole or not at all.
    ///
    /// # Errors
    ///
    /// [`PinError::File`]; an existing file is never replaced.
    pub fn create_file(&self, path: &Path) -> Result<(), PinError> {
        let line = Zeroizing::new(format!("{}\n", self.secret.expose_secret()));
        let is_there = path.symlink_metadata().is_ok();
        let write = if is_there { secret_file::create } else { secret_file::create_whole };
        write(path, line.as_bytes()).map_err(PinError::File)
    }

    /// Whether two PINs are the same, as for one that is typed twice.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }

    fn checked(octets: &[u8]) -> Option<Self> {
        let text = str::from_utf8(octets).ok()?;
        let fine = (Self::MIN_OCTETS..=Self::MAX_OCTETS).contains(&text.len())
            && !text.chars().any(char::is_control);
        fine.then(|| Self { secret: SecretString::from(text), file: None })
    }

    /// As its file has it now; as it was where that cannot be read.
    pub(crate) fn read_again(&self) -> Self {
        match self.file().map(Self::from_file) {
            Some(Ok(pin)) => pin,
            Some(Err(error)) => {
                let causes = causes(&error);
                tracing::warn!(
                    "PIN file cannot be read again, so the PIN stays as it was: {causes}"
                );
                self.clone()
            }
            None => self.clone(),
        }
    }

    pub(crate) const fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The file that it was read from.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// Asks for a line of at most 255 octets on the program's terminal, without echo: a PIN's share, line by line.
///
/// # Errors
///
/// [`PinError::NoTerminal`] where there is none; [`PinError::FormTyped`] for what is no text.
pub fn line_from_terminal(question: &str) -> Result<Zeroizing<String>, PinError> {
    let typed = typed(question)?;
    let text = str::from_utf8(&typed).map_err(|_| PinError::FormTyped)?;
    let mut line = Zeroizing::new(String::with_capacity(text.len()));
    line.push_str(text);
    Ok(line)
}

fn typed(question: &str) -> Result<Zeroizing<Vec<u8>>, PinError> {
    let opened = File::options().read(true).write(true).open("/dev/tty");
    let mut terminal = opened.map_err(PinError::NoTerminal)?;
    silently(&mut terminal, question).map_err(PinError::NoTerminal)
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(hidden)")
    }
}

/// The terminal's settings, put back when dropped.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Nothing is left to do when the terminal is gone.
        let _gone = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn silently(terminal: &mut File, question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let input = terminal.try_clone()?;
    let before = tcgetattr(&input)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
    let quiet = Quiet { terminal: &input, before };
    tcsetattr(quiet.terminal, OptionalActions::Flush, &silent)?;
    // Asked only now, so that nothing of an answer is shown.
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;

    let mut line = Zeroizing::new(Vec::with_capacity(Pin::MAX_OCTETS + 2));
    let mut octet = Zeroizing::new([0_u8; 1]);
    loop {
        if terminal.read(octet.as_mut())? != 1 {
            // Half a PIN is none: the terminal is gone, or somebody ended its input.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if *octet == [b'\n'] || line.len() > Pin::MAX_OCTETS {
            return Ok(line);
        }
        line.extend_from_slice(octet.as_ref());
    }
}

/// Why there is no PIN.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// The file was refused.
    #[error("PIN file was refused")]
    File(#[source] SecretFileError),
    /// Its content is no PIN.
    #[error("{path:?} does not hold one PIN of 4 to 255 octets without control characters")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// What was typed or drawn is no PIN.
    #[error("PIN has not 4 to 255 octets without control characters")]
    FormTyped,
    /// There is nobody to ask.
    #[error("there is no terminal to ask for the PIN on")]
    NoTerminal(#[source] io::Error),
}

impl PinError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Form { .. } | Self::FormTyped => "pin-form",
            Self::NoTerminal(_) => "pin-no-terminal",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::File(error) => error.next_step(),
            Self::Form { .. } => "put the PIN alone on the file's one line",
            Self::FormTyped => "use a PIN of 4 to 255 octets",
            Self::NoTerminal(_) => "start the program on a terminal or give it a PIN file",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn pin_file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let path = folder.path().join("issuing.pin");
        secret_file::create(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_the_pin() {
        for content in [&b"12345678"[..], b"12345678\n", b"12345678\r\n"] {
            let (_folder, path) = pin_file(content);

            assert_eq!(Pin::from_file(&path).unwrap().secret().expose_secret(), "12345678");
        }
    }

    #[test]
    fn refuses_what_is_no_pin_without_showing_it() {
        for content in [&b""[..], b"123\n", b"1234\n5678\n", b"12\t34", &[b'9'; 256], b"12\xff34"] {
            let (_folder, path) = pin_file(content);

            let refused = Pin::from_file(&path).unwrap_err();

            assert!(matches!(refused, PinError::Form { .. }));
            assert!(!format!("{refused:?} {refused}").contains("1234"));
        }
    }

    /// KEY-02.
    #[test]
    fn is_never_shown() {
        let (_folder, path) = pin_file(b"12345678");

        assert_eq!(format!("{:?}", Pin::from_file(&path).unwrap()), "Pin(hidden)");
    }

    #[test]
    fn a_written_pin_reads_back() {
        let (_folder, path) = pin_file(b"12345678");
        let copy = path.with_file_name("copy.pin");

        Pin::from_file(&path).unwrap().create_file(&copy).unwrap();

        assert_eq!(fs::read(&copy).unwrap(), b"12345678\n");
        let refused = Pin::from_file(&path).unwrap().create_file(&copy).unwrap_err();
        assert!(matches!(refused, PinError::File(_)), "an existing file is never replaced");
    }
}

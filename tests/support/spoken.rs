//! What another program said: its exit code and both streams, for judges that are command lines.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::tool;

/// The answer of a program that has ended.
#[derive(Debug)]
pub struct Spoken {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Both streams as text, output first.
    pub text: String,
}

/// Runs `openssl` with these arguments in `folder`; `None` where it is not installed.
#[must_use]
pub fn openssl(folder: &Path, arguments: &[&str]) -> Option<Spoken> {
    let program = tool::find("openssl")?;
    Some(run(Command::new(program).args(arguments).current_dir(folder), &[]))
}

/// Runs `command` to its end with `input` as its standard input.
///
/// # Panics
///
/// If it cannot be started.
#[must_use]
pub fn run(command: &mut Command, input: &[u8]) -> Spoken {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin was piped");
    let output = thread::scope(|scope| {
        // A program may end without reading all of it.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().expect("the child can be waited for")
    });
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    Spoken {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        text: String::from_utf8_lossy(&text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_and_the_code_are_kept() {
        let spoken = run(Command::new("sh").args(["-c", "cat; echo loud >&2; exit 4"]), b"in ");

        assert_eq!(
            (spoken.code, spoken.text.as_str(), &spoken.out[..]),
            (4, "in loud\n", &b"in "[..])
        );
    }
}

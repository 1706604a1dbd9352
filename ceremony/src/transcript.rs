//! The transcript: what is about to be done is written down, flushed, and chained before it is done.
//!
//! One JSON object a line. Every line carries the Merkle leaf count and root over all lines before
//! it, so that a line cannot be changed, taken out or put in later without it being seen. This is
//! the ceremony's recorder: an intent is durable when its line is on the disk.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ledger::{Frontier, Hash, leaf_hash};
use serde_json::{Value, json};
use thiserror::Error;
use x509::signing::{Intent, Recorded, Recorder};
use x509::time::UnixTime;

/// An open transcript.
pub(crate) struct Transcript {
    path: PathBuf,
    file: File,
    frontier: Frontier,
}

impl Transcript {
    /// Opens the transcript at `path`, checks its chain, and goes on with it. A last line without
    /// its newline was never flushed whole and is taken off.
    ///
    /// # Errors
    ///
    /// Names the line that does not fit the lines before it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("transcript {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(named)?;
        let mut frontier = Frontier::new();
        let mut whole = 0_u64;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).with_context(named)? > 0 {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            check_line(text, &frontier).with_context(|| {
                format!("{}: line {}", named(), frontier.size().saturating_add(1))
            })?;
            frontier.append(leaf_hash(text)).map_err(|_| anyhow::anyhow!("transcript is full"))?;
            whole = whole.saturating_add(u64::try_from(line.len())?);
            line.clear();
        }
        file.set_len(whole).with_context(named)?;
        file.flush().with_context(named)?;
        Ok(Self { path: path.to_path_buf(), file, frontier })
    }

    /// Lines so far, and the root over them.
    pub(crate) fn head(&self) -> (u64, Hash) {
        (self.frontier.size(), self.frontier.root())
    }

    /// Writes one line and flushes it to the disk.
    ///
    /// # Errors
    ///
    /// [`TranscriptError`]; what the line announces must not be done then.
    pub(crate) fn write(
        &mut self,
        now: UnixTime,
        event: &str,
        facts: &Value,
    ) -> Result<(), TranscriptError> {
        let line = json!({
            "size": self.frontier.size(),
            "root": self.frontier.root().to_base64(),
            "time": now.to_string(),
            "event": event,
            "facts": facts,
        })
        .to_string();
        let fault = |source| TranscriptError::Write { path: self.path.clone(), source };
        self.file.write_all(line.as_bytes()).map_err(fault)?;
        self.file.write_all(b"\n").map_err(fault)?;
        self.file.sync_data().map_err(fault)?;
        self.frontier.append(leaf_hash(line.as_bytes())).map_err(|_| TranscriptError::Full)?;
        Ok(())
    }

    /// Records an intent to sign.
    ///
    /// # Errors
    ///
    /// [`TranscriptError`]; nothing may be signed then.
    pub(crate) fn record(
        &mut self,
        now: UnixTime,
        what: &str,
        intent: &Intent,
    ) -> Result<Recorded, TranscriptError> {
        Recorded::by(IntentLine { transcript: self, now, what }, intent)
    }
}

struct IntentLine<'a> {
    transcript: &'a mut Transcript,
    now: UnixTime,
    what: &'a str,
}

impl Recorder for IntentLine<'_> {
    type Error = TranscriptError;

    fn record(self, intent: &Intent) -> Result<(), TranscriptError> {
        self.transcript.write(
            self.now,
            "intent",
            &json!({
                "what": self.what,
                "intent": intent.id().to_string(),
                "kind": intent.kind().name(),
                "key": intent.issuer_key().to_string(),
                "algorithm": intent.algorithm().name(),
                "sha256": base16ct::lower::encode_string(intent.digest()),
            }),
        )
    }
}

fn check_line(text: &[u8], before: &Frontier) -> anyhow::Result<()> {
    let value: Value = serde_json::from_slice(text).context("not JSON")?;
    let size = value.get("size").and_then(Value::as_u64);
    let root = value.get("root").and_then(Value::as_str);
    ensure!(
        size == Some(before.size()) && root == Some(before.root().to_base64().as_str()),
        "does not continue the lines before it"
    );
    Ok(())
}

/// Why a line was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TranscriptError {
    /// No room for more lines.
    #[error("transcript is full")]
    Full,
    /// The medium failed.
    #[error("cannot write transcript {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("sigill-transcript-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    fn three_lines(path: &Path) {
        let mut transcript = Transcript::open(path).unwrap();
        for n in 0..3 {
            transcript.write(UnixTime::EPOCH, "test", &json!({ "n": n })).unwrap();
        }
    }

    #[test]
    fn goes_on_after_a_torn_last_line() {
        let path = file("torn");
        three_lines(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"size\":3,\"ro");
        std::fs::write(&path, bytes).unwrap();

        let mut transcript = Transcript::open(&path).unwrap();

        assert_eq!(transcript.head().0, 3);
        transcript.write(UnixTime::EPOCH, "test", &json!({})).unwrap();
        assert_eq!(Transcript::open(&path).unwrap().head().0, 4);
    }

    #[test]
    fn refuses_a_changed_a_missing_and_a_moved_line() {
        let path = file("changed");
        three_lines(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let changed = text.replacen("\"n\":0", "\"n\":9", 1);
        let missing = format!("{}\n{}\n", lines[0], lines[2]);
        let moved = format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2]);
        for bad in [changed, missing, moved] {
            std::fs::write(&path, bad).unwrap();

            assert!(Transcript::open(&path).is_err());
        }
    }
}

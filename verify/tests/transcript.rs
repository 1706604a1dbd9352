//! `sigill-verify transcript` over the shipped vectors, and over copies in which one thing is wrong (N17, N18).

#![cfg(test)]

#[path = "transcript/ceremony.rs"]
mod ceremony;
#[path = "transcript/kinds.rs"]
mod kinds;
#[path = "transcript/people.rs"]
mod people;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

struct Copy {
    folder: TempDir,
    lines: Vec<String>,
    head: String,
}

fn whole() -> Copy {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join("../docs/formats/vectors/transcripts.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let vector = &vectors["transcripts"][0];
    let lines = vector["lines"].as_array().unwrap().iter();
    Copy {
        folder: tempfile::tempdir().unwrap(),
        lines: lines.map(|line| line.as_str().unwrap().to_owned()).collect(),
        head: vector["head"].as_str().unwrap().to_owned(),
    }
}

impl Copy {
    fn file(&self, name: &str, lines: &[String]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        path
    }

    fn judged(&self, lines: &[String], more: &[&str]) -> Output {
        let file = self.file("transcript.jsonl", lines);
        verify(&file, more)
    }

    #[track_caller]
    fn refused(&self, lines: &[String], more: &[&str], said: &str) {
        let output = self.judged(lines, more);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(18), "{text}");
        assert!(text.starts_with("refused: R17: ") && text.contains(said), "{text}");
        assert!(output.stdout.is_empty());
    }
}

fn verify(file: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-verify"));
    command.arg("transcript").arg(file).args(more).output().unwrap()
}

#[test]
fn tells_what_a_whole_transcript_says_with_its_exceptions_first() {
    let copy = whole();
    let mirror = copy.file("mirror.jsonl", &copy.lines);
    let mirror = mirror.to_str().unwrap();
    // The head of everything, and the one that CLOSE names: either may stand on paper.
    let close: Value = serde_json::from_str(copy.lines.last().unwrap()).unwrap();
    for (head, held) in [(copy.head.as_str(), 14), (close["body"]["head"].as_str().unwrap(), 13)] {
        let output = copy.judged(&copy.lines, &["--mirror", mirror, "--head", head]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(first, "exception   line 12, root-key: no effect");
        for row in ["purpose     rehearsal", "lines       14, closed", "runs        2"] {
            assert!(text.contains(row), "{row}: {text}");
        }
        assert!(text.contains(&copy.head), "{text}");
        assert!(text.contains(&format!("lines 1 to {held} are held")), "{text}");
    }
    let output = copy.judged(&copy.lines, &["--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["head"], copy.head);
    assert_eq!(found["exceptions"].as_array().unwrap().len(), 2);
    assert_eq!((&found["closed"], &found["keys"]), (&true.into(), &3.into()));
    // As people read it from paper.
    let words: Vec<&str> =
        found["words"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    let output = copy.judged(&copy.lines, &["--head", &words.join(" ").to_uppercase()]);
    assert!(output.status.success(), "{output:?}");
    let output = copy.judged(&copy.lines, &["--head", &words[1..].join(" ")]);
    assert_eq!(output.status.code(), Some(2), "a word was left out: {output:?}");
}

/// N17: a changed octet, a dropped last record, two swapped, one cut out, one appended after CLOSE.
#[test]
fn a_transcript_to_which_something_was_done_is_refused() {
    let copy = whole();
    let lines = &copy.lines;
    let changed: Vec<String> =
        lines.iter().map(|line| line.replace("\"room\"", "\"roof\"")).collect();
    copy.refused(&changed, &[], "line 4: it continues other lines");
    copy.refused(&lines[..13], &[], "13 lines without CLOSE");
    copy.refused(&lines[..8], &[], "8 lines without CLOSE");
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    copy.refused(&swapped, &[], "line 3: it is numbered 3");
    let appended = [lines.as_slice(), &lines[..1]].concat();
    copy.refused(&appended, &[], "line 15: it is numbered 0");

    // Without its end it is judged where that is asked for, and a head of the paper that it lacks is missed.
    let part = copy.judged(&lines[..8], &["--unclosed"]);
    assert!(part.status.success(), "{part:?}");
    copy.refused(&lines[..8], &["--unclosed", "--head", &copy.head], "is not in it");
    copy.refused(lines, &["--head", &"00".repeat(32)], "is not in it");
}

/// A head that stands in a line which nobody compares with the lines before it is no head.
#[test]
fn a_head_that_is_only_mentioned_holds_nothing() {
    let copy = whole();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors");
    let text = fs::read_to_string(vectors.join("transcripts.json")).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let named = |vector: &&Value| vector["name"] == "a CHECK that mentions a head";
    let vector = vectors["transcripts"].as_array().unwrap().iter().find(named).unwrap();
    let lines = vector["lines"].as_array().unwrap().iter();
    let lines: Vec<String> = lines.map(|line| line.as_str().unwrap().to_owned()).collect();
    assert!(lines[1].contains(&"ab".repeat(32)));
    assert!(copy.judged(&lines, &[]).status.success());

    copy.refused(&lines, &["--head", &"ab".repeat(32)], "is not in it");
}

/// N18.
#[test]
fn copies_that_differ_are_refused_with_the_line() {
    let copy = whole();
    let mirror = copy.file("mirror.jsonl", &copy.lines[..13]);
    copy.refused(&copy.lines, &["--mirror", mirror.to_str().unwrap()], "from line 14 on");
}

#[test]
fn a_torn_line_is_refused() {
    let copy = whole();
    let file = copy.file("transcript.jsonl", &copy.lines);
    let octets = fs::read(&file).unwrap();
    fs::write(&file, &octets[..octets.len() - 1]).unwrap();
    let output = verify(&file, &["--unclosed"]);
    assert_eq!(output.status.code(), Some(18));
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 14 has no end"));
    assert_eq!(verify(Path::new("/nowhere"), &[]).status.code(), Some(1), "no transcript at all");
}

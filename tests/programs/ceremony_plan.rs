//! `sigill-ceremony plan`, asked of the program: the plan of a ceremony, its hash, and the script made from it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::spoken::Spoken;
use support::{program, spoken, workspace};

fn plan(words: &[&str]) -> Spoken {
    let mut command = Command::new(program::built("sigill-ceremony"));
    command.arg("plan").args(words).current_dir(workspace::root()).env_clear();
    spoken::run(&mut command, &[])
}

fn shipped() -> Vec<PathBuf> {
    let folder = fs::read_dir(workspace::root().join("docs/ceremonies/plans")).unwrap();
    folder.map(|entry| entry.unwrap().path()).collect()
}

/// A2, CER-02: the hash is the one that another program computes, and is the same every time.
#[test]
fn a_plan_is_judged_and_hashed_the_same_every_time() {
    for path in shipped() {
        let path = path.to_str().unwrap();
        let (one, two) = (plan(&["check", path]), plan(&["check", path]));
        assert_eq!((one.code, &one.text), (0, &two.text), "{path}");

        let hash = plan(&["hash", path]);
        let digits = hash.text.lines().next().unwrap();
        assert!(one.text.contains(digits), "{}", one.text);
        let words: Vec<&str> = hash.text.lines().skip(4).flat_map(str::split_whitespace).collect();
        assert_eq!(words.len(), 32, "{}", hash.text);

        let mut other = Command::new("sha256sum");
        let said = spoken::run(other.arg(path), &[]);
        assert!(said.text.starts_with(&format!("{digits} ")), "{}", said.text);

        let json = plan(&["hash", path, "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&json.out).unwrap();
        assert_eq!(
            (&json["sha256"], json["words"].as_array().unwrap().len()),
            (&digits.into(), 32)
        );
    }
}

/// A3: printed twice, the script is the same to the octet.
#[test]
fn a_script_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    for path in shipped() {
        let path = path.to_str().unwrap();
        let out = folder.path().join("script.html");
        let (one, two) =
            (plan(&["script", path]), plan(&["script", path, "--out", out.to_str().unwrap()]));
        assert_eq!((one.code, two.code), (0, 0), "{}{}", one.text, two.text);
        assert_eq!(one.out, fs::read(&out).unwrap(), "{path}");

        let text = plan(&["show", path]).text;
        assert!(text.contains("R20"), "the page of refusals: {text}");
    }
}

/// R01: every fault with what was seen, exit code 10, and nothing on standard output.
#[test]
fn a_plan_that_does_not_hold_is_refused_with_all_its_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    let text = fs::read_to_string(workspace::root().join("docs/ceremonies/plans/c1-root-key.toml"))
        .unwrap();
    fs::write(&path, text.replace("gap = 1", "gap = 0").replace("\"180d\"", "\"400d\"")).unwrap();
    let said = plan(&["check", path.to_str().unwrap()]);
    assert_eq!((said.code, said.out.len()), (10, 0), "{}", said.text);
    for part in ["error: R01: ", "number.gap = 0", "lifetime is 400 days", "; next: "] {
        assert!(said.text.contains(part), "{part}: {}", said.text);
    }

    for missing in ["none.toml", "docs"] {
        let said = plan(&["hash", missing]);
        assert_eq!(said.code, 10, "{}", said.text);
        assert!(said.text.contains(missing), "{}", said.text);
    }
}

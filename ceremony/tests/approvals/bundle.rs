//! `sigill-ceremony bundle` and `sigill-verify ceremony`: one ceremony, one file, and what other people's programs make of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ceremony_core::bundle::Bundle;
use serde_json::{Value, json};
use support::{program, spoken, workspace};
use x509::pem;
use x509::statement::SignedStatement;

use super::run::Ready;

/// The files of those who approve for production.
const APPROVED: [&str; 2] = ["per-brandt.production", "sara-nyman.production"];

fn pack(ready: &Ready<'_>, home: &str, out: &str, approvals: &[&str]) -> (i32, String) {
    let mut words = vec!["bundle".to_owned(), ready.0.path("plan.toml"), "--json".to_owned()];
    for (option, value) in [
        ("--home", ready.0.path(home)),
        ("--rehearsal", ready.0.path("rehearsal.jsonl")),
        ("--out", ready.0.path(out)),
    ] {
        words.extend([option.to_owned(), value]);
    }
    for approval in approvals {
        words.extend(["--approval".to_owned(), ready.0.path(approval)]);
    }
    ready.0.says(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Has the auditor's program judge a bundle under the two hashes that packing it told.
fn judge(ready: &Ready<'_>, bundle: &str, told: &Value) -> [String; 2] {
    judge_as(ready, bundle, told, &json!(true))
}

/// As [`judge`], of one that nobody sat at or that people did.
fn judge_as(ready: &Ready<'_>, bundle: &str, told: &Value, unattended: &Value) -> [String; 2] {
    let paper =
        ["/plan", "/head"].map(|name| told.pointer(name).unwrap().as_str().unwrap().to_owned());
    let [plan, head] = &paper;
    let mut judged = Command::new(program::built("sigill-verify"));
    judged.args(["ceremony", &ready.0.path(bundle), "--plan", plan, "--head", head, "--json"]);
    let judged = judged.output().unwrap();
    assert!(judged.status.success(), "{judged:?}");
    let found: Value = serde_json::from_slice(&judged.stdout).unwrap();
    for (name, value) in [("/holds", &json!(true)), ("/ceremony/unattended", unattended)] {
        assert_eq!(found.pointer(name), Some(value), "{found}");
    }
    paper
}

/// A ceremony of any kind that came to its end holds for the auditor's program.
pub(crate) fn holds(ready: &Ready<'_>, home: &str) {
    let out = format!("{home}.bundle.tar");
    let _absent = fs::remove_file(ready.0.path(&out));
    let (code, said) = pack(ready, home, &out, &APPROVED);
    assert_eq!(code, 0, "{said}");
    let _ = judge(ready, &out, &serde_json::from_str(&said).unwrap());
}

/// One that people held at the screen holds, and the program says so.
pub(crate) fn holds_attended(ready: &Ready<'_>, home: &str) {
    let out = format!("{home}.bundle.tar");
    let (code, said) = pack(ready, home, &out, &APPROVED);
    assert_eq!(code, 0, "{said}");
    let _ = judge_as(ready, &out, &serde_json::from_str(&said).unwrap(), &json!(false));
}

/// What does not belong to the ceremony is not packed.
pub(crate) fn is_not_packed(ready: &Ready<'_>, home: &str, code: &str, exit: i32) {
    let (seen, said) = pack(ready, home, "refused.tar", &APPROVED);
    assert_eq!((seen, said.starts_with(&format!("error: {code}: "))), (exit, true), "{said}");
    assert!(!Path::new(&ready.0.path("refused.tar")).exists());
}

/// Packs the ceremony of the home `root`, twice and at the end of its run; the same file each time. What does not belong together is not packed.
/// Whether OpenSSL is there to judge it too.
pub(crate) fn is_packed_and_judged(ready: &Ready<'_>) -> bool {
    let packed = |home: &str, out: &str, approvals: &[&str]| pack(ready, home, out, approvals);
    let both = APPROVED;
    let (code, said) = packed("root", "one.tar", &both);
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let octets = fs::read(ready.0.path("one.tar")).unwrap();
    assert_eq!(packed("root", "two.tar", &[both[1], both[0]]).0, 0);
    let mut words = ready.words("root", ".production");
    words.extend(["--bundle".to_owned(), ready.0.path("three.tar")]);
    assert_eq!(ready.0.says(&words.iter().map(String::as_str).collect::<Vec<_>>()).0, 0);
    // An approval of the rehearsal, and a second one of the same person, are not packed.
    let more = [both[0], "per-brandt", both[1], both[0]];
    assert_eq!(packed("root", "five.tar", &more).0, 0);
    for again in ["two.tar", "three.tar", "five.tar"] {
        assert!(fs::read(ready.0.path(again)).unwrap() == octets, "{again} is another");
    }

    fs::write(ready.0.path("two.tar"), "another").unwrap();
    fs::create_dir(ready.0.path("empty")).unwrap();
    let output = ready.0.path("root/ceremony/out/training.crl");
    let der = fs::read(&output).unwrap();
    for (home, out, approvals, code, exit) in [
        ("root", "two.tar", &both[..], "R19", 13),
        ("root", "four.tar", &both[..1], "R02", 11),
        ("root", "four.tar", &[both[0], both[0]], "R02", 11),
        ("root", "four.tar", &["per-brandt", "sara-nyman"], "R02", 11),
        ("empty", "four.tar", &both, "R17", 18),
    ] {
        let (seen, said) = packed(home, out, approvals);
        assert_eq!(seen, exit, "{said}");
        assert!(said.starts_with(&format!("error: {code}: ")), "{said}");
    }
    fs::write(&output, "another").unwrap();
    let (code, said) = packed("root", "four.tar", &both);
    assert_eq!((code, said.starts_with("error: R19: ")), (13, true), "{said}");
    fs::write(&output, der).unwrap();
    assert!(!Path::new(&ready.0.path("four.tar")).exists());

    let [plan, head] = judge(ready, "one.tar", &told);
    keep_as_vector(&octets, &plan, &head);
    others_judge(Path::new(&ready.0.path("one.tar")))
}

/// `tar` unpacks it, `sha256sum` finds each file as the manifest has it, and OpenSSL alone verifies every artefact and approval; whether that
/// is there.
fn others_judge(bundle: &Path) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &mut Command| {
        let run = command.output().unwrap();
        assert!(run.status.success(), "{command:?}: {run:?}");
    };
    run(Command::new("tar").arg("xf").arg(bundle).current_dir(&folder));
    let inside = folder.path().join("bundle");
    run(Command::new("sha256sum").args(["--strict", "--check", "MANIFEST"]).current_dir(&inside));

    let out = inside.join("out");
    let der = fs::read(out.join("training.cer")).unwrap();
    fs::write(inside.join("root.pem"), pem::encode(pem::Label::Certificate, &der)).unwrap();
    let judged = |words: &[&str], wanted: &str| {
        let Some(judged) = spoken::openssl(&inside, words) else { return false };
        assert_eq!(judged.code, 0, "{words:?}: {}", judged.text);
        assert!(judged.text.contains(wanted), "{words:?}: {}", judged.text);
        true
    };
    if !judged(
        &["verify", "-x509_strict", "-check_ss_sig", "-CAfile", "root.pem", "root.pem"],
        "OK",
    ) {
        return false;
    }
    let crl = ["crl", "-inform", "DER", "-in", "out/training.crl", "-CAfile", "root.pem", "-noout"];
    assert!(judged(&crl, "verify OK"));
    let mut count = 0;
    for approval in fs::read_dir(inside.join("approvals")).unwrap() {
        let signed = fs::read(approval.unwrap().path()).unwrap();
        let key = SignedStatement::open(&signed).unwrap().key().clone();
        let whole = String::from_utf8(signed).unwrap();
        let (text, behind) = whole.split_once("\n-- ").unwrap();
        let signature = behind.lines().last().unwrap().strip_prefix("-- ").unwrap();
        fs::write(inside.join("text"), format!("{text}\n")).unwrap();
        fs::write(inside.join("signature.base64"), format!("{signature}\n")).unwrap();
        fs::write(inside.join("key.pem"), pem::encode(pem::Label::PublicKey, key.spki_der()))
            .unwrap();
        let decode = ["base64", "-d", "-A", "-in", "signature.base64", "-out", "signature"];
        assert!(judged(&decode, ""));
        let own = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-in", "text", "-rawin"];
        let digest: &[&str] = match key.key_type() {
            x509::key::KeyType::Ed25519 => &[],
            _ => &["-digest", "sha256"],
        };
        let words = [&own[..], &["-sigfile", "signature"], digest].concat();
        assert!(judged(&words, "Signature Verified Successfully"));
        count += 1;
    }
    assert_eq!(count, 2);
    true
}

/// With `SIGILL_REGENERATE_VECTORS=1` this very ceremony becomes the one that the second reader and `sigill-verify` are tested with.
fn keep_as_vector(octets: &[u8], plan: &str, head: &str) {
    if std::env::var_os("SIGILL_REGENERATE_VECTORS").is_none() {
        return;
    }
    let folder: PathBuf = workspace::root().join("docs/formats/vectors");
    fs::write(folder.join("ceremony-bundle.tar"), octets).unwrap();
    let bundle = Bundle::from_archive(octets).unwrap();
    let manifest = bundle.manifest();
    let lines: Vec<&str> = manifest.lines().collect();
    let told = json!({ "plan": plan, "head": head, "manifest": lines });
    let text = serde_json::to_string_pretty(&told).unwrap() + "\n";
    fs::write(folder.join("ceremony-bundle.json"), text).unwrap();
}

//! The end of a key: as it was rehearsed, whenever it is broken off, and of nothing but what was approved.

use std::fs;
use std::path::Path;
use std::process::Command;

use ceremony_core::transcript::{Kind, Record};
use ceremony_core::words::Fingerprint;
use serde_json::Value;
use support::softhsm::{MODULE, SoftHsm, alone};
use support::test_name;
use x509::certificate::Certificate;

use super::bundle;
use super::kinds::Root;
use super::rehearsal::{BOTH, Rehearsed, texts};
use super::run::Ready;

/// The plan by which this root's key ends.
fn ending<'a>(softhsm: &'a SoftHsm, root: &Root<'a>) -> Rehearsed<'a> {
    let key = Certificate::from_der(&root.out("training.cer")).unwrap();
    let key = key.public_key().spki_hash().to_string();
    let mut more = root.token();
    let planned = "8a6e3f788ac06e325a26440652264b905fe36d6cb26aece259b46aa1b05863bd";
    more.insert(0, (planned.to_owned(), key));
    Rehearsed::of(softhsm, "c7-training", &[], more)
}

/// What the token holds, by the record of its inventory.
fn objects(root: &Root<'_>) -> usize {
    let said = root.inventory("--json");
    let record: Value = serde_json::from_slice(&said.stdout).unwrap();
    record.get("objects").unwrap().as_array().unwrap().len()
}

fn copies(records: &[Record]) -> Vec<&[String]> {
    let names = |one: &&Record| one.text("what") == Some("other copy of the key");
    records.iter().filter(names).map(|one| one.who.as_slice()).collect()
}

/// A15, KEY-08, N20: a key that no program may remove ends with its token, once, wherever the ceremony is broken off; what is left is looked for and
/// does not sign; the auditor's program judges it, and the token's own inventory is empty.
#[test]
fn a_key_ends_with_its_token_as_it_was_rehearsed() {
    alone(test_name!(a_key_ends_with_its_token_as_it_was_rehearsed), |softhsm| {
        if Command::new("pkcs11-tool").arg("--version").output().is_err() {
            return println!("skipped: pkcs11-tool is not installed");
        }
        let root = Root::held(softhsm);
        let ready = Ready::of(ending(softhsm, &root), Some(root.home.clone()));
        assert_eq!(objects(&root), 2, "a rehearsal destroys nothing");
        let tokens = root.home.join("tokens");
        let before = softhsm.state().join("before");
        let copied = |from: &Path, to: &Path| {
            let _absent = fs::remove_dir_all(to);
            let run = Command::new("cp").arg("-a").args([from, to]).output().unwrap();
            assert!(run.status.success(), "{run:?}");
        };
        copied(&tokens, &before);

        // People at the screen do not destroy yet, and that is said before anything is done.
        let words = ready.words("end", ".production");
        let at = |name: &str| words.iter().position(|word| word == name).unwrap();
        let (flag, people) = (at("--unattended"), at("--people"));
        let kept = words
            .iter()
            .enumerate()
            .filter(|(place, _)| ![flag, people, people + 1].contains(place));
        let kept: Vec<&str> = kept.map(|(_, word)| word.as_str()).collect();
        let (code, said) = ready.0.says(&kept);
        assert!(code != 0 && said.contains("nothing was done"), "{code}: {said}");
        assert_eq!(objects(&root), 2);

        let (code, said) = ready.run("end");
        assert_eq!(code, 0, "{said}");
        assert_eq!(objects(&root), 0);
        let records = ready.judge_transcript("end");
        assert_eq!(texts(&records, "act"), ["destroy"]);
        assert_eq!(copies(&records), [["vera-sund".to_owned(), "olle-dahl".to_owned()]]);
        // Another program finds no key to sign with.
        let pin = fs::read_to_string(root.home.join("pins/root.pin")).unwrap();
        let login = ["--login", "--pin", pin.trim()];
        let text = softhsm.state().join("text");
        fs::write(&text, "signed by nobody").unwrap();
        let sign = ["--sign", "--mechanism", "ECDSA", "--input-file", text.to_str().unwrap()];
        let said = pkcs11_tool(&root, &[&login[..], &sign].concat()).unwrap_err();
        assert!(said.contains("key not found"), "{said}");
        assert_eq!(
            pkcs11_tool(&root, &[&login[..], &["--list-objects"]].concat()),
            Ok(String::new())
        );
        let gone = "no object in its token, and no signature by it";
        assert!(texts(&records, "result").iter().any(|result| result == gone));
        bundle::holds(&ready, "end");
        // What came to its end is told again, and nothing is destroyed twice.
        assert_eq!(ready.run("end").0, 0);

        // Announced, and killed before the token was touched; with the token erased and without a user PIN; and with it finished.
        let announced = ready.announced("end", "destroy", "root") + 1;
        copied(&before, &tokens);
        ready.cut("end", announced, &[]);
        assert_eq!(ready.run("end").0, 0);
        assert_eq!((objects(&root), root.home.join("pins/root.pin").exists()), (0, true));
        for erased in [true, false] {
            copied(&before, &tokens);
            ready.cut("end", announced, &[]);
            if erased {
                // As a crash leaves it: nothing in it, and no user PIN.
                let pin = fs::read_to_string(root.home.join("pins/root.so-pin")).unwrap();
                let words = ["--init-token", "--label", "sg-td-tr01-root", "--so-pin", pin.trim()];
                pkcs11_tool(&root, &words).unwrap();
            } else {
                // By half: the private key alone is gone.
                remove_an_object(&tokens);
            }
            let (code, said) = ready.run("end");
            assert_eq!(code, 0, "{said}");
            assert_eq!(objects(&root), 0);
            let records = ready.judge_transcript("end");
            assert_eq!(texts(&records, "adopted"), ["found by a later run"]);
            assert_eq!(
                (texts(&records, "act"), copies(&records).len()),
                (vec!["destroy".to_owned()], 1)
            );
        }
        // Told, and killed before it was looked for once more.
        let told = ready.records("end").iter().rposition(|one| one.kind == Kind::Result).unwrap();
        ready.cut("end", told + 1, &[]);
        assert_eq!(ready.run("end").0, 0);
        bundle::holds(&ready, "end");

        // Somebody put a key back meanwhile: it is not the empty token that was told of.
        ready.cut("end", ready.records("end").len() - 1, &[]);
        copied(&before, &tokens);
        ready.refused("end", "R06", 14, "still holds 2 objects");
        assert_eq!(objects(&root), 2);
    });
}

/// What another program makes of the token.
fn pkcs11_tool(root: &Root<'_>, words: &[&str]) -> Result<String, String> {
    let run = Command::new("pkcs11-tool")
        .args(["--module", MODULE, "--slot-index", "0"])
        .args(words)
        .env("SOFTHSM2_CONF", root.home.join("softhsm2.conf"))
        .output()
        .unwrap();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    if run.status.success() { Ok(text(&run.stdout)) } else { Err(text(&run.stderr)) }
}

/// One file of an object of the one token is gone, as a crash leaves it.
fn remove_an_object(tokens: &Path) {
    let token = fs::read_dir(tokens).unwrap().next().unwrap().unwrap().path();
    let objects = fs::read_dir(token).unwrap().map(|file| file.unwrap().path());
    let is_object = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".object") && name != "token.object"
    };
    let mut objects: Vec<_> = objects.filter(is_object).collect();
    objects.sort();
    fs::remove_file(objects.first().unwrap()).unwrap();
}

/// KEY-08, N26, N27: nothing ends but the key that people approved, alone in the token that they approved, and not while its CA needs it.
#[test]
fn nothing_ends_but_what_was_approved() {
    alone(test_name!(nothing_ends_but_what_was_approved), |softhsm| {
        let root = Root::held(softhsm);
        let world = ending(softhsm, &root);
        let none = |records: &[Record]| assert!(texts(records, "act").is_empty());
        // With a list that ends before its CA.
        let inputs = [("certificate", "training.cer"), ("crl", "training.crl")];
        let inputs = inputs.map(|(content, file)| {
            fs::write(world.path(&format!("in/{file}")), root.out(file)).unwrap();
            let sha256 = Fingerprint::of(&root.out(file));
            format!(
                "[[input]]\nname    = \"{content}\"\ncontent = \"{content}\"\nfile    = \"in/{file}\"\nsha256  = \"{sha256}\"\nfrom    = [\"the root\"]\n\n"
            )
        });
        let step = "[[step]]\nid         = \"inventory\"";
        let basis = "legal-basis =";
        let named = "certificate = \"certificate\"\nfinal-crl   = \"crl\"\nlegal-basis =";
        world.plan_twice((step, &format!("{}{step}", inputs.concat())), (basis, named));
        none(&world.refused(BOTH, "R13", 17, "is in force until"));
        for file in ["training.cer", "training.crl"] {
            fs::remove_file(world.path(&format!("in/{file}"))).unwrap();
        }

        // Of a plan with another key, which the token does not hold.
        let key = Certificate::from_der(&root.out("training.cer")).unwrap();
        let key = key.public_key().spki_hash().to_string();
        world.plan(&key, &"ab".repeat(32));
        let ready = Ready::of(world, Some(root.home.clone()));
        ready.refused("other", "R12", 16, "does not hold the key abab");
        none(&ready.records("other"));
        assert_eq!(objects(&root), 2);

        // Approved for a token that held something else then.
        let world = ready.0;
        let hash = world.expected();
        world.plan(&hash, &"ab".repeat(32));
        let ready = Ready::of(world, Some(root.home.clone()));
        ready.refused("elsewhere", "R06", 14, "the plan expects abab");
        none(&ready.records("elsewhere"));
        assert_eq!(objects(&root), 2);
    });
}

//! `sigill-ceremony run` with people at the screen, by answers from a file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use ceremony_core::attendance::TO_BE_SIGNED;
use ceremony_core::plan::Plan;
use ceremony_core::transcript::{Kind, Record};
use support::softhsm::{MODULE, USER_PIN, alone};
use support::test_name;

use super::rehearsal::{Rehearsed, texts};
use super::run::Ready;
use super::{bundle, token};

/// Those whom preparing the token of the training requires, in the order in which they are asked.
pub(crate) const ALL: [&str; 14] = [
    "kerstin-lund",
    "olle-dahl",
    "vera-sund",
    "anna-berg",
    "bo-lind",
    "cecilia-ros",
    "david-ahl",
    "eva-falk",
    "frida-alm",
    "gustav-ask",
    "hanna-bjork",
    "ivar-gran",
    "jenny-lonn",
    "ragnar-holm",
];
/// Those whom every other step requires.
const FEW: [&str; 7] = [
    "kerstin-lund",
    "olle-dahl",
    "vera-sund",
    "anna-berg",
    "bo-lind",
    "cecilia-ros",
    "ragnar-holm",
];

/// The words of a run at the screen; a file answers where there is one.
pub(crate) fn words(ready: &Ready<'_>, home: &str, answers: Option<&str>) -> Vec<String> {
    let mut words = ready.words(home, ".production");
    words.retain(|word| word != "--unattended");
    words.extend(answers.into_iter().flat_map(|file| ["--answers".to_owned(), ready.0.path(file)]));
    words
}

/// Runs it by these answers.
fn answered(ready: &Ready<'_>, home: &str, answers: &str) -> (i32, String) {
    fs::write(ready.0.path("answers"), answers).unwrap();
    let words = words(ready, home, Some("answers"));
    ready.0.says(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn ends(ready: &Ready<'_>, home: &str, answers: &str, code: i32, wanted: &str) -> Vec<Record> {
    let (seen, said) = answered(ready, home, answers);
    let end: String = said.lines().rev().take(3).collect();
    assert_eq!(seen, code, "{end}");
    assert!(said.contains(wanted), "{wanted}: {end}");
    ready.records(home)
}

/// Up to the first person.
fn begun(ready: &Ready<'_>) -> String {
    format!(
        "begin =\nread-back plan = @paper {}\nwhole plan =\nclock 1 = @now\nclock 2 = @now\n",
        ready.0.path("plan.toml")
    )
}

fn present(people: &[&str]) -> String {
    people.iter().map(|person| format!("present {person} =\n")).collect()
}

/// Each custodian takes the share, and reads it back.
fn shares(pin: &str, custodians: &[&str]) -> String {
    let one = |who: &&str| {
        format!("alone {pin} {who} =\nshare {pin} {who} =\nshare-back {pin} {who} = @shown\n")
    };
    custodians.iter().map(one).collect()
}

/// The token is prepared, up to its head.
fn prepared() -> String {
    let mut text = present(&ALL) + "step token =\n";
    text += &shares("root-so", &ALL[8..13]);
    text += &shares("root-user", &ALL[3..8]);
    text + "done token =\nhead token =\n"
}

/// All steps after the token's, to the end.
fn signed(ready: &Ready<'_>, home: &str) -> String {
    let path = |file: &str| ready.0.path(&format!("{home}/ceremony/{file}"));
    let read = |file: &str| format!("read-back {file} = @paper {}\nwhole {file} =\n", path(file));
    let mut text =
        format!("step root-key =\n{}done root-key =\nhead root-key =\n", read("root-key.spki"));
    for (step, file) in
        [("root-certificate", "training.cer.tbs"), ("first-crl", "training.crl.tbs")]
    {
        let read = format!("text {file} =\n{}", read(file));
        let _ = writeln!(text, "step {step} =\n{read}done {step} =\nhead {step} =");
    }
    text + "head end =\n"
}

/// The words of the shares that screens showed under this title, in the order in which they came.
fn shown(said: &str, title: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut words, mut is_share): (Vec<&str>, bool) = (Vec::new(), false);
    for line in said.lines() {
        if ["Share ", "Head "].iter().any(|title| line.starts_with(title)) {
            (words, is_share) = (Vec::new(), line.contains(title));
        }
        let parts: Vec<&str> = line.split_whitespace().collect();
        if let [number, rest @ ..] = parts.as_slice()
            && is_share
            && number.parse::<usize>() == Ok(words.len() + 1)
            && rest.len() == 4
        {
            words.extend(rest);
            if words.len() == 32 {
                found.push(words.join(" "));
                words.clear();
                is_share = false;
            }
        }
    }
    found
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(fs::read(path).unwrap());
        }
    }
    all
}

/// A5, A13, N19, CER-04: people hold it at the screen, pause it and go on; witnesses read what is signed, shares open the token, and nothing of a share is in any file. A wrong share
/// is named and counted over all runs.
#[test]
fn people_hold_a_ceremony_pause_it_and_go_on() {
    alone(test_name!(people_hold_a_ceremony_pause_it_and_go_on), |softhsm| {
        let ready = Ready::new(softhsm);
        let until = begun(&ready) + &prepared();
        let (code, said) = answered(&ready, "root", &(until + "step root-key = p\n"));
        assert_eq!(code, 3, "{said}");
        let paused = ready.records("root");
        assert_eq!(paused.last().unwrap().kind, Kind::Pause);
        assert_eq!(texts(&paused, "act"), ["prepare-token"]);
        assert!(!Path::new(&ready.0.path("root/pins")).exists(), "no PIN lies in a file");

        let [user, officer] = ["user PIN", "security officer's PIN"].map(|pin| shown(&said, pin));
        assert_eq!((user.len(), officer.len()), (5, 5));
        let again = begun(&ready) + &present(&FEW);
        let joins = |number: usize, words: &str| format!("joins root-user {number} = {words}\n");

        // Too few people: nobody is asked for a share.
        let absent = begun(&ready)
            + &present(&FEW[..3])
            + "present anna-berg = a ill\n"
            + "present bo-lind = a\npresent cecilia-ros = a\npresent david-ahl =\npresent eva-falk =\npresent ragnar-holm =\n";
        let records = ends(
            &ready,
            "root",
            &absent,
            12,
            "step root-key requires 3 of role custodian, and 2 are in the room",
        );
        let reasons = texts(&records, "reason");
        assert!(reasons.contains(&"absent: ill".to_owned()), "{reasons:?}");

        // Of another PIN: named, and told.
        let wrong = again.clone() + &joins(1, &user[0]) + &joins(2, &officer[0]);
        let records = ends(&ready, "root", &wrong, 1, "share is of set");
        assert_eq!(texts(&records, "pin"), ["root-user"]);

        // The second one ends it, for every run after it too.
        for end in ["root", "root.mirror"] {
            let (from, to) = (ready.0.path(end), ready.0.path(&end.replace("root", "wrong")));
            assert!(Command::new("cp").args(["-a", &from, &to]).status().unwrap().success());
        }
        let second = again.clone() + &joins(1, &officer[0]);
        let _ = ends(&ready, "wrong", &second, 19, "error: R15: ");
        let records = ends(&ready, "wrong", &again, 19, "2 wrong shares or PINs of root-user");
        assert_eq!(texts(&records, "act"), ["prepare-token"]);

        // Misread is not wrong, and the same share is not two.
        let misread = user[1].replacen(' ', " optic ", 1);
        let rest = signed(&ready, "root");
        let goes_on = again.clone()
            + &joins(1, &user[4])
            + &joins(2, &misread)
            + &joins(2, &user[4])
            + &joins(2, &user[1])
            + &joins(3, &user[2])
            + &rest;
        let (code, said) = answered(&ready, "root", &goes_on);
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("Read the sheet again") && said.contains("was given twice"),
            "{said}"
        );
        let records = ready.judge_transcript("root");
        let read: Vec<&Record> = records.iter().filter(|one| one.kind == Kind::Readback).collect();
        assert_eq!(read.len(), 2);
        for one in read {
            assert_eq!(
                (one.text("what"), &one.who[..]),
                (Some(TO_BE_SIGNED), &["vera-sund".to_owned()][..])
            );
        }
        for octets in files(Path::new(&ready.0.path("root"))) {
            for words in user.iter().chain(&officer) {
                let line = words.split(' ').take(4).collect::<Vec<_>>().join(" ");
                assert!(
                    !octets
                        .windows(line.len())
                        .any(|seen| seen.eq_ignore_ascii_case(line.as_bytes()))
                );
            }
        }
        bundle::holds_attended(&ready, "root");
        // Told again at any time.
        let (code, again) = answered(&ready, "root", "");
        assert_eq!(code, 0, "{again}");
    });
}

/// CER-02, N19: a person answers with a key in a token of his own, and PINs that people know are typed; none lies in any file. Two that the token refuses are the last, also for
/// the runs after.
#[test]
fn people_answer_by_their_own_tokens_and_type_pins() {
    alone(test_name!(people_answer_by_their_own_tokens_and_type_pins), |softhsm| {
        let (name, key) = token(softhsm);
        let pins = softhsm.pins();
        fs::write(pins.join("olle-dahl.key"), "in a token\n").unwrap();
        fs::write(pins.join("olle-dahl.hash"), key.spki_hash().to_string()).unwrap();
        let (label, serial) = (name.label.as_str(), name.serial.as_str());
        let own = format!("module = \"{MODULE}\"\nlabel = \"{label}\"\nserial = \"{serial}\"\n");
        fs::write(pins.join("olle-dahl.toml"), own).unwrap();
        let typed = ("= \"shares\"".to_owned(), "= \"device\"".to_owned());
        let ready = Ready::of(Rehearsed::training(softhsm, vec![typed]), None);
        let _ = ends(&ready, "root", "begin = p\n", 3, "asked for at the screen");
        // SoftHSM finds all tokens of a program in one folder.
        let (from, to) = (softhsm.tokens().join("."), ready.0.path("root/tokens"));
        assert!(Command::new("cp").arg("-a").args([from, to.into()]).status().unwrap().success());

        let olle = format!("present olle-dahl =\npin olle-dahl = {USER_PIN}\n");
        let one = |pin: &str, text: &str| format!("pin {pin} 1 = {text}\npin {pin} 2 = {text}\n");
        let prepared = begun(&ready)
            + &present(&ALL[..1])
            + &olle
            + &present(&ALL[2..])
            + "step token =\n"
            + "pin root-so 1 = officer-4711\npin root-so 2 = officer-4712\n"
            + &one("root-so", "officer-4711")
            + &one("root-user", "secret-4711")
            + "done token =\nhead token =\nstep root-key = p\n";
        let records = ends(&ready, "root", &prepared, 3, "asked for at the screen");
        assert!(
            records.iter().any(|record| record.kind == Kind::Attest && record.who == ["olle-dahl"])
        );
        assert_eq!(texts(&records, "act"), ["prepare-token"]);
        for octets in files(Path::new(&ready.0.path("root"))) {
            for pin in ["officer-4711", "secret-4711", USER_PIN] {
                assert!(!octets.windows(pin.len()).any(|seen| seen == pin.as_bytes()), "{pin}");
            }
        }

        let again = begun(&ready) + &present(&FEW[..1]) + &olle + &present(&FEW[2..]);
        let wrong =
            again.clone() + "pin root-user 1 = secret-0001\npin root-user 1 = secret-0002\n";
        let _ = ends(&ready, "root", &wrong, 19, "error: R15: ");
        let records = ends(&ready, "root", &again, 19, "2 wrong shares or PINs of root-user");
        assert_eq!(texts(&records, "act"), ["prepare-token"]);
    });
}

/// N1, N2, N19, N23, N38, R20: what people do otherwise than they must ends it before any token is touched.
#[test]
fn what_people_do_otherwise_is_refused_before_a_token_is_touched() {
    alone(test_name!(what_people_do_otherwise_is_refused_before_a_token_is_touched), |softhsm| {
        let swedish = ["\"en\"", "\"sv\""].map(|tag| format!("language    = {tag}"));
        // A module of a person's token that the plan knows, by another hash.
        let module = softhsm.pins().join("known.so");
        fs::write(&module, "no module").unwrap();
        let known = format!(
            "= \"shares\"\n\n[[own-module]]\nfile = \"{}\"\nsha256 = \"{}\"",
            module.display(),
            "1".repeat(64)
        );
        let known = ("= \"shares\"".to_owned(), known);
        let ready = Ready::of(Rehearsed::training(softhsm, vec![swedish.into(), known]), None);
        let tokens =
            |home: &str| fs::read_dir(ready.0.path(&format!("{home}/tokens"))).unwrap().count();
        let untouched = |home: &str, records: &[Record]| {
            assert!(texts(records, "act").is_empty(), "{home}");
            assert_eq!(tokens(home), 0, "{home}");
        };
        let plan = Plan::read(&fs::read(ready.0.path("plan.toml")).unwrap()).unwrap();

        // Two words that changed places, three times.
        let swapped =
            format!("begin =\n{}", "read-back plan = optic onlooker ringbolt recover\n".repeat(3));
        let records = ends(&ready, "swapped", &swapped, 3, "plan lästes tre gånger annorlunda än");
        assert_eq!(records.last().unwrap().kind, Kind::Pause);
        untouched("swapped", &records);

        let late = begun(&ready).replace("clock 2 = @now", "clock 2 = @now 90");
        untouched("late", &ends(&ready, "late", &late, 13, "error: R03: this machine's clock is"));

        // One person's key for two people, three times; his deputy is away too.
        let hers = ready.0.key("kerstin-lund").display().to_string();
        let twice = begun(&ready)
            + &present(&ALL[..1])
            + &format!("present olle-dahl = {hers}\n").repeat(3)
            + "present nils-ek = a\n"
            + &present(&ALL[2..]);
        let records = ends(
            &ready,
            "twice",
            &twice,
            12,
            "step token requires 1 of role operator, and 0 are in the room",
        );
        untouched("twice", &records);
        let reasons = texts(&records, "reason");
        assert_eq!(reasons, ["absent: gave no answer that holds", "absent: no reason given"]);

        // What a person's file names is not run in the process that has the PINs, unless the plan does.
        let own = softhsm.pins().join("own.toml");
        let mut said = String::new();
        for named in ["known.so", "other.so"] {
            let module = softhsm.pins().join(named);
            let text =
                format!("module = \"{}\"\nlabel = \"a\"\nserial = \"1\"\n", module.display());
            fs::write(&own, text).unwrap();
            let home = named.trim_end_matches(".so");
            let loads = begun(&ready)
                + &present(&ALL[..1])
                + &format!("present olle-dahl = {}\n", own.display()).repeat(3)
                + "present nils-ek = a\n"
                + &present(&ALL[2..]);
            let (code, more) = answered(&ready, home, &loads);
            assert_eq!(code, 12, "{more}");
            untouched(home, &ready.records(home));
            said += &more;
        }
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("the plan names 1111"), "{said}");
        assert!(said.contains("own token is none of the plan's"), "{said}");

        // Who goes is not there: his deputy is asked for, and answers.
        let leaves = begun(&ready)
            + &present(&ALL)
            + "step token = l nobody\nstep token = l olle-dahl\n"
            + "present olle-dahl = a home\npresent nils-ek =\nstep token = p\n";
        let records = ends(&ready, "leaves", &leaves, 3, "begärd vid skärmen");
        untouched("leaves", &records);
        let gone = records.iter().find(|record| record.text("what") == Some("leaves")).unwrap();
        assert_eq!(gone.who, ["olle-dahl"]);
        assert!(
            records.iter().any(|record| record.kind == Kind::Attest && record.who == ["nils-ek"])
        );

        // A share that is read back otherwise than it was shown, three times.
        let other = "share root-so frida-alm =\nshare-back root-so frida-alm = optic onlooker ringbolt recover\n";
        let shares = begun(&ready)
            + &present(&ALL)
            + "step token =\nalone root-so frida-alm =\n"
            + &other.repeat(3);
        untouched("shares", &ends(&ready, "shares", &shares, 3, "Frida Alm read back otherwise"));

        // An answer to another question, and the end of the answers.
        untouched(
            "other",
            &ends(&ready, "other", "step token =\n", 1, "and the screen asks \"begin\""),
        );
        untouched("ended", &ends(&ready, "ended", "begin =\n", 1, "ends, and the screen asks"));

        // Nobody sits at a pipe.
        let piped = words(&ready, "piped", None);
        let (code, said) = ready.0.says(&piped.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(
            (code, said.contains("error: R20: standard input and output are not a terminal")),
            (13, true),
            "{said}"
        );
        assert!(!Path::new(&ready.0.path("piped")).exists());

        // Answers from a file are for test/demo.
        let text = fs::read_to_string(ready.0.path("plan.toml")).unwrap();
        let real = text
            .replacen("pki         = \"demo\"", "pki         = \"systemtest\"", 1)
            .replace(plan.tokens[0].label.as_str(), "sg-ts-tr01-root");
        fs::write(ready.0.path("plan.toml"), real).unwrap();
        let (code, said) = answered(&ready, "real", "");
        assert_eq!(
            (code, said.contains("error: R07: a file answers in deployment test/demo alone")),
            (13, true),
            "{said}"
        );
        assert!(!Path::new(&ready.0.path("real")).exists());
    });
}

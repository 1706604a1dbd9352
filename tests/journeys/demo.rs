//! `sigill-ceremony demo`: its ceremonies hold before the auditor's program, whenever it is killed, and in a home that was made before it neither draws nor rewrites what
//! exists. And a second responder, which must not touch the first one's token.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::spoken::{self, Spoken};
use support::suite::Check;

use crate::deployment::Template;

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("demo::its_ceremonies_hold_before_the_auditor", its_ceremonies_hold_before_the_auditor),
    ("demo::killed_at_any_point_it_goes_on", killed_at_any_point_it_goes_on),
    ("demo::stops_where_a_ceremony_is_refused", stops_where_a_ceremony_is_refused),
    ("demo::keeps_what_an_operator_has_changed", keeps_what_an_operator_has_changed),
    (
        "demo::needs_no_pin_once_the_ceremony_is_finished",
        needs_no_pin_once_the_ceremony_is_finished,
    ),
    ("demo::tells_a_new_profile_from_one_taken_away", tells_a_new_profile_from_one_taken_away),
    ("demo::draws_no_pin_for_a_token_that_exists", draws_no_pin_for_a_token_that_exists),
    ("demo::refuses_other_addresses_than_before", refuses_other_addresses_than_before),
    (
        "demo::refuses_what_does_not_fit_before_a_key_is_made",
        refuses_what_does_not_fit_before_a_key_is_made,
    ),
    (
        "demo::a_run_that_was_broken_off_goes_on_and_tells_of_it",
        a_run_that_was_broken_off_goes_on_and_tells_of_it,
    ),
    ("demo::writes_what_a_shell_sources", writes_what_a_shell_sources),
    ("demo::names_the_way_out_of_a_wrong_pin", names_the_way_out_of_a_wrong_pin),
    ("demo::a_second_responder_ends_before_it_logs_in", a_second_responder_ends_before_it_logs_in),
];

fn read(home: &Path, name: &str) -> String {
    fs::read_to_string(home.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn done(said: &Spoken) -> &str {
    assert_eq!(said.code, 0, "{}", said.text);
    &said.text
}

fn refused<'a>(said: &'a Spoken, code: &str) -> &'a str {
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains(&format!("error: {code}: ")), "{}", said.text);
    &said.text
}

/// Markers of refused PINs in the state folder: a PIN was tried and was wrong.
fn markers(home: &Path) -> usize {
    let entries = fs::read_dir(home.join("state")).expect("a state folder");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".marker")).count()
}

/// The ceremonies of a demo, by their folders: root (C1), issuing keys (C2), issuing (C3).
const CEREMONIES: [&str; 3] = ["root", "issuing-keys", "issuing"];

/// Times that a demo is killed, spread over the whole of its making.
const KILLS: u32 = 2;

/// Judges a bundle of this home by the two hashes that stand in `paper`, and writes the report.
fn judged(home: &Path, ceremony: &str, report: &Path) -> serde_json::Value {
    let folder = home.join("ceremonies").join(ceremony);
    let paper = fs::read_to_string(folder.join("paper")).expect("the paper");
    let hash = |of: &str| {
        let line = paper.lines().find_map(|line| line.strip_prefix(of));
        line.expect("a hash").trim().to_owned()
    };
    let mut verify = Command::new(support::program::built("sigill-verify"));
    verify.arg("ceremony").arg(folder.join(format!("{ceremony}.bundle.tar"))).arg("--json");
    verify.args(["--plan", &hash("plan"), "--head", &hash("head")]).arg("--report").arg(report);
    let judged = spoken::run(&mut verify, &[]);
    assert_eq!(judged.code, 0, "{ceremony}: {}", judged.text);
    serde_json::from_slice(&judged.out).expect("JSON")
}

/// CER-01, CER-11: the auditor's program accepts each bundle, the first page of each report says that nobody sat at it and which rule was waived for that; what the CA
/// is given is what the bundles hold; the keys of the root never lay where a server looks.
fn its_ceremonies_hold_before_the_auditor(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    for ceremony in CEREMONIES {
        let report = home.join(format!("{ceremony}.html"));
        judged(home, ceremony, &report);
        let text = fs::read_to_string(&report).expect("a report");
        let (first, _) = text.split_once("</section>").expect("a first page");
        for said in ["Nobody sat at this ceremony", "the rule of a terminal (R20) was waived"] {
            assert!(first.contains(said), "{ceremony}: {first}");
        }
        let bundle = home.join("ceremonies").join(ceremony).join(format!("{ceremony}.bundle.tar"));
        let unpacked = home.join(ceremony);
        fs::create_dir(&unpacked).expect("a folder");
        let mut tar = Command::new("tar");
        tar.arg("xf").arg(&bundle).args(["--strip-components", "1", "-C"]).arg(&unpacked);
        done(&spoken::run(&mut tar, &[]));
        for made in fs::read_dir(unpacked.join("out")).expect("outputs") {
            let made = made.expect("an output").path();
            let name = made.file_name().expect("a name");
            let given = fs::read(home.join("ceremony/out").join(name));
            if made.extension().is_some_and(|kind| kind == "csr") {
                assert!(given.is_err(), "{made:?} is none of the CA's");
            } else {
                assert_eq!(given.expect("an output"), fs::read(&made).expect("it"), "{made:?}");
            }
        }
    }
    let tokens = |folder: &str| fs::read_dir(home.join(folder)).map_or(0, Iterator::count);
    assert_eq!((tokens("tokens"), tokens("offline/tokens")), (3, 1));
    assert_eq!(tokens("ceremonies/issuing-keys/room/tokens"), 0, "it was carried to the CA");
}

/// N20: killed with all that it has started, at any point, a demo is made to its end by the next run, and each ceremony holds; or where the making of a key was cut
/// in two, it stops by R06 and nothing on that token is used.
fn killed_at_any_point_it_goes_on(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let began = Instant::now();
    let whole = deployment.home.with_file_name("whole");
    done(&spoken::run(&mut deployment.demo_in(&whole), &[]));
    let took = began.elapsed();
    let mut stopped = 0;
    for kill in 0..KILLS {
        let home = deployment.home.with_file_name(format!("killed-{kill}"));
        let mut command = deployment.demo_in(&home);
        let mut demo = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a demo");
        thread::sleep(took.saturating_mul(2 * kill + 1) / (2 * KILLS));
        demo.kill().expect("a kill");
        demo.wait().expect("an end");
        // Its children end with it; the system takes a moment.
        let mut again = spoken::run(&mut deployment.demo_in(&home), &[]);
        for _ in 0..10 {
            if !again.text.contains("another run is at work") {
                break;
            }
            thread::sleep(Duration::from_millis(200));
            again = spoken::run(&mut deployment.demo_in(&home), &[]);
        }

        if again.code == 14 {
            assert!(again.text.contains("error: R06: "), "{}", again.text);
            stopped += 1;
            continue;
        }
        done(&again);
        for ceremony in CEREMONIES {
            judged(&home, ceremony, &home.join(format!("{ceremony}.html")));
        }
        let left = fs::read_dir(home.join("ceremonies/root")).expect("a folder");
        let names = left.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert_eq!(names.filter(|name| name.starts_with("sigill-rehearsal-")).count(), 0);
    }
    println!("measured: {KILLS} kills, {stopped} in the midst of a key");
}

/// There is no way round a refusal: a profile by which the delegate cannot end 30 days after the CRL stops the rehearsal (R11), the demo ends with its code and says where,
/// and no root is made. Mended, it goes on.
fn stops_where_a_ceremony_is_refused(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = deployment.home.with_file_name("refused");
    fs::create_dir_all(home.join("config/profiles")).expect("a folder");
    let profile = "config/profiles/ocsp-offline.toml";
    let shipped = read(&deployment.home, profile);
    assert!(shipped.contains("\"397d\""), "{shipped}");
    fs::write(home.join(profile), shipped.replace("\"397d\"", "\"300d\"")).expect("a profile");

    let said = spoken::run(&mut deployment.demo_in(&home), &[]);

    assert_eq!(said.code, 15, "{}", said.text);
    assert!(said.text.contains("error: R11: "), "{}", said.text);
    let rehearsal = format!("in the rehearsal in {}", home.join("ceremonies/root").display());
    assert!(said.text.contains(&rehearsal), "{}", said.text);
    assert!(!home.join("offline").exists() && !home.join("ceremony/out/outputs.json").exists());
    fs::write(home.join(profile), shipped).expect("a profile");
    done(&spoken::run(&mut deployment.demo_in(&home), &[]));
    judged(&home, "root", &home.join("root.html"));
}

fn keeps_what_an_operator_has_changed(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    let changed = read(home, "config/ca.toml").replace("revoke = true", "revoke = false");
    fs::write(home.join("config/ca.toml"), &changed).expect("a change");
    let profile = "config/profiles/function.toml";
    let edited = format!("# ours\n{}", read(home, profile));
    fs::write(home.join(profile), &edited).expect("a change");
    fs::remove_file(home.join("config/profiles/function-ec.toml")).expect("a profile");

    let again = deployment.demo(&[]);

    let said = done(&again);
    assert_eq!(read(home, "config/ca.toml"), changed);
    assert_eq!(read(home, profile), edited);
    assert!(!home.join("config/profiles/function-ec.toml").exists());
    assert!(said.contains("kept config/ca.toml"), "{said}");
    assert!(said.contains(&format!("kept {profile}")), "{said}");
    assert!(said.contains("function-ec.toml was taken away and stays away"), "{said}");
    assert!(!said.contains("person-hsaid-3-signature"), "{said}");

    let forced = deployment.demo(&["--rewrite-config"]);

    assert!(done(&forced).contains("config/ca.toml was written anew"), "{}", forced.text);
    assert!(read(home, "config/ca.toml").contains("revoke = true"));
    assert!(!read(home, profile).contains("# ours"));
    assert!(home.join("config/profiles/function-ec.toml").exists());
}

/// A profile that a later version ships arrives; one that was taken away does not come back with it.
fn tells_a_new_profile_from_one_taken_away(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    // As if the version before had not shipped it.
    let list = "ceremony/profiles-shipped";
    let shipped = read(home, list);
    assert!(shipped.contains("function-ec.toml\n"), "{shipped}");
    fs::write(home.join(list), shipped.replace("function-ec.toml\n", "")).expect("a list");
    for name in ["function-ec.toml", "function.toml"] {
        fs::remove_file(home.join("config/profiles").join(name)).expect("a profile");
    }

    let again = deployment.demo(&[]);

    let said = done(&again);
    assert!(said.contains("function-ec.toml is new in this version"), "{said}");
    assert!(said.contains("function.toml was taken away and stays away"), "{said}");
    assert!(home.join("config/profiles/function-ec.toml").exists());
    assert!(!home.join("config/profiles/function.toml").exists());
    let once_more = deployment.demo(&[]);
    assert!(!done(&once_more).contains("is new in this version"), "{}", once_more.text);
}

/// KEY-02: the root's PIN is taken away after the ceremony, and nothing asks for it again.
fn needs_no_pin_once_the_ceremony_is_finished(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    fs::remove_dir_all(home.join("offline")).expect("the folder offline");
    fs::remove_dir_all(home.join("pins")).expect("the folder pins");
    fs::remove_file(home.join("tls/portal.key")).expect("a key that was carried to its client");

    done(&deployment.demo(&[]));

    assert!(!home.join("offline").exists());
    assert!(!home.join("tls/portal.key").exists());
    assert_eq!(markers(home), 0);
}

fn draws_no_pin_for_a_token_that_exists(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    // As a demo that was broken off at its very end: the root is needed no more.
    let manifest = home.join("ceremony/out/outputs.json");
    fs::remove_file(&manifest).expect("the manifest");
    let away = home.join("away");
    fs::rename(home.join("offline"), &away).expect("the folder offline");
    done(&deployment.demo(&[]));
    assert!(!home.join("offline").exists());

    // Broken off before the root's last ceremony, and within its first.
    for (ceremony, gone) in [("issuing", "transcript.jsonl"), ("root", "rehearsal.jsonl")] {
        fs::remove_file(&manifest).expect("the manifest");
        let folder = home.join("ceremonies").join(ceremony);
        let bundle = folder.join(format!("{ceremony}.bundle.tar"));
        let packed = fs::read(&bundle).expect("a bundle");
        fs::remove_file(&bundle).expect("a bundle");
        let told = fs::read(folder.join(gone)).ok();
        let _ = fs::remove_file(folder.join(gone));

        let again = deployment.demo(&[]);

        let said = refused(&again, "ceremony-pin-missing");
        assert!(
            said.contains(
                "root's PIN is not in offline/pins, though its token exists: bring the folder \
                 back; nothing was tried"
            ),
            "{said}"
        );
        assert!(!home.join("offline").exists());
        assert_eq!(markers(home), 0);
        fs::write(&bundle, packed).expect("a bundle");
        if let Some(told) = told {
            fs::write(folder.join(gone), told).expect("a transcript");
        }
        done(&deployment.demo(&[]));
    }

    fs::remove_file(&manifest).expect("the manifest");
    let pin = home.join("pins/management.pin");
    let drawn = fs::read(&pin).expect("a PIN");
    fs::remove_file(&pin).expect("a PIN");
    let again = deployment.demo(&[]);
    let said = refused(&again, "ceremony-pin-missing");
    assert!(said.contains("management's PIN is not in pins/management.pin"), "{said}");
    assert!(!pin.exists());
    fs::rename(&away, home.join("offline")).expect("the folder offline");
    fs::write(&pin, drawn).expect("a PIN");
    fs::set_permissions(&pin, Permissions::from_mode(0o600)).expect("its mode");
    // No try of the PIN was spent, or the token would say so and this would be refused.
    done(&deployment.demo(&[]));
}

fn refuses_other_addresses_than_before(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    let before = (read(home, "config/ca.toml"), read(home, "config/ocsp.toml"));
    let made = deployment.ocsp_url().replace("http://", "");
    // By the record, and in a home of a version that kept none by its configurations.
    for _ in 0..2 {
        let again = deployment.demo(&["--public", "127.0.0.1:9", "--rewrite-config"]);

        let said = refused(&again, "ceremony-address");
        assert!(said.contains(&format!("--public {made}, not 127.0.0.1:9")), "{said}");
        assert_eq!((read(home, "config/ca.toml"), read(home, "config/ocsp.toml")), before);
        let _ = fs::remove_file(home.join("ceremony/addresses"));
    }
}

/// KEY-11: an algorithm that is not one of the key's, and a key that the CA's profile does not allow.
fn refuses_what_does_not_fit_before_a_key_is_made(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let written = "key         = \"rsa-4096\"\nalgorithm   = \"rsa-pkcs1-sha256\"";
    for (new, code, named) in [
        (
            "key = \"rsa-4096\"\nalgorithm = \"ecdsa-p256-sha256\"",
            "ceremony-algorithm",
            ["\"ecdsa-p256-sha256\", and keys of type rsa-4096", "rsa-pss-sha512"],
        ),
        (
            "key = \"ed25519\"",
            "ceremony-key-not-allowed",
            ["keys of type ed25519", "config/profiles/root.toml"],
        ),
    ] {
        let (home, again) = deployment.demo_anew(written, new);

        let said = refused(&again, code);
        for words in named {
            assert!(said.contains(words), "{said}");
        }
        let tokens = fs::read_dir(home.join("tokens")).map_or(0, Iterator::count);
        assert_eq!(tokens, 0, "{code}");
    }
}

/// What a crash leaves: the transcript up to an intent, with or without what it announced.
struct Broken {
    act: &'static str,
    what: &'static str,
    /// Whether the output of the signature is there.
    is_made: bool,
    told: &'static str,
}

/// CER-06, promise 2: what a run announced and did not come to tell of is told by the next: a key that is there is
/// adopted and never made again, and so is a signature that was kept; one that nobody has is made anew. The second
/// reader of transcripts and `sigill-verify` come to the same head.
fn a_run_that_was_broken_off_goes_on_and_tells_of_it(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    let management = "sigilltestmanagementcav1";
    let transcript = home.join("ceremony/transcript.jsonl");
    let adopted = "\"adopted\":\"found by a later run\"";
    let keys = |text: &str| text.matches("\"act\":\"generate-key\"").count();
    let made = keys(&read(home, "ceremony/transcript.jsonl"));
    for (number, Broken { act, what, is_made, told }) in [
        Broken { act: "generate-key", what: "responder-identity", is_made: true, told: adopted },
        Broken { act: "generate-key", what: management, is_made: true, told: adopted },
        Broken { act: "sign", what: "management-ca.cer", is_made: true, told: adopted },
        Broken {
            act: "sign",
            what: "management-portal.cer",
            is_made: false,
            told: "is signed anew",
        },
    ]
    .into_iter()
    .enumerate()
    // The last first: what is cut off is not told of again.
    .rev()
    {
        let text = read(home, "ceremony/transcript.jsonl");
        let is_it = |line: &&str| {
            line.contains("\"type\":\"INTENT\"")
                && line.contains(&format!("\"act\":\"{act}\""))
                && line.contains(&format!("\"what\":\"{what}\""))
        };
        let place = text.lines().position(|line| is_it(&line)).expect("its intent") + 1;
        let kept: String = text.lines().take(place).map(|line| format!("{line}\n")).collect();
        fs::write(&transcript, kept + "{\"body\":{\"act").expect("a torn transcript");
        fs::remove_file(home.join("ceremony/out/outputs.json")).expect("the end is missing");
        if !is_made {
            fs::remove_file(home.join("ceremony/out").join(what)).expect("the output is missing");
        }

        done(&deployment.demo(&[]));

        let text = read(home, "ceremony/transcript.jsonl");
        let line = |more: usize| text.lines().nth(place + more).unwrap_or_default();
        assert!(line(0).contains("\"type\":\"RESUME\""), "{}", line(0));
        let after: Vec<&str> = text.lines().skip(place + 1).collect();
        let telling = after.iter().find(|line| line.contains("\"intent\":")).expect("its end");
        assert!(telling.contains(told), "{act} {what}: {telling}");
        assert!(keys(&text) <= made, "{act} {what}: a key was made again");
        let mut verify = Command::new(support::program::built("sigill-verify"));
        let judged = spoken::run(verify.arg("transcript").arg(&transcript).arg("--json"), &[]);
        assert_eq!(judged.code, 0, "{}", judged.text);
        let found: serde_json::Value = serde_json::from_slice(&judged.out).expect("JSON");
        assert_eq!(
            (&found["closed"], &found["purpose"]),
            (&true.into(), &"unattended-demo".into())
        );
        assert_eq!(found["runs"], 2, "case {number}");
        let reader = support::workspace::root().join("tests/formats/transcript.py");
        let mut second = Command::new("python3");
        let second = spoken::run(second.arg(reader).arg("judge").arg(&transcript), &[]);
        let head = found["head"].as_str().expect("a head");
        assert!(second.text.contains(&format!("closed, head {head}")), "{}", second.text);
    }

    // R17: the transcript of another plan, and one that somebody changed, stop it, and nothing is done.
    let text = read(home, "ceremony/transcript.jsonl");
    let first = text.lines().next().expect("its first line");
    let of_another = first.replace("\"plan\":\"", "\"plan\":\"00") + "\n";
    fs::write(&transcript, of_another).expect("another transcript");
    fs::remove_file(home.join("ceremony/out/outputs.json")).expect("the end is missing");
    let said = deployment.demo(&[]);
    assert_eq!(said.code, 18, "{}", said.text);
    assert!(said.text.contains(" is of plan 00"), "{}", said.text);

    let text = text.replace("\"role\":\"responder\"", "\"role\":\"despondent\"");
    fs::write(&transcript, &text).expect("a changed transcript");
    let said = deployment.demo(&[]);
    assert_eq!(said.code, 18, "{}", said.text);
    assert!(said.text.contains("error: R17: "), "{}", said.text);
    assert_eq!(read(home, "ceremony/transcript.jsonl"), text);
}

/// The pages of docs/operations begin with this file, and OpenSSL judges what it names.
fn writes_what_a_shell_sources(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    for name in ["env", "ports", "trust/root.pem", "trust/chain.pem"] {
        fs::remove_file(home.join(name)).expect("the demo wrote it");
    }
    done(&deployment.demo(&[]));

    let script = "set -eu; . \"$1/env\"; test \"$SIGILL_HOME\" -ef \"$1\"; sigill --version; \
                  openssl verify -CAfile \"$SIGILL_ROOT\" \"$SIGILL_CHAIN\"; \
                  openssl verify -CAfile \"$SIGILL_MANAGEMENT_CA\" -purpose sslclient \
                  \"$SIGILL_PORTAL_CERT\"; test -r \"$SIGILL_PORTAL_KEY\"; \
                  grep -qxF \"$SIGILL_STATUS_KEY\" \"$1/ceremony/out/note-status.pub\"; \
                  grep -qxF \"api=${SIGILL_API_URL##*:}\" \"$1/ports\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(home).env_remove("SIGILL_BIN");

    done(&spoken::run(&mut shell, &[]));
}

/// Promise 9: the refusal names the PIN file, the marker and the line that allows a try.
fn names_the_way_out_of_a_wrong_pin(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let home = &deployment.home;
    fs::remove_file(home.join("ceremony/out/outputs.json")).expect("the manifest");
    let pin = home.join("pins/management.pin");
    let right = read(home, "pins/management.pin");
    fs::write(&pin, "not-the-pin\n").expect("a wrong PIN");
    let again = deployment.demo(&[]);
    refused(&again, "hsm-pin-refused");
    fs::write(&pin, right).expect("the right PIN");
    let folder = home.join("state");
    let found = fs::read_dir(&folder).expect("a state folder").filter_map(Result::ok);
    let mut found = found.map(|entry| entry.path());
    let is_marker = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "marker");
    let marker = found.find(is_marker).expect("a marker");
    // What nobody should do, and somebody will.
    fs::remove_file(&marker).expect("a marker");

    let again = deployment.demo(&[]);

    let said = refused(&again, "hsm-pin-count-low");
    assert!(said.contains(&pin.display().to_string()), "{said}");
    assert!(said.contains(&marker.display().to_string()), "{said}");
    let line = said.split("write \"").nth(1).and_then(|rest| rest.split('"').next());
    fs::write(&marker, line.expect("a line to write")).expect("the marker");
    done(&deployment.demo(&[]));
}

/// Two would take each other's delegates up.
fn a_second_responder_ends_before_it_logs_in(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let _first = deployment.responder();
    let home = &deployment.home;
    let config = read(home, "config/ocsp.toml");
    let refused = |name: &str, config: &str| {
        let file = home.join("config").join(name);
        fs::write(&file, config).expect("a configuration");
        let said = deployment.run_responder(&file);
        assert_eq!(said.code, 1, "{}", said.text);
        assert!(said.text.contains("is another copy running?"), "{}", said.text);
        assert!(!said.text.contains("logged in"), "{}", said.text);
        said.text
    };

    // With a state folder of its own, but on the same ports.
    let same_ports = config.replace("\"../ocsp\"", "\"../ocsp-second\"");
    assert!(refused("second.toml", &same_ports).contains("cannot listen on"));
    assert!(!home.join("ocsp-second").exists());
    // On other ports, but in the same state folder.
    let mut other_ports = String::new();
    for line in config.lines() {
        let line = if line.starts_with("listen = ") {
            format!("listen = \"{}\"", support::ports::free_address())
        } else {
            line.to_owned()
        };
        other_ports.push_str(&line);
        other_ports.push('\n');
    }
    assert!(refused("third.toml", &other_ports).contains("is in use"));
}

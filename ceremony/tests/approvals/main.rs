//! `sigill-ceremony plan approve` and `plan approvals` as people run them: one with a token of his own, one with a file.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code throughout; clippy's allowances cover only test functions"
)]

mod attended;
mod bundle;
mod console;
mod cross;
mod destruction;
mod exchange;
mod kinds;
mod rehearsal;
mod run;
mod series;

use std::fs;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use hsm::pin::Pin;
use hsm::token::{TokenLabel, TokenName};
use hsm::{
    KeyId, KeyOrder, Module, NewToken, PinMarkers, Quirks, Removal, Token, TokenSettings,
    init_token,
};
use support::softhsm::{MODULE, SO_PIN, SoftHsm, USER_PIN, alone};
use support::{spoken, test_name, tool, workspace};
use x509::key::{KeyType, PublicKey};
use x509::pem;
use x509::statement::SignedStatement;
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(60);
/// A shape hash, as a rehearsal would have come out with.
const SHAPE: &str = "5d41402abc4b2a76b9719d911017c592ae2d1d0b3e4f4a5b6c7d8e9f00112233";

/// Per Brandt with a token, Sara Nyman with a file, and a plan that both are to approve.
struct World<'a> {
    softhsm: &'a SoftHsm,
    name: TokenName,
    key: PublicKey,
    plan: PathBuf,
}

impl<'a> World<'a> {
    fn new(softhsm: &'a SoftHsm, plan: &str) -> Self {
        let (name, key) = token(softhsm);
        let sara = softhsm.pins().join("sara.key");
        let made = ceremony(softhsm, &["person", "make-key", "--out", sara.to_str().unwrap()]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        let sara = String::from_utf8(made.stdout).unwrap();
        let mut text =
            fs::read_to_string(workspace::root().join("docs/ceremonies/plans").join(plan)).unwrap();
        for (person, hash) in
            [("per-brandt", key.spki_hash().to_string()), ("sara-nyman", sara.trim().to_owned())]
        {
            let (before, after) = text.split_once(&format!("id       = \"{person}\"")).unwrap();
            let (between, after) = after.split_once("keys     = [\"").unwrap();
            let (_, after) = after.split_once('"').unwrap();
            text = format!("{before}id       = \"{person}\"{between}keys     = [\"{hash}\"{after}");
        }
        let plan = softhsm.state().join("plan.toml");
        fs::write(&plan, text).unwrap();
        Self { softhsm, name, key, plan }
    }

    fn run(&self, verb: &str, words: &[&str]) -> (i32, String) {
        let plan = self.plan.to_str().unwrap();
        let said = ceremony(self.softhsm, &[&["plan", verb, plan], words].concat());
        let text = [said.stdout, said.stderr].concat();
        (said.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn by_token(&self, person: &str, purpose: &[&str], out: &str) -> (i32, String) {
        let pin = self.softhsm.pins().join("user.pin");
        let state = self.softhsm.state();
        let out = self.file(out);
        let words = [
            "--person",
            person,
            "--module",
            MODULE,
            "--label",
            self.name.label.as_str(),
            "--serial",
            self.name.serial.as_str(),
            "--pin",
            pin.to_str().unwrap(),
            "--state",
            state.to_str().unwrap(),
            "--out",
            &out,
        ];
        self.run("approve", &[purpose, &words].concat())
    }

    fn by_file(&self, person: &str, purpose: &[&str], out: &str) -> (i32, String) {
        let key = self.softhsm.pins().join("sara.key");
        let out = self.file(out);
        let words = ["--person", person, "--key", key.to_str().unwrap(), "--out", &out];
        self.run("approve", &[purpose, &words].concat())
    }

    fn counted(&self, purpose: &[&str], files: &[&str]) -> (i32, String) {
        let files: Vec<String> = files.iter().map(|file| self.file(file)).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        self.run("approvals", &[purpose, &files].concat())
    }

    fn file(&self, name: &str) -> String {
        self.softhsm.state().join(name).display().to_string()
    }
}

/// The program, where there is no network: so every ceremony of this suite is prepared, approved, rehearsed, held and packed.
fn ceremony(softhsm: &SoftHsm, words: &[&str]) -> Output {
    let mut command = offline(env!("CARGO_BIN_EXE_sigill-ceremony"));
    softhsm.environment(command.args(words)).output().unwrap()
}

/// A program in a network namespace of its own, in which not even the loopback is up; as it is where none can be made.
fn offline(program: &str) -> Command {
    let Some((unshare, options)) = unshare().and_then(<[String]>::split_first) else {
        return Command::new(program);
    };
    let mut command = Command::new(unshare);
    command.args(options).arg(program);
    command
}

/// What makes an empty network namespace here: with the right to do so, or within a user namespace of one's own.
fn unshare() -> Option<&'static [String]> {
    static FOUND: OnceLock<Option<Vec<String>>> = OnceLock::new();
    let find = || {
        let unshare = tool::find("unshare")?.display().to_string();
        for options in [&["--net"][..], &["--net", "--map-root-user"]] {
            let tried = spoken::run(Command::new(&unshare).args(options).arg("true"), &[]);
            if tried.code == 0 {
                let options = options.iter().map(|option| (*option).to_owned());
                return Some(std::iter::once(unshare).chain(options).collect());
            }
        }
        println!("skipped: no network namespace can be made here");
        None
    };
    FOUND.get_or_init(find).as_deref()
}

fn token(softhsm: &SoftHsm) -> (TokenName, PublicKey) {
    let pin = |file: &str, pin: &str| {
        let path = softhsm.pins().join(file);
        Pin::from_drawn(&Zeroizing::new(pin.to_owned())).unwrap().create_file(&path).unwrap();
        Pin::from_file(&path).unwrap()
    };
    let module = Module::load(Path::new(MODULE)).unwrap();
    let markers = PinMarkers::in_folder(&softhsm.state()).unwrap();
    let new = NewToken {
        label: TokenLabel::of_person("eID Per Brandt").unwrap(),
        so_pin: pin("so.pin", SO_PIN),
        user_pin: pin("user.pin", USER_PIN),
    };
    let name = init_token(&module, &new, &markers).unwrap();
    let settings = TokenSettings {
        name: name.clone(),
        pin: Pin::from_file(&softhsm.pins().join("user.pin")).unwrap(),
        markers,
        sessions: NonZeroUsize::MIN,
        deadline: DEADLINE,
        quirks: Quirks::default(),
    };
    let order = KeyOrder {
        key_type: KeyType::EcP256,
        label: "per".to_owned(),
        id: KeyId::of_step(&[7; 32], "per"),
        removal: Removal::Forbidden,
    };
    (
        name,
        Token::danger_open_software_too(&module, settings)
            .unwrap()
            .generate_key(order, DEADLINE)
            .unwrap(),
    )
}

/// Section 1 of the ceremonies, CER-01: what [`ceremony`] runs in has no interface but a loopback that is down, and reaches nobody; outside it somebody is reached.
#[test]
fn ceremonies_are_held_where_there_is_no_network() {
    if unshare().is_none() {
        return;
    }
    let interfaces = spoken::run(offline("cat").arg("/proc/net/dev"), &[]);
    let named: Vec<_> = interfaces.text.lines().filter_map(|line| line.split_once(':')).collect();
    assert_eq!(named.iter().map(|(name, _)| name.trim()).collect::<Vec<_>>(), ["lo"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
    for (mut shell, is_reached) in [(offline("bash"), false), (Command::new("bash"), true)] {
        let said = spoken::run(shell.args(["-c", &connect]), &[]);
        assert_eq!(said.code == 0, is_reached, "{}", said.text);
    }
}

const PRODUCTION: &[&str] = &["--purpose", "production", "--shape", SHAPE];
const REHEARSAL: &[&str] = &["--purpose", "rehearsal"];

/// CER-02, KEY-04, N3, N4: two people approve; a changed plan, another purpose and one person alone are refused.
#[test]
fn people_approve_a_plan_with_token_and_file() {
    alone(test_name!(people_approve_a_plan_with_token_and_file), |softhsm| {
        let world = World::new(softhsm, "c1-training.toml");
        let (code, said) = world.by_token("per-brandt", PRODUCTION, "per.approval");
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("person: per-brandt\nname: Per Brandt\n"), "{said}");
        assert_eq!(world.by_file("sara-nyman", PRODUCTION, "sara.approval").0, 0);
        assert_eq!(world.by_file("sara-nyman", REHEARSAL, "rehearsal.approval").0, 0);

        let (code, said) = world.counted(PRODUCTION, &["per.approval", "sara.approval"]);
        assert_eq!((code, said.as_str()), (0, "per-brandt\nsara-nyman\n"));

        for (files, wanted) in [
            (&["per.approval"][..], "1 of the 2 people"),
            (&["per.approval", "per.approval"], "per-brandt: approves twice"),
            (&["per.approval", "rehearsal.approval"], "approves purpose rehearsal, not production"),
        ] {
            let (code, said) = world.counted(PRODUCTION, files);
            assert_eq!(code, 11, "{said}");
            assert!(said.starts_with("error: R02: ") && said.contains(wanted), "{said}");
        }

        let text = fs::read_to_string(&world.plan).unwrap();
        fs::write(&world.plan, text.replacen("# An example:", "# An  example:", 1)).unwrap();
        let (code, said) = world.counted(PRODUCTION, &["per.approval", "sara.approval"]);
        assert_eq!(code, 11, "{said}");
        assert!(said.starts_with("error: R01: "), "{said}");
    });
}

/// Somebody else's program verifies what was signed.
#[test]
fn openssl_verifies_an_approval() {
    alone(test_name!(openssl_verifies_an_approval), |softhsm| {
        let world = World::new(softhsm, "c1-training.toml");
        assert_eq!(world.by_token("per-brandt", REHEARSAL, "per.approval").0, 0);
        let whole = fs::read_to_string(world.file("per.approval")).unwrap();
        let signed = SignedStatement::open(whole.as_bytes()).unwrap();
        assert_eq!(signed.key(), &world.key);

        // As docs/formats/statement.md tells it.
        let (text, behind) = whole.split_once("\n-- ").unwrap();
        let signature = behind.lines().last().unwrap().strip_prefix("-- ").unwrap();
        fs::write(world.file("text"), format!("{text}\n")).unwrap();
        fs::write(world.file("signature.base64"), format!("{signature}\n")).unwrap();
        let public = pem::encode(pem::Label::PublicKey, world.key.spki_der());
        fs::write(world.file("key.pem"), public).unwrap();
        let folder = softhsm.state();
        let decode = ["base64", "-d", "-A", "-in", "signature.base64", "-out", "signature"];
        let Some(_) = spoken::openssl(&folder, &decode) else {
            return println!("skipped: openssl is not installed");
        };
        let verify = ["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "text"];
        let judged = spoken::openssl(&folder, &verify).unwrap();
        assert_eq!(judged.text, "Verified OK\n");
    });
}

/// An approval that would not count is not handed out.
#[test]
fn nobody_approves_for_another_or_a_real_ceremony_with_a_file() {
    alone(test_name!(nobody_approves_for_another_or_a_real_ceremony_with_a_file), |softhsm| {
        let world = World::new(softhsm, "c1-root-key.toml");
        for ((code, said), wanted) in [
            (world.by_file("sara-nyman", PRODUCTION, "a"), "is approved with a key in a token"),
            (world.by_file("per-brandt", REHEARSAL, "b"), "is not among the plan's keys"),
            (world.by_file("vera-sund", REHEARSAL, "c"), "\"vera-sund\" is no approver"),
            (world.by_token("sara-nyman", REHEARSAL, "d"), "holds no key that the plan has"),
        ] {
            assert_eq!(code, 11, "{said}");
            assert!(said.starts_with("error: R02: ") && said.contains(wanted), "{wanted}: {said}");
        }
        for out in ["a", "b", "c", "d"] {
            assert!(!Path::new(&world.file(out)).exists(), "{out}");
        }
        let (code, said) = world.by_file("sara-nyman", &["--purpose", "production"], "e");
        assert_eq!(code, 2, "{said}");
        let (code, said) = world.by_token("per-brandt", PRODUCTION, "f");
        assert_eq!((code, said.starts_with("error: hsm-")), (1, true), "a software token: {said}");
        assert_eq!(world.by_token("per-brandt", REHEARSAL, "g").0, 0);
    });
}

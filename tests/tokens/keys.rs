//! Keys through our hsm room: made, read back, used, found again by another process, and read by other people's tools.
//!
//! A module reads its settings once a process, so each step is this program again, with the token's environment.

use std::env;
use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use hsm::pin::Pin;
use hsm::token::{TokenLabel, TokenName};
use hsm::{
    KeyId, KeyOrder, Module, NewToken, PinMarkers, Quirks, Removal, Token, TokenSettings,
    init_token, token,
};
use support::softhsm::{SO_PIN, USER_PIN};
use support::spoken::{self, Spoken};
use support::tool;
use x509::key::{KeyType, PublicKey};
use x509::name::{AttributeType, Name};

use crate::kind::{KEY_TYPES, Kind};
use crate::place::Place;

const PHASE: &str = "SIGILL_TOKENS_PHASE";
const FOLDER: &str = "SIGILL_TOKENS_FOLDER";
const LABEL: &str = "sg-td-ab12-journey";
/// A TPM takes its time.
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn on_softhsm(_: &()) {
    on(Kind::SoftHsm);
}

pub(crate) fn on_p11_kit(_: &()) {
    on(Kind::P11Kit);
}

pub(crate) fn on_kryoptic(_: &()) {
    on(Kind::Kryoptic);
}

pub(crate) fn on_tpm(_: &()) {
    on(Kind::Tpm);
}

/// KEY-01, KEY-03, KEY-09: on each token, keys of every type it has are made as they must be, sign, and
/// are found by their public keys in another process.
fn on(kind: Kind) {
    let Some(place) = Place::start(kind) else { return };
    for folder in ["pins", "state", "keys"] {
        fs::create_dir(place.folder().join(folder)).expect("a folder");
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(place.folder().join(folder), mode).expect("its mode");
    }
    let told = |step: &str, said: &str| println!("measured: {}: {step} = {said}", kind.name());

    let token = succeeds(&place, "token");
    told("token", &token);
    for key_type in KEY_TYPES {
        let said = phase_of(&place, &format!("make {key_type}"));
        match kind.refuses(key_type) {
            None => {
                assert_eq!(said.code, 0, "{key_type}: {}", said.text);
                let request = place.folder().join(format!("keys/{key_type}.csr"));
                let judged = judge_request(&request);
                told(&format!("make {key_type}"), &format!("ok, {}; {judged}", last_line(&said)));
            }
            Some((call, result)) => {
                assert_eq!(said.code, 1, "{key_type}: {}", said.text);
                let (wanted, text) = (format!("{call} on {LABEL} "), &said.text);
                assert!(text.contains(&wanted), "{key_type}: wanted {call}: {text}");
                assert!(text.contains(&format!(" returned {result}")), "{key_type}: {text}");
                told(&format!("make {key_type}"), &format!("{call} returned {result}"));
            }
        }
    }
    let made = KEY_TYPES.iter().filter(|key_type| kind.refuses(**key_type).is_none()).count();
    told("find again", &succeeds(&place, &format!("find {made}")));
    if made > 0 {
        attributes_by_pkcs11_tool(&place, made, told);
        attributes_by_p11tool(&place, made, told);
    }
    assert!(markers(&place).is_empty(), "a PIN was refused: {:?}", markers(&place));
}

fn markers(place: &Place) -> Vec<PathBuf> {
    let state = fs::read_dir(place.folder().join("state")).expect("a folder");
    let files = state.map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|kind| kind == "marker")).collect()
}

/// The request that the key signed, judged by OpenSSL.
fn judge_request(request: &Path) -> &'static str {
    let file = request.to_str().expect("UTF-8");
    let words = ["req", "-inform", "DER", "-in", file, "-noout", "-verify"];
    match spoken::openssl(Path::new("/"), &words) {
        Some(said) => {
            assert!(said.code == 0 && said.text.contains("verify OK"), "{file}: {}", said.text);
            "OpenSSL verifies its request"
        }
        None => "not judged",
    }
}

/// Every private key: sensitive, always sensitive, never extractable, local, and for signing only.
fn attributes_by_pkcs11_tool(place: &Place, keys: usize, told: impl Fn(&str, &str)) {
    let Some(program) = tool::find("pkcs11-tool") else { return };
    let mut command = Command::new(program);
    place.environment(&mut command).args(["--module", place.module(), "--token-label", LABEL]);
    command.args(["--login", "--pin", USER_PIN, "--list-objects", "--type", "privkey"]);
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let values = |start: &str| -> Vec<String> {
        let lines = said.text.lines().filter(|line| line.trim_start().starts_with(start));
        lines.map(|line| line.split_once(':').unwrap_or_default().1.trim().to_owned()).collect()
    };
    let access = "sensitive, always sensitive, never extractable, local";
    assert_eq!(values("Usage:"), vec!["sign"; keys], "{}", said.text);
    assert_eq!(values("Access:"), vec![access; keys], "{}", said.text);
    told(
        "attributes by pkcs11-tool",
        "sign; sensitive, always sensitive, never extractable, local",
    );
}

fn attributes_by_p11tool(place: &Place, keys: usize, told: impl Fn(&str, &str)) {
    let Some(program) = tool::find("p11tool") else { return };
    let mut command = Command::new(program);
    place.environment(&mut command).args(["--provider", place.module(), "--login"]);
    command.args(["--set-pin", USER_PIN, "--list-privkeys", &format!("pkcs11:token={LABEL}")]);
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let flags: Vec<_> = said.text.lines().filter(|line| line.contains("Flags:")).collect();
    assert_eq!(flags.len(), keys, "{}", said.text);
    for line in flags {
        for flag in ["CKA_PRIVATE", "CKA_NEVER_EXTRACTABLE", "CKA_SENSITIVE"] {
            assert!(line.contains(flag), "{}", said.text);
        }
    }
    told("attributes by p11tool", "CKA_PRIVATE, CKA_NEVER_EXTRACTABLE, CKA_SENSITIVE");
}

fn phase_of(place: &Place, phase: &str) -> Spoken {
    let mut command = Command::new(env::current_exe().expect("this program's path"));
    place.environment(&mut command).env(PHASE, phase).env(FOLDER, place.folder());
    spoken::run(&mut command, &[])
}

fn succeeds(place: &Place, phase: &str) -> String {
    let said = phase_of(place, phase);
    assert_eq!(said.code, 0, "{phase}: {}", said.text);
    last_line(&said)
}

fn last_line(said: &Spoken) -> String {
    let text = String::from_utf8_lossy(&said.out);
    text.lines().last().unwrap_or_default().to_owned()
}

/// What this process is to do for the one that started it.
pub(crate) struct Phase {
    words: String,
    folder: PathBuf,
}

/// The phase of this process; `None` in the one that runs the checks.
pub(crate) fn phase() -> Option<Phase> {
    let words = env::var(PHASE).ok()?;
    let folder = PathBuf::from(env::var_os(FOLDER)?);
    Some(Phase { words, folder })
}

impl Phase {
    /// Does it. Says what was done on the last line, or all causes of why it was not.
    pub(crate) fn run(&self) -> ExitCode {
        let done = match self.words.split_once(' ') {
            Some(("make", what)) => {
                let key_type = KEY_TYPES.into_iter().find(|one| one.to_string() == what);
                self.make(key_type.expect("a type of keys"))
            }
            Some(("find", many)) => self.find(many.parse().expect("a number")),
            _ => self.token(),
        };
        match done {
            Ok(said) => {
                println!("{said}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{}", causes(&*error));
                ExitCode::FAILURE
            }
        }
    }

    fn token(&self) -> Result<String, Box<dyn Error>> {
        let module = Module::load(Path::new(&env::var("SIGILL_MAKER")?))?;
        let new = NewToken {
            label: LABEL.parse()?,
            so_pin: self.pin("so-pin", SO_PIN)?,
            user_pin: self.pin("pin", USER_PIN)?,
        };
        let name = init_token(&module, &new, &PinMarkers::in_folder(&self.folder.join("state"))?)?;
        let listed = token::list(&module)?;
        let facts = listed.into_iter().find(|facts| facts.label == LABEL).ok_or("no token")?;
        fs::write(self.folder.join("serial"), name.serial.as_str())?;
        let (maker, model) = (&facts.manufacturer, &facts.model);
        Ok(format!("{}; manufacturer {maker:?}, model {model:?}", module.description()))
    }

    fn make(&self, key_type: KeyType) -> Result<String, Box<dyn Error>> {
        let token = self.open()?;
        let label = key_type.to_string();
        let id = KeyId::of_step(&[7; 32], &label);
        let order = KeyOrder { key_type, label: label.clone(), id, removal: Removal::Forbidden };
        let started = Instant::now();
        let key = token.generate_key(order, DEADLINE)?;
        let took = started.elapsed();
        fs::write(self.folder.join(format!("keys/{label}.spki")), key.spki_der())?;
        let subject = Name::builder().with(AttributeType::CommonName, &label)?.build();
        let request = token.certification_request(&key, &subject)?;
        fs::write(self.folder.join(format!("keys/{label}.csr")), request.as_der())?;
        Ok(format!("{:.1} s", took.as_secs_f64()))
    }

    /// Finds every key that was made, by its public key alone, and has it prove itself and sign.
    fn find(&self, many: usize) -> Result<String, Box<dyn Error>> {
        let token = self.open()?;
        let mut found = 0;
        for entry in fs::read_dir(self.folder.join("keys"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|kind| kind != "spki") {
                continue;
            }
            let key = PublicKey::from_spki_der(&fs::read(&path)?)?;
            token.prove(&key)?;
            let subject = Name::builder().with(AttributeType::CommonName, "again")?.build();
            token.certification_request(&key, &subject)?;
            found += 1;
        }
        let listed = token.keys()?;
        let told = listed.iter().filter(|entry| entry.public_key.is_some()).count();
        if (found, listed.len(), told) != (many, many, many) {
            return Err(format!("{many} made, {found} found, {told} told: {listed:?}").into());
        }
        Ok(format!("ok, {found} keys"))
    }

    fn open(&self) -> Result<Token, Box<dyn Error>> {
        let module = Module::load(Path::new(&env::var("SIGILL_MODULE")?))?;
        let serial = fs::read_to_string(self.folder.join("serial"))?.parse()?;
        let label: TokenLabel = LABEL.parse()?;
        let settings = TokenSettings {
            name: TokenName { label, serial },
            pin: self.pin("pin", USER_PIN)?,
            markers: PinMarkers::in_folder(&self.folder.join("state"))?,
            sessions: NonZeroUsize::MIN,
            deadline: DEADLINE,
            quirks: Quirks::default(),
        };
        Ok(Token::open(&module, settings)?)
    }

    /// The PIN through a file, as programs get it.
    fn pin(&self, name: &str, pin: &str) -> Result<Pin, Box<dyn Error>> {
        let path = self.folder.join("pins").join(name);
        if !path.exists() {
            fs::write(&path, pin)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        Ok(Pin::from_file(&path)?)
    }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

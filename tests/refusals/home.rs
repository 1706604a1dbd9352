//! Homes of a demo deployment that can be broken: one is made, every case gets a copy.
//!
//! The management CA of the copies is one that OpenSSL made here, so that a case can have any client
//! certificate; all else is what `sigill-ceremony demo` and `sigill-ca import` leave behind. The
//! PKCS#11 module is OpenSC's wrapper, which logs every call, so that logins and signatures count.

use std::cell::RefCell;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use support::ports::free_address;
use support::{program, softhsm, spoken};
use tempfile::TempDir;

use crate::management;
use crate::ordered;
use crate::running::Running;
use crate::spy::SpyReader;

/// How long a program that is to refuse may take until it has ended.
const REFUSING_LIMIT: Duration = Duration::from_secs(60);

/// The configuration of `sigill-ca`.
pub const CONFIG: &str = "config/ca.toml";

/// The configuration of `sigill-ocsp`.
pub const OCSP_CONFIG: &str = "config/ocsp.toml";

/// A home that no server has run in yet.
pub struct Home {
    folder: TempDir,
    /// Its deployment's instance.
    pub instance: String,
    /// Where its API listens.
    pub api: SocketAddr,
    /// Where its health is asked for.
    pub observe: SocketAddr,
    /// Reads the log of the PKCS#11 wrapper.
    pub spy: RefCell<SpyReader>,
}

/// What a program said that refused to start.
pub struct Refused {
    /// Its exit code; `None` if it had to be ended.
    pub code: Option<i32>,
    /// Both of its streams.
    pub text: String,
}

impl Home {
    /// Makes a deployment and imports the outputs of its ceremony.
    pub fn made() -> Self {
        let (api, observe) = (free_address(), free_address());
        let folder = new_folder();
        let mut home =
            Self { folder, instance: String::new(), api, observe, spy: RefCell::default() };
        let mut command = Command::new(program::built("sigill-ceremony"));
        command.arg("demo").arg("--home").arg(home.path("")).args(["--api", &api.to_string()]);
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        command.arg("--hierarchy").arg(format!("{root}/environments/demo/hierarchy.toml"));
        command.arg("--profiles").arg(format!("{root}/profiles"));
        let said = spoken::run(&mut command, &[]);
        assert_eq!(said.code, 0, "demo: {}", said.text);
        home.instance = value_of(&home.config(), "instance");
        let module = value_of(&home.config(), "module");
        assert_eq!(module, softhsm::MODULE, "the module of the demo");
        home.edit_config(&module, softhsm::SPY);
        home.edit(OCSP_CONFIG, &module, softhsm::SPY);
        let listening = listen_of(&home.config(), "[observe]");
        home.edit_config(&listening, &observe.to_string());
        management::replace(&home);
        home.loosen_profiles();
        ordered::add_maker(&home);
        let said = home.import();
        assert_eq!(said.code, Some(0), "import: {}", said.text);
        home
    }

    /// One profile that allows EC keys only, and one that refuses requested extensions.
    fn loosen_profiles(&self) {
        let path = self.path("config/profiles/function-ec.toml");
        let text = fs::read_to_string(&path).expect("the profile is readable");
        let keys = r#"["rsa-3072", "rsa-4096", "rsa-2048", "ec-p256", "ec-p384"]"#;
        let changed = text
            .replace(keys, r#"["ec-p256", "ec-p384"]"#)
            .replace(r#"requested-extensions = "ignore""#, r#"requested-extensions = "refuse""#);
        assert!(changed.contains("\"refuse\"") && !changed.contains("rsa-3072"), "{text}");
        fs::write(path, changed).expect("the profile can be written");
    }

    /// A copy of its own, on ports of its own.
    pub fn copy(&self) -> Self {
        let folder = new_folder();
        let to = folder.path().join("home");
        let said = spoken::run(Command::new("cp").arg("-a").arg(self.path("")).arg(&to), &[]);
        assert_eq!(said.code, 0, "{}", said.text);
        let (api, observe) = (free_address(), free_address());
        let copy =
            Self { folder, instance: self.instance.clone(), api, observe, spy: RefCell::default() };
        copy.edit("softhsm2.conf", &text(&self.path("tokens")), &text(&copy.path("tokens")));
        copy.edit_config(&self.api.to_string(), &api.to_string());
        copy.edit_config(&self.observe.to_string(), &observe.to_string());
        copy
    }

    /// A file or folder of it; `""` is the home itself.
    pub fn path(&self, name: &str) -> PathBuf {
        let home = self.folder.path().join("home");
        if name.is_empty() { home } else { home.join(name) }
    }

    /// The log of the PKCS#11 wrapper.
    pub fn spy_log(&self) -> PathBuf {
        self.folder.path().join("spy.log")
    }

    /// A file's text.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Replaces a file's text and keeps its mode.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Replaces `from`, which must stand in the file, by `to`.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}: {text}");
        self.write(name, text.replace(from, to));
    }

    /// The configuration of `sigill-ca`.
    pub fn config(&self) -> String {
        self.read(CONFIG)
    }

    /// As [`Self::edit`], in the configuration of `sigill-ca`.
    pub fn edit_config(&self, from: &str, to: &str) {
        self.edit(CONFIG, from, to);
    }

    /// Sets a file's mode.
    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// `sigill-ca` with the environment that its tokens need.
    pub fn command(&self, act: &str, config: &str) -> Command {
        let mut command = Command::new(program::built("sigill-ca"));
        command.args([act, "--config"]).arg(self.path(config));
        self.with_tokens(&mut command);
        command
    }

    fn with_tokens(&self, command: &mut Command) {
        command
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .env("PKCS11SPY", softhsm::MODULE)
            .env("PKCS11SPY_OUTPUT", self.spy_log());
    }

    /// Registers the ceremony's outputs.
    pub fn import(&self) -> Refused {
        let mut command = self.command("import", CONFIG);
        command.arg("--from").arg(self.path("ceremony/out/outputs.json"));
        ended(&mut command, &self.folder.path().join("import.log"))
    }

    /// Starts `serve`, which is to refuse, and waits for its end.
    pub fn serve_refused(&self) -> Refused {
        self.serve_refused_by(CONFIG)
    }

    /// The same with another configuration.
    pub fn serve_refused_by(&self, config: &str) -> Refused {
        ended(&mut self.command("serve", config), &self.folder.path().join("refused.log"))
    }

    /// Starts `sigill-ocsp`, which is to refuse, and waits for its end.
    pub fn ocsp_refused(&self) -> Refused {
        ended(&mut self.ocsp_command("serve"), &self.folder.path().join("ocsp-refused.log"))
    }

    /// `sigill-ocsp` with the environment that its token needs.
    pub fn ocsp_command(&self, act: &str) -> Command {
        let mut command = Command::new(program::built("sigill-ocsp"));
        command.args([act, "--config"]).arg(self.path(OCSP_CONFIG));
        self.with_tokens(&mut command);
        command
    }

    /// Starts `serve` and waits until it is ready and its first CRLs are out.
    pub fn serve(self) -> Running {
        Running::start(Rc::new(self))
    }

    /// Rows of a table of the database.
    pub fn rows(&self, table: &str) -> u64 {
        let counts = crate::database::counts(&self.path("state/ca.sqlite"));
        counts.rows.get(table).copied().unwrap_or_else(|| panic!("no table {table}"))
    }

    /// The leaves of an event in the published audit log, which `sigill-verify` judges first.
    pub fn audited(&self, event: &str) -> Vec<serde_json::Value> {
        let key = self.read("ceremony/out/note-audit.pub");
        let origin = format!("sigill/test/demo/{}/audit/1", self.instance);
        let checkpoint = self.beside("judged");
        let folder = self.path("audit");
        fs::copy(folder.join("checkpoint"), &checkpoint).expect("a checkpoint");
        let mut command = Command::new(program::built("sigill-verify"));
        command.args(["leaves", "--json", "--event", event, "--key", key.trim()]);
        command.args(["--origin", &origin, "--checkpoint"]).arg(checkpoint);
        let said = spoken::run(command.arg("--tiles").arg(folder), &[]);
        assert_eq!(said.code, 0, "{}", said.text);
        let found: serde_json::Value = serde_json::from_slice(&said.out).expect("leaves in JSON");
        found["leaves"].as_array().expect("leaves").clone()
    }

    /// Has `sigill-verify log` judge one of the two logs (`status`, `audit`) from its files.
    pub fn verified_log(&self, log: &str) -> serde_json::Value {
        let folder = self.path(if log == "status" { "publish" } else { log });
        let key = self.read(&format!("ceremony/out/note-{log}.pub"));
        let origin = format!("sigill/test/demo/{}/{log}/1", self.instance);
        let mut command = Command::new(program::built("sigill-verify"));
        command.args(["log", "--json", "--key", key.trim(), "--origin", &origin]);
        // Tiles may grow while they are read; the checkpoint is judged as it was.
        let checkpoint = self.beside("judged");
        fs::copy(folder.join("checkpoint"), &checkpoint).expect("a checkpoint");
        command.arg("--checkpoint").arg(checkpoint).arg("--tiles").arg(folder);
        let said = spoken::run(&mut command, &[]);
        assert_eq!(said.code, 0, "{log}: {}", said.text);
        serde_json::from_slice(&said.out).expect("findings in JSON")
    }

    /// A file beside the home, for what is no part of it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Runs a program that is to end by itself.
fn ended(command: &mut Command, log: &Path) -> Refused {
    let output = File::create(log).expect("the log can be written");
    let errors = output.try_clone().expect("a file can be shared");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let started = Instant::now();
    let code = loop {
        match child.try_wait().expect("the child can be asked") {
            Some(status) => break status.code(),
            None if started.elapsed() > REFUSING_LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    Refused { code, text: fs::read_to_string(log).unwrap_or_default() }
}

/// In memory where the machine has `/dev/shm`: a home is small and has many durable writes.
fn new_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder can be made")
}

/// The value of the first line `key = "value"`.
pub fn value_of(config: &str, key: &str) -> String {
    let start = format!("{key} = \"");
    let line = config.lines().find_map(|line| line.strip_prefix(&start));
    let value = line.and_then(|rest| rest.split('"').next());
    value.unwrap_or_else(|| panic!("no {key} in {config}")).to_owned()
}

/// The address that a section listens on.
fn listen_of(config: &str, section: &str) -> String {
    let (_, rest) = config.split_once(section).expect("the section is there");
    value_of(rest, "listen")
}

fn text(path: &Path) -> String {
    path.to_str().expect("a temporary path is text").to_owned()
}

//! Deployments to break: one is made, and each journey works on a copy of it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use support::demo::until;
use support::laboratory::{self, Laboratory};
use support::program::{self, Server};
use support::spoken::Spoken;
use support::two_tokens::STAND_BY_SERIAL;
use support::{ports, softhsm, spoken, tool, workspace};
use tempfile::TempDir;

use crate::api::{Api, Request};
use crate::orders::Form;

/// The one authority that issues in these journeys.
pub(crate) const AUTHORITY: &str = "sigilltesteidfunctioneccav1";

/// The demo's issuing CA on RSA 4096, for functions.
pub(crate) const FUNCTION_CA: &str = "SIGILL TEST e-id Function CA v1";
/// The demo's issuing CA on P-256.
pub(crate) const FUNCTION_EC_CA: &str = "SIGILL TEST e-id Function EC CA v1";

/// How long a program may take to end when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(40);

/// Where the keys of a deployment lie.
#[derive(Clone)]
pub(crate) struct Device {
    /// The module that its programs load.
    pub(crate) module: PathBuf,
    /// What the module wants to find in the environment.
    pub(crate) environment: Vec<(String, String)>,
}

impl Device {
    /// SoftHSM, whose configuration the demo writes into the home.
    pub(crate) fn softhsm() -> Self {
        let module = PathBuf::from(softhsm::MODULE);
        Self { module, environment: Vec::new() }
    }

    /// `command` with the environment that the device's module wants.
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)))
    }
}

/// A home that was made and imported in which no server has ever run. `None` where a tool is missing.
pub(crate) struct Template(Option<Made>);

struct Made {
    folder: TempDir,
    ports: Ports,
    device: Device,
}

#[derive(Clone, Copy)]
struct Ports {
    api: SocketAddr,
    public: SocketAddr,
    observe_ca: SocketAddr,
    observe_ocsp: SocketAddr,
}

impl Ports {
    fn free() -> Self {
        Self {
            api: ports::free_address(),
            public: ports::free_address(),
            observe_ca: ports::free_address(),
            observe_ocsp: ports::free_address(),
        }
    }
}

impl Template {
    /// Makes a hierarchy of the root and the P-256 issuing CA and imports it.
    pub(crate) fn make() -> Self {
        Self::make_with(&[])
    }

    /// The same, with profiles in which each of `changes` (file, old, new) was made.
    pub(crate) fn make_with(changes: &[(&str, &str, &str)]) -> Self {
        Self::make_on(Device::softhsm(), changes)
    }

    /// The same with these issuing CAs of the demo, by their common names in its order.
    pub(crate) fn make_for(issuing: &[&str]) -> Self {
        Self::make_of(&hierarchy_of(issuing), Device::softhsm(), &[])
    }

    /// The demo with all its issuing CAs, most of which have RSA keys of 4096 bits.
    pub(crate) fn make_whole() -> Self {
        Self::make_of(&demo_hierarchy(), Device::softhsm(), &[])
    }

    /// The same on another device.
    pub(crate) fn make_on(device: Device, changes: &[(&str, &str, &str)]) -> Self {
        Self::make_of(&hierarchy_of(&[FUNCTION_EC_CA]), device, changes)
    }

    fn make_of(hierarchy_text: &str, device: Device, changes: &[(&str, &str, &str)]) -> Self {
        for file in [softhsm::MODULE, softhsm::SPY] {
            if !Path::new(file).is_file() {
                assert!(
                    std::env::var_os("SIGILL_REQUIRE_TOOLS").is_none(),
                    "{file} is missing and SIGILL_REQUIRE_TOOLS is set"
                );
                println!("skipped: {file} is not installed");
                return Self(None);
            }
        }
        if tool::find("openssl").is_none() {
            return Self(None);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports = Ports::free();
        let home = folder.path().join("home");
        let hierarchy = folder.path().join("hierarchy.toml");
        fs::write(&hierarchy, hierarchy_text).expect("a hierarchy file");
        let profiles = folder.path().join("profiles");
        succeeds(
            Command::new("cp").arg("-r").arg(workspace::root().join("profiles")).arg(&profiles),
        );
        for (file, old, new) in changes {
            replace_in(&profiles.join(file), &[((*old).to_owned(), (*new).to_owned())]);
        }
        let mut demo = demo_command(&home, &hierarchy, &profiles, &device);
        demo.args(["--api", &ports.api.to_string(), "--public", &ports.public.to_string()])
            .args(["--observe-ca", &ports.observe_ca.to_string()])
            .args(["--observe-ocsp", &ports.observe_ocsp.to_string()]);
        succeeds(&mut demo);
        let mut import = Command::new(program::built("sigill-ca"));
        import
            .arg("import")
            .args(["--config".as_ref(), home.join("config/ca.toml").as_os_str()])
            .args(["--from".as_ref(), home.join("ceremony/out/outputs.json").as_os_str()])
            .env("SOFTHSM2_CONF", home.join("softhsm2.conf"));
        succeeds(device.environment(&mut import));
        Self(Some(Made { folder, ports, device }))
    }

    /// A copy to break. `None` where a tool is missing, and that has been said.
    pub(crate) fn copy(&self) -> Option<Deployment> {
        let made = self.0.as_ref()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path().join("home");
        fs::create_dir(folder.path().join("laboratory")).expect("a folder for the laboratory");
        let original = made.folder.path().join("home");
        succeeds(Command::new("cp").arg("-a").arg(&original).arg(&home));
        // Ports of its own; the public one stands in certificates and is one deployment's at a time.
        let ports = Ports { public: made.ports.public, ..Ports::free() };
        let paths = (original.display().to_string(), home.display().to_string());
        replace_in(&home.join("softhsm2.conf"), &[(paths.0, paths.1)]);
        let moved = |old: SocketAddr, new: SocketAddr| (old.to_string(), new.to_string());
        let api = moved(made.ports.api, ports.api);
        let observe_ca = moved(made.ports.observe_ca, ports.observe_ca);
        replace_in(&home.join("config/ca.toml"), &[api, observe_ca]);
        let observe_ocsp = moved(made.ports.observe_ocsp, ports.observe_ocsp);
        replace_in(&home.join("config/ocsp.toml"), &[observe_ocsp]);
        let config = fs::read_to_string(home.join("config/ca.toml")).expect("a configuration");
        let form = Form::in_folder(folder.path());
        let hierarchy = made.folder.path().join("hierarchy.toml");
        let (device, server) = (made.device.clone(), None);
        Some(Deployment { folder, home, hierarchy, ports, device, config, form, server, boots: 0 })
    }
}

fn demo_command(home: &Path, hierarchy: &Path, profiles: &Path, device: &Device) -> Command {
    let mut command = Command::new(program::built("sigill-ceremony"));
    command
        .arg("demo")
        .args(["--home".as_ref(), home.as_os_str()])
        .args(["--hierarchy".as_ref(), hierarchy.as_os_str()])
        .args(["--profiles".as_ref(), profiles.as_os_str()])
        .args(["--module".as_ref(), device.module.as_os_str()]);
    device.environment(&mut command);
    command
}

/// The demo's hierarchy with some of its issuing CAs alone: RSA keys of 4096 bits take their time. What
/// follows its issuing CAs stands with the last one, which is the one on P-256.
fn hierarchy_of(issuing: &[&str]) -> String {
    let text = demo_hierarchy();
    let mut sections = text.split("[[issuing]]\n");
    let head = sections.next().unwrap_or_default().to_owned();
    let is_wanted =
        |section: &&str| issuing.iter().any(|name| section.contains(&format!("\"{name}\"\n")));
    let chosen: Vec<_> = sections.filter(is_wanted).collect();
    assert_eq!(chosen.len(), issuing.len(), "{issuing:?}");
    assert!(chosen.last().is_some_and(|last| last.contains("[management]")), "{issuing:?}");
    chosen.iter().fold(head, |text, section| text + "[[issuing]]\n" + section)
}

fn demo_hierarchy() -> String {
    let demo = workspace::root().join("environments/demo/hierarchy.toml");
    fs::read_to_string(demo).expect("the demo's hierarchy")
}

/// A deployment of a journey.
pub(crate) struct Deployment {
    folder: TempDir,
    pub(crate) home: PathBuf,
    hierarchy: PathBuf,
    ports: Ports,
    device: Device,
    config: String,
    form: Form,
    server: Option<Server>,
    boots: u32,
}

impl Deployment {
    /// Has the CA reach its token through the wrapper that logs every call, on one session: with
    /// several, the lines of its calls would mingle.
    pub(crate) fn spied(mut self) -> Self {
        let direct = format!("module = \"{}\"", softhsm::MODULE);
        let spied = format!("module = \"{}\"", softhsm::SPY);
        let pin = "pin = \"../pins/issuing.pin\"\n";
        assert!(self.config.contains(&direct) && self.config.contains(pin), "{}", self.config);
        self.config = self.config.replace(&direct, &spied);
        self.config = self.config.replace(pin, &format!("{pin}sessions = 1\n"));
        // What the management CA's token does is none of the calls that are counted.
        let token = self.config.find("[[hsm.token]]\nrole = \"management\"").expect("its token");
        let notes = self.config.find("[notes]").expect("a section [notes]");
        self.config.replace_range(token..notes, "");
        self
    }

    /// Has the CA reach its tokens through the laboratory, which lets calls fail by a script; the issuing
    /// token on so many sessions, each of which proves its key when it is first used.
    pub(crate) fn disturbed(mut self, sessions: usize) -> (Self, Laboratory) {
        let direct = format!("module = \"{}\"", softhsm::MODULE);
        assert!(self.config.contains(&direct), "{}", self.config);
        let disturbed = format!("module = \"{}\"", laboratory::module().display());
        self.config = self.config.replace(&direct, &disturbed);
        let pin = "pin = \"../pins/issuing.pin\"\n";
        assert!(self.config.contains(pin), "{}", self.config);
        self.config = self.config.replace(pin, &format!("{pin}sessions = {sessions}\n"));
        let laboratory = self.laboratory();
        (self, laboratory)
    }

    fn laboratory(&self) -> Laboratory {
        Laboratory::in_folder(&self.folder.path().join("laboratory"))
    }

    /// Has CA and responder reach their tokens through another module, with its environment.
    #[allow(dead_code, reason = "of the suite tokens")]
    pub(crate) fn through(mut self, device: Device) -> Self {
        let line = |device: &Device| format!("module = \"{}\"", device.module.display());
        let change = (line(&self.device), line(&device));
        assert!(self.config.contains(&change.0), "{}", self.config);
        self.config = self.config.replace(&change.0, &change.1);
        replace_in(&self.home.join("config/ocsp.toml"), &[change]);
        self.device = device;
        self
    }

    /// Clones the issuing token into one that stands by for it, and configures that.
    pub(crate) fn with_stand_by(mut self) -> Self {
        self.clone_issuing_token();
        let preferred = "token = \"issuing\"\nalgorithm";
        assert!(self.config.contains(preferred), "{}", self.config);
        let both = "token = \"issuing\"\nstandby = \"issuing-b\"\nalgorithm";
        self.config = self.config.replace(preferred, both);
        self
    }

    /// Clones the issuing token, and has the P-256 authority use the clone instead of it.
    pub(crate) fn with_a_token_each(mut self) -> Self {
        self.clone_issuing_token();
        let section = self.config.find(&format!("name = \"{AUTHORITY}\"")).expect("its section");
        let (before, after) = self.config.split_at(section);
        let changed = after.replacen("token = \"issuing\"", "token = \"issuing-b\"", 1);
        assert_ne!(changed, after);
        self.config = format!("{before}{changed}");
        self
    }

    /// Makes a token of role issuing-b.
    fn clone_issuing_token(&mut self) {
        let label = self.token_label("issuing");
        let (tokens, name) = (self.home.join("tokens"), format!("{label}-b"));
        let _folder = softhsm::clone_token(&tokens, &label, &tokens, (&name, STAND_BY_SERIAL));
        let token = format!(
            "[[hsm.token]]\nrole = \"issuing-b\"\nserial = \"{STAND_BY_SERIAL}\"\n\
             pin = \"../pins/issuing.pin\"\n\n"
        );
        let management = "[[hsm.token]]\nrole = \"management\"";
        assert!(self.config.contains(management), "{}", self.config);
        self.config = self.config.replace(management, &format!("{token}{management}"));
    }

    /// The label of the token of a role.
    pub(crate) fn token_label(&self, role: &str) -> String {
        let instance = fs::read_to_string(self.home.join("ceremony/instance")).expect("instance");
        format!("sg-td-{}-{role}", instance.trim())
    }

    /// Sets a number of the section `[hsm]`.
    pub(crate) fn with_deadline(mut self, seconds: u64) -> Self {
        self.config = self.config.replace("[hsm]\n", &format!("[hsm]\ndeadline = {seconds}\n"));
        self
    }

    /// Sets for how long the CA may have stood still when it starts next.
    pub(crate) fn set_longest_stop(&mut self, seconds: u64) {
        let old = "longest-stop = 2592000\n";
        assert!(self.config.contains(old), "{}", self.config);
        self.config = self.config.replace(old, &format!("longest-stop = {seconds}\n"));
    }

    /// Starts `sigill-ca serve` with more lines at the end of its configuration.
    pub(crate) fn start_with(&mut self, more: &str) {
        let mut command = self.serve_command(more);
        let log = self.log();
        self.server = Some(Server::start(&mut command, &log, self.ports.api));
    }

    /// Starts `sigill-ca serve` and waits until it is ready.
    pub(crate) fn start(&mut self) {
        self.start_with("");
        let ready = self.api().ask(&Request::get("/readyz"));
        assert!(matches!(ready.status, 200 | 503), "{}", ready.text());
    }

    /// Starts `sigill-ca serve`, which must refuse; what it said.
    pub(crate) fn start_refused(&mut self) -> String {
        let mut command = self.serve_command("");
        let log = File::create(self.log()).expect("a log");
        let errors = log.try_clone().expect("a log");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut child = command.spawn().expect("sigill-ca starts");
        let ended = until(END_LIMIT, || child.try_wait().expect("a child can be asked"));
        if ended.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let said = fs::read_to_string(self.log()).unwrap_or_default();
        assert_eq!(ended.and_then(|status| status.code()), Some(1), "{said}");
        said
    }

    fn serve_command(&mut self, more: &str) -> Command {
        assert!(self.server.is_none(), "a server runs");
        self.boots += 1;
        let file = self.home.join("config/ca.toml");
        fs::write(&file, format!("{}\n{more}", self.config)).expect("a configuration");
        let mut command = Command::new(program::built("sigill-ca"));
        command.args(["serve", "--config"]).arg(&file);
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("SOFTHSM2_CONF", self.home.join("softhsm2.conf"))
            .env("PKCS11SPY", softhsm::MODULE)
            .env("PKCS11SPY_OUTPUT", self.spy_log())
            .envs(self.laboratory().environment());
        self.device.environment(command);
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join(format!("serve-{}.log", self.boots))
    }

    /// What the wrapper has logged in the present or last run of the CA.
    pub(crate) fn spy_log(&self) -> PathBuf {
        self.folder.path().join(format!("spy-{}.log", self.boots))
    }

    /// Ends the CA as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().expect("a server runs");
        server.kill();
    }

    /// Ends the CA as an operator does, and it must end well.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("a server runs");
        let status: ExitStatus = server.end(END_LIMIT);
        assert!(status.success(), "{status} {:?}\n{}", status.signal(), server.printed());
    }

    /// Changes the configuration for the starts to come.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&str) -> String) {
        self.config = change(&self.config);
    }

    /// Runs another command of `sigill-ca` on the configuration of the last start.
    pub(crate) fn command(&self, words: &[&str], more: &[&str]) -> Spoken {
        let mut command = Command::new(program::built("sigill-ca"));
        command.args(words).arg("--config").arg(self.home.join("config/ca.toml")).args(more);
        self.environment(&mut command);
        spoken::run(&mut command, &[])
    }

    /// The process of the CA that runs.
    #[allow(dead_code, reason = "of the suite tokens")]
    pub(crate) fn process(&self) -> u32 {
        self.server.as_ref().expect("a server runs").id()
    }

    /// Where the API listens.
    pub(crate) fn api_address(&self) -> SocketAddr {
        self.ports.api
    }

    /// Metrics of the CA.
    pub(crate) fn metrics(&self) -> String {
        let bytes = support::demo::fetch(&format!("http://{}/metrics", self.ports.observe_ca));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What `/readyz` of the CA says.
    #[allow(dead_code, reason = "of the suite journeys")]
    pub(crate) fn readiness(&self) -> Value {
        let bytes = support::demo::fetch(&format!("http://{}/readyz", self.ports.observe_ca));
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// What the CA has printed in its present or last run.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts `sigill-ocsp` beside the CA.
    pub(crate) fn responder(&self) -> Server {
        let mut command = Command::new(program::built("sigill-ocsp"));
        command.args(["serve", "--config"]).arg(self.home.join("config/ocsp.toml"));
        self.environment(&mut command);
        Server::start(&mut command, &self.folder.path().join("ocsp.log"), self.ports.public)
            .once_it_says("\"serving\"")
    }

    /// Starts `sigill-ocsp` with another configuration.
    #[allow(dead_code, reason = "of the suite journeys")]
    pub(crate) fn responder_by(&self, config: &str, address: SocketAddr) -> Server {
        let mut command = Command::new(program::built("sigill-ocsp"));
        command.args(["serve", "--config"]).arg(self.home.join("config").join(config));
        self.environment(&mut command);
        Server::start(&mut command, &self.folder.path().join(format!("{config}.log")), address)
            .once_it_says("\"serving\"")
    }

    /// Runs another command of `sigill-ocsp`.
    #[allow(dead_code, reason = "of the suite journeys")]
    pub(crate) fn ocsp_command(&self, word: &str, config: &str, more: &[&str]) -> Spoken {
        let mut command = Command::new(program::built("sigill-ocsp"));
        command.args([word, "--config"]).arg(self.home.join("config").join(config)).args(more);
        self.environment(&mut command);
        spoken::run(&mut command, &[])
    }

    /// Runs `sigill-ocsp` with another configuration, until it ends.
    pub(crate) fn run_responder(&self, config: &Path) -> Spoken {
        let mut command = Command::new("timeout");
        command.arg("60").arg(program::built("sigill-ocsp")).arg("--config").arg(config);
        self.environment(&mut command);
        spoken::run(&mut command, &[])
    }

    /// Makes the demo of this home again.
    pub(crate) fn demo(&self, more: &[&str]) -> Spoken {
        spoken::run(self.demo_in(&self.home).args(more), &[])
    }

    /// What makes a demo in another home, from the hierarchy of this one.
    pub(crate) fn demo_in(&self, home: &Path) -> Command {
        let profiles = workspace::root().join("profiles");
        demo_command(home, &self.hierarchy, &profiles, &self.device)
    }

    /// Makes a demo in an empty home beside this one, from the hierarchy with one change.
    pub(crate) fn demo_anew(&self, old: &str, new: &str) -> (PathBuf, Spoken) {
        let home = self.home.with_file_name("anew");
        let hierarchy = self.home.with_file_name("changed.toml");
        let text = fs::read_to_string(&self.hierarchy).expect("a hierarchy file");
        assert!(text.contains(old), "{text}");
        fs::write(&hierarchy, text.replacen(old, new, 1)).expect("a hierarchy file");
        let profiles = workspace::root().join("profiles");
        let mut demo = demo_command(&home, &hierarchy, &profiles, &self.device);
        (home, spoken::run(&mut demo, &[]))
    }

    /// The URL at which the responder answers.
    pub(crate) fn ocsp_url(&self) -> String {
        format!("http://{}", self.ports.public)
    }

    /// A client of the API.
    pub(crate) fn api(&self) -> Api {
        Api::portal(&self.home, self.ports.api)
    }

    /// An order for a certificate under `key`.
    pub(crate) fn order(&self, key: &str) -> Request {
        self.form.order(key)
    }

    /// The body of an order for `name`.
    pub(crate) fn body(&self, name: &str) -> Value {
        self.form.body(name)
    }

    /// What orders are made from, for callers that outlive a run of the CA.
    pub(crate) fn form(&self) -> Form {
        self.form.clone()
    }

    /// A second connection to the database, such as an operator with a tool has.
    pub(crate) fn database(&self) -> Connection {
        let path = self.home.join("state/ca.sqlite");
        let open = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
        let connection = open.expect("the database opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("a timeout");
        connection
    }

    /// Copies the database files as they lie there into a fresh folder. Looking at the copy neither
    /// helps nor hinders the recovery of the original.
    pub(crate) fn copy_of_database(&self) -> (TempDir, Connection) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["ca.sqlite", "ca.sqlite-wal"] {
            let from = self.home.join("state").join(name);
            if from.exists() {
                fs::copy(&from, folder.path().join(name)).expect("a copy");
            }
        }
        let connection = Connection::open(folder.path().join("ca.sqlite")).expect("a database");
        (folder, connection)
    }

    /// Has `sigill-verify log` judge one of the two logs from its files and public key.
    pub(crate) fn verify_log(&self, log: &str) -> Value {
        let folder = match log {
            "status" => "publish",
            _ => "audit",
        };
        let key = fs::read_to_string(self.home.join(format!("ceremony/out/note-{log}.pub")));
        let instance = fs::read_to_string(self.home.join("ceremony/instance")).expect("instance");
        let origin = format!("sigill/test/demo/{}/{log}/1", instance.trim());
        let mut command = Command::new(program::built("sigill-verify"));
        command
            .args(["log", "--json", "--checkpoint"])
            .arg(self.home.join(folder).join("checkpoint"))
            .arg("--tiles")
            .arg(self.home.join(folder))
            .args(["--key", key.expect("a public key").trim(), "--origin", &origin]);
        let said = spoken::run(&mut command, &[]);
        assert_eq!(said.code, 0, "{log}: {}", said.text);
        serde_json::from_slice(&said.out).expect("findings in JSON")
    }

    /// The folder of the journey, for files of its own.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the CA said last:\n{}", last_lines(&self.printed()));
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn succeeds(command: &mut Command) {
    let said = spoken::run(command, &[]);
    assert_eq!(said.code, 0, "{command:?}: {}", said.text);
}

fn replace_in(path: &Path, changes: &[(String, String)]) {
    let mut text = fs::read_to_string(path).expect("a file to change");
    for (old, new) in changes {
        assert!(text.contains(old.as_str()), "{path:?} does not say {old}");
        text = text.replace(old, new);
    }
    fs::write(path, text).expect("a file to change");
}

//! ISS-04, ISS-18: a register that answers, and each way in which one does not.

mod http;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use ca::protection::ProtectionClass;
use ca::register::Said;
use serde_json::{Value, json};

use super::*;

const PERSON: &str = "191212121212";
const OTHER: &str = "191003229802";

pub(crate) fn now() -> UnixTime {
    UnixTime::from_secs(1_800_000_000).unwrap()
}

fn of(key: &str) -> Question {
    Question::new(RegisterKind::Person, key.to_owned())
}

fn found(key: &str) -> Value {
    let attributes = json!({
        "personal-identity-number": [key], "given-name": ["Tolvan"], "surname": ["Tolvansson"],
    });
    json!({ "key": key, "answer": "found", "protection": "none", "attributes": attributes })
}

/// A file of the personal-data service as an integration writes it: beside its place, then renamed.
pub(crate) fn put(path: &Path, as_of: UnixTime, records: &[Value]) {
    put_of("person", path, as_of, records);
}

/// As [`put`], of another register.
pub(crate) fn put_of(register: &str, path: &Path, as_of: UnixTime, records: &[Value]) {
    let header = json!({
        "format": "sigill/register-file/1",
        "register": register,
        "as-of": as_of.to_string(),
        "records": records.len(),
    });
    let lines: Vec<String> =
        std::iter::once(&header).chain(records).map(|line| format!("{line}\n")).collect();
    put_text(path, &lines.concat());
}

fn put_text(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o640)).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn port_of(adapter: impl Register + 'static) -> Port {
    Port {
        register: RegisterKind::Person,
        source: "pu".to_owned(),
        adapter: Arc::new(adapter),
        timeout: Duration::from_secs(10),
        at_once: 2,
        under_way: Arc::default(),
    }
}

/// Registers that lie in files, for tests of what asks them.
pub(crate) fn files(employment: &Path, person: &Path) -> Registers {
    let port = |register, path: &Path| Port {
        register,
        source: format!("{register}-file"),
        ..port_of(FileRegister::new(register, path.to_owned()))
    };
    Registers(BTreeMap::from([
        (RegisterKind::Employment, port(RegisterKind::Employment, employment)),
        (RegisterKind::Person, port(RegisterKind::Person, person)),
    ]))
}

/// One register that never answers, waited for this long.
pub(crate) fn hanging(timeout: Duration) -> (Registers, std::sync::mpsc::Sender<()>) {
    let (release, waits) = channel();
    let register = RegisterKind::Employment;
    let port = Port { register, timeout, ..port_of(Hanging(Mutex::new(waits))) };
    (Registers(BTreeMap::from([(register, port)])), release)
}

/// Hangs until the other end of its channel is dropped.
struct Hanging(Mutex<Receiver<()>>);

impl Register for Hanging {
    fn answer(&self, _: &Question, _: Duration, _: UnixTime) -> Result<Answer, AskFault> {
        let _gone = self.0.lock().unwrap().recv();
        Err(AskFault::Unavailable("it hung".to_owned()))
    }
}

struct Panicking;

impl Register for Panicking {
    fn answer(&self, _: &Question, _: Duration, _: UnixTime) -> Result<Answer, AskFault> {
        panic!("an adapter with a defect")
    }
}

#[test]
fn a_file_says_who_is_in_it_as_of_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("person.jsonl");
    let secret =
        json!({ "key": OTHER, "answer": "withheld", "protection": "protected-registration" });
    let earlier = now().saturating_sub(Duration::from_secs(60));
    put(&path, earlier, &[found(PERSON), secret]);
    let port = port_of(FileRegister::new(RegisterKind::Person, path.clone()));

    let answer = port.ask(&of(PERSON), now()).unwrap();
    assert!(matches!(answer.said, Said::Found(None, _)), "{answer:?}");
    assert_eq!(answer.as_of, earlier);
    let withheld = port.ask(&of(OTHER), now()).unwrap();
    assert_eq!(withheld.said, Said::Withheld(ProtectionClass::Relocated));
    assert_eq!(port.ask(&of("195401812390"), now()).unwrap().said, Said::Missing);

    // Another file under the name counts from the next question on.
    put(&path, now(), &[json!({ "key": PERSON, "answer": "ended", "protection": "none" })]);
    let answer = port.ask(&of(PERSON), now()).unwrap();
    assert_eq!((answer.said, answer.as_of), (Said::Ended(None), now()));
    assert_eq!(port.ask(&of(OTHER), now()).unwrap().said, Said::Missing);
}

#[test]
fn a_file_that_is_gone_answers_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("person.jsonl");
    let port = port_of(FileRegister::new(RegisterKind::Person, path.clone()));
    let fault = || port.ask(&of(PERSON), now()).unwrap_err();

    assert_eq!(fault(), RegisterFault::Unavailable);
    put(&path, now(), &[found(PERSON)]);
    assert!(port.ask(&of(PERSON), now()).is_ok());
    fs::remove_file(&path).unwrap();
    assert_eq!(fault(), RegisterFault::Unavailable, "what was read before is not asked any more");
    fs::create_dir(&path).unwrap();
    assert_eq!(fault(), RegisterFault::Unavailable);
    fs::remove_dir(&path).unwrap();
    put(&path, now(), &[found(PERSON)]);
    assert!(port.ask(&of(PERSON), now()).is_ok());
    for mode in [0o644, 0o642, 0o641] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fault(), RegisterFault::Unavailable, "{mode:o}");
    }
}

#[test]
fn a_file_that_is_none_answers_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("person.jsonl");
    put(&path, now(), &[found(PERSON), found(OTHER)]);
    let good = fs::read_to_string(&path).unwrap();
    let port = port_of(FileRegister::new(RegisterKind::Person, path.clone()));
    assert!(port.ask(&of(PERSON), now()).is_ok());
    let long = format!("{{\"key\":\"1\",\"colour\":\"{}\"}}\n", "x".repeat(65_536));
    let wrong = [
        String::new(),
        "\n".to_owned(),
        good.replacen("register-file/1", "register-file/2", 1),
        good.replacen("\"person\"", "\"employment\"", 1),
        good.replacen("\"records\":2", "\"records\":3", 1),
        good.replacen("\"records\":2", "\"records\":1", 1),
        good.replace(OTHER, PERSON),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        good.replacen("\"records\":2", "\"records\":3", 1) + &long,
        good.replacen("\"records\":2", "\"records\":3", 1) + "{\"answer\":\"missing\"}\n",
    ];
    for text in wrong {
        put_text(&path, &text);
        let fault = port.ask(&of(PERSON), now()).unwrap_err();
        assert_eq!(fault, RegisterFault::Malformed, "{text:.200}");
        assert!(port.adapter.check().is_err());
    }
    // One record that is none is nobody else's matter.
    put_text(&path, &good.replacen("\"found\"", "\"maybe\"", 1));
    let faults = [PERSON, OTHER].map(|key| port.ask(&of(key), now()).err());
    assert_eq!(faults.iter().flatten().collect::<Vec<_>>(), [&RegisterFault::Malformed]);
}

/// A register that hangs costs who asks the time-out, those beyond the places nothing, and gives its places back.
#[test]
fn a_register_that_hangs_is_not_waited_for() {
    let (release, waits) = channel::<()>();
    let port = Port { timeout: Duration::from_millis(50), ..port_of(Hanging(Mutex::new(waits))) };
    let begun = Instant::now();
    for _ in 0..2 {
        let limit = port.timeout;
        assert_eq!(port.ask(&of(PERSON), now()).unwrap_err(), RegisterFault::TimedOut { limit });
    }
    let busy = port.ask(&of(PERSON), now()).unwrap_err();
    assert_eq!(busy, RegisterFault::Busy);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());

    drop(release);
    let until = Instant::now() + Duration::from_secs(10);
    while port.ask(&of(PERSON), now()).unwrap_err() != RegisterFault::Unavailable {
        assert!(Instant::now() < until, "its places are free again");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_defect_of_an_adapter_ends_nothing_but_its_answer() {
    let port = port_of(Panicking);
    for _ in 0..5 {
        assert_eq!(port.ask(&of(PERSON), now()).unwrap_err(), RegisterFault::Unavailable);
    }
}

#[test]
fn a_stub_says_what_somebody_has_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("person.toml");
    let port =
        Port { timeout: Duration::from_millis(100), ..port_of(StubRegister::new(path.clone())) };
    let says = |words: &str| {
        fs::write(&path, format!("[[answer]]\nkey = \"{PERSON}\"\n{words}")).unwrap();
        port.ask(&of(PERSON), now())
    };
    assert_eq!(port.ask(&of(PERSON), now()).unwrap_err(), RegisterFault::Unavailable);
    let surname = "attributes = { surname = [\"Tolvansson\"] }";
    let answer = says(&format!("says = \"found\"\n{surname}")).unwrap();
    assert!(matches!(answer.said, Said::Found(None, _)) && answer.as_of == now());
    let marked = "protection = \"confidentiality-marking\"";
    let answer = says(&format!("says = \"found\"\n{marked}\n{surname}")).unwrap();
    assert_eq!(answer.protection(), Some(ProtectionClass::Marked));
    let answer = says(&format!("says = \"stale\"\n{surname}")).unwrap();
    assert!(now().since(answer.as_of) > Duration::from_secs(30 * 86_400));
    let answer = says(&format!("says = \"withheld\"\n{marked}")).unwrap();
    assert_eq!(answer.said, Said::Withheld(ProtectionClass::Marked));
    assert_eq!(says("says = \"ended\"").unwrap().said, Said::Ended(None));
    assert_eq!(says("says = \"missing\"").unwrap().said, Said::Missing);
    assert_eq!(port.ask(&of(OTHER), now()).unwrap().said, Said::Missing);
    assert_eq!(says("says = \"malformed\"").unwrap_err(), RegisterFault::Malformed);
    assert_eq!(says("says = \"withheld\"").unwrap_err(), RegisterFault::Malformed);
    assert_eq!(says("says = \"unavailable\"").unwrap_err(), RegisterFault::Unavailable);
    assert_eq!(says("says = \"perhaps\"").unwrap_err(), RegisterFault::Unavailable);
    let limit = port.timeout;
    assert_eq!(says("says = \"time-out\"").unwrap_err(), RegisterFault::TimedOut { limit });
}

/// The annotated example with these sections in place of its own.
fn config(sections: &str) -> Result<ConfigFile, toml::de::Error> {
    let text = include_str!("../../../environments/demo/ca.toml");
    let (before, rest) = text.split_once("\n[register.employment]").unwrap();
    let (_, after) = rest.split_once("\n[publication]").unwrap();
    toml::from_str(&format!("{before}\n{sections}\n[publication]{after}"))
}

fn read(sections: &str, (environment, pki): (&str, &str)) -> anyhow::Result<Registers> {
    let deployment = Deployment::from_parts(environment, pki, "a1b2").unwrap();
    Registers::read(&config(sections)?, deployment)
}

#[test]
fn the_annotated_example_is_read() {
    let text = include_str!("../../../environments/demo/ca.toml");
    let mut config: ConfigFile = toml::from_str(text).unwrap();
    let section = config.register.as_mut().unwrap();
    assert_eq!(section.paths().len(), 3, "the certificate, its key, and the file");
    assert!(section.employment.as_ref().unwrap().http.is_some());
    assert_eq!(section.person.as_ref().unwrap().timeout, 5);
}

#[test]
fn refuses_values_that_cannot_be() {
    let demo = ("test", "demo");
    let section =
        |more: &str| format!("[register.person]\nsource = \"pu\"\nfile = \"person.jsonl\"\n{more}");
    assert!(read("", demo).unwrap().port(RegisterKind::Person).is_none());
    let one = read(&section("timeout = 30\nat-once = 64"), demo).unwrap();
    assert_eq!(one.port(RegisterKind::Person).unwrap().source(), "pu");
    assert_eq!(one.unready().count(), 1, "the file is not there, and that is told, not refused");
    let http = "[register.person.http]\naddress = \"pu:443\"\npath = \"/v1\"\nkeys = []\ncertificate = \"c\"\nkey = \"k\"";
    for (text, seen) in [
        (section("timeout = 0"), "1 to 30"),
        (section("timeout = 31"), "1 to 30"),
        (section("at-once = 0"), "1 to 64"),
        (section("at-once = 65"), "1 to 64"),
        (section("stub = \"stub.toml\""), "one of"),
        (section(http), "one of"),
        (section("").replace("file = \"person.jsonl\"\n", ""), "one of"),
        (section("").replace("\"pu\"", "\"PU\""), "a-z0-9-"),
        (section("").replace("\"pu\"", "\"\""), "a-z0-9-"),
        (section("colour = \"red\""), "colour"),
        (section("").replace("register.person", "register.patients"), "patients"),
    ] {
        let error = format!("{:#}", read(&text, demo).unwrap_err());
        assert!(error.contains(seen), "{text}: {error}");
    }
}

/// What somebody has made up lets nobody in where certificates count.
#[test]
fn a_stub_is_for_environment_test_alone() {
    let stub = "[register.person]\nsource = \"pu\"\nstub = \"stub.toml\"";
    for test in [("test", "demo"), ("test", "systemtest")] {
        assert!(read(stub, test).is_ok());
    }
    for other in [("qa", "test"), ("prod", "prod")] {
        let error = format!("{:#}", read(stub, other).unwrap_err());
        assert!(error.contains("environment test alone"), "{error}");
    }
}

/// Who starts a deployment without the registers that its routines demand hears which routine issues nothing.
#[test]
fn a_register_that_is_demanded_and_not_there_is_told_outside_environment_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
    let book = crate::book::read(&folder).unwrap();
    let lacking = |sections: &str, (environment, pki): (&str, &str)| {
        let deployment = Deployment::from_parts(environment, pki, "a1b2").unwrap();
        let registers = Registers::read(&config(sections).unwrap(), deployment).unwrap();
        registers.lacking(&book, deployment).map(|error| error.to_string()).collect::<Vec<_>>()
    };
    assert!(lacking("", ("test", "demo")).is_empty());
    let both = lacking("", ("prod", "prod"));
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both[0].contains("[register.employment]"), "{both:?}");
    let person = "[register.person]\nsource = \"pu\"\nfile = \"person.jsonl\"";
    let one = lacking(person, ("prod", "prod"));
    assert_eq!(one.len(), 1, "{one:?}");
}

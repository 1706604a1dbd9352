//! The report: everything that is asked of it, in both languages, in one file, whatever a plan says.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ceremony_core::plan::Plan;
use serde_json::Value;

use super::*;
use crate::ceremony::judge::{Judged, Paper, judge};

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors");
    fs::read(folder.join(name)).unwrap()
}

fn shipped() -> (Vec<(Check, Said)>, Held) {
    let told: Value = serde_json::from_slice(&vector("ceremony-bundle.json")).unwrap();
    let of = |name: &str| told[name].as_str().unwrap().parse().unwrap();
    let paper = Paper { plan: of("plan"), head: of("head") };
    let Judged { rows, verdict } = judge(&vector("ceremony-bundle.tar"), paper);
    (rows, verdict.unwrap())
}

fn written(rows: &[(Check, Said)], held: &Held, language: Language) -> String {
    let bundle = Fingerprint::of(&vector("ceremony-bundle.tar"));
    Report { held, rows, bundle, language }.to_html()
}

/// What an HTML parser of another's makes of it: refused is an element that is not closed or does not belong there, an attribute that names another
/// file, and a cell that is empty; told are the tables, each a list of rows.
const PARSER: &str = r#"
import html.parser, json, re, sys
import xml.etree.ElementTree as tree
text = sys.stdin.buffer.read().decode()
tree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
ALLOWED = {"html", "head", "meta", "title", "style", "body", "section", "div", "h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "footer"}
class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tables, self.title, self.sections = [], [], []
        self.open, self.cell, self.first, self.warning = [], None, [], []
    def handle_starttag(self, tag, attributes):
        assert tag in ALLOWED, tag
        assert {name for name, _ in attributes} <= {"lang", "charset", "class", "scope"}, attributes
        if tag == "meta": return
        self.open.append((tag, dict(attributes).get("class")))
        if tag == "table": self.tables.append([])
        if tag == "tr": self.tables[-1].append([])
        if tag in ("th", "td"): self.cell = ""
    def handle_startendtag(self, tag, attributes):
        assert tag == "meta", tag
    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, tag
        if tag in ("th", "td"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None
    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        if self.cell is not None: self.cell += data
        if "h2" in tags: self.sections.append(data)
        if ("section", "first") in self.open: self.first.append(data)
        if ("div", "warning") in self.open: self.warning.append(data.strip())
reader = Reader()
reader.feed(text)
reader.close()
assert not reader.open, reader.open
assert not re.search(r"url\(|@import|expression\(|https?:[^ ]*\.(?:css|js|png)", text), "another file"
json.dump({"tables": reader.tables, "sections": reader.sections, "warning": [one for one in reader.warning if one]}, sys.stdout)
"#;

fn parsed(html: &str) -> Value {
    let mut parser = Command::new("python3")
        .args(["-c", PARSER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(html.as_bytes()).unwrap();
    let run = parser.wait_with_output().unwrap();
    assert!(run.status.success(), "{run:?}");
    serde_json::from_slice(&run.stdout).unwrap()
}

/// A14, CER-04: the same twice; each thing that GEN-6.5.1-13A asks for is there and not empty, in Swedish and in English.
#[test]
fn a_report_has_all_that_is_asked_of_it() {
    let (rows, held) = shipped();
    for language in [Language::Swedish, Language::English] {
        let html = written(&rows, &held, language);
        assert_eq!(written(&rows, &held, language), html);
        let found = parsed(&html);
        let sections = found["sections"].as_array().unwrap();
        assert_eq!(sections.len(), 11, "{sections:?}");
        assert!(
            found["warning"][0]
                .as_str()
                .unwrap()
                .contains(language.pick("Ingen satt vid ceremonin", "Nobody sat at this ceremony"))
        );
        for table in found["tables"].as_array().unwrap() {
            let rows = table.as_array().unwrap();
            assert!(!rows.is_empty(), "{table}");
            // The first cell of a table of differences names what differs, and its head is empty.
            let cells = rows.iter().skip(1).flat_map(|row| row.as_array().unwrap());
            for cell in cells {
                let text = cell.as_str().unwrap();
                let is_nobody = text.is_empty();
                assert!(!is_nobody, "{language:?}: an empty cell in {table}");
            }
        }
        let key = &held.made.keys[0];
        for wanted in [
            // Date; roles, internal and external; functions; responsibilities; evidence.
            times(&held.whole)[0].as_str(),
            "Ragnar Holm",
            language.pick("extern", "external"),
            language.pick("Delinnehavare", "Key custodian"),
            language.pick("Läser manuset", "Reads the script"),
            "transcript.jsonl",
            // Keys: identity, algorithm, size, hash; token: identity and model; how it was made.
            &key.cka_id,
            "ECDSA, P-384, 384 bit",
            &key.spki_sha256,
            &key.token,
            "SoftHSM v2",
            "PKCS #11, EC key pair generation",
            "secp384r1",
            language.pick("slumptalsgenerator", "random generator"),
            // Attributes, outputs, and what the auditor has on paper.
            "extractable=false",
            "CN=SIGILL TRAINING Root CA v1",
            &held.artefacts[0].sha256,
            &held.plan.hash.words().join(" "),
            language.pick("inte i förväg", "not pre-generated"),
            language.pick("Säkerhetsansvarig, Sara Nyman", "Security officer, Sara Nyman"),
        ] {
            assert!(html.contains(wanted), "{language:?}: {wanted}");
        }
    }
}

/// Whatever people are called in a plan, and whatever an exception says, it stays text.
#[test]
fn hostile_text_stays_text() {
    let (rows, mut held) = shipped();
    let text = String::from_utf8(held.bundle.file(ceremony_core::bundle::PLAN).to_vec()).unwrap();
    let hostile = text
        .replace("name     = \"Vera Sund\"", "name     = '</td><script src=x>alert(1)</script>'")
        .replace(
            "title       = \"Training: a root on SoftHSM\"",
            "title       = '</title><img src=\"http://x/a.png\">'",
        );
    assert_ne!(hostile, text);
    held.plan = Plan::read(hostile.as_bytes()).unwrap();
    let exception = held.whole.records.last_mut().unwrap();
    exception.kind = Kind::Exception;
    exception.body.insert("reason".to_owned(), "<b onclick='x'>lost\u{202e}".into());
    held.made.given_up.push(ceremony_core::bundle::GivenUp {
        step: "first-crl".to_owned(),
        what: "<i>".to_owned(),
        tbs_sha256: "00".to_owned(),
        reason: String::new(),
    });
    let html = written(&rows, &held, Language::English);
    let _ = parsed(&html.replace("http://x/a.png", ""));
    for mark in ["<script", "<img", "<b ", "<i>", "\u{202e}"] {
        assert!(!html.contains(mark), "{mark}");
    }
    let warned = html.split("</div>").next().unwrap();
    assert!(warned.contains("Exception, line 57") && warned.contains("SHA-256 00"), "{warned}");
}

/// KEY-08: a key that ended stands in the report with its token, its ground and its last CRL, and what people state of other copies is marked so.
#[test]
fn a_key_that_ended_is_told_of_with_its_copies() {
    let (rows, mut held) = shipped();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/ceremonies/plans/c7-key-destruction.toml");
    held.plan = Plan::read(&fs::read(path).unwrap()).unwrap();
    let [key, token] = ["8a".repeat(32), "sg-pp-ex01-issuing (serial 4711030)".to_owned()];
    held.made.destroyed.push(ceremony_core::bundle::DestroyedKey {
        step: "destroy".to_owned(),
        announced: key.clone(),
        spki_sha256: key.clone(),
        token: token.clone(),
        adopted: false,
    });
    for language in [Language::Swedish, Language::English] {
        let html = written(&rows, &held, language);
        let _ = parsed(&html);
        for wanted in [
            key.as_str(),
            &token,
            "decision 2027-17",
            "in/function.crl, SHA-256 d9555c04",
            "backup token 4711031: zeroised",
            language.pick("som människor intygar", "as people state"),
        ] {
            assert!(html.contains(wanted), "{wanted}");
        }
    }
}

/// A ceremony that somebody sat at has no warning.
#[test]
fn what_went_as_planned_warns_of_nothing() {
    let (rows, mut held) = shipped();
    held.whole.records.retain(|record| record.kind != Kind::Resume);
    for record in &mut held.whole.records {
        if record.kind == Kind::Readback {
            record.body.insert("what".to_owned(), ceremony_core::attendance::TO_BE_SIGNED.into());
        }
    }
    let html = written(&rows, &held, Language::English);
    assert!(!html.contains("class=\"warning\""));
}

/// A run that began anew, a signature asked for once more and what a later run found stand before all else, in both languages.
#[test]
fn breaks_stand_on_the_first_page() {
    let (rows, mut held) = shipped();
    let change = |held: &mut Held, kind: Kind, name: &str, value: &str| {
        let is_it = |record: &&mut Record| record.kind == kind && record.step == "first-crl";
        let record = held.whole.records.iter_mut().find(is_it).unwrap();
        record.body.insert(name.to_owned(), value.into());
    };
    change(&mut held, Kind::Intent, "again", "session-lost");
    change(&mut held, Kind::Result, "adopted", "found by a later run");
    for (language, wanted) in [
        (
            Language::English,
            [
                "The program had ended, and was started anew, line 19, begin",
                "A signature was asked for once more, line 52, first-crl: training.crl, session-lost",
                "A later run found what an earlier one had made, line 53, first-crl",
            ],
        ),
        (
            Language::Swedish,
            [
                "Programmet hade avslutats och startades på nytt, rad 19, begin",
                "En signatur begärdes en gång till, rad 52, first-crl: training.crl, session-lost",
                "En senare körning fann vad en tidigare hade gjort, rad 53, first-crl",
            ],
        ),
    ] {
        let html = written(&rows, &held, language);
        let warned = html.split("</div>").next().unwrap();
        for line in wanted {
            assert!(warned.contains(&format!("<p>{line}</p>")), "{line}: {warned}");
        }
    }
    let text = crate::ceremony::warnings(&held).join("\n");
    assert!(text.contains("started anew, line 19, step begin"), "{text}");
    assert!(text.contains("once more, line 52, step first-crl: training.crl, session-lost"));
}

/// What no line of a transcript tells is the plan's word, and is marked so; what was seen stands beside it.
#[test]
fn what_no_line_tells_is_by_the_plan() {
    let (rows, held) = shipped();
    let html = written(&rows, &held, Language::English);
    let token = &held.made.keys[0].token;
    let label = &held.plan.tokens[0].label;
    for (name, value) in [
        ("Second copy, by the plan; not seen by any program", "none"),
        ("PIN, by the plan; not seen by any program", "shares with the custodians"),
        ("Unique identity, as seen", token.as_str()),
        ("Unique identity, by the plan", label.as_str()),
        ("Content before, by the plan", "not initialised"),
    ] {
        let row = format!("<th scope=\"row\">{name}</th><td>{value}</td>");
        assert!(html.contains(&row), "{row}");
    }
    assert!(!html.contains("Content before, SHA-256 as seen"));
    // Where nobody saw it, nothing is said to have been seen.
    let (rows, mut held) = shipped();
    held.whole.records.retain(|record| !record.body.contains_key("token"));
    assert!(!written(&rows, &held, Language::English).contains("Unique identity, as seen"));
}

/// Lines to be signed are of those who came, a deputy in the place of whom he stood in for.
#[test]
fn those_who_came_sign() {
    let (rows, mut held) = shipped();
    let deputy = held.plan.people.duties.iter().find(|duty| duty.deputy_for.is_some()).unwrap();
    let (role, person) = (deputy.role, deputy.person.to_string());
    let first = deputy.deputy_for.as_ref().unwrap().to_string();
    let signers = |held: &Held| {
        let (bundle, language) = (Fingerprint::of(b""), Language::English);
        let report = Report { held, rows: &rows, bundle, language };
        report.signers(role).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(signers(&held), [first.as_str()]);
    held.came.remove(&first);
    held.came.insert(person.clone());
    assert_eq!(signers(&held), [person.as_str()]);
    held.came.remove(&person);
    assert_eq!(signers(&held), [first.as_str()]);
    // A security officer signs who was not in the room.
    let html = written(&rows, &held, Language::English);
    assert!(html.contains("<div class=\"line\">Security officer, Sara Nyman</div>"));
}

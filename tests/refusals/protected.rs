//! Protected persons, against a server (DAT-01, DAT-02): one with unmistakable names is made, and whoever has no role for him is answered what he is
//! answered of somebody who was never there; nothing of him stands in answers, logs, metrics or what is published. Revocations reach him all the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::suite::Check;
use support::{budget, spoken};

use crate::World;
use crate::ordered::AUTHENTICATED;
use crate::requests::{self, base64};
use crate::running::{Answer, Call};
use crate::signed::{Desk, FIRST, Pen, ordered, refused, with_claim};
use crate::stepwise;

pub const CHECKS: &[Check<World>] =
    &[("a_protected_person_is_not_there_for_who_has_no_role_for_him", protected)];

/// The person, who is in no other check.
const NUMBER: &str = "191003229802";
const CARD: &str = "9752269874512327777";
const HSA_ID: &str = "TST2321000016-QVXZ";
const GIVEN_NAME: &str = "Qvintus";
const SURNAME: &str = "Xylografen";
/// What stands nowhere. In whatever case.
const CANARIES: [&str; 6] = [NUMBER, "100322-9802", CARD, HSA_ID, GIVEN_NAME, SURNAME];
/// The ids of somebody who was never there.
const NOBODY: &str = "019f0000-0000-7000-8000-000000000001";

/// What the server has of the person.
struct Person {
    certificate: String,
    pem: String,
    serial: String,
    authority: String,
    sha256: String,
    order: String,
    eid: String,
    carrier: String,
}

/// An order for the person.
fn order(number: &str) -> Value {
    let mut call = ordered(&base64(&requests::p256()), AUTHENTICATED, FIRST, number, HSA_ID);
    call["subject"]["given_name"] = json!(GIVEN_NAME);
    call["subject"]["surname"] = json!(SURNAME);
    call["order"]["carrier"]["card_number"] = json!(CARD);
    call
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn ask(path: &str, body: &Value) -> Call {
    Call::post(path, body.to_string()).headers(&[])
}

fn acting(desk: &Desk, roles: &[&str]) -> Pen {
    let mut pen = desk.provider.clone();
    pen.more = with_claim(&desk.provider, "roles", json!(roles));
    pen
}

fn made(desk: &Desk, privy: &Pen) -> Person {
    let one = stepwise::issued(desk, privy, &order(NUMBER));
    let found = desk.call(privy, ask("/v1/eids/search", &json!({ "card_number": CARD })));
    let eid = &found.json["items"][0];
    Person {
        certificate: text(&one["id"]),
        pem: text(&one["certificate"]),
        serial: text(&one["serial"]),
        authority: text(&one["authority"]),
        sha256: text(&one["sha256"]),
        order: text(&one["order"]),
        eid: text(&eid["id"]),
        carrier: text(&eid["carrier"]),
    }
}

/// Every question that names the person or what is his, and the same one about nobody.
fn questions(person: &Person) -> Vec<(Call, Call)> {
    let Person { certificate, eid, carrier, authority, serial, sha256, .. } = person;
    let id = |prefix: &str| format!("{prefix}_{NOBODY}");
    let (no_certificate, no_eid, no_carrier) = (id("crt"), id("eid"), id("car"));
    let get = |path: &dyn Fn(&str) -> String, own: &str, nobody: &str| {
        (Call::get(&path(own)), Call::get(&path(nobody)))
    };
    let post = |path: &str, body: &dyn Fn(&str) -> Value, own: &str, nobody: &str| {
        (ask(path, &body(own)), ask(path, &body(nobody)))
    };
    let diagnosis = |field: &'static str, own: &str, nobody: &str| {
        post("/v1/diagnosis", &|name| json!({ field: name, "use": "login" }), own, nobody)
    };
    let acts = |tail: &str, body: Value| {
        let call =
            |id: &str| Call::post(&format!("/v1/certificates/{id}/{tail}"), body.to_string());
        (call(certificate), call(&no_certificate))
    };
    vec![
        get(&|id| format!("/v1/certificates/{id}"), certificate, &no_certificate),
        get(&|id| format!("/v1/certificates/{id}/receipts"), certificate, &no_certificate),
        get(&|id| format!("/v1/certificates?sha256={id}"), sha256, &"00".repeat(32)),
        get(&|id| format!("/v1/certificates?authority={authority}&serial={id}"), serial, "7A01"),
        get(&|id| format!("/v1/certificates?eid={id}"), eid, &no_eid),
        get(&|id| format!("/v1/certificates?order={id}"), &person.order, &id("ord")),
        get(&|id| format!("/v1/authorities/{authority}/serials/{id}/receipts"), serial, "7A01"),
        get(&|id| format!("/v1/eids/{id}"), eid, &no_eid),
        get(&|id| format!("/v1/eids?carrier={id}"), carrier, &no_carrier),
        get(&|id| format!("/v1/eids?certificate={id}"), certificate, &no_certificate),
        get(&|id| format!("/v1/carriers/{id}"), carrier, &no_carrier),
        post(
            "/v1/carriers/lookup",
            &|card| json!({ "card_number": card }),
            CARD,
            "9752269874512325466",
        ),
        post("/v1/eids/search", &|text| json!({ "person": text }), NUMBER, "190101019801"),
        post("/v1/eids/search", &|text| json!({ "hsa_id_end": text }), "QVXZ", "QVXY"),
        post(
            "/v1/eids/search",
            &|text| json!({ "card_number": text }),
            CARD,
            "9752269874512325466",
        ),
        diagnosis("certificate", certificate, &no_certificate),
        diagnosis("eid", eid, &no_eid),
        diagnosis("carrier", carrier, &no_carrier),
        diagnosis("card_number", CARD, "9752269874512325466"),
        acts("release", json!({})),
        acts("receipt", json!({ "method": "ocsp", "observations": [] })),
    ]
}

/// All that an answer is, but for what names the call: and what was asked by.
fn plain(answer: &Answer, names: &[&str]) -> (u16, Vec<String>, String) {
    let passing = ["date:", "sigill-correlation-id:"];
    let headers =
        answer.headers.lines().filter(|line| !passing.iter().any(|one| line.starts_with(one)));
    let mut json = answer.json.clone();
    if let Some(problem) = json.as_object_mut() {
        problem.retain(|name, _| !["correlation_id", "time", "instance"].contains(&name.as_str()));
    }
    let mut body = json.to_string();
    for name in names {
        body = body.replace(name, "NAME");
    }
    (answer.status, headers.map(str::to_owned).collect(), body)
}

fn must_say_nothing_of_him(said: &str, person: &Person, of: &str) {
    let lower = said.to_lowercase();
    for canary in CANARIES {
        assert!(!lower.contains(&canary.to_lowercase()), "{of} says {canary}: {said}");
    }
    assert!(!said.contains(&person.pem), "{of}");
}

fn protected(world: &World) {
    let home = world.template.copy();
    // Who looks without anybody's word.
    home.edit_config("name = \"auditor\"", "name = \"auditor\"\nstatements = \"none\"");
    let desk = Desk::of(home);
    let privy = acting(&desk, &["management-administrator", "confidentiality"]);
    let bare = acting(&desk, &["management-administrator"]);
    let set = |class: &str| json!({ "person": NUMBER, "class": class, "actor": FIRST });
    let put = |pen: &Pen, body: &Value| {
        desk.call(pen, Call::post("/v1/protected-persons", body.to_string()))
    };

    // Before he has anything, by who may, and nobody else.
    for roles in [&["management-administrator"][..], &["global-reader", "confidentiality"]] {
        let answer = put(&acting(&desk, roles), &set("confidentiality-marking"));
        refused(&answer, 403, "actor-role-refused");
    }
    for (body, status) in [
        (json!({ "class": "none", "actor": FIRST }), 400),
        (json!({ "person": "191003229803", "class": "none", "actor": FIRST }), 422),
        (json!({ "person": NUMBER, "class": "none", "actor": "" }), 400),
        (
            json!({ "passport": { "state": "DNK", "number": "1", "birth_date": "1980-01-01" }, "class": "none", "actor": FIRST }),
            422,
        ),
    ] {
        let answer = put(&privy, &body);
        refused(&answer, status, "protection-malformed");
        assert!(!answer.json.to_string().contains("19100322"), "{answer:?}");
    }
    let marked = put(&privy, &set("confidentiality-marking"));
    assert_eq!((marked.status, &marked.json["class_sv"]), (200, &json!("Sekretessmarkering")));
    let begun = Call::post("/v1/orders", stepwise::prepared(&order(NUMBER)).to_string());
    refused(&desk.call(&bare, begun), 403, "holder-not-for-role");
    let person = made(&desk, &privy);

    hidden(&desk, &person, &bare);
    listed(&desk, &person, &privy, &bare);
    by_clients_that_sign_nothing(&desk, &person);
    compared_in_time(&desk, &person);

    // A class that ends, and one that comes back, count at once.
    let seen = |pen: &Pen| desk.call(pen, Call::get(&format!("/v1/eids/{}", person.eid))).status;
    assert_eq!((seen(&bare), seen(&privy)), (404, 200));
    assert_eq!(put(&privy, &set("none")).json, json!({ "class": "none", "class_sv": "Ingen" }));
    assert_eq!((seen(&bare), seen(&privy)), (200, 200));
    assert_eq!(put(&privy, &set("protected-registration")).status, 200);
    assert_eq!((seen(&bare), seen(&privy)), (404, 200));

    revoked(&desk, &person, &bare);
    desk.server.settle();
    let home = &desk.server.home;
    let changes = home.audited("protection.changed");
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(!home.audited("sealed.read").is_empty());
    must_say_nothing_of_him(&desk.server.log(), &person, "the log");
    let metrics = desk.server.observed("/metrics").1;
    assert!(metrics.contains("sigill_api_calls_total"), "{metrics}");
    must_say_nothing_of_him(&metrics, &person, "a metric");
    for folder in ["publish", "audit"] {
        let read = published(&home.path(folder), &person);
        assert!(read > 3, "{folder}: {read} files");
    }
}

/// Of every question the answer is that of nobody, in each role and by whoever signs nothing; listings do not have him.
fn hidden(desk: &Desk, person: &Person, bare: &Pen) {
    let mut alike = BTreeSet::new();
    for (own, nobody) in questions(person) {
        let names = [
            &person.certificate,
            &person.eid,
            &person.carrier,
            &person.serial,
            &person.sha256,
            &person.order,
        ];
        let ids = ["crt", "eid", "car", "ord"].map(|prefix| format!("{prefix}_{NOBODY}"));
        let zeros = "00".repeat(32);
        let names = names.map(String::as_str).into_iter().chain(ids.iter().map(String::as_str));
        let names: Vec<_> = names.chain([zeros.as_str(), "7A01"]).collect();

        let (of_him, of_nobody) = (desk.call(bare, own.clone()), desk.call(bare, nobody));

        assert_eq!(plain(&of_him, &names), plain(&of_nobody, &names), "{own:?}");
        assert_ne!(of_him.status, 403, "{own:?}: {of_him:?}");
        must_say_nothing_of_him(&format!("{of_him:?}"), person, own.target());
        alike.insert(of_him.status);
    }
    assert_eq!(alike, BTreeSet::from([200, 404]));
    for roles in ["ca-operator", "ca-auditor", "global-reader", "management-administrator"] {
        let pen = acting(desk, &[roles]);
        for path in [
            "/v1/certificates?limit=1000",
            "/v1/certificates?eid=none",
            "/v1/eids?limit=1000",
            "/v1/eids?organisation=2321000131",
            "/v1/organisations",
            "/v1/authorities",
            "/v1/limits",
            "/v1/jobs",
            "/v1/trial-revocations",
        ] {
            let answer = desk.call(&pen, Call::get(path));
            let said = format!("{answer:?}");
            must_say_nothing_of_him(&said, person, path);
            for id in [&person.certificate, &person.eid, &person.carrier, &person.serial] {
                assert!(!said.contains(id.as_str()), "{roles} {path}: {said}");
            }
        }
    }
}

/// Who has the role sees him, in a listing of his own too.
fn listed(desk: &Desk, person: &Person, privy: &Pen, bare: &Pen) {
    let list = || Call::get("/v1/protected-persons");
    refused(&desk.call(bare, list()), 403, "actor-role-refused");
    let shown = desk.call(privy, list());
    assert_eq!(shown.status, 200, "{shown:?}");
    let one = &shown.json["items"][0];
    assert_eq!(
        (&one["person"], &one["class"]),
        (&json!(NUMBER), &json!("confidentiality-marking"))
    );
    assert_eq!(one["eids"][0]["id"], json!(person.eid));
    for (own, _) in questions(person).into_iter().take(15) {
        let answer = desk.call(privy, own.clone());
        assert_eq!(answer.status, 200, "{own:?}: {answer:?}");
    }
    let found = desk.call(privy, ask("/v1/eids/search", &json!({ "person": NUMBER })));
    assert_eq!(found.json["items"][0]["id"], json!(person.eid));
}

/// A client that reads without anybody's statement acts in no role.
fn by_clients_that_sign_nothing(desk: &Desk, person: &Person) {
    let path = |id: &str| format!("/v1/certificates/{id}");
    let look = |path: &str| desk.server.call(&Call::get(path).by("auditor"));
    let nobody = format!("crt_{NOBODY}");
    let names = [person.certificate.as_str(), nobody.as_str()];
    let [of_him, of_nobody] = names.map(|id| look(&path(id)));
    assert_eq!((of_him.status, of_nobody.status), (404, 404), "{of_him:?}");
    assert_eq!(plain(&of_him, &names), plain(&of_nobody, &names));
    refused(&look("/v1/protected-persons"), 401, "actor-statement-required");
    let body = json!({ "person": NUMBER, "class": "none", "actor": "op-1" });
    let ends = Call::post("/v1/protected-persons", body.to_string()).by("auditor");
    refused(&desk.server.call(&ends), 401, "actor-statement-required");
}

/// Revocations reach him, whoever may make them; their answers say what was done and nothing of whom.
fn revoked(desk: &Desk, person: &Person, bare: &Pen) {
    let revoke = |path: String, reason: &str| {
        let answer = desk.call(bare, Call::post(&path, json!({ "reason": reason }).to_string()));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        must_say_nothing_of_him(&format!("{answer:?}"), person, &path);
        answer.json
    };
    let held =
        revoke(format!("/v1/certificates/{}/revocation", person.certificate), "certificateHold");
    assert_eq!((&held["state"], &held["outcome"]), (&json!("held"), &json!("changed")));
    assert_eq!(held["certificate"], Value::Null);
    let eid = revoke(format!("/v1/eids/{}/revocation", person.eid), "superseded");
    assert_eq!((&eid["stage"], &eid["organisation"]), (&json!("revoked"), &json!("")));
    let carrier = revoke(format!("/v1/carriers/{}/revocation", person.carrier), "keyCompromise");
    assert_eq!((&carrier["stage"], &carrier["eids"]), (&json!("revoked"), &json!([])));
    let path = format!("/v1/authorities/{}/serials/{}/revocation", person.authority, person.serial);
    assert_eq!(revoke(path, "keyCompromise")["state"], json!("revoked"));
}

/// What is published says nothing of him; how many files there are.
fn published(folder: &Path, person: &Person) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files += published(&path, person);
            continue;
        }
        let octets = fs::read(&path).unwrap_or_default();
        must_say_nothing_of_him(
            &String::from_utf8_lossy(&octets),
            person,
            &path.display().to_string(),
        );
        files += 1;
    }
    files
}

/// How long both answers take, in turns over one connection: medians, and what one is of the other.
fn compared_in_time(desk: &Desk, person: &Person) {
    let count = budget::count("protected-timings");
    let home = &desk.server.home;
    let mut config = String::from("silent\nmax-time = 120\n");
    let paths = [person.certificate.clone(), format!("crt_{NOBODY}")];
    for (number, _) in (0..count).enumerate() {
        for path in &paths {
            let next = if number == 0 && path == &paths[0] { "" } else { "next\n" };
            let _ = write!(
                config,
                "{next}silent\nurl = \"https://{}/v1/certificates/{path}\"\noutput = \"/dev/null\"\nwrite-out = \"%{{http_code}} %{{time_starttransfer}} %{{time_pretransfer}}\\n\"\n",
                home.api
            );
            for (option, file) in
                [("cert", "auditor.pem"), ("key", "auditor.key"), ("cacert", "management-ca.pem")]
            {
                let _ = writeln!(
                    config,
                    "{option} = \"{}\"",
                    home.path(&format!("tls/{file}")).display()
                );
            }
        }
    }
    let mut command = Command::new("curl");
    let said = spoken::run(command.args(["--config", "-"]), config.as_bytes());
    let mut times: [Vec<f64>; 2] = Default::default();
    for (number, line) in String::from_utf8_lossy(&said.out).lines().enumerate() {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[0], "404", "{line}");
        let [whole, before] =
            [fields[1], fields[2]].map(|field| field.parse::<f64>().expect("a time"));
        times[number % 2].push(whole - before);
    }
    let [of_him, of_nobody] = times.map(|mut all| {
        assert!(
            u64::try_from(all.len()).is_ok_and(|found| found == count),
            "{} of {count}",
            all.len()
        );
        all.sort_by(f64::total_cmp);
        all[all.len() / 2] * 1e6
    });
    println!(
        "protected-timings: {count} calls each; medians {of_him:.0} us hidden, {of_nobody:.0} us not there, ratio {:.3}",
        of_him / of_nobody
    );
}

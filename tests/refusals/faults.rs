//! Faults around a CA that serves: a full disk, a folder that takes no writes, a database that
//! another process holds.
//!
//! Each is put off by its code and leaves nothing half done; what can go on goes on, revoking first of
//! all; readiness and metrics tell; and when the fault ends everything comes to its end without a
//! restart: the same keys get their answers, and both logs verify.

use std::fs;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::demo::until;
use support::spoken;
use support::suite::Check;

use crate::World;
use crate::database::Lock;
use crate::home::Home;
use crate::mounted::Mounted;
use crate::ordered;
use crate::requests;
use crate::running::{Answer, Call, Running};
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[
    ("a_full_disk_under_the_database_puts_acts_off", a_full_disk_puts_acts_off),
    ("a_full_publication_folder_holds_no_revocation_up", a_full_folder_holds_nothing_up),
    (
        "a_publication_folder_without_writes_holds_no_revocation_up",
        a_closed_folder_holds_nothing_up,
    ),
    ("a_database_that_another_process_holds_puts_acts_off", a_held_database_puts_acts_off),
];

/// The one authority that the profile of these orders has.
const AUTHORITY: &str = "sigilltesteidfunctioneccav1";
/// How soon everything is well again once the fault has ended.
const HEALED_WITHIN: Duration = Duration::from_secs(40);
/// How soon readiness and metrics tell of a fault.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// Two acts are put off by then; what they wait for does not end by itself.
const PUT_OFF_WITHIN: Duration = Duration::from_secs(25);
/// More orders than a small disk can ever hold.
const MOST_ORDERS: usize = 300;

/// ISS-05: with a full disk nothing is issued or revoked, and the calls that were put off
/// come to their ends under their keys once there is room. AUD-02, AUD-06: nor is anything of a person shown,
/// because that cannot be written down.
fn a_full_disk_puts_acts_off(world: &World) {
    let home = Rc::new(world.template.copy());
    let Some(disk) = Mounted::over(&home.path("state"), "8m") else { return };
    let server = Running::start(Rc::clone(&home));
    let kept = issued(&server.call(&new_order()));
    let person = issued(&server.call(&Call::order(&ordered::order())));
    assert_eq!(server.call(&shown(&person)).status, 200);
    let certificates = State::of(&home).rows["certificate"];

    disk.fill();
    let (mut orders, mut released) = (Vec::new(), 0);
    // The write-ahead log has room of its own for some acts; after them every act is refused, at last
    // at its very first step.
    loop {
        let before = State::of(&home);
        let order = new_order();
        let answer = server.call(&order);
        orders.push(order);
        if answer.status == 201 {
            released += 1;
        } else {
            put_off(&answer, "database-full");
            if before.difference(&State::of(&home)).is_empty() {
                break;
            }
        }
        assert!(orders.len() < MOST_ORDERS, "the disk is not full");
    }
    let revocation = revocation_of(&kept);
    put_off(&server.call(&revocation), "database-full");
    assert_eq!(server.call(&shown(&kept)).json["state"], "issued", "reading goes on");
    // What is left takes the leaves of some reads; then nobody is shown anybody.
    let mut looks = (0..MOST_ORDERS).map(|_| server.call(&shown(&person)));
    let unseen = looks.find(|answer| answer.status != 200).expect("the disk is not full");
    put_off(&unseen, "database-full");
    assert!(!unseen.json.to_string().contains(text(&person, "serial")), "{unseen:?}");
    assert_eq!(
        server.call(&shown(&kept)).json["state"],
        "issued",
        "nobody's is shown all the same"
    );
    told(&server, "storing", r#"sigill_storage_failures_total{code="database-full"}"#);
    println!("full disk: {released} issued, {} put off", orders.len() - released);

    disk.make_room();
    for order in &orders {
        let answer = persevere(&server, order, 201);
        let again = server.call(order);
        assert_eq!((again.status, &again.json), (201, &answer.json), "{again:?}");
    }
    assert_eq!(persevere(&server, &revocation, 200).json["state"], "revoked");
    persevere(&server, &shown(&person), 200);
    whole_again(&server);
    let rows = State::of(&home).rows;
    let made = rows["certificate"] - certificates;
    assert_eq!(usize::try_from(made), Ok(orders.len()), "one certificate an order");
    listed(&home, &kept);
}

/// How the publication folder ails.
#[derive(Clone, Copy)]
enum Ailing {
    Full,
    ReadOnly,
}

impl Ailing {
    fn begin(self, folder: &Mounted) {
        match self {
            Self::Full => folder.fill(),
            Self::ReadOnly => folder.remount("ro"),
        }
    }

    fn end(self, folder: &Mounted) {
        match self {
            Self::Full => folder.make_room(),
            Self::ReadOnly => folder.remount("rw"),
        }
    }
}

fn a_full_folder_holds_nothing_up(world: &World) {
    nothing_is_held_up(world, Ailing::Full);
}

fn a_closed_folder_holds_nothing_up(world: &World) {
    nothing_is_held_up(world, Ailing::ReadOnly);
}

/// REV-01, promise 4: a revocation is recorded whatever ails the publication folder, and is seen by the
/// world as soon as that can be written; a caller that waits for the world is told to come back.
fn nothing_is_held_up(world: &World, ailing: Ailing) {
    let home = Rc::new(world.template.copy());
    let Some(folder) = Mounted::over(&home.path("publish"), "4m") else { return };
    let server = Running::start(Rc::clone(&home));
    let (first, second) = (issued(&server.call(&new_order())), issued(&server.call(&new_order())));
    let waits =
        |call: Call, key: &str| call.headers(&[&format!("Idempotency-Key: {key}"), "Prefer: wait"]);
    server.settle();
    let (before, published) = (State::of(&home), checkpoint(&home));

    ailing.begin(&folder);
    let recorded = server.call(&revocation_of(&first));
    assert_eq!((recorded.status, &recorded.json["state"]), (200, &json!("revoked")));
    let waiting_order = waits(new_order(), "waits-order");
    put_off(&server.call(&waiting_order), "not-yet-published");
    let waiting = waits(revocation_of(&second), "waits-revocation");
    put_off(&server.call(&waiting), "not-yet-published");
    assert_eq!(server.call(&shown(&second)).json["state"], "revoked", "recorded all the same");
    told(&server, "publishing", "sigill_publication_failures_total");
    told(
        &server,
        "publishing",
        &format!(r#"sigill_schedule_failures_total{{task="crl {AUTHORITY}"}}"#),
    );
    let (during, still) = (State::of(&home), checkpoint(&home));
    assert_eq!(during.files, before.files, "published files changed");
    assert_eq!(still, published, "the checkpoint changed");
    // One certificate was signed for the order that waits; lists that cannot be published are not.
    assert_eq!(during.calls.signatures, before.calls.signatures + 1);
    // Trying again leaves no trace, however long it lasts.
    thread::sleep(Duration::from_secs(6));
    assert_eq!(during.difference(&State::of(&home)), "");

    ailing.end(&folder);
    let answer = persevere(&server, &waiting_order, 201);
    assert_eq!(persevere(&server, &waiting, 200).json["state"], "revoked");
    let rows = State::of(&home).rows;
    assert_eq!(rows["certificate"], before.rows["certificate"] + 1, "{answer:?}");
    whole_again(&server);
    listed(&home, &first);
    listed(&home, &second);
}

/// A lock of some seconds puts acts off, and nothing more.
fn a_held_database_puts_acts_off(world: &World) {
    let home = Rc::new(world.template.copy());
    let server = Running::start(Rc::clone(&home));
    let kept = issued(&server.call(&new_order()));
    server.settle();

    let lock = Lock::exclusive(&home.path("state/ca.sqlite"));
    let before = State::of(&home);
    let (order, revocation) = (new_order(), revocation_of(&kept));
    let started = Instant::now();
    put_off(&server.call(&order), "database-busy");
    put_off(&server.call(&revocation), "database-busy");
    assert!(started.elapsed() < PUT_OFF_WITHIN, "{:?}", started.elapsed());
    assert_eq!(server.call(&shown(&kept)).json["state"], "issued", "reading goes on");
    told(&server, "storing", r#"sigill_storage_failures_total{code="database-busy"}"#);
    assert_eq!(before.difference(&State::of(&home)), "");

    drop(lock);
    persevere(&server, &order, 201);
    assert_eq!(persevere(&server, &revocation, 200).json["state"], "revoked");
    whole_again(&server);
    listed(&home, &kept);
    assert_eq!(State::of(&home).rows["certificate"], before.rows["certificate"] + 1);
}

fn new_order() -> Call {
    Call::order(&requests::function_ec(&requests::base64(&requests::p256())))
}

fn revocation_of(certificate: &Value) -> Call {
    Call::revocation(text(certificate, "id"), &json!({ "reason": "keyCompromise" }))
}

fn shown(certificate: &Value) -> Call {
    Call::get(&format!("/v1/certificates/{}", text(certificate, "id")))
}

fn issued(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json.clone()
}

fn text<'a>(certificate: &'a Value, field: &str) -> &'a str {
    certificate[field].as_str().unwrap_or_else(|| panic!("no {field}: {certificate}"))
}

/// A refusal that passes: 503, the code, and when to come back.
fn put_off(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code()), (503, code), "{answer:?}");
    answer.must_be_whole();
    assert!(answer.headers.contains("retry-after: "), "{answer:?}");
}

/// Repeats a call, as a client is told to, until it is answered.
fn persevere(server: &Running, call: &Call, status: u16) -> Answer {
    let started = Instant::now();
    loop {
        let answer = server.call(call);
        if answer.status == status {
            return answer;
        }
        assert!([409, 503].contains(&answer.status), "{answer:?}");
        assert!(started.elapsed() < HEALED_WITHIN, "{answer:?}\n{}", server.log());
        thread::sleep(Duration::from_millis(500));
    }
}

/// Readiness names the part, and the counter is above 0.
fn told(server: &Running, part: &str, counter: &str) {
    let readiness = until(TOLD_WITHIN, || {
        let (status, said) = server.observed("/readyz");
        let said: Value = said.parse().unwrap_or_default();
        (status == 503 && said["parts"][part] == false).then_some(())
    });
    assert!(readiness.is_some(), "{part}: {:?}", server.observed("/readyz"));
    let counted = until(TOLD_WITHIN, || measured(server, counter).filter(|count| *count > 0.0));
    assert!(counted.is_some(), "{counter} is not counted: {}", server.observed("/metrics").1);
}

/// One number of the metrics.
fn measured(server: &Running, name: &str) -> Option<f64> {
    let (_, text) = server.observed("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// Ready, nothing left open, all published, and both logs verify.
fn whole_again(server: &Running) {
    let well = until(HEALED_WITHIN, || (server.readiness() == 200).then_some(()));
    assert!(well.is_some(), "{:?}\n{}", server.observed("/readyz"), server.log());
    for left in ["open_intents", "open_orders"] {
        let name = format!(r#"sigill_store{{what="{left}"}}"#);
        let none = until(HEALED_WITHIN, || measured(server, &name).filter(|count| *count == 0.0));
        assert!(none.is_some(), "{left}: {:?}", measured(server, &name));
    }
    server.settle();
    for log in ["status", "audit"] {
        let wanted = |logs: (u64, u64)| if log == "status" { logs.0 } else { logs.1 };
        let verified = until(HEALED_WITHIN, || {
            let found = server.home.verified_log(log)["size"].as_u64();
            (found == Some(wanted(State::of(&server.home).logs))).then_some(())
        });
        assert!(verified.is_some(), "the {log} log is not published whole");
    }
}

fn checkpoint(home: &Home) -> Vec<u8> {
    fs::read(home.path("publish/checkpoint")).expect("a checkpoint")
}

/// The published CRL has the certificate.
fn listed(home: &Home, certificate: &Value) {
    let serial = format!("Serial Number: {}", text(certificate, "serial").to_uppercase());
    let file = home.path(&format!("publish/crl/{AUTHORITY}.crl"));
    let file = file.to_str().expect("a path is text").to_owned();
    let arguments = ["crl", "-inform", "DER", "-noout", "-text", "-in", &file];
    let found = until(HEALED_WITHIN, || {
        let said = spoken::openssl(&home.path(""), &arguments).expect("openssl is installed");
        said.text.to_uppercase().contains(&serial.to_uppercase()).then_some(())
    });
    assert!(found.is_some(), "{serial} is not on {file}");
}

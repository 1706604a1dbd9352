//! Orders in steps through everything that happens to calls: sent twice at once, hung up on, repeated, and the CA killed under them. As many eIDs
//! are released as were ordered, and the certificates of each stand alike.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};
use support::budget;
use support::demo::until;
use support::stop::StopOnDrop;
use support::suite::Check;
use x509::time::UnixTime;

use crate::accounts::{self, Serials};
use crate::api::{Answer, Api, Request};
use crate::deployment::{FUNCTION_EC_CA, Template};
use crate::idempotency::hang_up;
use crate::lot::Lot;

pub(crate) const CHECKS: &[Check<Template>] =
    &[("eids::each_order_in_steps_releases_one_eid", each_order_releases_one_eid)];

const PERSON_CA: &str = "SIGILL TEST e-id Person HSA-id 3 CA v1";
const PAIR: [&str; 2] = ["person-hsaid-3-authentication", "person-hsaid-3-signature"];
/// Orders that are gone through at once.
const AT_ONCE: usize = 4;
/// How long all may take, for each of them.
const LIMIT: Duration = Duration::from_secs(120);
/// How far into the steps of four orders a kill strikes, in milliseconds.
const KILLED_WITHIN: u64 = 600;
/// Numbers of test persons born on one day: 980 to 999.
const BORN_ON_A_DAY: u64 = 20;

/// API-02, ISS-06, ISS-15: whatever happens to the calls of orders in steps, each order releases one eID with its two certificates, which are taken
/// into use in one act; no step is taken twice, and nothing is left half done.
fn each_order_releases_one_eid(_: &Template) {
    let Some(mut deployment) = Template::make_for(&[PERSON_CA, FUNCTION_EC_CA]).copy() else {
        return;
    };
    let (wanted, kills) = (budget::count("eid-orders"), budget::count("eid-order-kills"));
    deployment.start();
    let desk = Desk::of(deployment.api());
    let (begun, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut killed = 0;
    thread::scope(|scope| {
        let stops = StopOnDrop(&stop);
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                if number >= wanted {
                    return;
                }
                desk.go_through(number);
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let all_ended = || workers.iter().all(ScopedJoinHandle::is_finished);
        let limit = LIMIT * u32::try_from(wanted).expect("a count");
        for kill in 1..=kills {
            // Spread over the whole, with orders anywhere on their way.
            let from = (wanted * kill / (kills + 1)).max(1);
            let reached = || begun.load(Ordering::Relaxed) >= from || all_ended();
            assert!(until(limit, || reached().then_some(())).is_some(), "{from} are not begun");
            thread::sleep(Lot::new(kill).moment(KILLED_WITHIN));
            deployment.kill();
            deployment.start();
            killed += 1;
        }
        assert!(until(limit, || all_ended().then_some(())).is_some(), "an order never ends");
        drop(stops);
    });
    println!("measured: orders = {wanted}");
    println!("measured: kills = {killed}");
    desk.tell();
    deployment.stop();

    let database = deployment.database();
    let count = |sql: &str| accounts::number(&database, sql);
    let released = desk.released.into_inner().expect("no caller failed");
    assert_eq!(u64::try_from(released.len()).expect("a count"), wanted, "orders that were ended");
    let serials: BTreeSet<&String> = released.iter().flatten().collect();
    assert_eq!(serials.len(), released.len() * PAIR.len(), "certificates that callers hold");
    assert_eq!(count("SELECT count(*) FROM eid"), wanted, "eIDs");
    println!("measured: eIDs released = {}", count("SELECT count(*) FROM eid"));
    assert_eq!(count("SELECT count(DISTINCT holder) FROM eid"), wanted, "holders");
    assert_eq!(count("SELECT count(*) FROM eid_order WHERE stage = 'completed'"), wanted);
    assert_eq!(count("SELECT count(*) FROM eid_order"), wanted, "orders");
    let steps = "SELECT count(*) FROM eid_order_step";
    assert_eq!(count(steps), wanted * STEPS, "each step was taken once");
    // Each pair is one, and stands alike.
    let pairs = "SELECT count(*) FROM (SELECT eid FROM certificate \
                 JOIN serial ON serial.row = certificate.serial_row WHERE eid IS NOT NULL \
                 GROUP BY eid HAVING count(*) = 2 AND count(DISTINCT profile) = 2 \
                 AND min(serial.state) = 'activated' AND max(serial.state) = 'activated')";
    assert_eq!(count(pairs), wanted, "pairs that stand alike");
    let persons = "SELECT count(*) FROM certificate WHERE profile LIKE 'person-%'";
    assert_eq!(count(persons), wanted * 2, "certificates that nobody ordered");
    let open = "SELECT count(*) FROM orders WHERE state <> 'done'";
    assert_eq!(count(open), 0, "calls that nobody finished");
    let open = "SELECT count(*) FROM intent WHERE state = 'open'";
    assert_eq!(count(open), 0, "intents that were left open");
    println!("measured: serials voided = {}", Serials::read(&database).voided.len());
    accounts::logs_add_up(&deployment, &database);
}

/// The steps of an order, the first of which makes it.
const STEPS: u64 = 7;

/// Who takes all orders through their steps.
struct Desk {
    api: Api,
    /// Serial numbers of what each order released.
    released: Mutex<Vec<Vec<String>>>,
    twice_at_once: AtomicU64,
    hung_up: AtomicU64,
    repeated: AtomicU64,
}

impl Desk {
    fn of(api: Api) -> Self {
        let none = || AtomicU64::new(0);
        let (twice_at_once, hung_up, repeated) = (none(), none(), none());
        let api = api.with_shared_keys();
        Self { api, released: Mutex::default(), twice_at_once, hung_up, repeated }
    }

    fn tell(&self) {
        for (what, count) in [
            ("steps sent twice at once", &self.twice_at_once),
            ("steps hung up on", &self.hung_up),
            ("steps repeated", &self.repeated),
            ("connections broken", &self.api.tries().broken),
            ("answered with 409", &self.api.tries().at_work),
            ("answered with 503", &self.api.tries().put_off),
        ] {
            println!("measured: {what} = {}", count.load(Ordering::Relaxed));
        }
    }

    fn go_through(&self, number: u64) {
        let mut lot = Lot::new(number);
        let prepared = self.taken("/v1/orders", (number, "order"), &prepared(number), &mut lot);
        let id = prepared["id"].as_str().expect("an id");
        let administrator = |who: &str| json!({ "by": who });
        let requests: Vec<Value> =
            PAIR.iter().map(|profile| json!({ "profile": profile, "csr": request() })).collect();
        let steps = [
            (
                "evidence",
                json!({ "method": "swedish-passport", "at": now(), "place": "kontor-17", "by": "administrator-1" }),
            ),
            ("approvals", administrator("administrator-2")),
            (
                "receipt",
                json!({ "form": "on-paper", "terms": "2026-1", "sha256": "ab".repeat(32), "by": "administrator-2" }),
            ),
            ("issuance", json!({ "requests": requests, "by": "administrator-2" })),
            ("delivery", administrator("administrator-2")),
            ("activation", administrator("administrator-2")),
        ];
        let mut last = Value::Null;
        for (step, body) in steps {
            last = self.taken(&format!("/v1/orders/{id}/{step}"), (number, step), &body, &mut lot);
        }
        assert_eq!(last["stage"], "completed", "{last}");
        let certificates = last["certificates"].as_array().expect("certificates").iter();
        let serials = certificates.map(|one| one["serial"].as_str().expect("a serial").to_owned());
        self.released.lock().expect("no caller failed").push(serials.collect());
    }

    /// Has a step taken, with something that happens to its call.
    fn taken(&self, path: &str, of: (u64, &str), body: &Value, lot: &mut Lot) -> Value {
        let request = Request::post(path, format!("eid-{}-{}", of.0, of.1), body);
        let ask = || self.api.persevere(&mut None, &request);
        match lot.below(4) {
            0 => {
                self.twice_at_once.fetch_add(1, Ordering::Relaxed);
                let (one, other) = thread::scope(|scope| {
                    let other = scope.spawn(ask);
                    (ask(), other.join().expect("a caller that is answered"))
                });
                assert_eq!(one.body, other.body, "two answers to {request:?}");
            }
            1 => {
                self.hung_up.fetch_add(1, Ordering::Relaxed);
                hang_up(&self.api, &request, lot);
            }
            _ => {}
        }
        let answer = ask();
        is_done(&request, &answer);
        if lot.below(4) == 0 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            let again = ask();
            assert!(again.replayed(), "{request:?}: {}", again.text());
            assert_eq!(again.body, answer.body, "{request:?}");
        }
        answer.json()
    }
}

fn is_done(request: &Request, answer: &Answer) {
    assert!(matches!(answer.status, 200 | 201), "{request:?}: {}", answer.text());
}

fn now() -> String {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    UnixTime::from_secs(since_1970.as_secs()).expect("a time").to_string()
}

/// An order for a person of its own, on a card of its own.
fn prepared(number: u64) -> Value {
    json!({
        "routine": "office-visit",
        "role": "id-administrator",
        "by": "administrator-1",
        "holder": format!("holder-{number}"),
        "identity": { "kind": "personnummer", "number": person(number) },
        "carrier": { "family": "nls-card-2023", "card_number": format!("9752{number:015}") },
        "organisations": { "user": { "name": "Sigill Test", "number": "2321000131" } },
        "profiles": PAIR,
        "subject": {
            "given_name": "Tolvan",
            "surname": "Tolvansson",
            "hsa_id": format!("TST2321000016-E{number}"),
            "organization": "Sigill Test",
        },
    })
}

/// A test person's number: of the tax agency's series, with its check digit.
fn person(number: u64) -> String {
    let day = number / BORN_ON_A_DAY;
    let (year, month, day) = (1920 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
    let born = format!("{year}{month:02}{day:02}{}", 980 + number % BORN_ON_A_DAY);
    let weighted = born.bytes().skip(2).zip([2, 1].into_iter().cycle());
    let sum: u32 = weighted
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    format!("{born}{}", (10 - sum % 10) % 10)
}

/// A request for a key of its own.
fn request() -> String {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut wishes = CertificateParams::default();
    wishes.distinguished_name = DistinguishedName::new();
    let request = wishes.serialize_request(&key).expect("a request");
    request.pem().expect("PEM")
}

//! One certificate a key, however many ask for it at once and however many of them hang up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use serde_json::json;
use support::budget;
use support::suite::Check;

use crate::accounts::{self, Received, Serials};
use crate::api::{Answer, Api, Request};
use crate::deployment::{Deployment, Template};
use crate::lot::Lot;

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("idempotency::a_key_releases_one_certificate", a_key_releases_one_certificate),
    ("idempotency::a_key_belongs_to_one_body", a_key_belongs_to_one_body),
];

/// Callers of each key at once.
const CALLERS: usize = 8;
/// Keys that are worked on at once.
const KEYS_AT_ONCE: usize = 4;
/// How far into a call a caller hangs up, in milliseconds.
const HANGS_UP_WITHIN: u64 = 40;

/// API-02, ISS-06: eight callers a key, some of which hang up in the middle; each key releases
/// exactly one certificate, and everybody who asks gets the same octets.
fn a_key_releases_one_certificate(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let keys = budget::count("idempotency-keys");
    deployment.start();
    let seen = Seen::default();
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..KEYS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= keys {
                        return;
                    }
                    seen.call_at_once(&deployment, number);
                }
            });
        }
    });

    let bodies = seen.bodies.into_inner().expect("no caller failed");
    assert_eq!(bodies.len(), usize::try_from(keys).expect("a count"));
    let calls = keys * u64::try_from(CALLERS).expect("a count");
    println!("measured: keys = {keys}");
    println!("measured: calls = {calls}");
    println!("measured: calls hung up on = {}", seen.hung_up.load(Ordering::Relaxed));
    println!("measured: answers replayed = {}", seen.replayed.load(Ordering::Relaxed));
    deployment.stop();
    let database = deployment.database();
    let released = "SELECT count(*) FROM certificate WHERE origin = 'issued'";
    assert_eq!(accounts::number(&database, released), keys, "certificates released");
    println!("measured: released = {}", accounts::number(&database, released));
    let done = "SELECT count(*) FROM orders WHERE state = 'done'";
    assert_eq!(accounts::number(&database, done), keys, "orders done");
    assert_eq!(accounts::number(&database, "SELECT count(*) FROM orders"), keys, "orders");
    let serials = Serials::read(&database);
    assert!(serials.voided.is_empty(), "hanging up is no failure: {:?}", serials.voided);
    for (key, body) in &bodies {
        let serial = Received::read(key, &Answer::of(201, body)).serial;
        assert!(serials.issued.contains(&serial), "{key}");
    }
    accounts::logs_add_up(&deployment, &database);
}

/// What callers have seen.
#[derive(Default)]
struct Seen {
    /// The one body of each key.
    bodies: Mutex<BTreeMap<String, Vec<u8>>>,
    hung_up: AtomicU64,
    replayed: AtomicU64,
}

impl Seen {
    /// Eight callers begin at the same moment; then one asks once more.
    fn call_at_once(&self, deployment: &Deployment, number: u64) {
        let request = deployment.order(&format!("idem-{number}"));
        let api = deployment.api().with_shared_keys();
        let (start, firsts) = (Barrier::new(CALLERS), AtomicU64::new(0));
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (api, request, start, firsts) = (&api, &request, &start, &firsts);
                scope.spawn(move || {
                    let salt = number * 64 + u64::try_from(caller).unwrap_or(0);
                    start.wait();
                    if caller == 0 {
                        // One stays, so that there is an answer before the last is asked for.
                        self.answered(request, &api.persevere(&mut None, request), firsts);
                    } else {
                        self.one(api, request, &mut Lot::new(salt), firsts);
                    }
                });
            }
        });
        let last = api.persevere(&mut None, &request);
        assert!(last.replayed(), "all have been answered: {}", last.text());
        self.answered(&request, &last, &firsts);
        // The one that did the work may have been hung up on.
        assert!(firsts.load(Ordering::Relaxed) <= 1, "two calls did the work of one key");
    }

    /// One caller: stays, hangs up and comes again, or hangs up for good.
    fn one(&self, api: &Api, request: &Request, lot: &mut Lot, firsts: &AtomicU64) {
        let kind = lot.below(8);
        if kind < 4 {
            self.hung_up.fetch_add(1, Ordering::Relaxed);
            hang_up(api, request, lot);
            if kind < 2 {
                return;
            }
        }
        let answer = api.persevere(&mut None, request);
        self.answered(request, &answer, firsts);
    }

    fn answered(&self, request: &Request, answer: &Answer, firsts: &AtomicU64) {
        let key = request.key.clone().unwrap_or_default();
        assert_eq!(answer.status, 201, "{key}: {}", answer.text());
        if answer.replayed() {
            self.replayed.fetch_add(1, Ordering::Relaxed);
        } else {
            firsts.fetch_add(1, Ordering::Relaxed);
        }
        let mut bodies = self.bodies.lock().expect("no caller failed");
        let body = bodies.entry(key.clone()).or_insert_with(|| answer.body.clone());
        assert_eq!(*body, answer.body, "{key} has two answers");
    }
}

/// Begins a call and breaks the connection: within the request, or while it is worked on.
pub(crate) fn hang_up(api: &Api, request: &Request, lot: &mut Lot) {
    let Ok(mut line) = api.open() else { return };
    let octets = request.octets();
    if lot.below(4) == 0 {
        let part = lot.below(u64::try_from(octets.len()).unwrap_or(1));
        let _ = line.send(&octets[..usize::try_from(part).unwrap_or(0)]);
    } else {
        let _ = line.send(&octets);
    }
    thread::sleep(lot.moment(HANGS_UP_WITHIN));
}

/// API-02: a call without a key is malformed, and another body under a key is refused, whatever the
/// first one was answered; a refusal by rule is replayed too, and one that configuration can heal is not.
fn a_key_belongs_to_one_body(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let api = deployment.api();

    let keyless = Request { key: None, ..deployment.order("none") };
    let refused = api.ask(&keyless);
    assert_eq!((refused.status, code(&refused)), (400, "idempotency-key-required".to_owned()));

    let first = api.ask(&deployment.order("one"));
    assert_eq!((first.status, first.replayed()), (201, false), "{}", first.text());
    let again = api.ask(&deployment.order("one"));
    assert_eq!((again.status, again.replayed()), (201, true));
    assert_eq!(again.body, first.body);
    let other = Request::post("/v1/certificates", "one", &deployment.body("other"));
    let refused = api.ask(&other);
    assert_eq!((refused.status, code(&refused)), (422, "idempotency-key-reused".to_owned()));
    let spaced = Request { body: [b" ", &first_body(&deployment)[..]].concat(), ..other.clone() };
    assert_eq!(api.ask(&spaced).status, 422, "the octets count, not what they mean");
    assert_eq!(api.ask(&deployment.order("one")).body, first.body);

    let refused_twice = |key: &str, field: &str, value: &str| {
        let mut body = deployment.body(key);
        body[field] = json!(value);
        let wrong = Request::post("/v1/certificates", key, &body);
        let (refused, again) = (api.ask(&wrong), api.ask(&wrong));
        assert_eq!((refused.status, again.status), (422, 422), "{}", refused.text());
        assert!(!refused.replayed());
        (code(&refused), again.replayed(), again.body == refused.body)
    };
    let by_rule = refused_twice("two", "csr", "no request");
    assert_eq!(by_rule, ("csr-unreadable".to_owned(), true, true));
    let for_now = refused_twice("three", "profile", "no-such-profile");
    assert_eq!(for_now, ("profile-unknown".to_owned(), false, false));
    deployment.stop();
}

fn first_body(deployment: &Deployment) -> Vec<u8> {
    deployment.order("one").body
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

//! Orders: what they are made from, and callers that place them all the time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::spoken;
use support::stop::StopOnDrop;

use crate::accounts::Received;
use crate::api::{Answer, Api, Request};

/// A caller's pause between two orders, so that journeys test outages and not load.
const BETWEEN_ORDERS: Duration = Duration::from_millis(20);
/// A caller's pause when it was put off.
const BEFORE_ANOTHER_TRY: Duration = Duration::from_millis(200);

/// Orders of several callers.
pub(crate) struct Orders {
    /// Keys begin with it.
    name: &'static str,
    received: Mutex<Vec<(Received, Instant)>>,
    /// How often by each code.
    put_off: Mutex<BTreeMap<String, u64>>,
    slowest: Mutex<Duration>,
    stop: AtomicBool,
}

/// What a caller bears until it has its certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bears {
    /// Killed servers, broken connections and all that [`Api::persevere`] does.
    Everything,
    /// Certificates, and clear words of the token.
    Outages,
}

impl Orders {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            received: Mutex::default(),
            put_off: Mutex::default(),
            slowest: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs `body` while so many callers order certificate after certificate, each under its key until
    /// it is there.
    pub(crate) fn during(
        &self,
        callers: usize,
        bears: Bears,
        (api, form): (&Api, &Form),
        body: impl FnOnce(),
    ) {
        thread::scope(|scope| {
            let _stop = StopOnDrop(&self.stop);
            for number in 0..callers {
                scope.spawn(move || self.call(number, bears, api, form));
            }
            body();
        });
    }

    fn call(&self, number: usize, bears: Bears, api: &Api, form: &Form) {
        let mut line = None;
        let mut order = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let key = format!("{}-{number}-{order}", self.name);
            let request = form.order(&key);
            let answer = match bears {
                Bears::Everything => self.timed(|| api.persevere(&mut line, &request)),
                Bears::Outages => loop {
                    let answer = self.timed(|| api.ask(&request));
                    if answer.status == 201 {
                        break answer;
                    }
                    *held(&self.put_off).entry(is_put_off(&answer)).or_default() += 1;
                    thread::sleep(BEFORE_ANOTHER_TRY);
                },
            };
            held(&self.received).push((Received::read(&key, &answer), Instant::now()));
            order += 1;
            thread::sleep(BETWEEN_ORDERS);
        }
    }

    fn timed(&self, call: impl FnOnce() -> Answer) -> Answer {
        let begun = Instant::now();
        let answer = call();
        let mut slowest = held(&self.slowest);
        *slowest = begun.elapsed().max(*slowest);
        answer
    }

    /// Something that was ordered beside these.
    pub(crate) fn add(&self, received: Received) {
        held(&self.received).push((received, Instant::now()));
    }

    /// The certificates.
    pub(crate) fn received(&self) -> Vec<Received> {
        held(&self.received).iter().map(|(received, _)| received.clone()).collect()
    }

    /// How many certificates there are.
    pub(crate) fn count(&self) -> usize {
        held(&self.received).len()
    }

    /// How often callers were put off, by code.
    pub(crate) fn put_off(&self) -> BTreeMap<String, u64> {
        held(&self.put_off).clone()
    }

    /// The longest that a call took, all that it bore included.
    pub(crate) fn slowest(&self) -> Duration {
        *held(&self.slowest)
    }

    /// Whether a certificate came since this moment.
    pub(crate) fn any_since(&self, moment: Instant) -> bool {
        held(&self.received).iter().any(|(_, at)| *at > moment)
    }

    /// How many certificates came since a moment, and the longest time between two.
    pub(crate) fn pace(&self, begun: Instant) -> (usize, Duration) {
        let received = held(&self.received);
        let moments: Vec<_> = received.iter().map(|(_, at)| *at).filter(|at| *at > begun).collect();
        let longest = moments.windows(2).map(|pair| pair[1] - pair[0]).max();
        (moments.len(), longest.unwrap_or_default())
    }
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().expect("no caller failed")
}

/// A refusal that passes: 503 with the time to come back and a code of the token, which it returns.
///
/// These callers ask one call after the other and get an answer to each. A key that is still at work
/// (409) would be of a call that was answered: the order of such a call has been left.
pub(crate) fn is_put_off(answer: &Answer) -> String {
    assert_eq!(answer.status, 503, "{}", answer.text());
    answer.says_when_and_how_to_come_back();
    let problem = answer.json();
    let code = problem["code"].as_str().unwrap_or_default();
    assert!(code.starts_with("hsm-"), "{}", answer.text());
    let next = problem["next"].as_str().unwrap_or_default();
    assert!(next.contains("by itself") && !next.contains("restart"), "{}", answer.text());
    code.to_owned()
}

/// What orders are made from: one request for a certificate, and a name for each order.
#[derive(Clone)]
pub(crate) struct Form {
    csr: String,
}

impl Form {
    /// A key and its request, made in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { csr: request_for_a_certificate(folder) }
    }

    /// An order for a certificate under `key`. Orders differ by their names.
    pub(crate) fn order(&self, key: &str) -> Request {
        Request::post("/v1/certificates", key, &self.body(key))
    }

    /// The same of another profile for functions.
    pub(crate) fn order_under(&self, profile: &str, key: &str) -> Request {
        let mut body = self.body(key);
        body["profile"] = json!(profile);
        Request::post("/v1/certificates", key, &body)
    }

    /// The body of an order for `name`.
    pub(crate) fn body(&self, name: &str) -> Value {
        let host = format!("{name}.example.org");
        json!({
            "profile": "function-ec",
            "csr": self.csr,
            "subject": {
                "common_name": host,
                "organization": "Sigill Test",
                "hsa_id": "TST2321000016-B02",
            },
            "alternative_names": { "dns": [host] },
        })
    }
}

fn request_for_a_certificate(folder: &Path) -> String {
    let arguments = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem \
                     -subj /CN=ignored -out csr.pem";
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let made = spoken::openssl(folder, &words).expect("openssl is there");
    assert_eq!(made.code, 0, "{}", made.text);
    fs::read_to_string(folder.join("csr.pem")).expect("a request")
}

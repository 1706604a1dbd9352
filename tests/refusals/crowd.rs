//! Requests by the thousand that all have to be refused: a few callers at once, each on a connection that
//! is kept.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::World;
use crate::state::State;
use crate::wire::{Answer, Api, Line, Request};

/// As many as keep a small machine busy.
const CALLERS: usize = 4;
/// Findings that are worth reading; the rest are the same again.
const SHOWN: usize = 10;

/// A server drops a connection on which no head of a call has come for 15 s (`HEADER_TIMEOUT` of ca-server's
/// http/tls.rs), also when its own process or ours had no processor for so long; and what we write then is answered by a
/// reset. With some room for clocks that are not read at the same moment.
const SILENT: Duration = Duration::from_secs(12);

/// A connection that is kept, and when it last gave an answer.
struct Kept {
    line: Line,
    since: Instant,
}

/// An order that must not be fulfilled.
pub struct Doubtful {
    /// What stands in the message when it is fulfilled nevertheless.
    pub name: String,
    /// The body of the call.
    pub order: Value,
}

/// How often which code was the answer, by the code.
pub type Codes = BTreeMap<String, usize>;

/// Sends every order under a key that begins with `run`. Each is refused with 422 and a whole problem, no
/// certificate comes into being, and no token signs.
pub fn refused(world: &World, run: &str, doubtful: &[Doubtful]) -> Codes {
    world.server.settle();
    let home = &world.server.home;
    let api = Api::portal(&home.path(""), home.api);
    let (before, started) = (State::of(home), Instant::now());
    let (codes, wrong) = (Mutex::new(Codes::new()), Mutex::new(Vec::new()));
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut kept = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = doubtful.get(number) else { return };
                    let key = format!("{run}-{number}");
                    match answer(&api, &mut kept, &key, &one.order) {
                        Ok(code) => *held(&codes).entry(code).or_default() += 1,
                        Err(why) => held(&wrong).push(format!("{}: {why}", one.name)),
                    }
                }
            });
        }
    });
    let (codes, wrong) = (codes.into_inner(), wrong.into_inner());
    let (codes, wrong) = (codes.expect("no caller failed"), wrong.expect("no caller failed"));
    println!("measured: {run} sent = {}", doubtful.len());
    println!("measured: {run} refused by = {codes:?}");
    println!("measured: {run} seconds = {:.0}", started.elapsed().as_secs_f64());
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), wrong.iter().take(SHOWN));
    world.server.settle();
    let after = State::of(home);
    let made = |state: &State| (state.logs.0, state.calls.signatures);
    assert_eq!(made(&before), made(&after), "entries of the status log, signatures of the tokens");
    codes
}

/// The code of the refusal.
fn answer(api: &Api, kept: &mut Option<Kept>, key: &str, order: &Value) -> Result<String, String> {
    let request = Request::post("/v1/certificates", key, order);
    let answer = match kept.take() {
        None => anew(api, kept, &request)?,
        Some(Kept { mut line, since }) => match line.call(&request) {
            Ok(answer) => {
                *kept = Some(Kept { line, since: Instant::now() });
                answer
            }
            // The same call under the same key is harmless (API-02), as for every client of a server that ends
            // silent connections (RFC 9112 §9.5). What breaks off sooner is a fault.
            Err(_) if since.elapsed() >= SILENT => anew(api, kept, &request)?,
            Err(error) => return Err(format!("no answer for {:?}: {error}", since.elapsed())),
        },
    };
    refusal(&answer).ok_or_else(|| answer.text())
}

/// The call on a new connection, which is kept.
fn anew(api: &Api, kept: &mut Option<Kept>, request: &Request) -> Result<Answer, String> {
    let mut line = api.open().map_err(|error| format!("no connection: {error}"))?;
    let answer = line.call(request).map_err(|error| format!("no answer: {error}"))?;
    *kept = Some(Kept { line, since: Instant::now() });
    Ok(answer)
}

fn refusal(answer: &Answer) -> Option<String> {
    let problem = answer.json();
    let text = |member: &str| problem[member].as_str().filter(|text| !text.is_empty());
    let is_whole = ["rule", "seen", "limit", "next"].iter().all(|member| text(member).is_some());
    let code = text("code")?;
    (answer.status == 422 && is_whole).then(|| code.to_owned())
}

fn held<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().expect("no caller failed")
}

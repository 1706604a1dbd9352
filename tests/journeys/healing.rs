//! The CA while its token goes away and comes back: nobody restarts anything.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use support::budget;
use support::demo::until;
use support::laboratory::Counter;
use support::suite::Check;

use crate::accounts::{self, Received, Serials};
use crate::api::{Api, Request};
use crate::deployment::{Deployment, Template};
use crate::orders::{Bears, Orders, is_put_off};

pub(crate) const CHECKS: &[Check<Template>] = &[
    (
        "healing::revoking_goes_on_and_issuing_heals_when_the_token_is_back",
        revoking_goes_on_and_issuing_heals_when_the_token_is_back,
    ),
    (
        "healing::issuing_under_load_outlives_a_token_that_goes_away",
        issuing_under_load_outlives_a_token_that_goes_away,
    ),
    (
        "healing::issuing_under_load_outlives_calls_that_hang",
        issuing_under_load_outlives_calls_that_hang,
    ),
];

/// How long a signature may take, in seconds.
const DEADLINE: u64 = 3;
/// A call is answered within one deadline, all its tries together, and what a busy machine adds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(DEADLINE + 4);
/// Nobody was asked for the answer: whoever asks waits for a deadline.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Callers at once.
const CALLERS: usize = 6;
/// How long the token is away, in turns: within the tries of a call, and beyond them.
const OUTAGES: [Duration; 3] =
    [Duration::from_secs(2), Duration::from_secs(12), Duration::from_secs(4)];

/// Sessions where calls hang: as many more calls open the breaker.
const SESSIONS: usize = 2;

/// The files of all tokens.
struct Tokens {
    there: PathBuf,
    away: PathBuf,
}

impl Tokens {
    fn of(deployment: &Deployment) -> Self {
        Self { there: deployment.home.join("tokens"), away: deployment.home.join("tokens-away") }
    }

    fn take_away(&self) {
        fs::rename(&self.there, &self.away).expect("the token is taken away");
    }

    fn bring_back(&self) {
        fs::rename(&self.away, &self.there).expect("the token comes back");
    }
}

fn readiness_is(api: &Api, status: u16, within: Duration) -> bool {
    until(within, || (api.ask(&Request::get("/readyz")).status == status).then_some(())).is_some()
}

/// A number of the metrics, over all its labels.
fn metric(deployment: &Deployment, name: &str) -> f64 {
    let metrics = deployment.metrics();
    let of_name = metrics
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// ISS-07, REV-02, KEY-09: while the token is gone, issuing is put off in time and revoking works; when
/// it is back, issuing and readiness go on by themselves, and what was begun is voided, not forgotten.
fn revoking_goes_on_and_issuing_heals_when_the_token_is_back(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.with_deadline(DEADLINE);
    deployment.start();
    let api = deployment.api();
    let held = Received::read("held", &api.ask(&deployment.order("held")));
    let tokens = Tokens::of(&deployment);
    tokens.take_away();

    let started = Instant::now();
    let refused = api.ask(&deployment.order("outage"));
    println!("measured: outage answered after = {} ms", started.elapsed().as_millis());
    assert!(started.elapsed() < ANSWERED_WITHIN, "{:?}", started.elapsed());
    is_put_off(&refused);
    assert!(readiness_is(&api, 503, Duration::ZERO));
    // Whoever comes again is told, at once as soon as the token has been away for as long as a call
    // would wait for it, and nothing is recorded for him.
    let voided = metric(&deployment, "sigill_intents_voided_total");
    let known = until(ANSWERED_WITHIN, || {
        let started = Instant::now();
        is_put_off(&api.ask(&deployment.order("outage")));
        (started.elapsed() < AT_ONCE).then_some(())
    });
    assert!(known.is_some(), "a token that is long gone is waited for");
    // A machine that stalls makes some of them slow; waiting for the token makes all.
    let at_once = (0..30).filter(|_| {
        let started = Instant::now();
        is_put_off(&api.ask(&deployment.order("outage")));
        started.elapsed() < AT_ONCE
    });
    let at_once = at_once.count();
    assert!(at_once >= 20, "{at_once} of 30 were answered at once");
    assert!(metric(&deployment, "sigill_signing_put_off_total") >= 10.0);
    assert!(metric(&deployment, "sigill_intents_voided_total") <= voided + 1.0);
    let started = Instant::now();
    let path = format!("/v1/certificates/{}/revocation", held.id);
    let revoked = api.ask(&Request::post(path, "revoke", &json!({ "reason": "superseded" })));
    assert_eq!((revoked.status, &revoked.json()["state"]), (200, &json!("revoked")));
    let waited = Duration::from_secs(DEADLINE);
    assert!(started.elapsed() < waited, "it waited for the token: {:?}", started.elapsed());
    // The status log is published although the token is gone: its keys lie elsewhere.
    let published = until(Duration::from_secs(30), || {
        let size = deployment.verify_log("status")["size"].as_u64()?;
        let sql = "SELECT size FROM log_head WHERE log = 'status'";
        (size == accounts::number(&deployment.database(), sql)).then_some(())
    });
    assert!(published.is_some(), "the revocation was not published");
    assert!(metric(&deployment, "sigill_token_lost_seconds") > 0.0);

    // Without an order: nobody asks for a signature until it is ready.
    tokens.bring_back();
    let started = Instant::now();
    let ready = readiness_is(&api, 200, budget::recovery());
    println!("measured: ready again after = {} ms", started.elapsed().as_millis());
    assert!(ready, "{}", deployment.printed());
    let issued = Received::read("outage", &api.persevere(&mut None, &deployment.order("outage")));
    api.tries().all_were_answered();
    let told = until(budget::recovery(), || {
        (metric(&deployment, "sigill_token_lost_seconds") == 0.0).then_some(())
    });
    assert!(told.is_some(), "{}", deployment.metrics());
    deployment.stop();
    let database = deployment.database();
    let serials = Serials::read(&database);
    assert!(serials.issued.contains(&issued.serial));
    // Met by the outage before anybody knew of it, and voided; not one for each repeat.
    assert!(serials.voided.len() <= 1, "{:?}", serials.voided);
    accounts::logs_add_up(&deployment, &database);
}

/// KEY-09, ISS-03, ISS-07: callers order all the time while the token goes away and comes back. Every
/// answer is a certificate or a clear 503; nothing is restarted, no certificate is unknown, and the PIN is
/// sent once for each initialisation of the module at most.
fn issuing_under_load_outlives_a_token_that_goes_away(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.with_deadline(DEADLINE);
    deployment.start();
    let api = deployment.api();
    let tokens = Tokens::of(&deployment);
    let (got, form) = (Orders::new("heal"), deployment.form());
    let count = usize::try_from(budget::count("token-outages")).expect("a few");
    got.during(CALLERS, Bears::Outages, (&api, &form), || {
        for outage in OUTAGES.into_iter().cycle().take(count) {
            thread::sleep(Duration::from_secs(1));
            tokens.take_away();
            thread::sleep(outage);
            tokens.bring_back();
            let back = Instant::now();
            let issues = until(budget::recovery(), || got.any_since(back).then_some(()));
            println!(
                "measured: away {} s, issues again after = {} ms",
                outage.as_secs(),
                back.elapsed().as_millis()
            );
            assert!(issues.is_some(), "{}", deployment.printed());
        }
        assert!(readiness_is(&api, 200, budget::recovery()), "{}", deployment.printed());
    });
    // Two tokens hang on the module: the issuing one and the management CA's.
    let initialisations = metric(&deployment, "sigill_token_initialisations_total");
    println!("measured: initialisations = {}", initialisations / 2.0);
    all_adds_up(deployment, &got, initialisations + 2.0, count * CALLERS);
}

/// KEY-09, KEY-10, ISS-07: callers order all the time while one call hangs, which costs its caller an
/// answer and nobody else anything, and while all calls hang, which opens the breaker: callers are refused
/// at once. When they come back, issuing goes on by itself; what they sign in the end is nobody's, and its
/// serial numbers are voided.
fn issuing_under_load_outlives_calls_that_hang(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let (deployment, laboratory) = deployment.with_deadline(DEADLINE).disturbed(SESSIONS);
    let mut deployment = deployment;
    deployment.start();
    let api = deployment.api();
    let (got, form) = (Orders::new("heal"), deployment.form());
    got.during(CALLERS, Bears::Outages, (&api, &form), || {
        let hang = |calls: &str| {
            let go = deployment.home.join(format!("go-{calls}"));
            laboratory.disturb(&format!(
                "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ncalls = {calls:?}\n\
                 hang-until = {go:?}\n"
            ));
            go
        };
        let hung = |count: f64| {
            let within = Duration::from_secs(DEADLINE) + budget::recovery();
            let found = || metric(&deployment, "sigill_token_hung_calls") == count;
            let counted = until(within, || found().then_some(()));
            assert!(counted.is_some(), "{}", deployment.metrics());
        };

        let go = hang("1");
        hung(1.0);
        let begun = Instant::now();
        let one_hangs = Duration::from_secs(budget::count("hang-seconds"));
        while begun.elapsed() < one_hangs {
            let second = Instant::now();
            let issues = until(budget::recovery(), || got.any_since(second).then_some(()));
            assert!(issues.is_some(), "{}", deployment.printed());
            thread::sleep(Duration::from_millis(500));
        }
        let put_off = got.put_off();
        // Nobody, if it was the signature of a CRL.
        let by = |code: &str| put_off.get(code).copied().unwrap_or_default();
        // The call that hangs may be a proof of the key on a new session.
        let by_the_call: u64 = by("hsm-unanswered") + by("hsm-stalled");
        let (certificates, longest) = got.pace(begun);
        // A machine that stands still for as long as a call may take makes a call of each caller late.
        let late = longest.as_secs() / DEADLINE * u64::try_from(CALLERS).expect("a few");
        let all: u64 = put_off.values().sum();
        assert!(by_the_call <= 1 + late && all == by_the_call, "{put_off:?}");
        println!("measured: hang, s = {}", one_hangs.as_secs());
        println!("measured: certificates received while a call hangs = {certificates}");
        println!("measured: longest time without one, ms = {}", longest.as_millis());
        fs::write(go, "").expect("the call comes back");
        hung(0.0);

        let go = hang("all");
        let open = until(Duration::from_secs(20), || {
            (metric(&deployment, "sigill_token_breaker_open") == 1.0).then_some(())
        });
        assert!(open.is_some(), "{}", deployment.metrics());
        // Whoever is on trial waits; all others do not.
        let at_once = until(Duration::from_secs(20), || {
            let begun = Instant::now();
            let answer = api.ask(&deployment.order("refused-at-once"));
            is_put_off(&answer);
            let refused = answer.json()["code"] == "hsm-breaker-open";
            refused.then(|| begun.elapsed()).filter(|took| *took < Duration::from_secs(1))
        });
        println!("measured: refused at once in = {at_once:?}");
        assert!(at_once.is_some(), "{}", deployment.printed());
        laboratory.calm();
        fs::write(go, "").expect("the calls come back");
        let back = Instant::now();
        let issues = until(budget::recovery(), || got.any_since(back).then_some(()));
        println!("measured: issues again after = {} ms", back.elapsed().as_millis());
        assert!(issues.is_some(), "{}", deployment.printed());
        hung(0.0);
        assert!(readiness_is(&api, 200, budget::recovery()), "{}", deployment.printed());
    });
    let order = api.persevere(&mut None, &deployment.order("refused-at-once"));
    api.tries().all_were_answered();
    let received = Received::read("refused-at-once", &order);
    got.add(received);
    assert!(metric(&deployment, "sigill_token_breaker_openings_total") >= 1.0);
    let counted = laboratory.counted();
    for counter in [
        Counter::LoginsWrong,
        Counter::AfterFinalise,
        Counter::FinalisedUnderCalls,
        Counter::SharedSession,
    ] {
        assert_eq!(counted.of(counter), 0, "{}", counter.name());
    }
    let database = deployment.database();
    let voided = until(Duration::from_secs(30), || {
        let voided = Serials::read(&database).voided;
        let listed = || voided.is_subset(&accounts::on_crl(&deployment));
        (!voided.is_empty() && listed()).then_some(())
    });
    assert!(voided.is_some(), "the serials of hung calls are not on the CRL");
    // One call that hung alone; then all callers at once, and the one that looked for the breaker.
    all_adds_up(deployment, &got, 2.0, 1 + CALLERS + 1);
}

/// What callers received is what was issued, every failed try stands in the audit log, and the PINs of the
/// two tokens were sent no oftener than `most_logins`. However often callers came again, no more than
/// `most_voided` serials were voided: one for each that was at work when the token went.
fn all_adds_up(mut deployment: Deployment, got: &Orders, most_logins: f64, most_voided: usize) {
    let slowest = got.slowest();
    println!("measured: slowest answer = {} ms", slowest.as_millis());
    assert!(slowest < ANSWERED_WITHIN, "{slowest:?}");
    println!("measured: put off = {:?}", got.put_off());

    let logins = metric(&deployment, "sigill_token_logins_total");
    println!("measured: logins = {logins}, most = {most_logins}");
    assert!(logins <= most_logins, "{logins} {most_logins}");
    let database = deployment.database();
    every_try_is_recorded(&deployment, &database);
    let markers = fs::read_dir(deployment.home.join("state")).expect("a state folder");
    let left: Vec<_> = markers
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".marker"))
        .collect();
    assert!(left.is_empty(), "a PIN was doubted: {left:?}");
    deployment.stop();

    let received = got.received();
    println!("measured: certificates received = {}", got.count());
    let serials = Serials::read(&database);
    let mut known: std::collections::BTreeSet<_> =
        received.iter().map(|received| received.serial).collect();
    assert_eq!(known.len(), received.len(), "two orders have one serial number");
    known.extend(accounts::serials_not_ordered(&database));
    assert_eq!(serials.issued, known, "issued, and held by nobody");
    println!("measured: serials voided = {}", serials.voided.len());
    assert!(serials.voided.len() <= most_voided, "{} {most_voided}", serials.voided.len());
    accounts::logs_add_up(&deployment, &database);
}

/// KEY-14: every try that gave no signature is in the audit log. Signatures that came back late are
/// recorded by the schedule, so both sides are looked at until they agree.
fn every_try_is_recorded(deployment: &Deployment, database: &Connection) {
    let tried = "SELECT count(*) FROM audit_leaf WHERE substr(leaf, 2, 2) = x'0b01'";
    let mut seen = String::new();
    let agreed = until(Duration::from_secs(30), || {
        let failures = metric(deployment, "sigill_signing_failures_total");
        let tried = accounts::number(database, tried);
        seen = format!("failed tries = {failures}, in the audit log = {tried}");
        (tried > 0 && failures == tried as f64).then_some(())
    });
    println!("measured: {seen}");
    assert!(agreed.is_some(), "{seen}");
}

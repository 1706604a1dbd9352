//! The CA with a wrong clock: issuing and CRLs stop, revocations are recorded and marked (REV-13).

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ca::audit::EventCode;
use rusqlite::Connection;
use serde_json::json;
use support::demo::until;
use support::spoken;
use support::suite::Check;

use crate::accounts::{self, Received};
use crate::api::{Answer, Request};
use crate::deployment::{Deployment, Template};
use crate::revocation::events;

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("clock::a_start_far_ahead_of_the_records_waits", a_start_far_ahead_of_the_records_waits),
    ("clock::behind_the_logs_revocations_are_marked", behind_the_logs_revocations_are_marked),
];

/// How long the CA is stopped where that is too long.
const STOOD_STILL: Duration = Duration::from_secs(15);
const NOTICED_WITHIN: Duration = Duration::from_secs(20);
const LAST_TIME: &str = "SELECT max(last_time) FROM log_head";

fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A time as `date` writes it.
fn utc(shift: &str) -> String {
    let mut date = std::process::Command::new("date");
    date.args(["-u", "-d", shift, "+%Y-%m-%dT%H:%M:%SZ"]);
    spoken::run(&mut date, &[]).text.trim().to_owned()
}

fn revoke(deployment: &Deployment, id: &str) -> Answer {
    let path = format!("/v1/certificates/{id}/revocation");
    // The caller's clock is right, and so ahead of the time that the CA goes by.
    let body = json!({ "reason": "superseded", "requested_at": utc("now") });
    deployment.api().ask(&Request::post(path, id, &body))
}

/// Waits until the last word of the audit log on the clock is `code`, and readiness agrees.
fn noticed(deployment: &Deployment, database: &Connection, code: EventCode) {
    let of_clock =
        |event: &EventCode| matches!(event, EventCode::ClockDistrusted | EventCode::ClockTrusted);
    let found = until(NOTICED_WITHIN, || {
        (events(database).into_iter().rfind(of_clock) == Some(code)).then_some(())
    });
    assert!(found.is_some(), "no {code}: {}", deployment.printed());
    let trusted = code == EventCode::ClockTrusted;
    let ready = deployment.api().ask(&Request::get("/readyz"));
    assert_eq!(ready.json()["parts"]["clock"], json!(trusted), "{}", ready.text());
}

fn put_off(answer: &Answer, code: &str) {
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!(code)), "{}", answer.text());
}

/// Architecture §2.5: a clock that is further ahead of the records than the CA may have stood still
/// signs nothing and gets into no log; revocations go on. An operator confirms it, and only a time
/// that his watch agrees with.
fn a_start_far_ahead_of_the_records_waits(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let issued = Received::read("card", &deployment.api().ask(&deployment.order("card")));
    deployment.stop();
    thread::sleep(STOOD_STILL);

    // Long enough for the start that follows the confirmation.
    deployment.set_longest_stop(STOOD_STILL.as_secs() - 3);
    let stopped = accounts::number(&deployment.database(), LAST_TIME);
    let before = wall();
    deployment.start();
    let database = deployment.database();
    noticed(&deployment, &database, EventCode::ClockDistrusted);
    put_off(&deployment.api().ask(&deployment.order("later")), "clock-unconfirmed");
    let revoked = revoke(&deployment, &issued.id);
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let last = accounts::number(&database, LAST_TIME);
    let ran = wall() - before;
    assert!(last <= stopped + 2 + ran, "{last}, stopped at {stopped}, ran {ran} s");
    let reminded = deployment.printed();
    assert!(reminded.contains("run `sigill-ca confirm-clock`"), "{reminded}");
    deployment.stop();

    let far = deployment.command(&["confirm-clock"], &["--utc", &utc("now + 1 hour")]);
    assert!(far.code == 1 && far.text.contains("error: clock-differs:"), "{}", far.text);
    // What is confirmed holds for as long as the CA may have stood still: on a machine that stalls for so long
    // between the confirmation and the start it is confirmed again, as an operator would.
    let is_issued = (0..5).any(|_| {
        let confirmed = deployment.command(&["confirm-clock"], &["--utc", &utc("now")]);
        assert_eq!(confirmed.code, 0, "{}", confirmed.text);
        deployment.start();
        let answer = deployment.api().ask(&deployment.order("later"));
        deployment.stop();
        answer.status == 201
    });
    assert!(is_issued, "{}", deployment.printed());
    let events = events(&database);
    assert!(events.contains(&EventCode::RuleWaived));
    accounts::logs_add_up(&deployment, &database);
}

/// Architecture §2.5: behind the logs nothing is issued; a revocation is recorded at the log's time,
/// and its entry is marked with how far the clock was behind. When the clock has reached the logs,
/// issuing goes on by itself.
fn behind_the_logs_revocations_are_marked(template: &Template) {
    const BEHIND: u64 = 45;
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let issued = Received::read("card", &deployment.api().ask(&deployment.order("card")));
    deployment.stop();
    let database = deployment.database();
    let marked = "SELECT clock_behind FROM status_entry ORDER BY epoch DESC, idx DESC LIMIT 1";
    assert_eq!(accounts::number(&database, marked), 0);
    let ahead = wall() + BEHIND;
    let set = format!("UPDATE log_head SET last_time = {ahead}");
    database.execute_batch(&set).expect("the logs are ahead");

    deployment.start();
    noticed(&deployment, &database, EventCode::ClockDistrusted);
    put_off(&deployment.api().ask(&deployment.order("later")), "clock-behind");
    let revoked = revoke(&deployment, &issued.id);
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let behind = accounts::number(&database, marked);
    assert!((3..=BEHIND).contains(&behind), "marked with {behind} s");
    let healed = until(Duration::from_secs(BEHIND + 20), || {
        (deployment.api().ask(&deployment.order("later")).status == 201).then_some(())
    });
    assert!(healed.is_some(), "{}", deployment.printed());
    noticed(&deployment, &database, EventCode::ClockTrusted);
    deployment.stop();
    accounts::logs_add_up(&deployment, &database);
}

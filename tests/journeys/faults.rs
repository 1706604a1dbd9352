//! The CA while something around it is broken: what must not happen does not, what must go on does.

use std::fs;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use support::demo::until;
use support::suite::Check;

use crate::accounts::{self, Received, Serials, Signatures};
use crate::api::{Answer, Request};
use crate::deployment::{AUTHORITY, Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("faults::without_its_audit_entry_nothing_happens", without_its_audit_entry_nothing_happens),
    (
        "faults::a_signature_that_cannot_be_recorded_is_voided",
        a_signature_that_cannot_be_recorded_is_voided,
    ),
    ("faults::an_older_database_signs_nothing", an_older_database_signs_nothing),
];

/// What an act would have left.
const TRACES: [(&str, &str); 6] = [
    ("certificates", "SELECT count(*) FROM certificate"),
    ("intents", "SELECT count(*) FROM intent"),
    ("serials", "SELECT count(*) FROM serial"),
    ("revoked", "SELECT count(*) FROM serial WHERE state = 'revoked'"),
    ("status entries", "SELECT size FROM log_head WHERE log = 'status'"),
    ("audit leaves", "SELECT size FROM log_head WHERE log = 'audit'"),
];

fn traces(database: &Connection) -> Vec<(&'static str, u64)> {
    TRACES.iter().map(|(what, sql)| (*what, accounts::number(database, sql))).collect()
}

fn revocation(id: &str, key: &str) -> Request {
    let path = format!("/v1/certificates/{id}/revocation");
    Request::post(path, key, &json!({ "reason": "superseded" }))
}

/// A refusal that passes: 503 with the time to come back and a code of its own.
fn put_off(answer: &Answer, code: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
    let seconds = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=60).contains(&seconds)), "{}", answer.text());
}

/// AUD-02: an act and its audit entry happen together or not at all.
fn without_its_audit_entry_nothing_happens(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.spied();
    deployment.start();
    let api = deployment.api();
    let good = Received::read("good", &api.ask(&deployment.order("good")));
    let database = deployment.database();
    let own_crl = deployment.home.join(format!("publish/crl/{AUTHORITY}.crl"));
    let made = until(Duration::from_secs(60), || own_crl.is_file().then_some(()));
    assert!(made.is_some(), "{}", deployment.printed());

    for (table, key) in [("audit_leaf", "leaf"), ("audit_payload", "payload")] {
        // The CA's own CRL was made before, so that nothing is signed by the clock.
        let trigger = format!(
            "CREATE TRIGGER fault BEFORE INSERT ON {table} \
             BEGIN SELECT RAISE(ABORT, 'not today'); END"
        );
        database.execute_batch(&trigger).expect("a trigger");
        let (before, signed) = (traces(&database), Signatures::read(&deployment.spy_log()));

        put_off(&api.ask(&deployment.order(key)), "audit-refused");
        put_off(&api.ask(&revocation(&good.id, key)), "audit-refused");
        // A refusal by rule is an act too: it is stored with its audit entry or not at all.
        let mut body = deployment.body(key);
        body["csr"] = json!("no request");
        let wrong = Request::post("/v1/certificates", format!("wrong-{key}"), &body);
        put_off(&api.ask(&wrong), "audit-refused");

        assert_eq!(traces(&database), before, "{table}");
        let signatures = Signatures::read(&deployment.spy_log());
        assert_eq!(signatures.made.len(), signed.made.len(), "the token signed all the same");
        let shown = api.ask(&Request::get(format!("/v1/certificates/{}", good.id))).json();
        assert_eq!(shown["state"], "issued");

        // Without a restart and under the same key it works again.
        database.execute_batch("DROP TRIGGER fault").expect("the trigger goes");
        let issued = api.ask(&deployment.order(key));
        assert_eq!((issued.status, issued.replayed()), (201, false), "{}", issued.text());
        let refused = api.ask(&wrong);
        assert_eq!(refused.status, 422, "{}", refused.text());
    }
    let revoked = api.ask(&revocation(&good.id, "leaf"));
    assert_eq!((revoked.status, &revoked.json()["state"]), (200, &json!("revoked")));
    deployment.stop();
    accounts::logs_add_up(&deployment, &database);
}

/// ISS-07: the token has signed, and the certificate cannot be recorded. Nobody gets it, its serial
/// number is revoked for ever, and the order goes on with another.
fn a_signature_that_cannot_be_recorded_is_voided(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.spied();
    let mark = deployment.folder().join("mark");
    deployment.start_with(&format!(
        "[danger-test]\npause-at = \"sign-verify\"\npause-ms = 3000\nmark = \"{}\"\n",
        mark.display()
    ));
    let (api, order) = (deployment.api(), deployment.order("lost"));
    let database = deployment.database();
    let refused = thread::scope(|scope| {
        let call = scope.spawn(|| api.ask(&order));
        let signed = until(Duration::from_secs(30), || mark.exists().then_some(()));
        assert!(signed.is_some(), "the order did not come so far");
        let trigger = "CREATE TRIGGER fault BEFORE INSERT ON certificate \
                       BEGIN SELECT RAISE(ABORT, 'not today'); END";
        database.execute_batch(trigger).expect("a trigger");
        call.join().expect("the call is answered")
    });
    assert!(refused.status >= 500, "{}", refused.text());
    let lost: Vec<Vec<u8>> = open_serials(&database);
    assert_eq!(lost.len(), 1, "the signature's intent is remembered");
    database.execute_batch("DROP TRIGGER fault").expect("the trigger goes");

    let issued = Received::read("lost", &api.persevere(&mut None, &order));
    let serials = Serials::read(&database);
    assert!(serials.issued.contains(&issued.serial));
    let voided: Vec<_> = serials.voided.iter().collect();
    let [voided] = voided[..] else { panic!("one serial is voided, not {voided:?}") };
    assert_eq!(voided.as_octets(), &lost[0][1..]);
    let listed = until(Duration::from_secs(30), || {
        accounts::on_crl(&deployment).contains(voided).then_some(())
    });
    assert!(listed.is_some(), "the lost signature's serial is not on the CRL");
    deployment.stop();
    let signatures = Signatures::read(&deployment.spy_log());
    accounts::signatures_add_up(&deployment, &database, &signatures);
    accounts::logs_add_up(&deployment, &database);
}

/// Serial numbers of certificates whose intent is open, as the database writes them.
fn open_serials(database: &Connection) -> Vec<Vec<u8>> {
    let sql = "SELECT serial.serial FROM intent JOIN serial ON serial.row = serial_row \
               WHERE intent.state = 'open'";
    let mut statement = database.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("serials");
    rows.collect::<Result<_, _>>().expect("serials")
}

/// MIG-07, promise 3: a database that is older than what was published stops the start, which names
/// both sizes; nothing is signed and nothing is written.
fn an_older_database_signs_nothing(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.spied();
    deployment.start();
    let api = deployment.api();
    assert_eq!(api.ask(&deployment.order("before")).status, 201);
    deployment.stop();
    let kept = Kept::copy(&deployment, "older");
    deployment.start();
    let after = Received::read("after", &api.ask(&deployment.order("after")));
    deployment.stop();
    let now = Kept::copy(&deployment, "now");

    kept.put_back(&deployment);
    let (ours, published) = (kept.size("status"), now.size("status"));
    assert!(ours < published);
    let files = published_files(&deployment);
    let said = deployment.start_refused();
    assert!(
        said.contains(&format!(
            "published status log has {published} entries, this database only {ours}"
        )),
        "{said}"
    );
    assert_eq!(published_files(&deployment), files, "the publication tree was touched");
    assert_eq!(Signatures::read(&deployment.spy_log()).made.len(), 0, "something was signed");
    let database = deployment.database();
    assert_eq!(traces(&database), kept.traces());
    drop(database);

    // With the right database it goes on as if nothing had been.
    now.put_back(&deployment);
    deployment.start();
    let again = api.ask(&deployment.order("after"));
    assert_eq!((again.replayed(), &again.body), (true, &after.body));
    deployment.stop();

    // An audit log that is longer than the database knows stops it as well.
    let kept = Kept::copy(&deployment, "older-audit");
    deployment.start();
    deployment.stop();
    let now = Kept::copy(&deployment, "now-audit");
    assert_eq!(kept.size("status"), now.size("status"));
    kept.put_back(&deployment);
    let said = deployment.start_refused();
    let sizes = (now.size("audit"), kept.size("audit"));
    assert!(
        said.contains(&format!("has {} entries, this database only {}", sizes.0, sizes.1)),
        "{said}"
    );
    assert_eq!(Signatures::read(&deployment.spy_log()).made.len(), 0, "something was signed");
}

/// A copy of the database of a CA that has ended.
struct Kept(std::path::PathBuf);

impl Kept {
    fn copy(deployment: &Deployment, name: &str) -> Self {
        let to = deployment.folder().join(name);
        let state = deployment.home.join("state");
        assert!(!state.join("ca.sqlite-wal").exists(), "a stopped CA leaves one file");
        fs::copy(state.join("ca.sqlite"), &to).expect("a copy");
        Self(to)
    }

    fn put_back(&self, deployment: &Deployment) {
        fs::copy(&self.0, deployment.home.join("state/ca.sqlite")).expect("a copy");
    }

    fn traces(&self) -> Vec<(&'static str, u64)> {
        traces(&Connection::open(&self.0).expect("a database"))
    }

    fn size(&self, log: &str) -> u64 {
        let database = Connection::open(&self.0).expect("a database");
        accounts::number(&database, &format!("SELECT size FROM log_head WHERE log = '{log}'"))
    }
}

/// The checkpoints and the CRLs with their octets.
fn published_files(deployment: &Deployment) -> Vec<Vec<u8>> {
    let files = ["publish/checkpoint", "publish/crl/manifest", "audit/checkpoint"];
    files.iter().map(|file| fs::read(deployment.home.join(file)).expect("a file")).collect()
}

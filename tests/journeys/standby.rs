//! A key in two tokens: the preferred one goes away under load and comes back.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use ca::audit::{AuditLeaf, EventCode};
use rusqlite::Connection;
use support::budget;
use support::demo::until;
use support::softhsm::token_folder;
use support::suite::Check;

use crate::accounts::{self, Received, Serials};
use crate::deployment::{Deployment, Template};
use crate::orders::{Bears, Orders};

pub(crate) const CHECKS: &[Check<Template>] = &[
    (
        "standby::a_token_that_fails_under_load_is_replaced",
        a_token_that_fails_under_load_is_replaced,
    ),
    ("standby::starts_with_one_of_two_tokens", starts_with_one_of_two_tokens),
];

const CALLERS: usize = 6;
/// What a failover or coming back may take.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long orders go on in each state.
const A_WHILE: Duration = Duration::from_secs(2);
/// The schedule has looked once more after this time.
const ONE_LOOK: Duration = Duration::from_secs(6);

/// KEY-09, KEY-14, ISS-03: the preferred token goes away again and again while certificates are ordered.
/// The other signs, the preferred one comes back by itself, no order has two certificates or none, each
/// try in vain is in the audit log, and every signature of either token is explained.
fn a_token_that_fails_under_load_is_replaced(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.with_stand_by();
    deployment.start();
    let preferred = deployment.token_label("issuing");
    let stand_by = deployment.token_label("issuing-b");
    let folder = token_folder(&deployment.home.join("tokens"), &preferred);
    let away = deployment.folder().join("token-away");
    let (orders, form) = (Orders::new("standby"), deployment.form());
    let api = deployment.api();
    let rounds = budget::count("token-outages");

    orders.during(CALLERS, Bears::Everything, (&api, &form), || {
        let active = |label: &str| of_token(&deployment, "sigill_hsm_token_active", label) == 1;
        for _ in 0..rounds {
            assert!(until(SOON, || active(&preferred).then_some(())).is_some(), "not preferred");
            thread::sleep(A_WHILE);
            fs::rename(&folder, &away).expect("the token is taken away");
            let since = Instant::now();
            let over = until(SOON, || active(&stand_by).then_some(()));
            assert!(over.is_some(), "no failover: {}", deployment.metrics());
            println!("measured: failover seen after = {} ms", since.elapsed().as_millis());
            thread::sleep(A_WHILE);
            fs::rename(&away, &folder).expect("the token comes back");
            let since = Instant::now();
            let back = until(SOON, || active(&preferred).then_some(()));
            assert!(back.is_some(), "it did not come back: {}", deployment.metrics());
            println!("measured: back in use after = {} ms", since.elapsed().as_millis());
        }
        thread::sleep(A_WHILE);
    });

    let (received, slowest) = (orders.received(), orders.slowest());
    println!("measured: certificates received = {}", received.len());
    println!("measured: slowest order = {} ms", slowest.as_millis());
    api.tries().all_were_answered();
    let database = deployment.database();
    each_order_has_one_certificate(&database, &received);
    accounts::every_key_gives_its_answer_again(&deployment, &received);
    every_use_is_explained(&deployment, &database, [&preferred, &stand_by], rounds);
    deployment.stop();
    accounts::logs_add_up(&deployment, &database);
}

fn each_order_has_one_certificate(database: &Connection, received: &[Received]) {
    let issued =
        "SELECT count(*) FROM certificate WHERE origin = 'issued' AND profile = 'function-ec'";
    let count = u64::try_from(received.len()).expect("a count");
    assert_eq!(accounts::number(database, issued), count);
    let voided = accounts::each_order_has_one_certificate(database, received);
    println!("measured: orders with a voided try = {voided}");
    let open = "SELECT count(*) FROM orders WHERE state <> 'done' AND method = 'POST'";
    assert_eq!(accounts::number(database, open), 0, "orders that nobody finished");
    let mut serials: Vec<_> = received.iter().map(|one| one.serial).collect();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), received.len(), "two orders have one serial number");
    println!("measured: serials voided = {}", Serials::read(database).voided.len());
}

/// The counters of both tokens, the store and the audit log say the same.
fn every_use_is_explained(
    deployment: &Deployment,
    database: &Connection,
    labels: [&str; 2],
    rounds: u64,
) {
    let sum =
        |name: &str| -> u64 { labels.map(|label| of_token(deployment, name, label)).iter().sum() };
    let intents = |state: &str| {
        let sql = format!("SELECT count(*) FROM intent WHERE state = '{state}'");
        accounts::number(database, &sql)
    };
    let quiet = until(SOON, || (intents("open") == 0).then_some(()));
    assert!(quiet.is_some(), "{} intents are open", intents("open"));
    // CRLs are signed all the time, so what is counted is looked at until both sides agree.
    let mut seen = String::new();
    let explained = until(SOON, || {
        let (fulfilled, voided) = (intents("fulfilled"), intents("voided"));
        let signatures = sum("sigill_key_signatures_total");
        let failures = sum("sigill_key_failures_total");
        let tried = u64::try_from(leaves(database, EventCode::SignatureTried)).expect("a count");
        seen = format!(
            "signatures = {signatures}, fulfilled = {fulfilled}, voided = {voided}, \
             failures = {failures}, tries in the audit log = {tried}"
        );
        ((fulfilled..=fulfilled + voided).contains(&signatures) && tried == failures).then_some(())
    });
    println!("measured: {seen}");
    assert!(explained.is_some(), "{seen}");
    let [preferred, stand_by] =
        labels.map(|label| of_token(deployment, "sigill_hsm_failover_total", label));
    println!("measured: failovers = {preferred}, of the stand-by = {stand_by}, rounds = {rounds}");
    // A machine that stands still may fail a call more, and never one of each order.
    assert!(
        (rounds..=3 * rounds).contains(&preferred) && stand_by <= rounds,
        "{preferred} {stand_by}"
    );
    thread::sleep(ONE_LOOK);
    assert_eq!(leaves(database, EventCode::KeyUseUnexplained), 0);
    let metrics = deployment.metrics();
    let unexplained =
        metrics.lines().filter(|line| line.starts_with("sigill_key_use_unexplained{"));
    let unexplained: Vec<_> = unexplained.collect();
    assert!(
        !unexplained.is_empty() && unexplained.iter().all(|line| line.ends_with(" 0")),
        "{metrics}"
    );
}

pub(crate) fn leaves(database: &Connection, code: EventCode) -> usize {
    let mut statement = database.prepare("SELECT leaf FROM audit_leaf").expect("a query");
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("leaves");
    let leaf =
        |row: rusqlite::Result<Vec<u8>>| AuditLeaf::decode(&row.expect("a leaf")).expect("one");
    rows.map(leaf).filter(|leaf| leaf.event.code == code).count()
}

/// A number of the metrics, of the token with this label; 0 where there is none yet.
pub(crate) fn of_token(deployment: &Deployment, name: &str, label: &str) -> u64 {
    let (head, token) = (format!("{name}{{"), format!("token=\"{label}\""));
    let metrics = deployment.metrics();
    let line = metrics.lines().find(|line| line.starts_with(&head) && line.contains(&token));
    line.and_then(|line| line.rsplit(' ').next())
        .map_or(0, |number| number.parse().expect("a number"))
}

/// A token that is away at the start is told of; the other one signs; it is taken into use when it comes.
/// Without any, nothing starts. A stand-by that lacks the key is told of.
fn starts_with_one_of_two_tokens(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.with_stand_by();
    let labels = ["issuing", "issuing-b"].map(|role| deployment.token_label(role));
    let folders = labels.clone().map(|label| token_folder(&deployment.home.join("tokens"), &label));
    let places = ["away", "away-b"].map(|name| deployment.folder().join(name));
    let api = deployment.api();
    for (gone, there) in [(0, 1), (1, 0)] {
        fs::rename(&folders[gone], &places[gone]).expect("the token is taken away");
        deployment.start();
        let key = format!("without {}", labels[gone]).replace(' ', "-");
        let _issued = Received::read(&key, &api.ask(&deployment.order(&key)));
        let said = deployment.printed();
        for word in
            ["it starts without this token of the authority", &labels[gone], "hsm-token-missing"]
        {
            assert!(said.contains(word), "{word}: {said}");
        }
        let shown = until(SOON, || {
            let active = |token| of_token(&deployment, "sigill_hsm_token_active", token);
            let aside = of_token(&deployment, "sigill_hsm_token_set_aside", &labels[gone]);
            (active(&labels[there]) == 1 && active(&labels[gone]) == 0 && aside == 1).then_some(())
        });
        assert!(shown.is_some(), "{}", deployment.metrics());
        fs::rename(&places[gone], &folders[gone]).expect("the token comes back");
        let since = Instant::now();
        let back = until(SOON, || {
            let aside = of_token(&deployment, "sigill_hsm_token_set_aside", &labels[gone]);
            let lost = of_token(&deployment, "sigill_hsm_token_active", &labels[0]) != 1;
            (aside == 0 && !lost).then_some(())
        });
        assert!(back.is_some(), "it was not taken into use: {}", deployment.metrics());
        println!("measured: first in use after = {} ms", since.elapsed().as_millis());
        let key = format!("with {}", labels[gone]).replace(' ', "-");
        let _issued = Received::read(&key, &api.ask(&deployment.order(&key)));
        deployment.stop();
    }

    for (folder, place) in folders.iter().zip(&places) {
        fs::rename(folder, place).expect("the token is taken away");
    }
    let said = deployment.start_refused();
    assert!(said.contains("hsm-token-missing"), "{said}");
    assert!(said.contains(&labels[0]), "{said}");
    for (folder, place) in folders.iter().zip(&places) {
        fs::rename(place, folder).expect("the token comes back");
    }

    // The management CA's token lacks the key: it counts as away.
    let without = "standby = \"management\"";
    deployment.configure(|config| config.replace("standby = \"issuing-b\"", without));
    deployment.start();
    let said = deployment.printed();
    assert!(said.contains("hsm-key-missing"), "{said}");
    assert!(said.contains(&deployment.token_label("management")), "{said}");
    let _issued = Received::read("beside-it", &api.ask(&deployment.order("beside-it")));
    deployment.stop();
}

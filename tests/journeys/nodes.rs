//! The database in PostgreSQL: a CA that is told to keep it there, and what becomes of calls while the server is away.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::demo::until;
use support::line::{Far, Line};
use support::ports;
use support::postgresql::{Postgresql, USER};
use support::program::{self, Server};
use support::suite::Check;

use crate::accounts::Received;
use crate::api::{Api, Request};
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::orders::{Bears, Orders};
use crate::revocation::{crl_entry, ocsp, revoke};

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("nodes::a_ca_keeps_its_database_in_postgresql", a_ca_keeps_its_database_in_postgresql),
    ("nodes::two_nodes_share_a_database", two_nodes_share_a_database),
    ("nodes::a_restored_dump_loses_no_revocation", a_restored_dump_loses_no_revocation),
];

/// How long OCSP may take to say what is recorded.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
/// Leases last 30 s.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(90);
const CALLERS: usize = 3;
/// How long orders go on in each state.
const A_WHILE: Duration = Duration::from_secs(2);
const PASSWORD: &str = "korrekt-hast-batteri";

/// A CA of the database server, and another one that vouches for nothing here.
struct Vouchers {
    ca: String,
    other: String,
    certificate: String,
    key: String,
}

fn vouchers() -> Vouchers {
    let ca = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        (Issuer::new(params, key), pem)
    };
    let ((issuer, ca), (_, other)) = (ca("database CA"), ca("another CA"));
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
    Vouchers { ca, other, certificate, key: key.serialize_pem() }
}

/// Has the deployment keep its database in `server`, over TLS and with a password, where it is still to be made.
fn kept_in(deployment: &mut Deployment, server: &Postgresql, database: &str) -> Vouchers {
    let vouchers = vouchers();
    server.speak_tls(&vouchers.certificate, &vouchers.key, PASSWORD);
    let home = deployment.home.clone();
    fs::write(home.join("tls/database-ca.pem"), &vouchers.ca).expect("a file");
    let password = home.join("keys/database.password");
    fs::write(&password, format!("{PASSWORD}\n")).expect("a file");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&password, private).expect("a mode");
    fs::remove_file(home.join("state/ca.sqlite")).expect("the database that import made");
    let port = server.port();
    deployment.configure(|text| {
        let path = "path = \"../state/ca.sqlite\"\n";
        let keys = "sealing-keys = \"../keys/sealing.keys\"\n";
        assert!(text.contains(path) && text.contains(keys), "{text}");
        let server = format!(
            "{keys}\n[database.postgresql]\nhost = \"127.0.0.1\"\nport = {port}\ndatabase = \"{database}\"\n\
             user = \"{USER}\"\npassword = \"../keys/database.password\"\nca = \"../tls/database-ca.pem\"\n"
        );
        let text = text.replace(path, "").replace(keys, &server);
        fs::write(home.join("config/ca.toml"), &text).expect("a configuration");
        text
    });
    vouchers
}

/// Registers the CAs in the database, which must be empty.
fn import(deployment: &Deployment) {
    let outputs = deployment.home.join("ceremony/out/outputs.json");
    let imported = deployment.command(&["import"], &["--from", outputs.to_str().expect("UTF-8")]);
    assert_eq!(imported.code, 0, "{}", imported.text);
}

/// A CA on PostgreSQL issues and revokes, and OCSP says so. The server is killed under orders and comes back: no order is
/// lost or done twice, and the CA goes on without a restart.
fn a_ca_keeps_its_database_in_postgresql(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let Some(server) = Postgresql::start() else { return };
    let database = server.database();
    let vouchers = kept_in(&mut deployment, &server, &database);
    let ca = deployment.home.join("tls/database-ca.pem");
    fs::write(&ca, &vouchers.other).expect("a file");
    let stranger = deployment.command(&["check-config"], &[]);
    assert_eq!(stranger.code, 1, "{}", stranger.text);
    assert!(stranger.text.contains("database-unreachable: "), "{}", stranger.text);
    assert!(!stranger.text.contains(PASSWORD), "{}", stranger.text);
    fs::write(&ca, &vouchers.ca).expect("a file");
    let refused = deployment.start_refused();
    assert!(refused.contains("database-not-initialised: "), "{refused}");
    let empty = deployment.command(&["check-config"], &[]);
    assert!(empty.code == 0 && empty.text.contains("no database yet"), "{}", empty.text);
    import(&deployment);
    deployment.start();
    let _responder = deployment.responder();

    let first = Received::read("first", &deployment.api().ask(&deployment.order("first")));
    let revoked = revoke(&deployment, &first.id, "superseded", "revoke-first");
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let seen = || ocsp(&deployment, first.serial).contains("Reason: superseded").then_some(());
    assert!(until(SEEN_WITHIN, seen).is_some(), "{}", ocsp(&deployment, first.serial));

    let (orders, form) = (Orders::new("nodes"), deployment.form());
    let api = deployment.api();
    orders.during(CALLERS, Bears::Everything, (&api, &form), || {
        thread::sleep(A_WHILE);
        server.kill();
        thread::sleep(A_WHILE);
        server.start_again();
        let came_back = orders.count();
        let more = until(SEEN_WITHIN, || (orders.count() > came_back + CALLERS).then_some(()));
        assert!(more.is_some(), "nothing is issued: {}", deployment.printed());
    });
    let received = orders.received();
    println!("measured: certificates received = {}", received.len());
    let number = |sql: &str| server.sql(&database, sql).trim().parse::<usize>().expect("a number");
    let issued = number("SELECT count(*) FROM certificate WHERE profile = 'function-ec'");
    assert_eq!(issued, received.len() + 1, "each order has one certificate, and none has two");
    let settled = until(SEEN_WITHIN, || {
        (number("SELECT count(*) FROM intent WHERE state = 'open'") == 0).then_some(())
    });
    assert!(settled.is_some(), "intents stay open");
    for one in &received {
        let again = api.ask(&deployment.order(&one.key));
        assert!(again.replayed() && again.body == one.body, "{}: {}", one.key, again.text());
    }
    deployment.stop();
    logs_are_whole(&deployment, &number);
}

/// A second `sigill-ca` of the deployment: its own name, ports, spool and line to the database, which is the same, as keys,
/// tokens and trees are.
struct Second {
    command: Command,
    log: PathBuf,
    address: SocketAddr,
    observe: SocketAddr,
    server: Option<Server>,
}

impl Second {
    fn of(deployment: &Deployment, line: &Line) -> Self {
        let home = &deployment.home;
        let text = fs::read_to_string(home.join("config/ca.toml")).expect("a configuration");
        let (address, observe) = (ports::free_address(), ports::free_address());
        let database = line.address().port();
        let own = [("node = ", "ca-b"), ("spool = ", "../publish/.spool-b")];
        let mut section = "";
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let changed = own.iter().find(|(key, _)| line.starts_with(key));
            lines.push(match (section, changed) {
                (_, Some((key, value))) => format!("{key}\"{value}\""),
                ("[api]", None) if line.starts_with("listen = ") => {
                    format!("listen = \"{address}\"")
                }
                ("[database.postgresql]", None) if line.starts_with("port = ") => {
                    format!("port = {database}")
                }
                ("[observe]", None) if line.starts_with("listen = ") => {
                    format!("listen = \"{observe}\"")
                }
                _ => line.to_owned(),
            });
        }
        let file = home.join("config/ca-b.toml");
        fs::write(&file, lines.join("\n")).expect("a configuration");
        let mut command = Command::new(program::built("sigill-ca"));
        command.args(["serve", "--config"]).arg(&file);
        command.env("SOFTHSM2_CONF", home.join("softhsm2.conf"));
        Self {
            command,
            log: deployment.folder().join("serve-b.log"),
            address,
            observe,
            server: None,
        }
    }

    fn start(&mut self) {
        self.server = Some(Server::start(&mut self.command, &self.log, self.address));
    }

    /// Has it stand still, or go on.
    fn signal(&self, signal: &str) {
        let id = self.server.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    /// Whether it says that it takes calls.
    fn is_ready(&self) -> bool {
        let url = format!("http://{}/readyz", self.observe);
        let asked = Command::new("curl").args(["-s", "-f", "-o", "/dev/null", &url]).status();
        asked.expect("curl runs").success()
    }
}

/// The database, as an operator looks into it.
struct Inside<'s>(&'s Postgresql, &'s str);

impl Inside<'_> {
    fn text(&self, sql: &str) -> String {
        self.0.sql(self.1, sql).trim().to_owned()
    }

    fn number(&self, sql: &str) -> usize {
        self.text(sql).parse().expect("a number")
    }

    /// Who publishes, and under which fencing number.
    fn publisher(&self) -> (String, usize) {
        let row = self.text("SELECT node, fencing FROM lease WHERE name = 'publication'");
        let (node, fencing) = row.split_once('|').expect("two columns");
        (node.to_owned(), fencing.parse().expect("a number"))
    }

    /// Ends the leases of a node that is dead: the database is then as it is when they have run out.
    fn end_leases_of(&self, node: &str) {
        self.text(&format!("UPDATE lease SET until = 0 WHERE node = '{node}'"));
    }

    fn is_published_by(&self, node: &str) -> Option<()> {
        (self.publisher().0 == node).then_some(())
    }
}

/// Promises 2 and 3, CRL-03 with two programs on one database: both issue at the same time. One loses its line to the database,
/// and is killed, while the other publishes: that one goes on. The one that publishes is killed: the other voids what it left open,
/// takes the publication over and makes the CRLs. It comes back, and both go on; then the one that publishes stands still, until
/// its leases have run out.
fn two_nodes_share_a_database(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let Some(server) = Postgresql::start() else { return };
    let database = server.database();
    kept_in(&mut deployment, &server, &database);
    import(&deployment);
    deployment.start();
    let line = Line::to(Far::Address(([127, 0, 0, 1], server.port()).into()));
    let mut second = Second::of(&deployment, &line);
    second.start();
    let _responder = deployment.responder();
    let inside = Inside(&server, &database);
    let number = |sql: &str| inside.number(sql);
    let (first_publisher, fencing) = inside.publisher();
    assert_ne!(first_publisher, "ca-b");
    let ready = until(SEEN_WITHIN, || second.is_ready().then_some(()));
    assert!(ready.is_some(), "a node that does not publish takes calls");

    let form = deployment.form();
    let (one, other) = (Orders::new("first"), Orders::new("second"));
    let (api, api_b) = (deployment.api(), Api::portal(&deployment.home, second.address));
    let go_on = |orders: &Orders, since: Instant| {
        until(TAKEN_OVER_WITHIN, || orders.any_since(since).then_some(()))
    };
    one.during(CALLERS, Bears::Everything, (&api, &form), || {
        // Before the second node has orders: behind this line the server sees a whole connection, and would wait a minute for a
        // transaction that fell silent in its middle, as it does not for a machine that is gone.
        line.fall_silent();
        let told = until(SEEN_WITHIN, || (!second.is_ready()).then_some(()));
        assert!(told.is_some(), "a node without a database says that it takes calls");
        assert!(go_on(&one, Instant::now()).is_some(), "the other node issues nothing");
        line.mend();
        let ready = until(SEEN_WITHIN, || second.is_ready().then_some(()));
        assert!(ready.is_some(), "it does not find its database again");
        other.during(CALLERS, Bears::Everything, (&api_b, &form), || {
            assert!(go_on(&other, Instant::now()).is_some(), "it issues nothing any more");

            second.server.take().expect("the second node runs").kill();
            assert!(go_on(&one, Instant::now()).is_some(), "the other node issues nothing");
            second.start();
            assert!(go_on(&other, Instant::now()).is_some(), "it issues nothing any more");
            assert_eq!(inside.publisher(), (first_publisher.clone(), fencing));

            let killed = Instant::now();
            deployment.kill();
            assert!(go_on(&other, killed).is_some(), "the other node issues nothing");
            assert_eq!(inside.publisher().0, first_publisher, "a lease that lives is not taken");
            inside.end_leases_of(&first_publisher);
            let over = until(TAKEN_OVER_WITHIN, || inside.is_published_by("ca-b"));
            assert!(over.is_some(), "nobody took the publication over");
            assert!(inside.publisher().1 > fencing);
            let left = format!(
                "SELECT count(*) FROM intent WHERE state = 'open' AND node = '{first_publisher}'"
            );
            let voided = until(TAKEN_OVER_WITHIN, || (number(&left) == 0).then_some(()));
            assert!(voided.is_some(), "{} intents of the dead node stay open", number(&left));
            deployment.start();
            let (back, before) = (Instant::now(), one.count());
            let more = until(TAKEN_OVER_WITHIN, || (one.count() > before + CALLERS).then_some(()));
            assert!(more.is_some() && go_on(&other, back).is_some(), "both nodes go on");
            inside.is_published_by("ca-b").expect("a lease that lives is not taken");
        });
    });

    let received: Vec<_> = one.received().into_iter().chain(other.received()).collect();
    println!("measured: certificates received = {}", received.len());
    let issued = number("SELECT count(*) FROM certificate WHERE profile = 'function-ec'");
    assert_eq!(issued, received.len(), "each order has one certificate, and none has two");
    let [at_one, while_it_stands, at_other] = &received[received.len() - 3..] else {
        panic!("{} certificates", received.len())
    };
    let revoked = revoke(&deployment, &at_one.id, "superseded", "by-the-other-node");
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    seen_by_all(&deployment, at_one);
    let second_stands = (&inside, first_publisher.as_str(), while_it_stands);
    a_node_that_stands_still_is_fenced_off(&deployment, &second, second_stands, at_other);
    deployment.stop();
    let mut running = second.server.take().expect("the second node runs");
    assert!(running.end(TAKEN_OVER_WITHIN).success(), "{}", running.printed());
    logs_are_whole(&deployment, &number);
}

/// OCSP and the CRL show a revocation, whichever node took it: the one that publishes makes the CRL at once.
fn seen_by_all(deployment: &Deployment, one: &Received) {
    let answered = || ocsp(deployment, one.serial).contains("Reason: superseded").then_some(());
    assert!(until(SEEN_WITHIN, answered).is_some(), "{}", ocsp(deployment, one.serial));
    let listed = until(SEEN_WITHIN, || crl_entry(deployment, one.serial));
    assert!(listed.is_some(), "{} is on no CRL", one.serial);
}

/// Architecture §2.2: the node that publishes stands still until its lease has ended and the other has taken over. When it wakes it
/// takes calls, and neither publishes nor makes a CRL.
fn a_node_that_stands_still_is_fenced_off(
    deployment: &Deployment,
    second: &Second,
    (inside, other, meanwhile): (&Inside<'_>, &str, &Received),
    after: &Received,
) {
    let checkpoint = deployment.home.join("publish/checkpoint");
    let size = || -> u64 {
        let note = fs::read_to_string(&checkpoint).expect("a checkpoint");
        note.lines().nth(1).expect("a size").parse().expect("a number")
    };
    let lists =
        || inside.number("SELECT count(*) FROM intent WHERE kind = 'crl' AND node = 'ca-b'");
    inside.is_published_by("ca-b").expect("the second node publishes");
    second.signal("-STOP");
    let stopped = Instant::now();
    let over = until(TAKEN_OVER_WITHIN * 2, || inside.is_published_by(other));
    assert!(over.is_some(), "nobody took the publication over");
    println!(
        "measured: taken over from a node that stands still after = {:.0?}",
        stopped.elapsed()
    );
    let revoked = revoke(deployment, &meanwhile.id, "superseded", "while-it-stands");
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    seen_by_all(deployment, meanwhile);

    let (before, held, mut published) = (lists(), inside.publisher(), size());
    second.signal("-CONT");
    let path = format!("/v1/certificates/{}/revocation", after.id);
    let body = serde_json::json!({ "reason": "superseded" });
    let call = Request::post(path, "after-it-stood", &body);
    let revoked = Api::portal(&deployment.home, second.address).persevere(&mut None, &call);
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let listed = until(SEEN_WITHIN, || {
        let now = size();
        assert!(now >= published, "an older checkpoint of {now} was put over {published}");
        published = now;
        crl_entry(deployment, after.serial)
    });
    assert!(listed.is_some(), "{} is on no CRL", after.serial);
    seen_by_all(deployment, after);
    assert_eq!(inside.publisher(), held, "it took the publication back");
    assert_eq!(lists(), before, "it has made a CRL");
}

/// What is published is all that was recorded, each position once.
fn logs_are_whole(deployment: &Deployment, number: &dyn Fn(&str) -> usize) {
    for (log, table) in [("status", "status_entry"), ("audit", "audit_leaf")] {
        let size = deployment.verify_log(log)["size"].as_u64().expect("a size");
        let recorded = number(&format!("SELECT count(*) FROM {table}"));
        let dense = number(&format!("SELECT max(idx) + 1 FROM {table}"));
        assert_eq!((usize::try_from(size).expect("a size"), recorded), (recorded, dense), "{log}");
    }
}

/// The restore drill on PostgreSQL: a dump from before a revocation is put back after the server's database is lost. It signs nothing
/// until it has taken over what is published; then the revocation stands, and no serial or CRL number comes twice.
fn a_restored_dump_loses_no_revocation(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let Some(server) = Postgresql::start() else { return };
    let database = server.database();
    kept_in(&mut deployment, &server, &database);
    import(&deployment);
    deployment.start();
    let _responder = deployment.responder();
    let before = Received::read("before", &deployment.api().ask(&deployment.order("before")));
    let dump = server.copy(&database);
    let ends =
        ["--authority", AUTHORITY, "--actor", "op-7", "--actor", "op-8", "--check"].as_slice();
    for (words, more) in [("last-crl", ends), ("take-over", &[])] {
        let said = deployment.command(&[words], more);
        assert_ne!(said.code, 0, "{words} works beside `serve`: {}", said.text);
        assert!(said.text.contains("node-at-work: "), "{words}: {}", said.text);
    }
    let after = Received::read("after", &deployment.api().ask(&deployment.order("after")));
    for (number, one) in [&before, &after].into_iter().enumerate() {
        let revoked = revoke(&deployment, &one.id, "superseded", &format!("revoke-{number}"));
        assert_eq!(revoked.status, 200, "{}", revoked.text());
    }
    let is_revoked = |deployment: &Deployment, one: &Received| {
        let seen = || ocsp(deployment, one.serial).contains("Reason: superseded").then_some(());
        assert!(until(SEEN_WITHIN, seen).is_some(), "{}", ocsp(deployment, one.serial));
    };
    is_revoked(&deployment, &after);
    let numbers =
        "SELECT encode(number, 'hex') FROM crl WHERE state = 'signed' ORDER BY number DESC LIMIT 1";
    let listed = until(SEEN_WITHIN, || {
        (server.sql(&database, "SELECT count(*) FROM crl WHERE published IS NOT NULL").trim()
            != "0")
            .then(|| server.sql(&database, numbers))
    });
    deployment.stop();

    deployment.configure(|text| text.replace(&database, &dump));
    let refused = deployment.start_refused();
    assert!(refused.contains("published-ahead: ") && refused.contains("take-over"), "{refused}");
    let taken = deployment.command(&["take-over"], &[]);
    assert_eq!(taken.code, 0, "{}", taken.text);
    assert!(taken.text.contains(&after.serial.to_string()), "{}", taken.text);
    deployment.start();
    for one in [&before, &after] {
        is_revoked(&deployment, one);
    }
    let next = Received::read("next", &deployment.api().ask(&deployment.order("next")));
    assert!(next.serial != before.serial && next.serial != after.serial);
    let newer = until(SEEN_WITHIN, || {
        (server.sql(&dump, numbers) > listed.clone().expect("a list was published")).then_some(())
    });
    assert!(newer.is_some(), "the next list has a higher number");
    deployment.stop();
    let number = |sql: &str| server.sql(&dump, sql).trim().parse::<usize>().expect("a number");
    logs_are_whole(&deployment, &number);
}

//! The database in PostgreSQL: a CA that is told to keep it there, and what becomes of calls while the server is away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use support::demo::until;
use support::postgresql::{Postgresql, USER};
use support::suite::Check;

use crate::accounts::Received;
use crate::deployment::{Deployment, Template};
use crate::orders::{Bears, Orders};
use crate::revocation::{ocsp, revoke};

pub(crate) const CHECKS: &[Check<Template>] =
    &[("nodes::a_ca_keeps_its_database_in_postgresql", a_ca_keeps_its_database_in_postgresql)];

/// How long OCSP may take to say what is recorded.
const SEEN_WITHIN: Duration = Duration::from_secs(60);
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
    for (log, table) in [("status", "status_entry"), ("audit", "audit_leaf")] {
        let size = deployment.verify_log(log)["size"].as_u64().expect("a size");
        let recorded = number(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(usize::try_from(size).expect("a size"), recorded, "{log}");
    }
}

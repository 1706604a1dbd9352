//! Logon to a Kerberos realm of MIT's KDC by PKINIT (RFC 4556) with certificates of persons: the realm trusts our
//! root, its own certificate is one of our function certificates, and it asks of people's what a directory
//! of Windows asks: smart-card logon among the purposes, and the account's user principal name.
//!
//! UPN and principal are compared with upper and lower case, so the realm is written as in the UPN.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use serde_json::json;
use support::demo::{Demo, Issued, Order};
use support::program::Server;
use support::spoken::Spoken;
use support::suite::Check;
use support::{ports, spoken, tool};
use tempfile::TempDir;

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("pkinit::lets_a_person_log_on_by_upn", lets_a_person_log_on_by_upn),
    ("pkinit::lets_a_person_log_on_by_mapping", lets_a_person_log_on_by_mapping),
    ("pkinit::refuses_the_name_of_somebody_else", refuses_the_name_of_somebody_else),
    ("pkinit::refuses_a_certificate_without_smart_card_logon", refuses_without_smart_card_logon),
    ("pkinit::refuses_a_certificate_of_a_stranger", refuses_a_certificate_of_a_stranger),
    ("pkinit::refuses_a_kdc_of_a_stranger", refuses_a_kdc_of_a_stranger),
    ("pkinit::refuses_a_revoked_certificate", refuses_a_revoked_certificate),
];

const REALM: &str = "example.org";

/// Who has an account.
const ACCOUNTS: [&str; 2] = ["tolvan", "agda"];

/// The host that the KDC's certificate names: `Order::Function`.
const HOST: &str = "localhost.example.org";

/// Keys of cards are of both kinds.
fn lets_a_person_log_on_by_upn(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let (rsa, ec) = (person(demo), person_with_ec_key(demo));
    let Some(realm) = Realm::of(&samples.good, &[&rsa, &ec]) else { return };
    for issued in [&rsa, &ec] {
        let said = realm.log_on("tolvan", issued);

        realm.has_let_in(&said, "tolvan");
    }
}

/// Without a UPN the realm maps the certificate to the account by its issuer and names, as a directory does.
fn lets_a_person_log_on_by_mapping(samples: &Samples) {
    let Some(person) = samples.persons.first() else { return };
    let Some(realm) = Realm::of(&samples.good, &[person]) else { return };

    let unmapped = realm.log_on("agda", person);
    realm.map("agda", "&&<ISSUER>CN=SIGILL TEST e-id Person HSA-id 3 CA v1<SUBJECT>serialNumber=TST2321000016-1002");
    let mapped = realm.log_on("agda", person);

    realm.has_refused(&unmapped, "Client name mismatch");
    realm.has_let_in(&mapped, "agda");
}

fn refuses_the_name_of_somebody_else(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let tolvan = person(demo);
    let Some(realm) = Realm::of(&samples.good, &[&tolvan]) else { return };

    let said = realm.log_on("agda", &tolvan);

    realm.has_refused(&said, "Client name mismatch");
}

/// The account is mapped to the certificate, so that only its purposes stand in the way.
fn refuses_without_smart_card_logon(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let private = demo.issue_changed(Order::PersonAuthentication, |_, request| {
        request["profile"] = json!("person-id-3-authentication");
        request["subject"] = json!({
            "given_name": "Tolvan",
            "surname": "Tolvansson",
            "personal_identity_number": "191212121212",
        });
    });
    let Some(realm) = Realm::of(&samples.good, &[&private]) else { return };
    realm.map("tolvan", "<SUBJECT>serialNumber=191212121212");

    let said = realm.log_on("tolvan", &private);

    realm.has_refused(&said, "Inconsistent key purpose");
}

/// The same names and purposes, signed by somebody else: whoever holds it trusts it, the KDC does not.
fn refuses_a_certificate_of_a_stranger(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let tolvan = person(demo);
    let Some(realm) = Realm::of(&samples.good, &[&tolvan]) else { return };
    let forged = of_stranger(
        tolvan.folder(),
        &[
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=clientAuth,msSmartcardLogin",
            "subjectAltName=otherName:msUPN;UTF8:tolvan@example.org",
        ],
    );
    tolvan.write("both.pem", [tolvan.read("root.pem"), tolvan.read("stranger.pem")].concat());
    let anchors = format!("X509_anchors=FILE:{}", tolvan.path("both.pem").display());

    let said = realm.log_on_with("tolvan", &forged, &["-X", &anchors]);

    realm.has_refused(&said, "");
    let log = realm.log();
    assert!(log.contains("Failed to verify received certificate (depth 0): unable to get local issuer certificate"), "{log}");
}

/// The person's side judges the KDC's certificate: a stranger's is not believed, whatever it says.
fn refuses_a_kdc_of_a_stranger(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let tolvan = person(demo);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = format!("subjectAltName=DNS:{HOST}");
    let own = of_stranger(
        folder.path(),
        &["keyUsage=critical,digitalSignature", "extendedKeyUsage=serverAuth", &name],
    );
    let anchor = folder.path().join("stranger.pem");
    let Some(realm) = Realm::with(&own, &anchor, &samples.good, &[&tolvan]) else { return };

    let said = realm.log_on("tolvan", &tolvan);

    realm.has_refused(&said, "");
    let reason =
        "Failed to verify received certificate (depth 0): unable to get local issuer certificate";
    assert!(said.trace.contains(reason), "{}", said.trace);
}

/// The KDC judges by our CRLs, which it must have of every CA of the chain.
fn refuses_a_revoked_certificate(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let tolvan = person(demo);
    demo.revoke(&tolvan, "keyCompromise");
    let Some(realm) = Realm::of(&samples.good, &[&tolvan]) else { return };

    let said = realm.log_on("tolvan", &tolvan);

    realm.has_refused(&said, "");
    let log = realm.log();
    assert!(log.contains("certificate revoked"), "{log}");
}

/// Tolvan's certificate with a user principal name.
fn person(demo: &Demo) -> Issued {
    demo.issue_changed(Order::PersonAuthentication, |_, request| {
        request["alternative_names"] = json!({ "upn": format!("tolvan@{REALM}") });
    })
}

/// The same for a P-256 key.
fn person_with_ec_key(demo: &Demo) -> Issued {
    demo.issue_changed(Order::PersonAuthentication, |folder, request| {
        let key = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let rest = ["-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=ignored"];
        let made = spoken::openssl(folder, &[&key[..], &rest].concat());
        assert!(made.is_some_and(|made| made.code == 0), "openssl makes a request");
        request["csr"] = json!(fs::read_to_string(folder.join("csr.pem")).expect("a request"));
        request["alternative_names"] = json!({ "upn": format!("tolvan@{REALM}") });
    })
}

/// A certificate with these extensions by a CA that nobody here knows, `stranger.pem`.
fn of_stranger(folder: &Path, extensions: &[&str]) -> Identity {
    let run = |arguments: &[&str]| {
        let made = spoken::openssl(folder, arguments).expect("openssl is installed");
        assert_eq!(made.code, 0, "{}", made.text);
    };
    fs::write(folder.join("extensions"), extensions.join("\n")).expect("a file");
    let key = ["-newkey", "rsa:2048", "-nodes", "-keyout"];
    let authority = ["req", "-x509", "-subj", "/CN=stranger", "-out", "stranger.pem"];
    run(&[&authority[..], &key, &["stranger.key"]].concat());
    let request = ["req", "-new", "-subj", "/CN=Tolvan Tolvansson", "-out", "forged.csr"];
    run(&[&request[..], &key, &["forged.key"]].concat());
    let by = ["-CA", "stranger.pem", "-CAkey", "stranger.key", "-extfile", "extensions"];
    run(&[&["x509", "-req", "-in", "forged.csr", "-out", "forged.pem"][..], &by].concat());
    Identity { certificate: folder.join("forged.pem"), key: folder.join("forged.key") }
}

/// A certificate and its key.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    fn of(issued: &Issued) -> Self {
        Self { certificate: issued.path("leaf.pem"), key: issued.path("key.pem") }
    }
}

impl fmt::Display for Identity {
    /// As Kerberos' configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FILE:{},{}", self.certificate.display(), self.key.display())
    }
}

/// What came of a try to log on: what kinit said, what it traced, and whose ticket lies in the cache.
struct Logon {
    said: Spoken,
    trace: String,
    ticket: String,
}

/// A realm whose KDC runs until it is dropped.
struct Realm {
    folder: TempDir,
    kinit: PathBuf,
    _kdc: Server,
}

impl Realm {
    /// A KDC whose own certificate is `own`, and which knows the CAs and the CRLs of these certificates. `None` where
    /// the programs are not installed.
    fn of(own: &Issued, persons: &[&Issued]) -> Option<Self> {
        Self::with(&Identity::of(own), &own.path("root.pem"), own, persons)
    }

    /// The same, whose own certificate is any, and which trusts its anchor beside the root of `ours`.
    fn with(own: &Identity, anchor: &Path, ours: &Issued, persons: &[&Issued]) -> Option<Self> {
        let [kdc, make, administer, kinit] =
            ["krb5kdc", "kdb5_util", "kadmin.local", "kinit"].map(tool::find);
        let (kdc, make, administer, kinit) = (kdc?, make?, administer?, kinit?);
        if !has_plugin() {
            println!("skipped: krb5-pkinit is not installed");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = ports::free_address();
        for name in ["pool", "crl", "database"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        for issued in persons.iter().chain([&ours]) {
            issued.fetch_crls();
            // One file a CA: certificates of the same CA write it twice.
            let name = issued.crl_url("leaf.pem").rsplit('/').next().unwrap_or_default().to_owned();
            for (from, to) in [
                ("issuing.pem", format!("pool/{name}")),
                ("issuing.crl.pem", format!("crl/{name}")),
                ("root.crl.pem", "crl/root".to_owned()),
            ] {
                fs::write(folder.path().join(to), issued.read(from)).expect("a file");
            }
        }
        configure(folder.path(), (own, anchor), &ours.path("root.pem"), address);
        let settings = settings(folder.path());
        let run = |program: &Path, arguments: &[&str]| {
            let said =
                spoken::run(Command::new(program).envs(settings.clone()).args(arguments), &[]);
            assert_eq!(said.code, 0, "{program:?}: {}", said.text);
        };
        run(&make, &["create", "-s", "-P", "master", "-r", REALM]);
        for account in ACCOUNTS {
            run(&administer, &["addprinc", "+requires_preauth", "-nokey", account]);
        }
        let mut command = Command::new(kdc);
        command.arg("-n").envs(settings).env("KRB5_TRACE", folder.path().join("trace"));
        let server = Server::start(&mut command, &folder.path().join("printed"), address);
        Some(Self { folder, kinit, _kdc: server })
    }

    /// Maps an account to the certificates that this rule matches (kadmin: `pkinit_cert_match`).
    fn map(&self, account: &str, rule: &str) {
        let Some(administer) = tool::find("kadmin.local") else { return };
        let mut command = Command::new(administer);
        command.envs(settings(self.folder.path()));
        let said = spoken::run(command.args(["setstr", account, "pkinit_cert_match", rule]), &[]);
        assert_eq!(said.code, 0, "{}", said.text);
    }

    fn log_on(&self, account: &str, issued: &Issued) -> Logon {
        self.log_on_with(account, &Identity::of(issued), &[])
    }

    fn log_on_with(&self, account: &str, identity: &Identity, more: &[&str]) -> Logon {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let (file, trace) = (cache.path().join("cache"), cache.path().join("trace"));
        let mut command = Command::new(&self.kinit);
        command
            .envs(settings(self.folder.path()))
            .env("KRB5CCNAME", format!("FILE:{}", file.display()))
            .env("KRB5_TRACE", &trace)
            .args(["-X", &format!("X509_user_identity={identity}")])
            .args(more)
            .arg(account);
        let said = spoken::run(&mut command, &[]);
        let mut list = Command::new(self.kinit.with_file_name("klist"));
        let ticket = spoken::run(list.arg("-c").arg(&file), &[]).text;
        Logon { said, trace: fs::read_to_string(trace).unwrap_or_default(), ticket }
    }

    /// The account holds a ticket for tickets, which the KDC gave for a certificate.
    fn has_let_in(&self, logon: &Logon, account: &str) {
        let Logon { said, trace, ticket } = logon;
        assert_eq!(said.code, 0, "{}{}", said.text, self.log());
        assert!(ticket.contains(&format!("Default principal: {account}@{REALM}\n")), "{ticket}");
        assert!(ticket.contains(&format!("krbtgt/{REALM}@{REALM}")), "{ticket}");
        assert!(trace.contains("PKINIT client verified DH reply"), "{trace}");
    }

    /// There is no ticket, and this reason was given.
    fn has_refused(&self, logon: &Logon, reason: &str) {
        let Logon { said, ticket, .. } = logon;
        assert!(said.code != 0 && !ticket.contains("krbtgt"), "{}{ticket}", said.text);
        assert!(said.text.contains(reason), "{}{}", said.text, self.log());
    }

    /// What the KDC wrote: its log, and why it believed or did not.
    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        ["log", "trace"].map(read).concat()
    }
}

/// Where the programs of Kerberos are told to look.
fn settings(folder: &Path) -> [(&'static str, PathBuf); 2] {
    [("KRB5_CONFIG", folder.join("krb5.conf")), ("KRB5_KDC_PROFILE", folder.join("kdc.conf"))]
}

/// The person's side trusts the root alone, and takes a server's certificate with the KDC's host name for one of a KDC
/// (PKINIT's own purpose stands in none of ours).
fn configure(folder: &Path, (own, anchor): (&Identity, &Path), root: &Path, address: SocketAddr) {
    // A stranger has no CRL, and then the KDC would not believe itself.
    let strict = anchor == root;
    let (home, root) = (folder.display(), root.display());
    let trust = format!(
        "pkinit_anchors = FILE:{root}\n  pkinit_pool = DIR:{home}/pool\n  \
         pkinit_revoke = DIR:{home}/crl"
    );
    let client = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n udp_preference_limit = 1\n\
         [realms]\n {REALM} = {{\n  kdc = {address}\n  {trust}\n  \
         pkinit_eku_checking = kpServerAuth\n  pkinit_kdc_hostname = {HOST}\n }}\n"
    );
    let kdc = format!(
        "[kdcdefaults]\n kdc_listen = {address}\n kdc_tcp_listen = {address}\n\
         [realms]\n {REALM} = {{\n  database_name = {home}/database/principal\n  \
         key_stash_file = {home}/database/stash\n  acl_file = {home}/database/acl\n  \
         pkinit_identity = {own}\n  {trust}\n  pkinit_anchors = FILE:{}\n  \
         pkinit_require_crl_checking = {strict}\n  pkinit_eku_checking = scLogin\n  pkinit_allow_upn = true\n }}\n\
         [logging]\n kdc = FILE:{home}/log\n",
        anchor.display()
    );
    fs::write(folder.join("krb5.conf"), client).expect("a configuration");
    fs::write(folder.join("kdc.conf"), kdc).expect("a configuration");
}

/// Whether MIT's module for PKINIT lies where Debian keeps it.
fn has_plugin() -> bool {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.into_iter().any(|folder| folder.path().join("krb5/plugins/preauth/pkinit.so").is_file())
}

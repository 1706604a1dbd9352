//! Promise 2 under `kill -9`: what was acknowledged is there, and nothing is half there.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use ca::audit::EventCode;
use store::{
    CertificateId, CertificateLookup, Import, IntentRow, IssuerKeeping, Log, OrderState, Store,
    VoidScope,
};

use crate::conformance::Backend;
use crate::conformance::world::{Issuer, World, at, audit, followed, fresh, node, verified};
use crate::{Sqlite, sqlite};

const CHILD: &str = "SIGILL_TEST_CRASH_CHILD";
const CALLERS: usize = 8;

/// The child: issues and revokes without end and says what it was told is done.
#[test]
fn child_that_is_killed() {
    let Some(folder) = env::var_os(CHILD) else { return };
    let database = std::path::Path::new(&folder).join("sigill.db");
    let keys = store::FileKeySource::new(&std::path::Path::new(&folder).join("keys"));
    let deployment = "test/demo/ab12".parse().unwrap();
    let store = store::SqliteStore::open(&database, deployment, &keys, at(0)).unwrap();
    let mut world = World::without_import(std::sync::Arc::new(store));
    let name = format!("CN=run {:?}", fresh());
    world.issuer = std::sync::Arc::new(Issuer::new(&name, IssuerKeeping::Online));
    // Never the boot 0 that the parent takes for itself.
    world.node = node("a", fresh()[15] | 1);
    let import = Import { issuers: vec![world.issuer.declared.clone()], ..Import::default() };
    world.store.import(&import, &audit(EventCode::ImportCeremony), at(0)).unwrap();

    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let world = &world;
            scope.spawn(move || {
                loop {
                    let issued = if caller % 2 == 0 {
                        let issued = world.issue(at(1));
                        say("issued", issued.certificate);
                        issued
                    } else {
                        let issued = world.issue_in_two_acts(at(1));
                        say("answered", issued.certificate);
                        issued
                    };
                    world.revoke(issued.certificate, at(2));
                    say("revoked", issued.certificate);
                }
            });
        }
    });
}

fn say(what: &str, certificate: CertificateId) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more: the end of this process is near.
    let _ = writeln!(out, "\n{what} {certificate}").and_then(|()| out.flush());
}

/// Lets a child work until it has said a random number of things, then kills it.
fn run_and_kill(sqlite: &Sqlite) -> Vec<(String, CertificateId)> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, sqlite.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).unwrap();
    let wanted = 1 + usize::from(u16::from_be_bytes(random) % 400);

    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((what, id)) = line.split_once(" crt_") else { continue };
        // The last line may have been cut by the kill.
        let Ok(id) = format!("crt_{id}").parse() else { continue };
        said.push((what.to_owned(), id));
        if said.len() == wanted {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(said.len() >= wanted, "the child ended by itself");
    said
}

fn check(store: &dyn Store, said: &[(String, CertificateId)]) {
    let index = followed(store);
    verified(store, Log::Audit);
    for (what, id) in said {
        let row = store.certificate(&CertificateLookup::Id(*id)).unwrap();
        let row = row.unwrap_or_else(|| panic!("{what} {id} was acknowledged and is gone")).row;
        let reference = index.issuer(&row.issuer).unwrap();
        let status = index.lookup(reference, &row.serial).unwrap();
        assert_eq!(row.status.status, status);
        assert!(what != "revoked" || status.revocation().is_some(), "{id}");
        if what == "answered" {
            let order = store.order(row.order.unwrap()).unwrap().unwrap();
            assert_eq!((order.state, order.certificate), (OrderState::Done, Some(*id)));
        }
    }
    // Every entry has its row, and every certificate its entry.
    let counts = store.counts().unwrap();
    assert_eq!(
        u64::try_from(index.len()).unwrap(),
        counts.issued + counts.imported + counts.voided
    );
}

#[test]
fn after_every_kill_the_acknowledged_is_there_and_the_logs_verify() {
    let sqlite = sqlite();
    drop(sqlite.open());
    let mut said = Vec::new();
    for _ in 0..support::budget::count("group-commit-kills") {
        said.extend(run_and_kill(&sqlite));

        let store = sqlite.open();
        check(&*store, &said);
        let restarted = node("a", 0);
        let record = |_: &IntentRow| audit(EventCode::CertificateVoided);
        let scope = VoidScope::EarlierBoots(restarted);
        let voided = store.void_intents(&scope, &record, at(2)).unwrap();
        assert!(voided.len() <= CALLERS);
        assert!(store.open_intents().unwrap().is_empty());
        check(&*store, &said);
    }
    println!("{} acknowledged acts survived", said.len());
}

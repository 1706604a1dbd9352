//! A folder that says what is not so: each kind is refused under its own code, and what was believed stays.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ledger::Edge;
use status::{BeforeActivation, Change, RevocationReason};
use support::program::Server;
use support::softhsm::alone;
use support::test_name;
use x509::ocsp::CertIdHash;

use crate::client::get;
use crate::faults::{TRY_LATER, status};
use crate::fixture::{DEPLOYMENT, NoteKey, World, change, issued, replace, wait_for};
use crate::receive::{entries_of, head};

/// How often a code has been counted.
fn counted(world: &World, code: &str) -> u64 {
    let text = String::from_utf8(get(world.observe, "localhost", "/metrics").body).unwrap();
    let line = format!("sigill_ocsp_follow_refusals_total{{code=\"{code}\"}} ");
    let found = text.lines().find_map(|one| one.strip_prefix(&line)?.parse().ok());
    found.unwrap_or_else(|| panic!("no {code}: {text}"))
}

/// Waits until this code was counted and told.
fn refused(world: &World, server: &Server, code: &str, before: u64) {
    wait_for(code, || (counted(world, code) > before).then_some(()));
    let told = format!("\"problem.code\":\"{code}\"");
    wait_for(code, || server.printed().contains(&told).then_some(()));
}

/// Writes the tiles of a log of these entries, but for the file `except`.
fn write_tiles(folder: &Path, entries: &[Vec<u8>], except: Option<&str>) {
    for file in Edge::new().append(entries).unwrap() {
        let path = file.path.to_string();
        if except != Some(path.as_str()) {
            replace(&folder.join(path), &file.bytes);
        }
    }
}

/// Architecture §2.2: roll-back, gap, fork, corruption, a frozen or future checkpoint, another deployment: each is
/// refused, told under its code and counted, and the old state answers on. What a signed log must never say
/// ends the following.
#[test]
fn every_kind_of_tampering_has_its_code_and_changes_nothing() {
    alone(test_name!(every_kind_of_tampering_has_its_code_and_changes_nothing), |softhsm| {
        let mut world = World::new(softhsm);
        let config = fs::read_to_string(world.path("ocsp.toml")).unwrap();
        fs::write(world.path("ocsp.toml"), config.replace("freshness = 30", "freshness = 1800"))
            .unwrap();
        let mut server = world.ready();
        world.append(&[
            issued(world.issuer, 1, BeforeActivation::Good),
            issued(world.issuer, 2, BeforeActivation::Good),
        ]);
        let question = world.ca.question(CertIdHash::Sha1, 2, None);
        wait_for("good", || status(&world, &question).is_none().then_some(()));
        world.stop_beating();
        let (publish, trusted) = (world.path("publish"), world.path("state/checkpoint"));
        let kept = fs::read(publish.join("checkpoint")).unwrap();
        wait_for("the last head", || (fs::read(&trusted).unwrap() == kept).then_some(()));
        let entries = entries_of(&publish, 3);
        let other: Vec<Vec<u8>> = (0..3_u8).map(|one| vec![one; 90]).collect();
        let malformed = [&entries[..], &other[..1]].concat();
        let inner = world.inner.lock().unwrap();
        let key = &inner.note_key;
        let cases = [
            (b"no note".to_vec(), "checkpoint-not-authentic"),
            (head(&NoteKey::new(), DEPLOYMENT, &entries, 0), "checkpoint-not-authentic"),
            (head(key, "test/demo/zz99", &entries, 0), "checkpoint-other-log"),
            (head(key, DEPLOYMENT, &entries, 7200), "checkpoint-future"),
            (head(key, DEPLOYMENT, &entries, -7200), "checkpoint-frozen"),
            (head(key, DEPLOYMENT, &entries, -300), "checkpoint-earlier"),
            (head(key, DEPLOYMENT, &entries[..2], 0), "log-rolled-back"),
            (head(key, DEPLOYMENT, &other, 0), "log-forked"),
            (head(key, DEPLOYMENT, &malformed, 0), "log-gap"),
        ];
        for (checkpoint, code) in cases {
            let before = counted(&world, code);
            replace(&publish.join("checkpoint"), &checkpoint);

            refused(&world, &server, code, before);

            assert_eq!(fs::read(&trusted).unwrap(), kept, "{code}");
            assert_eq!(status(&world, &question), None, "{code}");
        }

        // The tiles that were missing arrive, one of them changed on its way, then as it was signed. The head is
        // looked at again all the while: were the right one there for a moment, it would be followed.
        let name = "tile/entries/000.p/4";
        let bundle = publish.join(name);
        let files = Edge::new().append(&malformed).unwrap();
        let right = files.into_iter().find(|file| file.path.to_string() == name).unwrap().bytes;
        let mut changed = right.clone();
        *changed.last_mut().unwrap() ^= 1;
        let before = counted(&world, "log-corrupt");
        replace(&bundle, &changed);
        write_tiles(&publish, &malformed, Some(name));
        replace(&publish.join("checkpoint"), &head(key, DEPLOYMENT, &malformed, 0));
        refused(&world, &server, "log-corrupt", before);
        assert_eq!(status(&world, &question), None);
        replace(&bundle, &right);
        // The same checkpoint is not judged twice; the next one comes a second later.
        std::thread::sleep(Duration::from_millis(1100));
        replace(&publish.join("checkpoint"), &head(key, DEPLOYMENT, &malformed, 0));
        refused(&world, &server, "entry-malformed", 0);
        assert_eq!(status(&world, &question), None, "the old state answers until it is stale");
        assert_eq!(fs::read(&trusted).unwrap(), kept);
        server.kill();

        // A serial that was never issued is revoked: no start answers from such a log.
        let revoked =
            Change::Revoked { reason: Some(RevocationReason::Superseded), invalidity_date: None };
        let contradiction = change(world.issuer, 9, revoked).encode().to_vec();
        let entries = [&entries[..], &[contradiction]].concat();
        write_tiles(&publish, &entries, None);
        replace(&publish.join("checkpoint"), &head(key, DEPLOYMENT, &entries, 0));
        drop(inner);
        let server = world.start();
        refused(&world, &server, "log-contradiction", 0);
        assert_eq!(status(&world, &question), TRY_LATER);
    });
}

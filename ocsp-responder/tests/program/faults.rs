//! Hostile questions, stale and forged logs, wrong deployments: each ends as it should.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use status::BeforeActivation;
use support::budget;
use support::softhsm::alone;
use support::test_name;
use x509::extension::SubjectKeyIdentifier;
use x509::ocsp::{CertIdHash, OcspRequest, OcspResponse};

use crate::answers::{answered, verified};
use crate::client::{get, post, send};
use crate::fixture::{NoteKey, TestCa, World, issued, replace, wait_for};

pub(crate) fn status(world: &World, body: &[u8]) -> Option<u8> {
    let answer = post(world.address, "/ocsp", body);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/ocsp-response"));
    match OcspResponse::from_der(&answer.body).unwrap() {
        OcspResponse::Refused(code) => {
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            Some(code)
        }
        OcspResponse::Basic(_) => None,
    }
}

const MALFORMED: Option<u8> = Some(1);
pub(crate) const TRY_LATER: Option<u8> = Some(3);
const UNAUTHORIZED: Option<u8> = Some(6);

/// OCSP-01, OCSP-02, OCSP-14: every refusal is an OCSP response with HTTP 200 that nobody may keep.
#[test]
fn what_strangers_send_is_refused_in_the_protocol() {
    alone(test_name!(what_strangers_send_is_refused_in_the_protocol), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let question = |octet| world.ca.question(CertIdHash::Sha1, octet, None);
        for garbage in [&b""[..], b"0", b"<html>", &[0x30; 1000], &vec![0; 60_000]] {
            assert_eq!(status(&world, garbage), MALFORMED);
        }
        assert_eq!(status(&world, &vec![0; 2_000_000]), MALFORMED);
        let mut trailing = question(1);
        trailing.push(0);
        assert_eq!(status(&world, &trailing), MALFORMED);

        let stranger = TestCa::new("stranger");
        assert_eq!(status(&world, &stranger.question(CertIdHash::Sha256, 1, None)), UNAUTHORIZED);
        let mixed = OcspRequest {
            cert_ids: [question(1), stranger.question(CertIdHash::Sha1, 1, None)]
                .iter()
                .flat_map(|der| OcspRequest::from_der(der).unwrap().cert_ids)
                .collect(),
            nonce: None,
            preferred: Vec::new(),
        };
        assert_eq!(status(&world, &mixed.to_der()), UNAUTHORIZED);

        for path in ["/ocsp/", "/ocsp/%zz", "/ocsp/AAAA", "/ocsp"] {
            let answer = get(world.address, "any", path);
            assert_eq!((answer.status, answer.body), (200, vec![0x30, 3, 0x0a, 1, 1]), "{path}");
        }
        assert_eq!(get(world.address, "any", "/checkpoint").status, 404);
        assert_eq!(get(world.address, "any", "/../checkpoint").status, 404);
        assert_eq!(send(world.address, "DELETE /ocsp HTTP/1.1\r\nHost: a", b"").status, 405);
        assert_eq!(send(world.address, "GET /person3.cer HTTP/1.0", b"").status, 200);
    });
}

/// Every file of the hostile set, by POST: an OCSP response each time, never good.
#[test]
fn hostile_requests_never_get_good() {
    let archive = support::workspace::root().join("../shared/vectors/hostile-A.tar.xz");
    if !archive.is_file() {
        return println!("skipped: no {}", archive.display());
    }
    alone(test_name!(hostile_requests_never_get_good), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let archive = support::workspace::root().join("../shared/vectors/hostile-A.tar.xz");
        let unpacked = std::process::Command::new("tar")
            .arg("xJf")
            .arg(archive)
            .arg("-C")
            .arg(&world.base)
            .status();
        assert!(unpacked.unwrap().success());
        let mut count = 0;
        for entry in fs::read_dir(world.path("hostile/ocsp")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "der") {
                let code = status(&world, &fs::read(&path).unwrap());
                assert!(matches!(code, Some(1 | 6)), "{}: {code:?}", path.display());
                count += 1;
            }
        }
        assert!(count > 20);
    });
}

/// Slow clients are let go, and keep nobody waiting meanwhile.
#[test]
fn a_client_that_dawdles_is_let_go() {
    alone(test_name!(a_client_that_dawdles_is_let_go), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let half_a_head = b"GET /ocsp HTTP/1.1\r\nHost:";
        let half_a_body = b"POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n0";
        let mut slow: Vec<TcpStream> = [&half_a_head[..], half_a_body, b""]
            .iter()
            .cycle()
            .take(30)
            .map(|begun| {
                let mut stream = TcpStream::connect(world.address).unwrap();
                stream.write_all(begun).unwrap();
                stream
            })
            .collect();

        assert_eq!(status(&world, b"garbage"), MALFORMED);

        let started = Instant::now();
        for stream in &mut slow {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            // A head gets no answer, a body that does not come is a request that cannot be parsed.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    });
}

/// OCSP-16: without a fresh checkpoint everything is tryLater, and it heals by itself.
#[test]
fn a_stale_log_ends_in_try_later_and_heals() {
    alone(test_name!(a_stale_log_ends_in_try_later_and_heals), |softhsm| {
        let mut world = World::new(softhsm);
        let config = fs::read_to_string(world.path("ocsp.toml")).unwrap();
        fs::write(world.path("ocsp.toml"), config.replace("freshness = 30", "freshness = 4"))
            .unwrap();
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let question = world.ca.question(CertIdHash::Sha1, 1, None);
        wait_for("good", || status(&world, &question).is_none().then_some(()));

        world.stop_beating();
        wait_for("try later", || (status(&world, &question) == TRY_LATER).then_some(()));
        let ready = get(world.observe, "localhost", "/readyz");
        assert_eq!(ready.status, 503);
        assert!(String::from_utf8(ready.body).unwrap().contains("no fresh checkpoint"));
        assert_eq!(get(world.observe, "localhost", "/healthz").status, 200);

        world.beat();
        wait_for("good again", || status(&world, &question).is_none().then_some(()));
        let metrics = get(world.observe, "localhost", "/metrics");
        let metrics = String::from_utf8(metrics.body).unwrap();
        assert!(metrics.contains("sigill_ocsp_refusals_total{status=\"3\"}"), "{metrics}");
    });
}

/// KEY-09: while its token is away the responder says tryLater and tells of it; soon after the
/// return it signs again, and nothing was restarted.
#[test]
fn a_token_that_is_away_ends_in_try_later_and_heals() {
    alone(test_name!(a_token_that_is_away_ends_in_try_later_and_heals), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        // Each question has a nonce of its own, so that each answer is signed.
        let asked = std::cell::Cell::new(0_u8);
        let ask = || {
            asked.set(asked.get().wrapping_add(1));
            status(&world, &world.ca.question(CertIdHash::Sha1, 1, Some(&[asked.get(); 16])))
        };
        let lost_for = || {
            let metrics = get(world.observe, "localhost", "/metrics").body;
            let metrics = String::from_utf8(metrics).unwrap();
            let value = metrics
                .lines()
                .find_map(|line| line.strip_prefix("sigill_ocsp_token_lost_seconds "))
                .and_then(|value| value.parse::<u64>().ok());
            value.unwrap_or_else(|| panic!("{metrics}"))
        };
        wait_for("good", || ask().is_none().then_some(()));
        assert_eq!(lost_for(), 0);
        let away = softhsm.state().join("tokens-away");

        fs::rename(softhsm.tokens(), &away).unwrap();
        wait_for("try later", || (ask() == TRY_LATER).then_some(()));
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(ask(), TRY_LATER);
        wait_for("known to be lost at first", || {
            (ask() == TRY_LATER && lost_for() > 0).then_some(())
        });
        let ready = || {
            let answer = get(world.observe, "localhost", "/readyz");
            (answer.status, String::from_utf8(answer.body).unwrap())
        };
        // Every answer so far had a nonce, so that none is kept.
        let (code, text) = ready();
        assert_eq!(code, 503, "{text}");
        assert!(text.contains("token: false"), "{text}");

        fs::rename(&away, softhsm.tokens()).unwrap();
        let back = Instant::now();
        wait_for("good again", || ask().is_none().then_some(()));
        println!("measured: answers {} ms after the token's return", back.elapsed().as_millis());
        assert!(back.elapsed() < budget::recovery(), "{:?}", back.elapsed());
        wait_for("found", || (lost_for() == 0).then_some(()));
        assert_eq!(ready(), (200, "ready\n".to_owned()));
        let plain = world.ca.question(CertIdHash::Sha1, 1, None);
        assert_eq!(status(&world, &plain), None);
        fs::rename(softhsm.tokens(), &away).unwrap();
        wait_for("try later again", || (ask() == TRY_LATER).then_some(()));
        // A token that has just signed is not called lost by one try in vain, so it is asked on.
        wait_for("known to be lost", || (ask() == TRY_LATER && lost_for() > 0).then_some(()));
        assert_eq!(status(&world, &plain), None, "a kept answer is given");
        let (code, text) = ready();
        assert_eq!(code, 200, "{text}");
        assert!(text.contains("token: false"), "{text}");
        fs::rename(&away, softhsm.tokens()).unwrap();
        wait_for("good at last", || ask().is_none().then_some(()));
    });
}

/// Section 2.2: a forged, foreign or rolled-back checkpoint is not believed, restarts included.
#[test]
fn a_forged_foreign_or_older_log_is_not_followed() {
    alone(test_name!(a_forged_foreign_or_older_log_is_not_followed), |softhsm| {
        let mut world = World::new(softhsm);
        let mut server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let question = world.ca.question(CertIdHash::Sha1, 1, None);
        wait_for("good", || status(&world, &question).is_none().then_some(()));
        let checkpoint = world.path("publish/checkpoint");
        let older = fs::read(&checkpoint).unwrap();
        world.append(&[issued(world.issuer, 2, BeforeActivation::Good)]);
        world.stop_beating();
        let second = world.ca.question(CertIdHash::Sha1, 2, None);
        world.inner.lock().unwrap().checkpoint();
        wait_for("the second", || status(&world, &second).is_none().then_some(()));
        server.kill();

        let forged = world.inner.lock().unwrap().signed_head(&NoteKey::new(), "test/demo/ab12");
        let foreign = {
            let inner = world.inner.lock().unwrap();
            inner.signed_head(&inner.note_key, "test/demo/zz99")
        };
        for (bad, said) in
            [(older, "entries, "), (forged.to_string().into_bytes(), "not authentic")]
        {
            replace(&checkpoint, &bad);
            let mut server = world.start();
            wait_for("a refusal", || server.printed().contains("not followed").then_some(()));
            assert_eq!(status(&world, &question), TRY_LATER);
            assert!(server.printed().contains(said) || said == "entries, ", "{}", server.printed());
            server.kill();
        }
        // One that comes while it runs is not followed; a start on it is refused.
        world.inner.lock().unwrap().checkpoint();
        let mut server = world.start();
        wait_for("the service", || server.printed().contains("\"serving\"").then_some(()));
        replace(&checkpoint, foreign.to_string().as_bytes());
        wait_for("a refusal", || server.printed().contains("is followed").then_some(()));
        server.kill();
        let refused = world.command().output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        for said in ["error: deployment-mismatch: ", "test/demo/zz99", "test/demo/ab12"] {
            assert!(text.contains(said), "{text}");
        }
        world.inner.lock().unwrap().checkpoint();
        let _server = world.start();
        world.beat();
        wait_for("good", || status(&world, &question).is_none().then_some(()));
    });
}

/// Promise 8, and the state folder of another deployment: both values are named, nothing starts.
#[test]
fn a_mixed_up_deployment_does_not_start() {
    alone(test_name!(a_mixed_up_deployment_does_not_start), |softhsm| {
        let mut world = World::new(softhsm);
        drop(world.ready());

        for (deployment, said) in
            [("test/demo/zz99", "deployment-mismatch"), ("test/prod/ab12", "deployment-unknown")]
        {
            world.write_config(deployment);
            let output = world.command().output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(said) && text.contains(deployment), "{text}");
        }
        world.write_config("test/demo/ab12");
        let checked = world.verb("check-config").output().unwrap();
        assert!(checked.status.success());
        let pin = world.path("pins");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o755)).unwrap();
        let checked = world.verb("check-config").output().unwrap();
        let text = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(1), "{text}");
        assert!(text.contains("0755"), "{text}");
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o700)).unwrap();
        let none = std::process::Command::new(env!("CARGO_BIN_EXE_sigill-ocsp")).output().unwrap();
        assert_eq!(none.status.code(), Some(2), "wrong use");

        let other = world.inner.lock().unwrap().signed_head(&NoteKey::new(), "test/demo/ab12");
        fs::write(world.path("state/checkpoint"), other.to_string()).unwrap();
        let output = world.command().output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("is not a checkpoint of the pinned key"), "{text}");
    });
}

/// KEY-09: a token that shows no keys for a moment, while the certificate arrives, loses no delegate: the
/// certificate is taken up when the token is back, by the key that was asked for.
#[test]
fn a_certificate_that_arrives_while_the_token_is_away_is_taken_up() {
    alone(test_name!(a_certificate_that_arrives_while_the_token_is_away_is_taken_up), |softhsm| {
        let mut world = World::new(softhsm);
        world.beat();
        let _server = world.start();
        let files = world.path("state/delegates/person3");
        let spki_files = || {
            let entries = fs::read_dir(&files).into_iter().flatten();
            // Files on their way to their name begin with a dot.
            let names = entries.map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> =
                names.filter(|name| !name.as_encoded_bytes().starts_with(b".")).collect();
            names.sort();
            names
        };
        wait_for("a key", || (spki_files().len() == 1).then_some(()));
        let before = spki_files();
        wait_for("a request", || {
            fs::read_dir(world.path("outbox/responder/person3")).ok()?.next().map(|_| ())
        });
        let away = softhsm.state().join("tokens-away");
        fs::rename(softhsm.tokens(), &away).unwrap();
        world.answer_request();
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(spki_files(), before, "a key that may come back is not forgotten");
        assert_eq!(get(world.observe, "localhost", "/readyz").status, 503);

        fs::rename(&away, softhsm.tokens()).unwrap();
        world.wait_until_ready();
        assert_eq!(spki_files(), before);
    });
}

/// PRO-12, PRO-04: a certificate that is not for answering, or that the linter refuses, is not used, whoever signed it; the one before goes on.
#[test]
fn a_delegate_certificate_that_breaks_the_profile_is_not_used() {
    alone(test_name!(a_delegate_certificate_that_breaks_the_profile_is_not_used), |softhsm| {
        let mut world = World::new(softhsm);
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        world.beat();
        let server = world.start();
        let request = world.path("outbox/responder/person3");
        let key = world.answer_request();
        world.wait_until_ready();
        wait_for("the request to be taken away", || {
            fs::read_dir(&request).unwrap().next().is_none().then_some(())
        });

        // The same key under another CA, for too long, and with an authorityKeyIdentifier that only the linter looks at.
        let name = world.path(&format!("publish/responder/person3/{}.cer", key.spki_hash()));
        let (stranger, other) = (TestCa::new("person3"), SubjectKeyIdentifier(vec![0x77; 20]));
        let served = || {
            let asked = world.ca.question(CertIdHash::Sha256, 1, Some(&[7; 16]));
            verified(&world, &answered(&world, &asked).body);
        };
        served();
        for bad in [
            stranger.delegate(&key, Duration::from_secs(86_400)),
            world.ca.delegate(&key, Duration::from_secs(20 * 86_400)),
            world.ca.delegate_under(&other, &key, Duration::from_secs(86_400)),
        ] {
            let before = server.printed().matches("delegate is not kept").count();
            // A file is known by its length and time; the clock of files may stand still for a while.
            let time = || fs::metadata(&name).unwrap().modified().unwrap();
            let before_it = time();
            wait_for("a file of a later time", || {
                replace(&name, bad.as_der());
                (time() != before_it).then_some(())
            });
            wait_for("a refusal", || {
                (server.printed().matches("delegate is not kept").count() > before).then_some(())
            });
            served();
        }
        let printed = server.printed();
        assert!(printed.contains("\"problem.code\":\"delegate-not-kept\""), "{printed}");
        assert!(printed.contains("pro-14/"), "the rule is named: {printed}");
        assert_eq!(get(world.observe, "localhost", "/readyz").status, 200);
    });
}

//! The spellings of HTTP in which clients ask, and what is said of serials that nobody issued.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use status::{BeforeActivation, StatusEntry};
use support::softhsm::alone;
use support::test_name;
use x509::crl::ReasonCode;
use x509::key::SignatureAlgorithm;
use x509::ocsp::{CertId, CertIdHash, CertStatus, OcspRequest, Refusal};
use x509::time::UnixTime;

use crate::answers::{openssl, serial_text, verified};
use crate::client::{Answer, get, post, send};
use crate::faults::{TRY_LATER, status};
use crate::fixture::{TestCa, World, issued, wait_for};

/// A question whose base64 has all three characters that are spelled in two ways.
fn awkward_question(world: &World) -> (Vec<u8>, String) {
    let nonces = (0..=u8::MAX).flat_map(|fill| (16..19).map(move |octets| vec![fill; octets]));
    let questions = nonces.map(|nonce| world.ca.question(CertIdHash::Sha256, 1, Some(&nonce)));
    let mut spelled = questions.map(|der| (STANDARD.encode(&der), der));
    let found = spelled.find(|(text, _)| ['+', '/', '='].iter().all(|one| text.contains(*one)));
    let (text, der) = found.unwrap();
    (der, text)
}

/// That the answer is a good one to this very question.
fn assert_answers(world: &World, answer: &Answer, question: &[u8], what: &str) {
    assert_eq!(answer.status, 200, "{what}");
    assert_eq!(answer.header("content-type"), Some("application/ocsp-response"), "{what}");
    let basic = verified(world, &answer.body);
    assert_eq!(basic.nonce, OcspRequest::from_der(question).unwrap().nonce, "{what}");
    assert_eq!(basic.answers[0].status, CertStatus::Good, "{what}");
}

/// OCSP-01: GET with the base64 escaped or not, padded or not, behind doubled slashes, with a newline
/// at its end, in the URL alphabet; with the whole URL as target; in HTTP/1.0; and HEAD.
#[test]
fn every_spelling_of_get_is_understood() {
    alone(test_name!(every_spelling_of_get_is_understood), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let (question, text) = awkward_question(&world);
        wait_for("good", || status(&world, &question).is_none().then_some(()));
        let escaped = text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let padless = text.trim_end_matches('=');
        for spelled in [
            text.clone(),
            escaped.clone(),
            text.replace('+', "%2b").replace('/', "%2f").replace('=', "%3d"),
            padless.to_owned(),
            format!("/{text}"),
            format!("//{escaped}"),
            format!("{text}%0A"),
            format!("{escaped}%0D%0A"),
            text.replace('+', "-").replace('/', "_"),
            padless.replace('+', "-").replace('/', "_"),
        ] {
            let by_path = get(world.address, "any", &format!("/ocsp/{spelled}"));
            assert_answers(&world, &by_path, &question, &spelled);
            let by_host = get(world.address, "OCSP1.example.org:80", &format!("/{spelled}"));
            assert_answers(&world, &by_host, &question, &spelled);
        }
        for head in [
            format!("GET http://ocsp1.example.org/{escaped} HTTP/1.1\r\nHost: ocsp1.example.org"),
            format!("GET http://OCSP1.example.org:80/{text} HTTP/1.1\r\nHost: other.example.org"),
            format!("GET http://any/ocsp/{text} HTTP/1.0"),
            format!("GET /ocsp/{text} HTTP/1.0"),
            format!("GET /{text} HTTP/1.0\r\nHost: ocsp1.example.org."),
            format!("GET /ocsp/{text}?refresh=1 HTTP/1.1\r\nHost: any"),
        ] {
            assert_answers(&world, &send(world.address, &head, b""), &question, &head);
        }
        // What the host decides is not found under another one.
        assert_eq!(get(world.address, "other.example.org", &format!("/{text}")).status, 404);

        let plain = STANDARD.encode(world.ca.question(CertIdHash::Sha1, 1, None));
        let whole = get(world.address, "any", &format!("/ocsp/{plain}"));
        let head = format!("HEAD /ocsp/{plain} HTTP/1.1\r\nHost: any");
        let head = send(world.address, &head, b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
        for name in ["content-length", "content-type", "etag", "cache-control", "expires"] {
            assert!(head.header(name).is_some(), "{name}");
            assert_eq!(head.header(name), whole.header(name), "{name}");
        }
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
    });
}

fn chunked(question: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in question.chunks(7) {
        body.extend(format!("{:x};name=value\r\n", part.len()).bytes());
        body.extend(part);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\nTrailer: is ignored\r\n\r\n");
    body
}

/// OCSP-01: POST in chunks, after 100 (Continue), in HTTP/1.0, with any content type or none, to the
/// host alone and to the whole URL; two questions on one connection.
#[test]
fn every_spelling_of_post_is_understood() {
    alone(test_name!(every_spelling_of_post_is_understood), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let (question, _) = awkward_question(&world);
        wait_for("good", || status(&world, &question).is_none().then_some(()));
        let length = format!("Content-Length: {}", question.len());
        for head in [
            "POST /ocsp HTTP/1.1\r\nHost: any\r\nContent-Type: application/ocsp-request",
            "POST /ocsp/ HTTP/1.1\r\nHost: any",
            "POST /ocsp HTTP/1.1\r\nHost: any\r\nContent-Type: application/ocsp-request; x=\"y\"",
            "POST /ocsp HTTP/1.1\r\nHost: any\r\nContent-Type: Application/OCSP-Request",
            "POST /ocsp HTTP/1.1\r\nHost: any\r\nContent-Type: application/x-www-form-urlencoded",
            "POST /ocsp HTTP/1.1\r\nHost: any\r\nAccept: text/html\r\nAccept-Encoding: gzip",
            "POST /ocsp HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: ocsp1.example.org",
            "POST / HTTP/1.1\r\nHost: ocsp1.example.org:8080",
            "POST http://ocsp1.example.org HTTP/1.1\r\nHost: ocsp1.example.org",
            "POST http://ocsp1.example.org/ HTTP/1.1\r\nHost: other.example.org",
            "POST http://any/ocsp HTTP/1.1\r\nHost: any",
        ] {
            let answer = send(world.address, &format!("{head}\r\n{length}"), &question);
            assert_answers(&world, &answer, &question, head);
        }
        let head = "POST /ocsp HTTP/1.1\r\nHost: any\r\nTransfer-Encoding: chunked";
        let answer = send(world.address, head, &chunked(&question));
        assert_answers(&world, &answer, &question, head);

        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let expecting = "POST /ocsp HTTP/1.1\r\nHost: any\r\nExpect: 100-continue";
        stream.write_all(format!("{expecting}\r\n{length}\r\n\r\n").as_bytes()).unwrap();
        let mut asked_for = [0; 25];
        stream.read_exact(&mut asked_for).unwrap();
        assert_eq!(&asked_for, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(&question).unwrap();
        // A second question on the same connection, which is then closed.
        let last =
            format!("POST /ocsp HTTP/1.1\r\nHost: any\r\nConnection: close\r\n{length}\r\n\r\n");
        stream.write_all(last.as_bytes()).unwrap();
        stream.write_all(&question).unwrap();
        let mut both = Vec::new();
        stream.read_to_end(&mut both).unwrap();
        let answers = both.windows(15).filter(|at| *at == b"HTTP/1.1 200 OK").count();
        assert_eq!(answers, 2, "{}", String::from_utf8_lossy(&both));
    });
}

/// OCSP-03: by configuration a serial that was never issued is revoked: certificateHold since 1970, a
/// response that says so, for a minute and for nobody to keep; OpenSSL hears revoked, and a
/// certificate that was issued is as it was.
#[test]
fn a_serial_that_was_never_issued_is_revoked_where_configured_so() {
    alone(test_name!(a_serial_that_was_never_issued_is_revoked_where_configured_so), |softhsm| {
        let mut world = World::new(softhsm);
        world.edit_config(|text| format!("{text}[answers]\nnever-issued = \"revoked\"\n"));
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let stranger = TestCa::new("stranger");

        // A machine that stands still for seconds puts the question off: then again.
        let question = world.ca.question(CertIdHash::Sha1, 9, None);
        let answer = wait_for("an answer", || {
            let answer = post(world.address, "/ocsp", &question);
            (answer.body.len() > 5).then_some(answer)
        });

        let basic = verified(&world, &answer.body);
        let [one] = &basic.answers[..] else { panic!("one answer") };
        let reason = Some(ReasonCode::CertificateHold);
        assert_eq!(one.status, CertStatus::Revoked { at: UnixTime::EPOCH, reason });
        assert!(basic.extended_revoke);
        assert_eq!((one.archive_cutoff, one.invalidity_date), (None, None));
        assert!(one.next_update.unwrap().since(basic.produced_at) <= Duration::from_secs(60));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        for (octet, wanted) in [(9, ": revoked"), (1, ": good")] {
            let said = openssl(&world, &["-serial", &serial_text(octet)]);
            assert!(said.contains("Response verify OK") && said.contains(wanted), "{said}");
        }
        let foreign = stranger.question(CertIdHash::Sha1, 9, None);
        assert_eq!(status(&world, &foreign), Some(Refusal::Unauthorized.code()));
    });
}

/// OCSP-05: a serial that is longer than any certificate's may be is unknown, as any that was not
/// issued, and no error of him who asks.
#[test]
fn a_serial_that_is_too_long_is_unknown() {
    alone(test_name!(a_serial_that_is_too_long_is_unknown), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();

        let said = openssl(&world, &["-serial", &format!("0x41{}", "00".repeat(30))]);

        assert!(said.contains("Response verify OK") && said.contains(": unknown"), "{said}");
    });
}

/// Promise 5: a flood of random serials, and each question about a certificate that exists is
/// answered all the same; the flood hears unknown or tryLater.
#[test]
fn a_flood_of_random_serials_keeps_nobody_from_his_answer() {
    alone(test_name!(a_flood_of_random_serials_keeps_nobody_from_his_answer), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let good = |nonce: u8| world.ca.question(CertIdHash::Sha1, 1, Some(&[nonce; 32]));
        wait_for("good", || status(&world, &good(0)).is_none().then_some(()));
        let (unknown, put_off) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (world, asked) = (&world, AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        let octet = asked.fetch_add(1, Ordering::Relaxed) % 100 + 100;
                        let octet = u8::try_from(octet).unwrap();
                        let question = world.ca.question(CertIdHash::Sha256, octet, None);
                        match status(world, &question) {
                            None => unknown.fetch_add(1, Ordering::Relaxed),
                            code => {
                                assert_eq!(code, TRY_LATER);
                                put_off.fetch_add(1, Ordering::Relaxed)
                            }
                        };
                    }
                });
            }
            for nonce in 1..60 {
                let answer = post(world.address, "/ocsp", &good(nonce));
                assert_eq!(verified(world, &answer.body).answers[0].status, CertStatus::Good);
            }
        });
        let (unknown, put_off) = (unknown.into_inner(), put_off.into_inner());
        println!("measured: of the flood {unknown} unknown, {put_off} put off");
        assert_eq!(unknown + put_off, 96);
    });
}

/// OCSP-14: each of several certificates in one request gets its answer, in the order of the
/// questions, and the shortest-lived decides how long the response may be kept.
#[test]
fn several_questions_are_answered_in_their_order() {
    alone(test_name!(several_questions_are_answered_in_their_order), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let entries: Vec<StatusEntry> =
            (1..=15).map(|octet| issued(world.issuer, octet, BeforeActivation::Good)).collect();
        world.append(&entries);
        let ids: Vec<CertId> = (1..=16)
            .map(|octet| {
                let hash = CertIdHash::ALL[usize::from(octet) % 4];
                let question = world.ca.question(hash, octet, None);
                OcspRequest::from_der(&question).unwrap().cert_ids.remove(0)
            })
            .collect();
        let request = OcspRequest { cert_ids: ids.clone(), nonce: None, preferred: Vec::new() };

        let answer = wait_for("an answer", || {
            let answer = post(world.address, "/ocsp", &request.to_der());
            (answer.body.len() > 5).then_some(answer)
        });

        let basic = verified(&world, &answer.body);
        let asked: Vec<CertId> = basic.answers.iter().map(|one| one.cert_id.clone()).collect();
        assert_eq!(asked, ids);
        let (last, others) = basic.answers.split_last().unwrap();
        assert!(others.iter().all(|one| one.status == CertStatus::Good));
        assert_eq!(last.status, CertStatus::Unknown);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    });
}

/// OCSP-12, RFC 6960 §4.4.7: a client that wishes for what no delegate signs by, SHA-1 before all, is
/// answered with what there is, now and from memory; each answer is SHA-256 or better.
#[test]
fn a_wish_for_a_weak_algorithm_is_not_granted() {
    alone(test_name!(a_wish_for_a_weak_algorithm_is_not_granted), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let plain = world.ca.question(CertIdHash::Sha1, 1, None);
        let cert_ids = OcspRequest::from_der(&plain).unwrap().cert_ids;
        let strong = SignatureAlgorithm::EcdsaP256Sha256.identifier_der();
        let wishing = OcspRequest {
            cert_ids,
            nonce: None,
            preferred: vec![SignatureAlgorithm::EcdsaP256Sha256],
        };
        // The same with ecdsa-with-SHA1 in the place of ecdsa-with-SHA256: an octet shorter, so that
        // each length around it is one less.
        let mut weak = wishing.to_der();
        let oid = [0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let at = weak.windows(oid.len()).position(|window| window == oid).unwrap();
        weak.splice(at..at + oid.len(), [0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]);
        let lengths: Vec<usize> = (1..at)
            .filter(|place| {
                let tag = weak[place - 1];
                let constructed = matches!(tag, 0x30 | 0xa2 | 0x04);
                constructed && place + 1 + usize::from(weak[*place]) == weak.len() + 1
            })
            .collect();
        for place in lengths {
            weak[place] -= 1;
        }
        let read = OcspRequest::from_der(&weak).unwrap();
        assert_eq!((read.preferred, read.cert_ids), (Vec::new(), wishing.cert_ids.clone()));
        wait_for("good", || status(&world, &plain).is_none().then_some(()));
        for asked in [&weak, &wishing.to_der(), &plain, &weak, &wishing.to_der()] {
            let answer = post(world.address, "/ocsp", asked);
            let basic = verified(&world, &answer.body);
            assert_eq!(basic.algorithm_der, strong);
            assert!(answer.header("etag").is_some(), "kept, as any answer without a nonce");
        }
    });
}

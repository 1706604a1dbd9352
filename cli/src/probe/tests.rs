//! What OpenSSL's responder and CA make, believed and refused.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use status::observation::{Seen, SeenBase, SeenRevocation, SeenStatus};
use x509::crl::ReasonCode;
use x509::ocsp::{CertId, CertIdHash, OcspRequest};
use x509::pem::{self, Label};
use x509::serial::SerialNumber;

use super::delta::Apart;
use super::judge::judge_answer;
use super::list::{Copy, ListLook, ReadList};
use super::web::Web;
use super::*;

const URL: &str = "http://crl.example.org/ca.crl";
const NONCE: &[u8] = &[0x6e; 32];

/// A CA of OpenSSL, with a delegate that may sign answers and one that may not, serial 11 good and 22 revoked.
struct OpensslCa {
    folder: tempfile::TempDir,
    issuer: PinnedIssuer,
    other: PinnedIssuer,
}

impl OpensslCa {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Self {
            issuer: Self::authority(folder.path(), "ca"),
            other: Self::authority(folder.path(), "other"),
            folder,
        };
        for (name, usage) in [("delegate", "OCSPSigning"), ("server", "serverAuth")] {
            ca.run(
                "req",
                &[
                    "-new",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-keyout",
                    &format!("{name}.key"),
                    "-out",
                    &format!("{name}.csr"),
                    "-subj",
                    &format!("/CN={name}"),
                ],
            );
            std::fs::write(ca.path("ext"), format!("extendedKeyUsage={usage}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")).unwrap();
            ca.run(
                "x509",
                &[
                    "-req",
                    "-in",
                    &format!("{name}.csr"),
                    "-CA",
                    "ca.pem",
                    "-CAkey",
                    "ca.key",
                    "-set_serial",
                    "0x4444",
                    "-days",
                    "2",
                    "-extfile",
                    "ext",
                    "-out",
                    &format!("{name}.pem"),
                ],
            );
        }
        let index = "V\t491231235959Z\t\t11\tunknown\t/CN=a\nR\t491231235959Z\t260101000000Z,keyCompromise\t22\tunknown\t/CN=b\n";
        std::fs::write(ca.path("index"), index).unwrap();
        std::fs::write(ca.path("index.attr"), "unique_subject = no\n").unwrap();
        std::fs::write(ca.path("number"), "0A\n").unwrap();
        std::fs::write(
            ca.path("ca.cnf"),
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\n\
            [aki]\nauthorityKeyIdentifier=keyid\n[idp]\nauthorityKeyIdentifier=keyid\n\
            issuingDistributionPoint=critical,@p\n[p]\nfullname=URI:http://crl.example.org/ca.crl\n\
            [freshest]\nauthorityKeyIdentifier=keyid\nfreshestCRL=URI:http://crl.example.org/ca.delta.crl\n\
            [delta]\nauthorityKeyIdentifier=keyid\n2.5.29.27=critical,DER:02:01:0A\n\
            [delta-idp]\nauthorityKeyIdentifier=keyid\n2.5.29.27=critical,DER:02:01:0A\n\
            issuingDistributionPoint=critical,@p\n\
            [delta-above]\nauthorityKeyIdentifier=keyid\n2.5.29.27=critical,DER:02:01:0B\n\
            [delta-aki]\n2.5.29.35=DER:30:03:80:01:07\n2.5.29.27=critical,DER:02:01:0A\n\
            [delta-no-aki]\n2.5.29.27=critical,DER:02:01:0A\n\
            [delta-freshest]\nauthorityKeyIdentifier=keyid\n2.5.29.27=critical,DER:02:01:0A\n\
            freshestCRL=URI:http://crl.example.org/ca.delta.crl\n",
        )
        .unwrap();
        ca
    }

    fn authority(folder: &Path, name: &str) -> PinnedIssuer {
        run(
            folder,
            "req",
            &[
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.pem"),
                "-subj",
                "/CN=probed",
                "-days",
                "2",
            ],
        );
        let text = std::fs::read_to_string(folder.join(format!("{name}.pem"))).unwrap();
        let der = pem::decode_one(&text, Label::Certificate).unwrap();
        PinnedIssuer::of(Certificate::from_der(&der).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, command: &str, arguments: &[&str]) {
        run(self.folder.path(), command, arguments);
    }

    fn cert_id(&self, hash: CertIdHash, serial: u8) -> CertId {
        let ca = &self.issuer.certificate;
        CertId::new(hash, ca.subject().as_der(), ca.public_key(), of(serial))
    }

    /// What the responder says of a serial.
    fn answer(
        &self,
        cert_id: &CertId,
        nonce: Option<&[u8]>,
        signer: &str,
        more: &[&str],
    ) -> Vec<u8> {
        let request = OcspRequest {
            cert_ids: vec![cert_id.clone()],
            nonce: nonce.map(<[u8]>::to_vec),
            preferred: Vec::new(),
        };
        std::fs::write(self.path("request"), request.to_der()).unwrap();
        let (key, certificate) = (format!("{signer}.key"), format!("{signer}.pem"));
        let mut arguments = vec![
            "-index",
            "index",
            "-rsigner",
            &certificate,
            "-rkey",
            &key,
            "-CA",
            "ca.pem",
            "-reqin",
            "request",
            "-respout",
            "response",
            "-ndays",
            "1",
        ];
        arguments.extend(more);
        self.run("ocsp", &arguments);
        std::fs::read(self.path("response")).unwrap()
    }

    fn list(&self, extensions: &str) -> Vec<u8> {
        self.list_by("ca", extensions, "1")
    }

    fn list_by(&self, signer: &str, extensions: &str, days: &str) -> Vec<u8> {
        let (key, certificate) = (format!("{signer}.key"), format!("{signer}.pem"));
        self.run(
            "ca",
            &[
                "-config",
                "ca.cnf",
                "-gencrl",
                "-keyfile",
                &key,
                "-cert",
                &certificate,
                "-crldays",
                days,
                "-crlexts",
                extensions,
                "-out",
                "list.pem",
            ],
        );
        self.run("crl", &["-in", "list.pem", "-outform", "DER", "-out", "list.der"]);
        std::fs::read(self.path("list.der")).unwrap()
    }

    /// The next list has this number, and these serials, each with its reason.
    fn put(&self, number: &str, revoked: &[(&str, &str)]) {
        let line = |(serial, reason): &(&str, &str)| {
            format!("R\t491231235959Z\t260101000000Z,{reason}\t{serial}\tunknown\t/CN={serial}\n")
        };
        let index: String = revoked.iter().map(line).collect();
        std::fs::write(self.path("index"), index).unwrap();
        std::fs::write(self.path("number"), format!("{number}\n")).unwrap();
    }
}

fn run(folder: &Path, command: &str, arguments: &[&str]) {
    let done =
        Command::new("openssl").arg(command).args(arguments).current_dir(folder).output().unwrap();
    assert!(
        done.status.success(),
        "openssl {command} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn of(octet: u8) -> SerialNumber {
    SerialNumber::from_content_octets(&[octet]).unwrap()
}

fn later(seconds: u64) -> UnixTime {
    now().unwrap().checked_add(Duration::from_secs(seconds)).unwrap()
}

fn statuses(seen: &[Seen]) -> Vec<SeenStatus> {
    seen.iter().map(|one| one.status).collect()
}

fn is_the_revocation(status: SeenStatus) -> bool {
    let SeenStatus::Revoked(SeenRevocation { time, reason }) = status else { return false };
    time.to_string() == "2026-01-01T00:00:00Z" && reason == Some(ReasonCode::KeyCompromise)
}

#[test]
fn an_answer_by_the_ca_or_its_delegate_is_believed_and_no_other() {
    let ca = OpensslCa::new();
    let good = ca.cert_id(CertIdHash::Sha1, 0x11);
    let revoked = ca.cert_id(CertIdHash::Sha256, 0x22);
    let unknown = ca.cert_id(CertIdHash::Sha256, 0x33);
    let judged = |octets: &[u8], id: &CertId, nonce: Option<&[u8]>| {
        judge_answer(octets, &ca.issuer, id, nonce, later(0))
    };
    for signer in ["delegate", "ca"] {
        for by in [&[][..], &["-resp_key_id"]] {
            let said = judged(&ca.answer(&good, None, signer, by), &good, None).unwrap();
            assert_eq!(statuses(&said.seen), [SeenStatus::Good], "{signer}");
            let said = judged(&ca.answer(&revoked, Some(NONCE), signer, by), &revoked, Some(NONCE))
                .unwrap();
            assert!(is_the_revocation(said.seen[0].status), "{:?}", said.seen);
            let said = judged(&ca.answer(&unknown, Some(NONCE), signer, by), &unknown, Some(NONCE))
                .unwrap();
            assert_eq!(statuses(&said.seen), [SeenStatus::Unknown]);
        }
    }

    let refused = |octets: &[u8],
                   issuer: &PinnedIssuer,
                   id: &CertId,
                   nonce: Option<&[u8]>,
                   at: UnixTime,
                   why: &str| {
        let fault = judge_answer(octets, issuer, id, nonce, at).unwrap_err();
        assert!(fault.line().contains(why), "{why}: {}", fault.line());
    };
    let answer = ca.answer(&revoked, Some(NONCE), "delegate", &[]);
    let now = later(0);
    refused(&answer, &ca.issuer, &revoked, Some(&[1; 32]), now, "nonce");
    refused(
        &ca.answer(&revoked, None, "delegate", &[]),
        &ca.issuer,
        &revoked,
        Some(NONCE),
        now,
        "nonce",
    );
    refused(&answer, &ca.issuer, &good, Some(NONCE), now, "CertID");
    refused(&answer, &ca.issuer, &ca.cert_id(CertIdHash::Sha1, 0x22), Some(NONCE), now, "CertID");
    // The same name on another key: pinned is the certificate.
    refused(&answer, &ca.other, &revoked, Some(NONCE), now, "did not sign it");
    refused(
        &ca.answer(&revoked, Some(NONCE), "server", &[]),
        &ca.issuer,
        &revoked,
        Some(NONCE),
        now,
        "extended key usage",
    );
    refused(
        &ca.answer(&revoked, Some(NONCE), "delegate", &["-resp_no_certs"]),
        &ca.issuer,
        &revoked,
        Some(NONCE),
        now,
        "does not carry",
    );
    refused(&answer, &ca.issuer, &revoked, Some(NONCE), later(86_410), "ended");
    refused(
        &answer,
        &ca.issuer,
        &revoked,
        Some(NONCE),
        now.saturating_sub(Duration::from_secs(3600)),
        "not valid now",
    );
    refused(
        &ca.answer(&revoked, Some(NONCE), "ca", &[]),
        &ca.issuer,
        &revoked,
        Some(NONCE),
        now.saturating_sub(Duration::from_secs(3600)),
        "lies ahead",
    );
    refused(b"0", &ca.issuer, &revoked, None, now, "OCSP response");
    assert!(matches!(
        judged(&[0x30, 3, 0x0a, 1, 3], &revoked, None),
        Err(ProbeFault::Exception { status: 3 })
    ));
    for place in (0..answer.len()).step_by(7) {
        let mut changed = answer.clone();
        changed[place] ^= 1;
        // Whatever is changed: refused, or the octets were none that count, and then the answer is the same.
        if let Ok(looked) = judged(&changed, &revoked, Some(NONCE)) {
            assert!(is_the_revocation(looked.seen[0].status), "octet {place}");
        }
    }
}

#[test]
fn a_list_of_the_pinned_ca_is_believed_and_no_other() {
    let ca = OpensslCa::new();
    let serials = [of(0x11), of(0x22)];
    let judged = |octets: &[u8], issuer: &PinnedIssuer, url: &str, at: UnixTime| {
        ReadList::complete(octets, url, issuer, &serials, at, None)
            .map(|list| list.looked(&serials))
    };
    let now = later(0);
    for extensions in ["aki", "idp"] {
        let list = ca.list(extensions);
        let looked = judged(&list, &ca.issuer, URL, now).unwrap();
        assert_eq!(looked[0].sha256, sha256(&list));
        assert_eq!(looked[0].seen[0].status, SeenStatus::Good);
        assert!(is_the_revocation(looked[0].seen[1].status), "{:?}", looked[0].seen);
    }
    let list = ca.list("idp");
    let refused = |octets: &[u8], issuer: &PinnedIssuer, url: &str, at: UnixTime, why: &str| {
        let fault = judged(octets, issuer, url, at).unwrap_err();
        assert!(fault.line().contains(why), "{why}: {}", fault.line());
    };
    refused(&list, &ca.other, URL, now, "signature");
    refused(&list, &ca.issuer, "http://crl.example.org/another.crl", now, "distribution point");
    refused(&list, &ca.issuer, URL, later(86_500), "ended");
    refused(&list, &ca.issuer, URL, now.saturating_sub(Duration::from_secs(3600)), "lies ahead");
    refused(&ca.list("delta"), &ca.issuer, URL, now, "delta");
    refused(&list[..list.len() - 1], &ca.issuer, URL, now, "CRL");
    for place in 0..list.len() {
        let mut changed = list.clone();
        changed[place] ^= 1;
        assert!(judged(&changed, &ca.issuer, URL, now).is_err(), "octet {place}");
    }
}

fn by_both(
    ca: &OpensslCa,
    base: &[u8],
    delta: &[u8],
    serials: &[SerialNumber],
    at: UnixTime,
) -> Result<Vec<Looked>, String> {
    let base = ReadList::complete(base, URL, &ca.issuer, serials, at, None);
    let base = base.map_err(|fault| fault.line())?;
    let delta = ReadList::signed(delta::WHAT, delta, &ca.issuer, serials, at, None);
    let delta = delta.map_err(|fault| fault.line())?;
    match delta::together(&base, &delta) {
        Ok(found) => Ok(delta::told(URL, &base, &delta, serials, &found)),
        Err(Apart::Numbers(why) | Apart::Never(why)) => Err(why),
    }
}

/// CRL-08, REV-08: base and delta of OpenSSL's making are put together as RFC 5280 §5.2.4 says.
#[test]
fn a_delta_adds_takes_back_and_leaves_as_it_was() {
    let ca = OpensslCa::new();
    let serials = [0x11, 0x22, 0x33, 0x44].map(of);
    for (base, delta) in [("freshest", "delta"), ("idp", "delta-idp")] {
        ca.put("0A", &[("22", "certificateHold"), ("33", "keyCompromise")]);
        let base = ca.list(base);
        ca.put("0C", &[("11", "keyCompromise"), ("22", "removeFromCRL")]);
        let delta = ca.list(delta);

        let looked = by_both(&ca, &base, &delta, &serials, later(0)).unwrap().remove(0);

        let said = statuses(&looked.seen);
        assert!(is_the_revocation(said[0]) && is_the_revocation(said[2]), "{said:?}");
        assert_eq!([said[1], said[3]], [SeenStatus::Good; 2]);
        assert_eq!(looked.sha256, sha256(&delta));
        let base = SeenBase { url: URL.to_owned(), sha256: sha256(&base), number: "0A".into() };
        assert_eq!(looked.object, SeenObject::Delta { number: "0C".into(), base });
    }
}

/// CRL-08: what does not belong to the base, or is not the CA's, or is old, says nothing of any serial.
#[test]
fn a_delta_of_another_base_scope_key_or_time_is_not_believed() {
    let ca = OpensslCa::new();
    let serials = [of(0x11)];
    ca.put("0A", &[]);
    let base = ca.list_by("ca", "freshest", "30");
    let with_point = ca.list_by("ca", "idp", "30");
    let numbered = |number: &str, signer: &str, extensions: &str| {
        ca.put(number, &[("11", "keyCompromise")]);
        ca.list_by(signer, extensions, "1")
    };
    let refused = |base: &[u8], delta: &[u8], at: UnixTime, why: &str| {
        let line = by_both(&ca, base, delta, &serials, at).unwrap_err();
        assert!(line.contains(why), "{why}: {line}");
    };
    let (now, good) = (later(0), numbered("0C", "ca", "delta"));
    assert!(by_both(&ca, &base, &good, &serials, now).is_ok());
    refused(&base, &good, later(86_500), "delta CRL is not to be believed: it ended");
    refused(&base, &good, now.saturating_sub(Duration::from_secs(3600)), "lies ahead");
    refused(&base, &numbered("0C", "other", "delta"), now, "signature");
    refused(&base, &numbered("0C", "ca", "delta-aki"), now, "key identifier");
    refused(&base, &numbered("0C", "ca", "delta-no-aki"), now, "key identifier");
    refused(&base, &numbered("0C", "ca", "delta-idp"), now, "scope");
    refused(&with_point, &good, now, "scope");
    refused(&base, &numbered("0C", "ca", "delta-above"), now, "above 0A");
    refused(&base, &numbered("0A", "ca", "delta"), now, "older");
    refused(&base, &numbered("0C", "ca", "aki"), now, "complete");
    refused(&base, &numbered("0C", "ca", "delta-freshest"), now, "deltas of its own");
    for place in 0..good.len() {
        let mut changed = good.clone();
        changed[place] ^= 1;
        assert!(by_both(&ca, &base, &changed, &serials, now).is_err(), "octet {place}");
    }
}

/// Numbers of CRLs are compared as numbers: 0x0100 is above 0xFF, and a leading zero octet counts nothing.
#[test]
fn a_longer_number_is_above_a_shorter_one() {
    for (one, other, is_above) in [
        (&[1, 0][..], &[0, 0xff][..], true),
        (&[0, 0xff], &[1, 0], false),
        (&[0, 0x80], &[0, 0x80], false),
        (&[0, 0x81], &[0, 0x80], true),
        (&[], &[0], false),
    ] {
        assert_eq!(delta::above(one, other), is_above, "{one:?} {other:?}");
    }
}

/// Gives, for each path, the next of its bodies, and the last one again and again.
fn serve(listener: TcpListener, mut paths: Vec<(&'static str, Vec<Vec<u8>>)>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let count = stream.read(&mut asked).unwrap_or_default();
            let line = String::from_utf8_lossy(&asked[..count]).into_owned();
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let bodies = paths.iter_mut().find(|(one, _)| *one == path);
            let body =
                bodies.map(
                    |(_, bodies)| {
                        if bodies.len() > 1 { bodies.remove(0) } else { bodies[0].clone() }
                    },
                );
            let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
}

/// REV-08: the delta is found where the list says, also by who comes between the publication of a list and of the delta to it; one
/// that cannot be had or stays old is a fault.
#[test]
fn the_delta_that_a_list_names_is_looked_at_too() {
    let ca = OpensslCa::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let config = std::fs::read_to_string(ca.path("ca.cnf")).unwrap();
    let named = |name: &str| {
        format!("[{name}]\nauthorityKeyIdentifier=keyid\nfreshestCRL=URI:{root}/{name}.delta.crl\n")
    };
    let config = config + &["late", "gone", "old"].map(named).concat();
    std::fs::write(ca.path("ca.cnf"), config).unwrap();
    ca.put("0A", &[]);
    let old = ca.list("delta");
    let bases = ["late", "gone", "old", "aki"].map(|name| {
        ca.put("0A", &[]);
        ca.list(name)
    });
    ca.put("0B", &[("11", "keyCompromise")]);
    let delta = ca.list("delta");
    let [late, gone, frozen, alone] = bases;
    serve(
        listener,
        vec![
            ("/late.crl", vec![late]),
            ("/late.delta.crl", vec![old.clone(), delta]),
            ("/gone.crl", vec![gone]),
            ("/old.crl", vec![frozen]),
            ("/old.delta.crl", vec![old]),
            ("/alone.crl", vec![alone]),
        ],
    );
    let mut web = Web::new(Duration::from_secs(60));
    web.pause = Duration::ZERO;
    let kept = tempfile::tempdir().unwrap();
    let look = |name: &str| {
        let url = format!("{root}/{name}.crl");
        list::look(&web, &url, &ca.issuer, &[of(0x11)], Some(kept.path()))
    };

    let late = look("late");
    assert_eq!(late[1].url, format!("{root}/late.delta.crl"));
    let [list, delta] = <[ListLook; 2]>::try_from(late).ok().unwrap();
    assert_eq!([list.method, delta.method], [ProbeMethod::Crl, ProbeMethod::CrlDelta]);
    assert_eq!(list.looked.unwrap()[0].seen[0].status, SeenStatus::Good);
    let delta = delta.looked.unwrap().remove(0);
    assert!(is_the_revocation(delta.seen[0].status));
    let name = format!("{}.crl", base16ct::lower::encode_string(&delta.sha256));
    assert!(kept.path().join(name).exists());

    for (name, why) in [("gone", "status 404"), ("old", "it is older")] {
        let [list, delta] = <[ListLook; 2]>::try_from(look(name)).ok().unwrap();
        assert!(list.looked.is_ok(), "{name}");
        let line = delta.looked.unwrap_err().line();
        assert!(line.contains(why), "{name}: {line}");
    }
    assert_eq!(look("alone").len(), 1, "no delta is named");
}

/// REV-07: what was seen is kept whole under its hash, or not at all.
#[test]
fn a_list_that_was_not_believed_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || std::fs::read_dir(folder.path()).unwrap().count();
    let begun = Copy::begin(folder.path()).unwrap();
    assert_eq!(kept(), 1);
    drop(begun);
    assert_eq!(kept(), 0);

    Copy::begin(folder.path()).unwrap().finish(&[1; 32]).unwrap();

    assert!(folder.path().join(format!("{}.crl", "01".repeat(32))).exists());
    assert_eq!(kept(), 1);
}

//! What OpenSSL's responder and CA make, believed and refused.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use status::observation::{Seen, SeenRevocation, SeenStatus};
use x509::crl::ReasonCode;
use x509::ocsp::{CertId, CertIdHash, OcspRequest};
use x509::pem::{self, Label};
use x509::serial::SerialNumber;

use super::judge::judge_answer;
use super::list::{Copy, judge_list};
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
            [delta]\nauthorityKeyIdentifier=keyid\n2.5.29.27=critical,DER:02:01:01\n",
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
        self.run(
            "ca",
            &[
                "-config", "ca.cnf", "-gencrl", "-keyfile", "ca.key", "-cert", "ca.pem",
                "-crldays", "1", "-crlexts", extensions, "-out", "list.pem",
            ],
        );
        self.run("crl", &["-in", "list.pem", "-outform", "DER", "-out", "list.der"]);
        std::fs::read(self.path("list.der")).unwrap()
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
        judge_list(octets, url, issuer, &serials, at, None)
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

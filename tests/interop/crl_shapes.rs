//! CRLs of every shape that a CA may be told to make, and the demo does not: with expired entries, with deltas, a delta,
//! of a distribution point, the last one. Made by the encoder that the program has, signed by OpenSSL.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use support::spoken;
use support::suite::Check;
use tempfile::TempDir;
use x509::certificate::Certificate;
use x509::crl::{
    CrlFacts, CrlKind, IssuingDistributionPoint, ReasonCode, RevokedEntry, Scope, TbsWriter,
};
use x509::key::SignatureAlgorithm;
use x509::pem::{self, Label};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::pkilint::{changed, lint_in};
use crate::{Samples, gnutls, java};

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("crl_shapes::pkilint_finds_nothing_in_any", pkilint_finds_nothing_in_any),
    ("crl_shapes::openssl_verifies_each", openssl_verifies_each),
    ("crl_shapes::openssl_takes_the_shard_that_is_named", openssl_takes_the_shard_that_is_named),
    ("crl_shapes::java_takes_the_shard_that_is_named", java_takes_the_shard_that_is_named),
    ("crl_shapes::gnutls_must_be_given_the_right_shard", gnutls_must_be_given_the_right_shard),
    ("crl_shapes::java_ignores_deltas", java_ignores_deltas),
    ("crl_shapes::gnutls_must_be_given_no_delta", gnutls_must_be_given_no_delta),
];

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;
const URL: &str = "http://crl.example.org/ca.crl";
/// What stands before the names of shards.
const SHARD_URLS: &str = "http://crl.example.org/ca/";
const DELTA_URL: &str = "http://crl.example.org/ca.delta.crl";

/// A serial number of 16 octets.
fn serial(octet: u8) -> SerialNumber {
    SerialNumber::from_random([octet; 16])
}

/// On the full list, only on the delta, and on neither.
const OLD: u8 = 1;
const NEW: u8 = 2;
const GOOD: u8 = 3;
/// Revoked, and in shard 1.
const SHARDED: u8 = 4;

struct Shapes {
    folder: TempDir,
    ca: Certificate,
    now: UnixTime,
}

impl Shapes {
    /// A CA, a certificate of each kind, and all lists, as files.
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let run = |arguments: &[&str]| {
            let said = spoken::openssl(folder.path(), arguments).expect("openssl is installed");
            assert_eq!(said.code, 0, "{arguments:?}: {}", said.text);
        };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
        let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-utf8"];
        let name = ["-subj", "/C=SE/O=Sigill Test/CN=SIGILL TEST CA", "-days", "30"];
        let root = ["req", "-x509", "-out", "root.pem"];
        run(&[&root[..], &key[..], &["root.key"], &usage[..], &name[..]].concat());
        let request = ["req", "-new", "-out", "leaf.csr", "-subj", "/C=SE/CN=leaf"];
        run(&[&request[..], &key[..], &["leaf.key"]].concat());
        let point = format!("crlDistributionPoints = URI:{SHARD_URLS}000001.crl\n");
        fs::write(folder.path().join("point"), point).expect("written");
        let none: &[&str] = &[];
        for (octet, file, more) in [
            (OLD, "old.pem", none),
            (NEW, "new.pem", none),
            (GOOD, "good.pem", none),
            (SHARDED, "sharded.pem", &["-extfile", "point"]),
        ] {
            let number = format!("0x{}", serial(octet));
            let signed =
                ["x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key"];
            let about = ["-days", "20", "-set_serial", &number, "-out", file];
            run(&[&signed[..], &about, more].concat());
        }
        let text = fs::read_to_string(folder.path().join("root.pem")).expect("a CA");
        let der = pem::decode_one(&text, Label::Certificate).expect("PEM");
        let ca = Certificate::from_der(&der).expect("a certificate");
        let secs = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
        let now = UnixTime::from_secs(secs - 60).expect("a time");
        let shapes = Self { folder, ca, now };
        shapes.lists();
        shapes
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn entry(&self, octet: u8, reason: ReasonCode) -> RevokedEntry {
        let revocation_date = self.now;
        let reason = Some(reason);
        RevokedEntry { serial: serial(octet), revocation_date, reason, invalidity_date: None }
    }

    fn lists(&self) {
        use ReasonCode::{CertificateHold, KeyCompromise, RemoveFromCrl, Superseded};
        let day = std::time::Duration::from_secs(86_400);
        let next_update = self.now.checked_add(day).expect("a time");
        let key = self.ca.ski().expect("a key identifier").0;
        let plain = CrlFacts {
            algorithm: ALGORITHM,
            issuer: self.ca.subject().as_der(),
            authority_key_id: &key,
            this_update: self.now,
            next_update,
            number: &[5],
            kind: CrlKind::COMPLETE,
            issuing_distribution_point: None,
            expired_certs_on_crl: None,
        };
        let old = self.entry(OLD, KeyCompromise);
        let freshest = CrlKind::Complete { freshest: Some(DELTA_URL) };
        self.list("full.crl", &CrlFacts { kind: freshest, ..plain.clone() }, &[old]);
        let kept = CrlFacts { expired_certs_on_crl: Some(self.now), ..plain.clone() };
        self.list("kept.crl", &kept, &[old]);
        let point = IssuingDistributionPoint {
            full_name: vec![URL.to_owned()],
            scope: Scope::UserCertificates,
        };
        let scoped = CrlFacts { issuing_distribution_point: Some(&point), ..plain.clone() };
        self.list("scoped.crl", &scoped, &[old]);
        let sharded = self.entry(SHARDED, KeyCompromise);
        for (shard, file, entries) in
            [(1, "shard.crl", &[sharded][..]), (2, "other-shard.crl", &[])]
        {
            let url = format!("{SHARD_URLS}{shard:06}.crl");
            let point = IssuingDistributionPoint { full_name: vec![url], scope: Scope::All };
            let facts = CrlFacts { issuing_distribution_point: Some(&point), ..plain.clone() };
            self.list(file, &facts, entries);
        }
        self.list("whole.crl", &plain, &[old, sharded]);
        let delta = CrlFacts { number: &[6], kind: CrlKind::Delta { base: &[5] }, ..plain.clone() };
        let changes = [
            self.entry(NEW, Superseded),
            self.entry(7, CertificateHold),
            self.entry(8, RemoveFromCrl),
        ];
        self.list("delta.crl", &delta, &changes);
        self.list("delta-empty.crl", &delta, &[]);
        self.list("last.crl", &CrlFacts { next_update: UnixTime::LAST, ..plain }, &[old]);
    }

    /// Writes a signed list, as DER and beside it as PEM.
    fn list(&self, file: &str, facts: &CrlFacts<'_>, entries: &[RevokedEntry]) {
        let length = entries.iter().map(RevokedEntry::encoded_length).sum();
        let mut writer = TbsWriter::start(Vec::new(), facts, length).expect("a list");
        entries.iter().for_each(|entry| writer.push(entry).expect("an entry"));
        let (tbs, _) = writer.finish().expect("a whole list");
        fs::write(self.path().join("tbs"), &tbs).expect("written");
        let sign = ["dgst", "-sha256", "-sign", "root.key", "-out", "signature", "tbs"];
        let said = spoken::openssl(self.path(), &sign).expect("openssl is installed");
        assert_eq!(said.code, 0, "{}", said.text);
        let signature = fs::read(self.path().join("signature")).expect("a signature");
        let bits = [&[0], &signature[..]].concat();
        let content = [tbs, ALGORITHM.identifier_der(), tlv(0x03, &bits)].concat();
        fs::write(self.path().join(file), tlv(0x30, &content)).expect("written");
        let pem = ["crl", "-inform", "DER", "-in", file, "-out", &format!("{file}.pem")];
        let said = spoken::openssl(self.path(), &pem).expect("openssl is installed");
        assert_eq!(said.code, 0, "{}", said.text);
    }
}

/// A value of fewer than 65536 octets.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short value").to_be_bytes();
    let head = match length {
        [0, short @ 0..=0x7f] => vec![tag, short],
        [0, one] => vec![tag, 0x81, one],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [head, content.to_vec()].concat()
}

const LISTS: [&str; 8] = [
    "full.crl",
    "kept.crl",
    "scoped.crl",
    "shard.crl",
    "other-shard.crl",
    "delta.crl",
    "delta-empty.crl",
    "last.crl",
];

/// CRL-01, CRL-05, CRL-06, CRL-08, CRL-10; and each of them with cRLNumber under another identifier is found.
fn pkilint_finds_nothing_in_any(_: &Samples) {
    let shapes = Shapes::make();
    for list in LISTS {
        let octets = fs::read(shapes.path().join(list)).expect("a list");
        let wrong = changed(&octets, b"\x55\x1d\x14", 2, 0x63);
        fs::write(shapes.path().join("wrong.crl"), wrong).expect("written");
        let judge = |file| lint_in(shapes.path(), "lint_crl", &["-t", "CRL", "-p", "PKIX", file]);
        let (Some((right, said)), Some((wrong, _))) = (judge(list), judge("wrong.crl")) else {
            return;
        };

        assert_eq!((right, said.trim()), (0, ""), "{list}");
        assert!(wrong > 0, "{list}: pkilint finds nothing in what is wrong");
    }
}

fn openssl_verifies_each(_: &Samples) {
    let shapes = Shapes::make();
    for list in LISTS {
        let verify = ["crl", "-inform", "DER", "-in", list, "-CAfile", "root.pem", "-noout"];
        let said = spoken::openssl(shapes.path(), &verify).expect("openssl is installed");
        assert!(said.text.contains("verify OK"), "{list}: {}", said.text);
    }
}

/// CRL-06: the list of another shard says nothing of a certificate, that of its own and the full one do.
fn openssl_takes_the_shard_that_is_named(_: &Samples) {
    let shapes = Shapes::make();
    for (list, expected) in [
        ("shard.crl.pem", "certificate revoked"),
        ("other-shard.crl.pem", "different crl scope"),
        ("whole.crl.pem", "certificate revoked"),
        ("full.crl.pem", "sharded.pem: OK"),
    ] {
        let verify = ["verify", "-crl_check", "-CAfile", "root.pem", "-CRLfile", list];
        let all = [&verify[..], &["sharded.pem"]].concat();
        let said = spoken::openssl(shapes.path(), &all).expect("openssl is installed");

        // Between 1.1 and 3.0 it has changed its case.
        let text = said.text.to_lowercase();
        assert!(text.contains(&expected.to_lowercase()), "{list}: {text}");
    }
}

/// CRL-06: Java takes the list that the certificate names, and no other shard's.
fn java_takes_the_shard_that_is_named(_: &Samples) {
    let shapes = Shapes::make();
    for (list, expected) in [
        ("shard.crl", "refused: REVOKED"),
        ("other-shard.crl", "refused: UNDETERMINED_REVOCATION_STATUS"),
        ("whole.crl", "refused: REVOKED"),
    ] {
        let words = ["crl", "0", "root.pem", "sharded.pem", list];
        let Some(said) = java::judge_in(shapes.path(), &[], &words) else { return };

        assert!(said.starts_with(expected), "{list}: {said}");
    }
}

/// CRL-06: `GnuTLS` 3.7 looks at no issuing distribution point, and takes any shard for the whole list. So docs/operations/run.md
/// tells to give it the full list, or the shard that the certificate names.
fn gnutls_must_be_given_the_right_shard(_: &Samples) {
    let shapes = Shapes::make();
    for (list, trusted) in [
        ("shard.crl.pem", false),
        ("whole.crl.pem", false),
        // What the warning is for.
        ("other-shard.crl.pem", true),
    ] {
        let trust = ["--verify", "--load-ca-certificate", "root.pem", "--load-crl", list];
        let all = [&trust[..], &["--infile", "sharded.pem"]].concat();
        let Some(said) = gnutls::run_in(shapes.path(), "certtool", &all) else { return };

        assert_eq!(said.contains(gnutls::TRUSTED), trusted, "{list}: {said}");
    }
}

/// CRL-08: Java ignores a delta, beside the full list and alone, and is deceived by none.
fn java_ignores_deltas(_: &Samples) {
    let shapes = Shapes::make();
    let judge = |leaf: &str, lists: &[&str]| {
        java::judge_in(shapes.path(), &[], &[&["crl", "0", "root.pem", leaf][..], lists].concat())
    };
    for (leaf, lists, expected) in [
        ("good.pem", &["full.crl", "delta.crl"][..], "valid"),
        ("old.pem", &["full.crl", "delta.crl"], "refused: REVOKED"),
        ("new.pem", &["full.crl", "delta.crl"], "valid"),
        ("good.pem", &["delta.crl"], "refused: UNDETERMINED_REVOCATION_STATUS"),
        ("good.pem", &["last.crl"], "valid"),
        ("old.pem", &["last.crl"], "refused: REVOKED"),
        ("old.pem", &["kept.crl"], "refused: REVOKED"),
    ] {
        let Some(said) = judge(leaf, lists) else { return };

        assert!(said.starts_with(expected), "{leaf} {lists:?}: {said}");
    }
}

/// CRL-08: GnuTLS 3.7 takes a delta for the whole list of its number, and calls good what the full list revokes. So
/// docs/operations/run.md tells not to give it one. Without a delta it says what the lists say.
fn gnutls_must_be_given_no_delta(_: &Samples) {
    let shapes = Shapes::make();
    let judge = |leaf: &str, lists: &[&str]| {
        let texts = lists.iter().map(|list| fs::read(shapes.path().join(format!("{list}.pem"))));
        let all: Vec<u8> = texts.flat_map(|text| text.expect("a list")).collect();
        fs::write(shapes.path().join("all.crl"), all).expect("written");
        let trust = ["--verify", "--load-ca-certificate", "root.pem", "--load-crl", "all.crl"];
        gnutls::run_in(shapes.path(), "certtool", &[&trust[..], &["--infile", leaf]].concat())
    };
    for (leaf, lists, trusted) in [
        ("good.pem", &["full.crl"][..], true),
        ("old.pem", &["full.crl"], false),
        ("good.pem", &["last.crl"], true),
        ("old.pem", &["last.crl"], false),
        ("old.pem", &["kept.crl"], false),
        ("new.pem", &["full.crl", "delta.crl"], false),
        // What the warning is for.
        ("old.pem", &["full.crl", "delta.crl"], true),
    ] {
        let Some(said) = judge(leaf, lists) else { return };

        assert_eq!(said.contains(gnutls::TRUSTED), trusted, "{leaf} {lists:?}: {said}");
    }
}

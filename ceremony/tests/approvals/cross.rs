//! A root signs another root, whose own certificate stays in use too.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use support::softhsm::{SoftHsm, alone};
use support::{spoken, test_name, workspace};
use x509::certificate::Certificate;
use x509::pem;

use super::bundle;
use super::kinds::Root;
use super::rehearsal::{BOTH, Rehearsed, texts};
use super::run::{Ready, twice};

const SUBJECT: &str = "/C=SE/O=Sigill Test/CN=SIGILL TRAINING Root CA v2";

/// What a root says of itself.
const ROOT: &str = "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n";

/// Another root, as OpenSSL makes it, with these extensions; `None` without OpenSSL.
fn new_root(folder: &Path, extensions: &str) -> Option<Vec<u8>> {
    let conf = format!(
        "[req]\ndistinguished_name=d\nx509_extensions=e\nstring_mask=utf8only\n[d]\n[e]\n{extensions}"
    );
    fs::write(folder.join("conf"), conf).unwrap();
    let own = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes"];
    let how = ["-config", "conf", "-sha384", "-subj", SUBJECT, "-days", "900", "-utf8"];
    let made = ["-keyout", "new.key", "-out", "new.pem"];
    let made = spoken::openssl(folder, &[&own[..], &how, &made].concat())?;
    assert_eq!(made.code, 0, "{}", made.text);
    let der = ["x509", "-in", "new.pem", "-outform", "DER", "-out", "new.cer"];
    assert_eq!(spoken::openssl(folder, &der).unwrap().code, 0);
    Some(fs::read(folder.join("new.cer")).unwrap())
}

/// The plan by which the one signs the other.
fn crossing<'a>(softhsm: &'a SoftHsm, root: &Root<'a>, new_root: Vec<u8>) -> Rehearsed<'a> {
    let profile = fs::read_to_string(workspace::root().join("profiles/issuing.toml")).unwrap();
    let profile = profile.replace("name        = \"issuing\"", "name        = \"cross\"");
    // Nothing is said of a time before it: the new root is some seconds old.
    let profile = profile.replace("backdate    = \"5m\"", "backdate    = \"1s\"");
    let inputs = [
        ("in/training.cer", root.out("training.cer")),
        ("in/new-root.cer", new_root),
        ("in/profiles/cross.toml", profile.into_bytes()),
    ];
    Rehearsed::of(softhsm, "c6-training", &inputs, root.token())
}

/// A certificate that the new root's key signs; both ways lead to it.
fn both_ways_lead_to_a_leaf(folder: &Path, old: &[u8], cross: &[u8]) {
    for (name, der) in [("old.pem", old), ("cross.pem", cross)] {
        fs::write(folder.join(name), pem::encode(pem::Label::Certificate, der)).unwrap();
    }
    let request = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let named = ["-keyout", "leaf.key", "-subj", "/CN=Leaf", "-out", "leaf.csr"];
    let signs = ["x509", "-req", "-in", "leaf.csr", "-CA", "new.pem", "-CAkey", "new.key"];
    let how = ["-sha384", "-days", "30", "-set_serial", "7", "-extfile", "ext", "-out", "leaf.pem"];
    fs::write(
        folder.join("ext"),
        "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n",
    )
    .unwrap();
    for words in [&[&request[..], &named].concat()[..], &[&signs[..], &how].concat()] {
        let made = spoken::openssl(folder, words).unwrap();
        assert_eq!(made.code, 0, "{}", made.text);
    }
    for words in [
        &["verify", "-CAfile", "new.pem", "leaf.pem"][..],
        &["verify", "-CAfile", "old.pem", "-untrusted", "cross.pem", "leaf.pem"],
        &["verify", "-x509_strict", "-CAfile", "old.pem", "cross.pem"],
    ] {
        let judged = spoken::openssl(folder, words).unwrap();
        assert_eq!(
            (judged.code, judged.text.contains("OK")),
            (0, true),
            "{words:?}: {}",
            judged.text
        );
    }
    // Without it the old root leads nowhere.
    let alone = ["verify", "-CAfile", "old.pem", "leaf.pem"];
    assert_ne!(spoken::openssl(folder, &alone).unwrap().code, 0);
}

/// C6, N22, N28: one certificate more for a root that is there, of its name, key and key identifier; broken off it is the same octets once more.
#[test]
fn a_root_signs_another_root_that_is_there() {
    alone(test_name!(a_root_signs_another_root_that_is_there), |softhsm| {
        let folder = softhsm.state();
        let Some(der) = new_root(&folder, ROOT) else {
            return println!("skipped: openssl is not installed");
        };
        let root = Root::held(softhsm);
        // What its profile dates back is not before it.
        let begins = Certificate::from_der(&der).unwrap().validity().not_before().secs();
        while SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() < begins + 2 {
            thread::sleep(Duration::from_millis(50));
        }
        let ready = Ready::of(crossing(softhsm, &root, der.clone()), Some(root.home.clone()));
        let (code, said) = ready.run("cross");
        assert_eq!(code, 0, "{said}");
        let records = ready.judge_transcript("cross");
        assert_eq!(texts(&records, "act"), ["sign"]);
        bundle::holds(&ready, "cross");
        let out = ready.0.folder.join("cross/ceremony/out/cross.cer");
        let signed = fs::read(&out).unwrap();
        let (cross, existing) =
            (Certificate::from_der(&signed).unwrap(), Certificate::from_der(&der).unwrap());
        assert_eq!(cross.subject().as_der(), existing.subject().as_der());
        assert_eq!((cross.public_key(), cross.ski()), (existing.public_key(), existing.ski()));
        both_ways_lead_to_a_leaf(&folder, &root.out("training.cer"), &signed);

        ready.cut("cross", ready.announced("cross", "sign", "cross.cer") + 1, &["cross.cer"]);
        assert_eq!(ready.run("cross").0, 0);
        twice(&ready.judge_transcript("cross"), "cross.cer");
        let again = Certificate::from_der(&fs::read(&out).unwrap()).unwrap();
        assert_eq!(again.tbs_der(), cross.tbs_der());
        bundle::holds(&ready, "cross");
    });
}

/// N28: what relying parties would not take for the same CA is found at the rehearsal, and the key signs nothing.
#[test]
fn a_root_signs_no_other_root_under_another_name_or_identifier() {
    alone(test_name!(a_root_signs_no_other_root_under_another_name_or_identifier), |softhsm| {
        let folder = softhsm.state();
        let Some(der) = new_root(&folder, ROOT) else {
            return println!("skipped: openssl is not installed");
        };
        let root = Root::held(softhsm);
        let world = crossing(softhsm, &root, der);
        let name = "common-name  = \"SIGILL TRAINING Root CA v2\"";
        world.plan(name, "common-name  = \"SIGILL TRAINING Root CA v3\"");
        let none = |records: &[_]| assert!(texts(records, "act").is_empty());
        none(&world.refused(BOTH, "R11", 15, "its subject is"));
        let given = world.path("in/new-root.cer");
        for (from, to, said) in [
            ("Identifier=hash", "Identifier=00:01:02:03", "its subject key identifier is"),
            ("subjectKey", "extendedKeyUsage=OCSPSigning\nsubjectKey", "its extended key usage is"),
            ("CA:TRUE", "CA:FALSE", "that it is a CA's is true"),
        ] {
            fs::write(&given, new_root(&folder, &ROOT.replace(from, to)).unwrap()).unwrap();
            world.plan("", "");
            none(&world.refused(BOTH, "R11", 15, said));
        }
        // A certificate that does not sign itself proves nothing of its key, and the issuer's own key gets no second name.
        let mut forged = new_root(&folder, ROOT).unwrap();
        *forged.last_mut().unwrap() ^= 1;
        fs::write(&given, forged).unwrap();
        world.plan("", "");
        none(&world.refused(BOTH, "R12", 16, "it does not sign itself"));
        fs::write(&given, root.out("training.cer")).unwrap();
        world.plan("", "");
        none(&world.refused(BOTH, "R12", 16, "it is of the issuer's own key"));
    });
}

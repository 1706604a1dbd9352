//! A cross-certificate, as OpenSSL makes it, against the certificate beside which it stands.

use ceremony_core::bundle::{Bundle, Made, OUTPUTS};

use super::*;
use crate::ceremony::artefacts::tests::{Folder, plan, signature};
use crate::ceremony::told::Told;

/// C6: it has the key identifier of the one that is there, and its key is that root's, which signs itself.
#[test]
fn a_cross_certificate_is_like_the_one_that_is_there() {
    let plan = plan("c6-training.toml");
    let step = plan.steps.first().unwrap();
    let folder = Folder::new();
    let curve = ["EC", "ec_paramgen_curve:P-384"];
    let (Some(root), Some(_), Some(_)) =
        (folder.key("root", curve), folder.key("new", curve), folder.key("other", curve))
    else {
        return println!("skipped: openssl is not installed");
    };
    let subject = "/O=Sigill Test/CN=SIGILL TRAINING Root CA v2";
    for (name, subject) in [("root", "/CN=Root"), ("new", subject), ("other", subject)] {
        let key = format!("{name}.key");
        let own = ["req", "-x509", "-new", "-sha384", "-key", &key, "-subj", subject];
        assert!(folder.speaks(&[&own[..], &["-out", name]].concat()));
        let der = format!("{name}.cer");
        assert!(folder.speaks(&["x509", "-in", name, "-outform", "DER", "-out", &der]));
    }
    let end = "20300101000000Z";
    folder.write("conf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha384\npolicy=p\n[p]\norganizationName=optional\ncommonName=supplied\n[e]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=00:01:02\n");
    folder.write("index", "");
    folder.write("serial", "07\n");
    folder.request("new", subject, "request");
    let signs = ["ca", "-batch", "-config", "conf", "-extensions", "e", "-cert", "root"];
    let how = ["-keyfile", "root.key", "-inform", "DER", "-in", "request", "-enddate", end];
    let made = ["-preserveDN", "-notext", "-out", "cross"];
    assert!(folder.speaks(&[&signs[..], &how, &made].concat()));
    assert!(folder.speaks(&["x509", "-in", "cross", "-outform", "DER", "-out", "cross.cer"]));
    let octets = folder.octets("cross.cer");
    let judged = |existing: &[u8]| {
        let mut bundle = Bundle::new();
        bundle.put("out/cross.cer", octets.clone()).unwrap();
        bundle.put("in/training.cer", folder.octets("root.cer")).unwrap();
        bundle.put("in/new-root.cer", existing.to_vec()).unwrap();
        let own = Certificate::from_der(&octets).unwrap();
        let what = "out/cross.cer".strip_prefix(OUTPUTS).unwrap();
        let of = signature(step.id.as_str(), what, &root, own.tbs_der(), &octets);
        let made = Made { signatures: vec![of], ..Made::default() };
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(&[]) };
        let (read, _) = works.signatures().map_err(|fault| fault.why)?;
        works.certificate(read.first().unwrap(), &own, &read).map(drop)
    };
    let mut forged = folder.octets("new.cer");
    *forged.last_mut().unwrap() ^= 1;
    for (existing, said) in [
        (folder.octets("new.cer"), "its subject key identifier is 000102"),
        (folder.octets("other.cer"), "input new-root"),
        (forged, "input new-root"),
    ] {
        let why = judged(&existing).unwrap_err();
        assert!(why.contains(said), "{said}: {why}");
    }
}

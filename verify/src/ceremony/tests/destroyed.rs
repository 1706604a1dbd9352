//! A key that ended is the plan's, its copies are named, nothing is left of it, and its CA does not need it.

use ceremony_core::bundle::{Bundle, DestroyedKey, Made};
use ceremony_core::plan::Plan;
use x509::time::UnixTime;

use super::*;
use crate::ceremony::artefacts::tests::{Folder, plan};
use crate::ceremony::check::{Check, Refused};
use crate::ceremony::told::Told;

fn line(kind: Kind, who: &[&str], facts: &[(&str, &str)]) -> Record {
    let body = facts.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
    let who = who.iter().map(|id| (*id).to_owned()).collect();
    let (step, body) = ("destroy".to_owned(), body.collect());
    Record { time: UnixTime::EPOCH, run_ms: 0, step, kind, who, body }
}

const COPY: &str = "sheets with shares of the PINs: shredded 2027-02-02, protocol T-7";
const BOTH: &[&str] = &["vera-sund", "olle-dahl"];

fn named(who: &[&str], copy: &str) -> Record {
    line(Kind::Attest, who, &[("text", copy), ("what", OTHER_COPY)])
}

fn gone() -> Vec<Record> {
    vec![
        line(Kind::Result, &[], &[("intent", "d")]),
        line(Kind::Check, &[], &[("result", GONE), ("what", AFTERWARDS)]),
    ]
}

fn ended(key: &str, told: &str, token: &str) -> DestroyedKey {
    let [announced, spki_sha256, token] = [key, told, token].map(str::to_owned);
    DestroyedKey { step: "destroy".to_owned(), announced, spki_sha256, token, adopted: false }
}

fn judged(
    plan: &Plan,
    bundle: &Bundle,
    destroyed: Vec<DestroyedKey>,
    told: &[Record],
) -> Result<usize, (&'static str, String)> {
    let made = Made { destroyed, ..Made::default() };
    let works = Works { plan, bundle, made: &made, told: Told(told) };
    let refused = |fault: Fault| Refused { check: Check::Keys, fault };
    works.destroyed().map_err(refused).map_err(|refused| (refused.code(), refused.fault.why))
}

/// KEY-08: as the plan has it, and else refused by the rule that is for it.
#[test]
fn a_key_that_ended_is_the_plans_and_its_copies_are_named() {
    let (plan, bundle) = (plan("c7-training.toml"), Bundle::new());
    let key = "8a6e3f788ac06e325a26440652264b905fe36d6cb26aece259b46aa1b05863bd";
    let token = "sg-td-tr01-root (serial 0123456789abcdef)";
    let other = "0f".repeat(32);
    let told = [vec![named(BOTH, COPY)], gone()].concat();
    assert_eq!(judged(&plan, &bundle, vec![ended(key, key, token)], &told), Ok(1));
    let by = |who: &[&str], copy: &str| [vec![named(who, copy)], gone()].concat();
    let one = |announced: &str, told: &str, token: &str| vec![ended(announced, told, token)];
    let left = vec![named(BOTH, COPY), gone().remove(1), gone().remove(0)];
    for (destroyed, told, code, said) in [
        (vec![], told.clone(), "R12", "destroyed not one key"),
        ([one(key, key, token), one(key, key, token)].concat(), told.clone(), "R12", "not one key"),
        (one(&other, key, token), told.clone(), "R12", "announced is the key 0f0f"),
        (one(key, &other, token), told.clone(), "R12", "told is the key 0f0f"),
        (one(key, key, "sg-td-tr01-root (serial 77)"), told, "R06", "in token sg-td-tr01-root"),
        (one(key, key, token), left, "R06", "no line after it tells"),
        (one(key, key, token), by(BOTH, "another"), "R08", "name the copy"),
        (one(key, key, token), by(&["vera-sund"], COPY), "R08", "name the copy"),
        (one(key, key, token), by(&["olle-dahl", "nils-ek"], COPY), "R08", "name the copy"),
        (one(key, key, token), gone(), "R08", "name the copy"),
    ] {
        let (seen, why) = judged(&plan, &bundle, destroyed, &told).unwrap_err();
        assert_eq!(seen, code, "{why}");
        assert!(why.contains(said), "{said}: {why}");
    }
}

/// KEY-08: the CA's certificate is of this key, and its last list is its own and lasts as long.
#[test]
fn a_ca_whose_key_ended_has_a_last_crl() {
    let folder = Folder::new();
    let text = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha384\n";
    let made = |ca: &str, days: &str| {
        let key = folder.key(ca, ["EC", "ec_paramgen_curve:P-384"])?;
        for (name, text) in [("conf", text), ("index", ""), ("number", "01\n")] {
            folder.write(name, text);
        }
        let (file, subject) = (format!("{ca}.key"), format!("/CN={ca}"));
        let own = ["req", "-x509", "-new", "-sha384", "-key", &file, "-subj", &subject];
        assert!(folder.speaks(&[&own[..], &["-days", "100", "-out", "pem"]].concat()));
        assert!(folder.speaks(&["x509", "-in", "pem", "-outform", "DER", "-out", "der"]));
        let list = ["ca", "-config", "conf", "-gencrl", "-cert", "pem", "-keyfile", &file];
        assert!(folder.speaks(&[&list[..], &["-crldays", days, "-out", "crl.pem"]].concat()));
        assert!(folder.speaks(&["crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl"]));
        Some((key, folder.octets("der"), folder.octets("crl")))
    };
    let Some((key, certificate, list)) = made("one", "101") else {
        return println!("skipped: openssl is not installed");
    };
    let (_, other_certificate, other_list) = made("other", "101").unwrap();
    let (short_key, short_certificate, short_list) = made("short", "99").unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/ceremonies/plans/c7-key-destruction.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let judge = |key: &str, certificate: &[u8], list: &[u8]| {
        let planned = "8a6e3f788ac06e325a26440652264b905fe36d6cb26aece259b46aa1b05863bd";
        let plan = Plan::read(text.replace(planned, key).as_bytes()).unwrap();
        let mut bundle = Bundle::new();
        bundle.put("in/function.cer", certificate.to_vec()).unwrap();
        bundle.put("in/function.crl", list.to_vec()).unwrap();
        let token = "sg-pp-ex01-issuing (serial 4711030)";
        let copies = plan.steps.iter().find_map(|step| match &step.operation {
            Operation::Destroy { copies, .. } => Some(copies),
            _ => None,
        });
        let mut told: Vec<Record> =
            copies.unwrap().iter().map(|copy| named(BOTH, copy.as_str())).collect();
        told.extend(gone());
        judged(&plan, &bundle, vec![ended(key, key, token)], &told)
    };
    assert_eq!(judge(&key, &certificate, &list), Ok(1));
    for (key, certificate, list, code, said) in [
        (&key, &other_certificate, &other_list, "R12", "certificate function-ca has key"),
        (&key, &certificate, &other_list, "R13", "the CRL is not of"),
        (&short_key, &short_certificate, &short_list, "R13", "is in force until"),
    ] {
        let (seen, why) = judge(key, certificate, list).unwrap_err();
        assert_eq!(seen, code, "{why}");
        assert!(why.contains(said), "{said}: {why}");
    }
}

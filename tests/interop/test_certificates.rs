//! The published set of test certificates (PRO-21), of every profile of the demo, judged by OpenSSL.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::demo::{fetch, until};
use support::suite::Check;
use support::{spoken, tool};

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[(
    "test_certificates::each_is_what_it_is_named_by_openssl",
    each_is_what_it_is_named_by_openssl,
)];

/// The set is made beside everything else that a demo does, on RSA keys of 4096 bits.
const MADE_WITHIN: Duration = Duration::from_secs(300);

fn openssl(folder: &Path, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    spoken::openssl(folder, &words).expect("openssl is installed").text
}

/// Fetched as relying parties do; each certificate's OCSP answer, CRL and end are as its name says.
fn each_is_what_it_is_named_by_openssl(samples: &Samples) {
    if tool::find("openssl").is_none() {
        return;
    }
    let url = samples.good.ocsp_url("leaf.pem");
    let url = format!("{}/test-certificates.json", url.trim_end_matches('/'));
    let set = until(MADE_WITHIN, || {
        let quiet = ["--silent", "--fail", "--max-time", "30", &url];
        let said = spoken::run(std::process::Command::new("curl").args(quiet), &[]);
        (said.code == 0).then_some(said.out)
    });
    let set: Value = serde_json::from_slice(&set.expect("a set is published")).expect("JSON");
    let root = samples.good.read("root.pem");
    let mut seen = BTreeSet::new();
    let mut lists = BTreeSet::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    fs::write(path.join("root.pem"), root).expect("a file");
    for one in set["certificates"].as_array().expect("certificates") {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let (authority, state) = (text("authority"), text("state"));
        fs::write(path.join("leaf.pem"), text("certificate")).expect("a file");
        let issuing = set["chains"][&authority][0].as_str().expect("its chain");
        fs::write(path.join("issuing.pem"), issuing).expect("a file");
        if lists.insert(authority.clone()) {
            let said = openssl(path, "x509 -in leaf.pem -noout -ext crlDistributionPoints");
            let url = said.split("URI:").nth(1).and_then(|rest| rest.split_whitespace().next());
            fs::write(path.join("list.der"), fetch(url.expect("a URL"))).expect("a file");
            openssl(path, &format!("crl -inform DER -in list.der -out {authority}.crl"));
        }
        let asked = openssl(path, "x509 -in leaf.pem -noout -ocsp_uri");
        let asked = asked.lines().next().expect("a URL").to_owned();
        let said = openssl(
            path,
            &format!(
                "ocsp -issuer issuing.pem -cert leaf.pem -url {asked} -CAfile root.pem -verify_other issuing.pem"
            ),
        );
        let which = format!("{} {state}: {said}", text("profile"));
        let (status, reason, verified) = match state.as_str() {
            "good" => ("good", None, "leaf.pem: OK"),
            "expired" => ("good", None, "error 10 "),
            "revoked" => ("revoked", Some("Reason: superseded"), "error 23 "),
            "held" => ("revoked", Some("Reason: certificateHold"), "error 23 "),
            other => panic!("{other} is no state"),
        };
        assert_eq!(text("ocsp"), status, "{which}");
        assert!(said.contains("Response verify OK"), "{which}");
        assert!(said.contains(&format!("leaf.pem: {status}")), "{which}");
        assert!(reason.is_none_or(|reason| said.contains(reason)), "{which}");
        let by_list = openssl(
            path,
            &format!(
                "verify -CAfile root.pem -untrusted issuing.pem -crl_check -CRLfile {authority}.crl leaf.pem"
            ),
        );
        assert!(by_list.contains(verified), "{which}: {by_list}");
        let number = openssl(path, "x509 -in leaf.pem -noout -serial");
        let number = number.trim().trim_start_matches("serial=").to_owned();
        let list = openssl(path, &format!("crl -in {authority}.crl -noout -text"));
        let is_listed = list.contains(&format!("Serial Number: {number}"));
        assert_eq!(Some(is_listed), one["on_crl"].as_bool(), "{which}");
        seen.insert((text("profile"), state));
    }
    let profiles: BTreeSet<&String> = seen.iter().map(|(profile, _)| profile).collect();
    println!("measured: test certificates = {} of {} profiles", seen.len(), profiles.len());
    println!("measured: missing = {}", set["missing"]);
    // REV-04: persons' certificates can be held, and no others.
    let may_be_held = |one: &&&String| {
        ["person-", "reserve-", "extra-", "mobile-"].iter().any(|kind| one.starts_with(kind))
    };
    let held = profiles.iter().filter(may_be_held).count();
    assert_eq!(seen.len(), profiles.len() * 3 + held, "{seen:?}");
    assert_eq!(seen.iter().filter(|(_, state)| state == "held").count(), held, "{seen:?}");
    assert!(profiles.len() >= 10, "{profiles:?}");
    // What no direct call can have, or a dated rule forbids today, is named with its reason.
    for one in set["missing"].as_array().expect("a list") {
        let known = ["restricted-by-rule", "end-missing", "organisation-missing"];
        assert!(known.iter().any(|code| one["code"] == **code), "{one}");
    }
}

//! Shards of CRLs, from the order to what a relying party fetches.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::demo::until;
use support::program;
use support::spoken;
use support::suite::Check;

use crate::accounts::Received;
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::revocation::{crl_text, revoke};

pub(crate) const CHECKS: &[Check<Template>] =
    &[("shards::a_relying_party_finds_the_shard", a_relying_party_finds_the_shard)];

const WITHIN: Duration = Duration::from_secs(60);

/// The URL of a certificate's CRL.
fn crl_url(deployment: &Deployment, issued: &Received, name: &str) -> String {
    let file = deployment.folder().join(name);
    let body: Value = serde_json::from_slice(&issued.body).expect("JSON");
    fs::write(&file, body["certificate"].as_str().expect("PEM")).expect("written");
    let show = ["x509", "-noout", "-ext", "crlDistributionPoints", "-in", name];
    let said = spoken::openssl(deployment.folder(), &show).expect("openssl is there").text;
    let (_, url) = said.split_once("URI:").expect("a distribution point");
    url.split_whitespace().next().unwrap_or_default().to_owned()
}

/// What a vantage point sees of `card.pem` by the list at this URL.
fn looked_at(deployment: &Deployment, url: &str) -> String {
    let sigill = || Command::new(program::built("sigill"));
    let key = deployment.folder().join("vantage.key");
    assert_eq!(spoken::run(sigill().args(["probe", "make-key"]).arg(&key), &[]).code, 0);
    let config = fs::read_to_string(deployment.home.join("config/ca.toml")).expect("is there");
    let of = |name: &str| {
        let line = config.lines().find(|line| line.starts_with(name)).expect("is there");
        line.split('"').nth(1).expect("a value").to_owned()
    };
    let name = format!("{}/{}/{}", of("environment"), of("pki"), of("instance"));
    let mut probe = sigill();
    probe.args(["probe", "certificate", "card.pem", "--json", "--deployment", &name]);
    probe.args(["--vantage", "stockholm", "--vantage-key"]).arg(&key).arg("--issuers");
    let said = probe
        .arg(deployment.home.join("trust/chain.pem"))
        .current_dir(deployment.folder())
        .output()
        .expect("sigill runs");
    let looks: Vec<Value> = serde_json::from_slice(&said.stdout).expect("JSON");
    let look = looks.iter().find(|look| look["method"] == "crl" && look["url"] == url);
    let look = look.unwrap_or_else(|| panic!("{looks:?}"));
    look["status"].as_str().unwrap_or_else(|| panic!("{look}")).to_owned()
}

/// The shards as an operator lists them.
fn shards(deployment: &Deployment) -> Vec<Value> {
    let mut sigill = Command::new(program::built("sigill"));
    sigill.args(["authority", "shards", AUTHORITY, "--json", "--url"]);
    sigill.arg(format!("https://{}", deployment.api_address()));
    for (option, file) in [
        ("--cert", "tls/auditor.pem"),
        ("--key", "tls/auditor.key"),
        ("--ca", "tls/management-ca.pem"),
    ] {
        sigill.arg(option).arg(deployment.home.join(file));
    }
    let said = sigill.output().expect("sigill runs");
    let page: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    page["items"].as_array().expect("a list").clone()
}

/// CRL-06, CRL-07: a certificate names the list of its shard, which the responder serves; it is revoked there and on the full
/// list, and the list says the URL that the certificate says. A vantage point sees it there, and an operator finds the shard listed. After the choice is taken back the list goes on.
fn a_relying_party_finds_the_shard(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let urls = format!("{}/crl/{AUTHORITY}/", deployment.ocsp_url());
    let choice = format!("crl-shard-url = \"{urls}\"\n");
    let file = deployment.home.join("config/ocsp.toml");
    let route =
        format!("\n[[serve]]\npath = \"/crl/{AUTHORITY}\"\nobject = \"crl/{AUTHORITY}/\"\n");
    let text = fs::read_to_string(&file).expect("a configuration");
    fs::write(&file, text + &route).expect("written");
    let name = format!("name = \"{AUTHORITY}\"\n");
    let plain = std::cell::RefCell::new(String::new());
    deployment.configure(|config| {
        plain.replace(config.to_owned());
        assert!(config.contains(&name), "{config}");
        config.replacen(&name, &format!("{name}{choice}"), 1)
    });
    deployment.start();
    let responder = deployment.responder();
    let folder = deployment.folder().to_owned();
    let text_of = |url: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--max-time", "30", "--output", "shard.crl", url]);
        // Nothing, until it is served.
        if spoken::run(curl.current_dir(&folder), &[]).code != 0 {
            return String::new();
        }
        let show = ["crl", "-inform", "DER", "-noout", "-text", "-in", "shard.crl"];
        spoken::openssl(&folder, &show).expect("openssl is there").text
    };
    let first = format!("{urls}000001.crl");
    assert!(until(WITHIN, || text_of(&first).contains("No Revoked").then_some(())).is_some());
    let issued = Received::read("card", &deployment.api().ask(&deployment.order("card")));
    let url = crl_url(&deployment, &issued, "card.pem");
    assert!(url.starts_with(&urls), "{url}");

    assert_eq!(revoke(&deployment, &issued.id, "superseded", "lost").status, 200);

    let serial = format!("Serial Number: {}", issued.serial);
    let seen = || text_of(&url).contains(&serial).then_some(());
    assert!(until(WITHIN, seen).is_some(), "{}", text_of(&url));
    let text = text_of(&url);
    assert!(text.contains("X509v3 Issuing Distribution Point: critical"), "{text}");
    assert!(text.contains(&format!("URI:{url}")), "{text}");
    assert!(until(WITHIN, || crl_text(&deployment).contains(&serial).then_some(())).is_some());

    let (by_list, listed) = (looked_at(&deployment, &url), shards(&deployment));
    assert!(by_list.starts_with("revoked"), "{by_list}");
    let shard = listed.iter().find(|shard| shard["url"] == url.as_str()).expect("is listed");
    assert_eq!((&shard["number"], &shard["entries"]), (&json!("000001"), &json!(1)));
    assert!(shard["list"]["number"].is_string() && shard["takes_until"].is_string(), "{shard}");

    deployment.stop();
    deployment.configure(|_| plain.take());
    deployment.start();
    let later = Received::read("later", &deployment.api().ask(&deployment.order("later")));
    let full = crl_url(&deployment, &later, "later.pem");
    assert!(!full.starts_with(&urls), "{full}");
    assert!(text_of(&url).contains(&serial), "what the certificate names stands");
    drop(responder);
}

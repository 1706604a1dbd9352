//! NSS, which Firefox and others verify with: `vfychain`, by OCSP for the whole chain.

use std::fs;
use std::process::Command;

use support::demo::Issued;
use support::suite::Check;
use support::{spoken, tool};

use crate::Samples;
use crate::openssl::stranger;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("nss::accepts_the_good_chains", accepts_the_good_chains),
    ("nss::refuses_the_revoked_chain", refuses_the_revoked_chain),
    ("nss::refuses_another_trust_anchor", refuses_another_trust_anchor),
];

/// `sslclient`, and who signs e-mails, in the numbers of vfychain.
const SSL_CLIENT: &str = "0";
const EMAIL_SIGNER: &str = "4";

/// What vfychain says of the chain under this root; `None` where it is not installed.
fn judge(issued: &Issued, root: &str, purpose: &str) -> Option<String> {
    let (certutil, vfychain) = (tool::find("certutil")?, tool::find("vfychain")?);
    let run = |program, arguments: &[&str]| {
        spoken::run(Command::new(program).args(arguments).current_dir(issued.folder()), &[])
    };
    let store = format!("sql:nss-{root}");
    let _ = fs::remove_dir_all(issued.path(&format!("nss-{root}")));
    fs::create_dir(issued.path(&format!("nss-{root}"))).expect("a folder can be made");
    let made = run(&certutil, &["-N", "-d", &store, "--empty-password"]);
    assert_eq!(made.code, 0, "{}", made.text);
    let trusted =
        run(&certutil, &["-A", "-d", &store, "-n", "root", "-t", "CT,C,", "-a", "-i", root]);
    assert_eq!(trusted.code, 0, "{}", trusted.text);
    let by_ocsp = ["-g", "leaf", "-m", "ocsp", "-s", "failIfNoInfo", "-g", "chain", "-m", "ocsp"];
    let chain = ["-a", "leaf.pem", "-a", "issuing.pem"];
    let asked = [&["-d", &store, "-pp", "-u", purpose][..], &by_ocsp, &chain].concat();
    Some(run(&vfychain, &asked).text)
}

fn accepts_the_good_chains(samples: &Samples) {
    let purposes = [SSL_CLIENT, EMAIL_SIGNER, SSL_CLIENT];
    for (issued, purpose) in samples.persons.iter().chain([&samples.good]).zip(purposes) {
        let Some(said) = judge(issued, "root.pem", purpose) else { return };

        assert!(said.contains("Chain is good!"), "{said}");
    }
}

fn refuses_the_revoked_chain(samples: &Samples) {
    let Some(said) = judge(&samples.revoked, "root.pem", SSL_CLIENT) else { return };

    assert!(said.contains("Chain is bad!") && said.contains("revoked"), "{said}");
}

fn refuses_another_trust_anchor(samples: &Samples) {
    stranger(&samples.good);
    let Some(said) = judge(&samples.good, "stranger.pem", SSL_CLIENT) else { return };

    assert!(said.contains("Chain is bad!"), "{said}");
}

//! pyhanko's path validator, of those who judge signatures years later: it wants revocation for every
//! certificate and takes no answer past its nextUpdate.

use std::process::Command;

use support::demo::Issued;
use support::suite::Check;
use support::{spoken, tool, workspace};

use crate::Samples;
use crate::openssl::stranger;
use crate::pkilint::answers;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("pyhanko::accepts_the_good_chains", accepts_the_good_chains),
    ("pyhanko::refuses_the_revoked_chain", refuses_the_revoked_chain),
    ("pyhanko::refuses_answers_that_have_ended", refuses_answers_that_have_ended),
    ("pyhanko::refuses_another_trust_anchor", refuses_another_trust_anchor),
];

/// What it says of the chain under a root, with more arguments; `None` where it is not installed.
fn judge(issued: &Issued, root: &str, more: &[&str]) -> Option<String> {
    // The Python that the linters have too.
    let python = tool::find("lint_pkix_cert")?.with_file_name("python3");
    let mut command = Command::new(python);
    command.arg("-B").arg(workspace::root().join("tests/interop/validate_pyhanko.py"));
    command.args([root, "leaf.pem", "issuing.pem"]).args(more).current_dir(issued.folder());
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    // What its fetcher leaves behind is told on the other stream.
    Some(String::from_utf8_lossy(&said.out).into_owned())
}

const ANSWERS: [&str; 2] = ["leaf.ocsp", "issuing.ocsp"];

/// Asking by itself, and with the answers that another asked for.
fn accepts_the_good_chains(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        answers(issued);
        for more in [&[][..], &ANSWERS] {
            let Some(said) = judge(issued, "root.pem", more) else { return };

            assert_eq!(said.trim(), "valid", "{more:?}");
        }
    }
}

fn refuses_the_revoked_chain(samples: &Samples) {
    answers(&samples.revoked);
    for more in [&[][..], &ANSWERS] {
        let Some(said) = judge(&samples.revoked, "root.pem", more) else { return };

        assert!(said.starts_with("refused: RevokedError"), "{more:?}: {said}");
    }
}

/// Two hours on, when an answer's hour is over.
fn refuses_answers_that_have_ended(samples: &Samples) {
    answers(&samples.good);
    let later = ["7200", ANSWERS[0], ANSWERS[1]];
    let Some(said) = judge(&samples.good, "root.pem", &later) else { return };

    assert!(said.starts_with("refused: ") && said.contains("Revinfo"), "{said}");
}

fn refuses_another_trust_anchor(samples: &Samples) {
    stranger(&samples.good);
    let Some(said) = judge(&samples.good, "stranger.pem", &[]) else { return };

    assert!(said.starts_with("refused: PathBuildingError"), "{said}");
}

//! Promise 7: the outer zone knows no person. Every byte that its host has is read, after certificates of
//! persons were issued and asked about.

use std::fs;
use std::path::{Path, PathBuf};

use support::suite::Check;

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] =
    &[("outer::no_person_is_in_the_outer_zone", no_person_is_in_the_outer_zone)];

/// Who the demo issues to: names, HSA-id, number with and without its century and dash.
const PERSON: [&str; 7] = [
    "Tolvan",
    "Tolvansson",
    "TST2321000016-1002",
    "191212121212",
    "19121212-1212",
    "121212-1212",
    "1212121212",
];

/// What the host of the responder has: what is pushed, what it leaves, its state, configuration and log.
const FOLDERS: [&str; 6] =
    ["publish", "outbox", "ocsp", "tokens", "config/ocsp.toml", "log/sigill-ocsp.log"];

/// Files below a path, itself included.
fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder").flatten() {
            files(&entry.path(), found);
        }
    } else if path.is_file() {
        found.push(path.to_owned());
    }
}

/// The text as UTF-8 and DER strings have it, as UTF-16 and BMPString in both orders, and as UTF-32.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let units: Vec<u16> = text.encode_utf16().collect();
    vec![
        text.as_bytes().to_vec(),
        units.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        text.bytes().map(|b| format!("{b:02x}")).collect::<String>().into_bytes(),
        text.bytes().map(|b| format!("{b:02X}")).collect::<String>().into_bytes(),
    ]
}

/// Whether `bytes` has `wanted`, whatever its case.
fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

fn persons_in(bytes: &[u8]) -> Option<&'static str> {
    PERSON.into_iter().find(|text| spellings(text).iter().any(|wanted| has(bytes, wanted)))
}

/// DAT-05: nobody reads of a person on the outer host.
fn no_person_is_in_the_outer_zone(samples: &Samples) {
    // The judge sees them where they are.
    for issued in &samples.persons {
        assert!(persons_in(&issued.der("leaf.pem")).is_some(), "the certificate has the person");
        assert!(issued.ask(&[]).text.contains(": good"), "asked about");
    }
    for text in PERSON {
        for spelling in spellings(text) {
            assert!(
                persons_in(&[b"\x30\x0c", &spelling[..], b"\x00"].concat()).is_some(),
                "{text}"
            );
        }
    }
    let Some(demo) = &samples.demo else {
        return println!("skipped: the demo is the caller's own");
    };
    let home = PathBuf::from(demo.variable("SIGILL_HOME"));
    let mut found = Vec::new();
    for folder in FOLDERS {
        let before = found.len();
        files(&home.join(folder), &mut found);
        assert!(found.len() > before || folder == "outbox", "{folder} has files");
    }
    let mut octets = 0;
    for file in found.iter().filter(|file| is_of_the_outer_host(file)) {
        // One that goes away meanwhile has been read as what took its place, or never held anything.
        let Ok(bytes) = fs::read(file) else { continue };
        octets += bytes.len();
        assert_eq!(persons_in(&bytes), None, "{}", file.display());
    }
    println!("measured: {octets} octets of {} files of the outer host read", found.len());
    assert!(octets > 10_000);
}

/// On one machine CRLs wait for their signature below the tree; that folder is the inner zone's.
fn is_of_the_outer_host(file: &Path) -> bool {
    !file.components().any(|part| part.as_os_str() == ".spool")
}

//! `sigill profile diff` and `check`, asked of the program: our function profile beside the certificates
//! that the real PKI issued from 2021 to 2025.

use std::path::Path;
use std::process::Command;

use support::spoken::Spoken;
use support::{program, spoken, workspace};

/// The certificate that the profile was made after.
const REAL: &str = "2025-09-clientcert-idp.qa.siths.se-own-operation.pem";

fn sigill(words: &[&str]) -> Spoken {
    let mut command = Command::new(program::built("sigill"));
    // No address and no credentials: profiles are files.
    command.args(words).current_dir(workspace::root()).env_clear();
    spoken::run(&mut command, &[])
}

/// The exit code, and the fields that differ, from the JSON.
fn differing(left: &str, right: &Path) -> (i32, Vec<(String, String, String)>) {
    let said = sigill(&["profile", "diff", left, right.to_str().unwrap(), "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&said.out).expect(&said.text);
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap().to_owned();
    let rows = report["differences"].as_array().unwrap();
    let rows = rows.iter().map(|one| (text(one, "field"), text(one, "left"), text(one, "right")));
    (said.code, rows.collect())
}

/// PRO-11, PRO-13, PRO-16: names, key, serial number, dates, issuer and hosts apart, what we issue is what
/// the real CA issues today.
#[test]
fn the_function_profile_is_the_real_certificate_of_2025() {
    let Some(folder) = workspace::shared("reference/siths/function") else { return };
    let real = folder.join(REAL);

    let said = sigill(&["profile", "diff", "profiles/function.toml", real.to_str().unwrap()]);

    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.ends_with("no difference\n"), "{}", said.text);
    assert_eq!(differing("profiles/function.toml", &real), (0, Vec::new()));
}

/// The first weeks of the new operation, as the real certificates show them: SHA-256, another order of
/// the subject, and a card number `NONE` among the extensions. Nothing else.
#[test]
fn the_first_weeks_differ_in_what_is_known_and_in_nothing_else() {
    let Some(folder) = workspace::shared("reference/siths/function") else { return };
    let first = folder.join("2023-12-idp.ineratest.org-own-operation-first-weeks.pem");

    let (code, rows) = differing("profiles/function.toml", &first);

    let extensions = |card: &str| {
        format!(
            "extKeyUsage, authorityKeyIdentifier, authorityInfoAccess, certificatePolicies, \
             cRLDistributionPoints, subjectKeyIdentifier, {card}keyUsage, subjectAltName"
        )
    };
    let row = |field: &str, left: &str, right: &str| {
        (field.to_owned(), left.to_owned(), right.to_owned())
    };
    let expected = vec![
        row("signature.algorithm", "rsa-pkcs1-sha512", "rsa-pkcs1-sha256"),
        row("subject.order", "C, L?, O, CN, serialNumber", "C, O, CN, serialNumber, L"),
        row("extensions.order", &extensions(""), &extensions("cardNumber, ")),
        row("extension.cardNumber", "absent", "PrintableString NONE"),
    ];
    assert_eq!((code, rows), (1, expected));
}

/// The operation before the move: its policy, its hour, its order of extensions and purposes.
#[test]
fn the_former_operation_differs_in_policy_hour_and_order() {
    let Some(folder) = workspace::shared("reference/siths/function") else { return };
    // What the requests of the time brought with them: a country that is none, UTF8String for ASCII.
    for (name, requested) in [
        ("2021-06-at.e2e.inera.se.pem", &["subject.C.value"][..]),
        (
            "2022-02-idp.ineratest.org.pem",
            &["subject.L.string-type", "subject.O.string-type", "subject.CN.string-type"],
        ),
        ("2022-09-test.nordicmedtest.se.pem", &[]),
    ] {
        let (code, rows) = differing("profiles/function.toml", &folder.join(name));

        let fields: Vec<_> = rows.iter().map(|(field, ..)| field.as_str()).collect();
        let mut expected = vec!["validity"];
        expected.extend_from_slice(requested);
        expected.extend([
            "extensions.order",
            "extension.extKeyUsage",
            "extension.certificatePolicies",
        ]);
        assert_eq!((code, fields), (1, expected), "{name}: {rows:#?}");
        let policies = rows.last().unwrap();
        assert_eq!(policies.2, "2.23.140.1.2.2, 1.2.752.74.8.505", "{name}");
    }
}

#[test]
fn two_profiles_are_compared_field_by_field_in_either_order() {
    let second = workspace::root().join("profiles/function-ec.toml");

    let (code, rows) = differing("profiles/function.toml", &second);

    assert_eq!(code, 1);
    assert!(rows.iter().any(|(field, ..)| field == "extension.certificatePolicies"), "{rows:#?}");
    let said = sigill(&["profile", "diff", "profiles/function.toml", "profiles/function.toml"]);
    assert_eq!(said.code, 0, "{}", said.text);
}

#[test]
fn what_is_neither_profile_nor_certificate_is_wrong_use() {
    for wrong in ["README.md", "absent.toml", "profiles"] {
        let said = sigill(&["profile", "diff", "profiles/function.toml", wrong]);

        assert_eq!(said.code, 2, "{wrong}: {}", said.text);
        assert!(said.text.contains(wrong), "{}", said.text);
    }
}

#[test]
fn every_fault_of_a_folder_is_named_at_once() {
    let said = sigill(&["profile", "check", "profiles"]);
    assert_eq!(said.code, 0, "{}", said.text);

    let folder = tempfile::tempdir().unwrap();
    let function =
        std::fs::read_to_string(workspace::root().join("profiles/function.toml")).unwrap();
    let wrong = function.replace("[key]\n", "[key]\nsize = 2048\n");
    std::fs::write(folder.path().join("function.toml"), wrong).unwrap();
    let wrong = function.replace("backdate    = \"5m\"", "backdate    = \"2h\"");
    std::fs::write(folder.path().join("other.toml"), wrong).unwrap();

    let said = sigill(&["profile", "check", folder.path().to_str().unwrap()]);

    assert_eq!(said.code, 1, "{}", said.text);
    for part in ["function.toml:", "unknown field `size`", "other.toml: backdate: ", "file-name"] {
        assert!(said.text.contains(part), "{part}: {}", said.text);
    }
}

/// Somebody else's program reads what a sample is said to hold.
#[test]
fn a_sample_is_what_openssl_reads() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let words = ["profile", "example", "profiles/function.toml", "--at", "2026-11-22T12:00:00Z"];

    let said = sigill(&[&words[..], &["--key-type", "all", "--out", out]].concat());

    assert_eq!(said.code, 0, "{}", said.text);
    for part in
        ["O = PrintableString \"Sigill Example\"", "L = UTF8String \"Örebro\"", "BEGIN CERTIFICATE"]
    {
        assert!(said.text.contains(part), "{part}: {}", said.text);
    }
    let arguments = ["x509", "-inform", "DER", "-in", "function-rsa-3072.der", "-noout", "-text"];
    let Some(read) = spoken::openssl(folder.path(), &arguments) else {
        println!("skipped: openssl is not installed");
        return;
    };
    for part in [
        "Not After : Nov 22 21:50:00 2028 GMT",
        "Public-Key: (3072 bit)",
        "sha512WithRSAEncryption",
        "CPS: https://pki.example.org/siths/repository",
        "DNS:idp.example.org",
    ] {
        assert!(read.text.contains(part), "{part}: {}", read.text);
    }
    let sample = folder.path().join("function-rsa-3072.der");
    assert_eq!(differing("profiles/function.toml", &sample), (0, Vec::new()));
}

/// PRO-03: each shipped profile has a sample, as text and as a file that somebody else's program reads.
#[test]
fn every_shipped_profile_has_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["profile", "example", "profiles", "--out", folder.path().to_str().unwrap()];

    let said = sigill(&words);

    assert_eq!(said.code, 0, "{}", said.text);
    let shipped: Vec<_> = std::fs::read_dir(workspace::root().join("profiles"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    assert_eq!(shipped.len(), 29);
    let samples: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(samples.len(), shipped.len());
    for name in &shipped {
        assert!(said.text.contains(&format!("# sample of profile {name} version ")), "{name}");
        let of_it = |file: &&std::fs::DirEntry| {
            let file = file.file_name().into_string().unwrap();
            let rest = file.strip_prefix(&format!("{name}-")).map(str::to_owned);
            rest.is_some_and(|rest| rest.starts_with("rsa-") || rest.starts_with("ec-"))
        };
        let file = samples.iter().find(of_it).unwrap_or_else(|| panic!("no sample of {name}"));
        let path = file.path();
        let arguments =
            ["x509", "-inform", "DER", "-in", path.to_str().unwrap(), "-noout", "-text"];
        let Some(read) = spoken::openssl(folder.path(), &arguments) else {
            println!("skipped: openssl is not installed");
            return;
        };
        assert_eq!(read.code, 0, "{name}: {}", read.text);
        assert!(read.text.contains("X509v3 Key Usage: critical"), "{name}: {}", read.text);
    }
}

/// PRO-10: the table as relying parties get it, in each form with the same rows.
#[test]
fn the_policy_table_has_the_same_rows_in_every_form() {
    let said = |format: &str| {
        let said = sigill(&["profile", "table", "profiles", "--format", format]);
        assert_eq!(said.code, 0, "{format}: {}", said.text);
        said.text
    };
    let rows: serde_json::Value = serde_json::from_str(&said("json")).unwrap();
    let rows = rows.as_array().unwrap();

    assert_eq!(said("text").lines().count(), rows.len() + 1);
    assert_eq!(said("markdown").lines().count(), rows.len() + 2);
    assert_eq!(said("html").matches("<tr>").count(), rows.len() + 1);
    let function = rows.iter().find(|row| row["policy"] == "1.2.752.74.8.650").unwrap();
    assert_eq!(function["profile"], "function");
    assert!(function["level"].is_null() && function["from"].is_string(), "{function}");
    let person = rows.iter().find(|row| row["policy"] == "1.3.6.1.4.1.32473.1.3.1").unwrap();
    assert_eq!((&person["level"], &person["identity"]), (&"loa3".into(), &"personnummer".into()));
}

/// A folder that is a book is checked as one: a row that no carrier bears is named beside a profile's fault.
#[test]
fn the_faults_of_the_table_are_named_too() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("profiles");
    copied(&workspace::root().join("profiles"), &folder);
    let table = folder.join("tables/policies.toml");
    let text = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, text.replacen("office-visit", "a-routine-that-is-none", 1)).unwrap();

    let said = sigill(&["profile", "check", folder.to_str().unwrap()]);

    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("tables/policies.toml: book: "), "{}", said.text);
    assert!(said.text.contains("a-routine-that-is-none"), "{}", said.text);
    let said = sigill(&["profile", "table", folder.to_str().unwrap()]);
    assert_eq!(said.code, 2, "{}", said.text);
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copied(&entry, &target)
        } else {
            _ = std::fs::copy(&entry, target).unwrap()
        }
    }
}

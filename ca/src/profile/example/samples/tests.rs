use x509::import::ImportedCertificate;

use super::*;
use crate::testing::{NOW, at, book_files, read_book};

fn book(path: &str, from: &str, to: &str) -> Book {
    let mut files = book_files();
    let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
    assert!(file.1.contains(from), "{path}: {from}");
    file.1 = file.1.replacen(from, to, 1);
    read_book(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

fn shipped() -> Book {
    read_book(&book_files()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What each sample of the book comes to, by `profile/kind`.
fn made_of(book: &Book) -> Vec<(String, Result<Vec<u8>, &'static str>)> {
    let samples = Samples::of(book);
    let of_profile = |profile: &Profile| -> Vec<_> {
        let made = |kind: &SampleKind| {
            samples.make(profile, kind, at(NOW)).map(|made| made.as_der().to_vec())
        };
        let made = |kind| (format!("{}/{kind}", profile.name()), made(&kind).map_err(|e| e.code()));
        samples.kinds(profile).into_iter().map(made).collect()
    };
    book.profiles().iter().flat_map(of_profile).collect()
}

/// PRO-19: every row of the shipped table has a sample, the ended ones of trust level 2 on their first day, and each
/// has the policy of a row of its own.
#[test]
fn every_profile_and_identity_kind_of_the_table_has_a_sample() {
    let book = shipped();
    let made = made_of(&book);

    let refused: Vec<_> = made.iter().filter(|(_, made)| made.is_err()).collect();
    assert_eq!(refused, Vec::<&(String, _)>::new());
    let names: Vec<_> = made.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in [
        "root/direct",
        "function/direct",
        "mobile-authentication/direct",
        "mobile-authentication/personnummer",
        "person-hsaid-3-authentication/personnummer",
        "reserve-hsaid-2-signature/passport-holder",
        "reserve-hsaid-2-signature/samordningsnummer",
        "extra-hsaid-3-signature/personnummer",
    ] {
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
    let policy_of = |wanted: &str| {
        let (_, der) = made.iter().find(|(name, _)| name == wanted).unwrap();
        let read = ImportedCertificate::from_der(der.as_ref().unwrap()).unwrap();
        super::super::certificate_text(&read).join("\n")
    };
    let mobile = policy_of("mobile-authentication/personnummer");
    assert!(mobile.contains("1.2.752.74.8.512"), "{mobile}");
    let passport = policy_of("person-hsaid-2-authentication/passport-holder");
    assert!(passport.contains("1.3.6.1.4.1.32473.1.2.3"), "{passport}");
}

/// What decides beside the profile shows in the samples that it decides, and in no others.
#[test]
fn a_change_in_the_table_or_in_admission_shows() {
    let before = made_of(&shipped());
    let changed = |book: &Book| -> Vec<String> {
        let after = made_of(book);
        assert_eq!(before.len(), after.len());
        let pairs = before.iter().zip(&after).filter(|(one, other)| one != other);
        pairs.map(|(_, (name, _))| name.clone()).collect()
    };

    assert_eq!(changed(&shipped()), Vec::<String>::new());
    let table = book("tables/policies.toml", "1.2.752.74.8.512", "1.3.6.1.4.1.32473.1.7.9");
    assert_eq!(changed(&table), ["mobile-authentication/personnummer"]);
    let age = book("routines/mobile-self-service.toml", "= 18", "= 200");
    assert_eq!(changed(&age), ["mobile-authentication/personnummer"]);
    let life = book("carriers/telephone.toml", "\"1826d\"", "\"100d\"");
    assert_eq!(changed(&life), ["mobile-authentication/personnummer"]);
}

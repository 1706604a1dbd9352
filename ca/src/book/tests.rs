use crate::book::Book;
use crate::testing::{book_files, read_book};

fn edited(path: &str, from: &str, to: &str) -> Vec<(String, String)> {
    let mut files = book_files();
    let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
    assert!(file.1.contains(from), "{path}: {from}");
    file.1 = file.1.replacen(from, to, 1);
    files
}

fn refused(files: &[(String, String)]) -> String {
    read_book(files).unwrap_err().to_string()
}

#[test]
fn the_shipped_files_are_a_book() {
    let book = read_book(&book_files()).unwrap_or_else(|errors| panic!("{errors}"));

    assert!(book.carrier("nls-card-2023").is_some() && book.routine("office-visit").is_some());
    assert!(book.identity_kind("personnummer").is_some());
    assert!(book.proofing_method("swedish-passport").is_some());
}

#[test]
fn one_octet_of_one_file_is_another_book() {
    let hash = |files: &[(String, String)]| *read_book(files).unwrap().sha256();
    let mut backwards = book_files();
    backwards.reverse();

    assert_eq!(hash(&book_files()), hash(&backwards));
    let other = edited("routines/office-visit.toml", "minimum-age   = 18", "minimum-age   = 19");
    assert_ne!(hash(&book_files()), hash(&other));
}

#[test]
fn names_every_file_that_is_wrong_at_once() {
    let mut files = edited("routines/office-visit.toml", "minimum-age", "least-age");
    files.push(("carriers/other.toml".to_owned(), files[0].1.clone()));
    files.push(("notes/a.toml".to_owned(), String::new()));

    let refused = refused(&files);

    assert_eq!(refused.lines().count(), 3, "{refused}");
    for (line, found) in ["carriers/other.toml: ", "notes/a.toml: ", "routines/office-visit.toml: "]
        .iter()
        .zip(refused.lines())
    {
        assert!(found.starts_with(line), "{found}");
    }
    assert!(refused.contains("least-age"), "{refused}");
}

#[test]
fn every_mutant_of_a_book_is_refused() {
    let routine = "routines/office-visit.toml";
    for (path, from, to, told) in [
        ("rules/loa2.toml", "\"passport-holder\"", "\"passport-bearer\"", "passport-bearer"),
        ("rules/sweden.toml", "version", "versions", "rules: "),
        (
            routine,
            "\"swedish-passport\"",
            "\"library-card\"",
            "proofing library-card is in no list",
        ),
        (
            routine,
            "\"swedish-passport\"",
            "\"foreign-passport\"",
            "proofing foreign-passport reaches none",
        ),
        (
            routine,
            "[\"personnummer\"]",
            "[\"personnummer\", \"hsa\"]",
            "identity hsa is in no list",
        ),
        (
            routine,
            "[\"personnummer\"]",
            "[\"personnummer\", \"samordningsnummer\"]",
            "identity samordningsnummer reaches none",
        ),
        (routine, "\"office-visit\"", "\"office-visits\"", "is not called office-visits.toml"),
        ("carriers/telephone.toml", "\"telephone\"", "\"tablet\"", "is not called tablet.toml"),
    ] {
        let refused = refused(&edited(path, from, to));
        assert!(refused.contains(told), "{refused}");
    }
}

/// An operator whose profiles are from before the table still revokes: what does not fit it is closed.
#[test]
fn profiles_of_before_the_table_are_closed_and_the_others_are_not() {
    let name = "person-hsaid-3-authentication";
    let mut files = book_files();
    for (path, text) in &mut files {
        if *path == format!("{name}.toml") {
            *text = text.replace("from = \"table\"", "oid = \"1.3.6.1.4.1.32473.1.3.1\"");
        }
        if path == "tables/policies.toml" {
            // As if the table were older than the profile.
            *text = text.replace("\"person-id-3-signature\"", "\"person-id-4-signature\"");
        }
    }
    let closing = |files: &[(String, String)]| {
        let files = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes()));
        Book::parse_closing(files)
    };

    let closed = closing(&files).unwrap();

    let told: Vec<_> = closed.closed().map(|(name, why)| (name.as_str(), why)).collect();
    let [(first, of_first), (second, of_second)] = told[..] else { panic!("{told:?}") };
    assert_eq!((first, second), (name, "person-id-3-signature"));
    let [of_first, of_second] = [of_first, of_second].map(|why| why.join("\n"));
    assert!(of_first.contains("states another policy of its own"), "{of_first}");
    assert!(of_second.contains("has no row of it"), "{of_second}");
    assert!(refused(&files).contains("states another policy of its own"));
    assert_eq!(closing(&book_files()).unwrap().closed().count(), 0);
    // A table that is wrong in itself is no book either way.
    let wrong = edited("tables/policies.toml", "\"office-visit\"", "\"parcel\"");
    assert!(closing(&wrong).is_err());
}

/// A folder that was forgotten is not the wish to have no rules.
#[test]
fn routines_without_dated_rules_are_no_book() {
    let mut files = book_files();
    files.retain(|(path, _)| path != "rules/loa2.toml");
    assert!(
        !read_book(&files).unwrap().lacks_rules(),
        "the calendar alone says that there are none"
    );
    files.retain(|(path, _)| !path.starts_with("rules/"));

    assert!(refused(&files).contains("no file of dated rules"));
    let files = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes()));
    assert!(Book::parse_closing(files).unwrap().lacks_rules());
}

#[test]
fn profiles_alone_are_a_book_that_names_nobody() {
    let functions = |path: &str| path.starts_with("function");
    let profiles = book_files().into_iter().filter(|(path, _)| functions(path));
    let book = read_book(&profiles.collect::<Vec<_>>()).unwrap();

    assert!(book.table().rows().is_empty() && book.identity_kind("personnummer").is_none());
}

/// A new routine beside an older list, as an upgrade may leave them, closes the profiles of its rows and no start.
#[test]
fn a_routine_that_its_lists_do_not_fit_closes_the_profiles_of_its_rows() {
    let means = "means    = \"own-eid\"\n";
    let mut files = book_files();
    let list = files.iter_mut().find(|(path, _)| path == "lists/proofing-methods.toml").unwrap();
    assert!(list.1.contains(means));
    list.1 = list.1.replacen(means, "", 1);
    let bytes = || files.iter().map(|(path, text)| (path.as_str(), text.as_bytes()));

    let book = Book::parse_closing(bytes()).unwrap_or_else(|errors| panic!("{errors}"));

    let closed: Vec<_> = book.closed().map(|(name, _)| name.to_string()).collect();
    assert_eq!(closed, ["mobile-authentication"]);
    let refused = Book::parse(bytes()).unwrap_err().to_string();
    assert!(refused.starts_with("routines/mobile-self-service.toml: eid-carriers"), "{refused}");
}

use std::collections::BTreeSet;

use super::*;
use crate::book::Book;
use crate::testing::{book_files, read_book};

fn book() -> Book {
    read_book(&book_files()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is wrong with the book whose table is edited.
fn refused(from: &str, to: &str) -> String {
    let mut files = book_files();
    let table = files.iter_mut().find(|(path, _)| path == "tables/policies.toml").unwrap();
    assert!(table.1.contains(from), "{from}");
    table.1 = table.1.replacen(from, to, 1);
    read_book(&files).map_or_else(|errors| errors.to_string(), |_| "a book".to_owned())
}

fn add(row: &str) -> String {
    refused("# Functions", &format!("[[row]]\n{row}\n\n# Functions"))
}

const ROW: &str = r#"policy   = "1.3.6.1.4.1.32473.1.3.1"
profile  = "person-hsaid-3-authentication"
issuer   = "person-hsaid-3"
carrier  = "ordinary-card"
identity = "personnummer"
level    = "loa3"
routine  = "office-visit"
from     = 2024-01-25
"#;

/// PRO-10: one policy, one meaning; each row names what exists and fits together.
#[test]
fn every_mutant_of_the_table_is_refused() {
    let twice = "stands in a row before";
    let another_time = ROW.replace("from     = 2024-01-25", "from     = 2030-01-01");
    assert!(add(ROW).contains(twice));
    assert!(add(&another_time).contains(twice));
    let other_policy = ROW.replace("1.3.1\"", "1.3.9\"");
    assert!(add(&other_policy).contains("the same is stated by policy"));
    let second_meaning = ROW.replace("-authentication", "-signature");
    assert!(add(&second_meaning).contains(twice));
    for (from, to, told) in [
        ("routine  = \"office-visit\"", "routine  = \"parcel\"", "routine parcel is in no file"),
        ("identity = \"personnummer\"", "identity = \"shoe-size\"", "identity shoe-size is in no"),
        (
            "identity = \"personnummer\"",
            "identity = \"samordningsnummer\"",
            "level is none of identity",
        ),
        (
            "identity = \"personnummer\"",
            "identity = \"samordningsnummer\"",
            "its identity is none of",
        ),
        ("level    = \"loa3\"", "level    = \"loa2\"", "level is none of profile"),
        ("level    = \"loa3\"", "level    = \"loa2\"", "level is none of routine"),
        ("level    = \"loa3\"\n", "", "level is none of profile"),
        ("\"ordinary-card\"", "\"reserve-card\"", "its carrier is none of routine"),
        ("\"ordinary-card\"", "\"blank-card\"", "no family of blank-card"),
        ("carrier  = \"ordinary-card\"\n", "", "named for routines with orders"),
        ("identity = \"personnummer\"\n", "", "named for routines with orders"),
        ("routine  = \"office-visit\"\n", "", "persons have a routine"),
        ("from     = 2024-01-25", "from     = 2024-01-24", "outside those of routine"),
        ("from     = 2024-01-25", "from     = 2019-01-01", "outside those of identity"),
        (
            "from     = 2024-01-25",
            "from     = 2024-01-25\nto = 2024-01-24",
            "lies before its first",
        ),
        ("1.3.6.1.4.1.32473.1.3.1\"", "1.2.752.74.8.650\"", "states that policy in its file"),
        ("1.2.752.74.8.650", "1.3.6.1.4.1.32473.1.1.7", "states another policy of its own"),
        ("32473.1.3.1\"", "32473.one\"", "is no object identifier"),
        ("\"function-ec\"\nissuer", "\"ocsp\"\nissuer", "have no such row"),
        ("issuer   = \"function-ec\"", "issuer  = \"person-hsaid-3\"", "another trust level"),
        (
            "issuer   = \"function-ec\"",
            "carrier = \"ordinary-card\"\nissuer   = \"function-ec\"",
            "have no such row",
        ),
        ("\"office-visit\"", "\"demo-direct\"", "named for routines with orders"),
        ("version = 1", "version = 0", "version is 1 or more"),
        ("version = 1", "version = 1\nhouse = 2", "house"),
    ] {
        let refused = refused(from, to);
        assert!(refused.contains(told), "{to}: {refused}");
    }
}

/// PRO-10: every tuple of the table's words reaches at most the row of its own; an order of one level
/// reaches no profile of another.
#[test]
fn the_full_cross_product_reaches_nothing_but_its_rows() {
    let book = book();
    let rows = book.table().rows();
    let all =
        |of: fn(&Tuple) -> String| rows.iter().map(|row| of(&row.tuple)).collect::<BTreeSet<_>>();
    let (profiles, issuers) = (all(|it| it.profile.to_string()), all(|it| it.issuer.to_string()));
    let mut carriers: Vec<_> = rows.iter().map(|row| row.tuple.carrier).collect();
    carriers.sort_unstable();
    carriers.dedup();
    let identities: BTreeSet<_> = rows.iter().map(|row| row.tuple.identity.clone()).collect();
    let routines: BTreeSet<_> = rows.iter().map(|row| row.tuple.routine.clone()).collect();
    let levels = [None, Some(TrustLevel::Loa2), Some(TrustLevel::Loa3)];
    let day = Day::containing(crate::testing::at(crate::testing::NOW));
    let mut reached = 0;
    for profile in &profiles {
        for issuer in &issuers {
            for (&carrier, identity) in
                carriers.iter().flat_map(|it| identities.iter().map(move |id| (it, id)))
            {
                for (level, routine) in
                    levels.into_iter().flat_map(|it| routines.iter().map(move |r| (it, r)))
                {
                    let tuple = Tuple {
                        profile: profile.parse().unwrap(),
                        issuer: IssuerClass::new(issuer).unwrap(),
                        carrier,
                        identity: identity.clone(),
                        level,
                        routine: routine.clone(),
                    };
                    if let Some(row) = book.table().row_of(&tuple, day) {
                        let of_profile = book.profiles().by_name(profile).unwrap().trust_level();
                        assert_eq!((&row.tuple, row.tuple.level), (&tuple, of_profile));
                        reached += 1;
                    }
                }
            }
        }
    }
    assert_eq!(reached, rows.iter().filter(|row| row.days.contain(day)).count());
}

/// A profile that was taken away is no reason for a CA not to start.
#[test]
fn a_row_whose_profile_was_taken_away_waits_for_it() {
    let taken = "function-ec.toml";
    let files: Vec<_> = book_files().into_iter().filter(|(path, _)| path != taken).collect();

    assert!(read_book(&files).is_ok());
}

#[test]
fn a_row_holds_on_its_days() {
    let book = book();
    let row = &book.table().rows()[0];
    let day = |day| Day::containing(x509::time::UnixTime::of_day(2024, 1, day).unwrap());

    assert_eq!(book.table().row_of(&row.tuple, day(25)), Some(row));
    assert_eq!(book.table().row_of(&row.tuple, day(24)), None);
}

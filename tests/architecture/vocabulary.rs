//! Words that belong to one room: SQL to `store`, object identifiers to `x509`, PKCS#11 to `hsm`; and
//! HTTP to the front of each server.
//!
//! The manifests keep the libraries apart; this keeps apart what needs no library, such as a
//! statement or an OID in a string. Configuration and profiles may name OIDs: they are data.

use support::workspace;

use crate::source::{SourceFile, rooms};
use crate::{assert_none, assert_one};

#[test]
fn only_store_speaks_sql() {
    assert_none(&found(&rooms(workspace::root()), "store", sql), "SQL belongs to store");
}

#[test]
fn only_x509_names_object_identifiers() {
    assert_none(
        &found(&rooms(workspace::root()), "x509", oid),
        "object identifiers belong to x509",
    );
}

#[test]
fn only_hsm_speaks_pkcs11() {
    assert_none(&found(&rooms(workspace::root()), "hsm", pkcs11), "PKCS#11 names belong to hsm");
}

#[test]
fn the_service_knows_no_http() {
    let service: Vec<SourceFile> = rooms(workspace::root())
        .into_iter()
        .filter(|file| file.path.starts_with("ca-server/src/service/"))
        .collect();
    assert!(!service.is_empty(), "the service has moved");
    assert_none(&found(&service, "http", http), "`http` turns what the service says into HTTP");
}

/// What `offends` finds in files outside the room `home`.
fn found(
    files: &[SourceFile],
    home: &str,
    offends: fn(&SourceFile) -> Vec<(usize, String)>,
) -> Vec<String> {
    let outside = files.iter().filter(|file| file.room() != home);
    outside
        .flat_map(|file| {
            offends(file)
                .into_iter()
                .map(|(line, seen)| format!("{}:{line} says {seen:?}", file.path))
        })
        .collect()
}

fn sql(file: &SourceFile) -> Vec<(usize, String)> {
    file.texts()
        .filter(|(_, text)| is_sql(text))
        .map(|(line, text)| (line, text.to_owned()))
        .collect()
}

/// Statements, not words: English has "select" and "update" too, so those count in capitals only.
fn is_sql(text: &str) -> bool {
    const CAPITALS: &[&str] = &[
        "SELECT ",
        "PRAGMA ",
        "SAVEPOINT ",
        "BEGIN IMMEDIATE",
        "VACUUM",
        "ON CONFLICT ",
        "ORDER BY ",
    ];
    const ANY_CASE: &[&str] = &[
        "insert into ",
        "insert or ",
        "delete from ",
        "create table ",
        "create index ",
        "create unique index ",
        "create trigger ",
        "alter table ",
        "drop table ",
    ];
    let flat = text.replace("\\n", " ").replace('\\', " ");
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
    let small = flat.to_lowercase();
    let update = flat.split_once("UPDATE ").is_some_and(|(_, rest)| rest.contains(" SET "));
    update
        || CAPITALS.iter().any(|word| flat.contains(word))
        || ANY_CASE.iter().any(|words| small.contains(words))
}

/// The linter's own few identifiers, so that a wrong one in `x509` is seen by its second opinion.
const SECOND_OPINION: &str = "lint/src/oid.rs";

fn oid(file: &SourceFile) -> Vec<(usize, String)> {
    if file.path == SECOND_OPINION {
        return Vec::new();
    }
    let literals = file.texts().filter(|(_, text)| is_oid(text));
    literals.map(|(line, text)| (line, text.to_owned())).collect()
}

/// Dotted numbers that start an arc of the tree: `1.2.752`, `2.5.29.28`; not `0.1.0` or an address.
fn is_oid(text: &str) -> bool {
    let arcs: Vec<&str> = text.split('.').collect();
    arcs.len() >= 3
        && matches!(arcs[0], "1" | "2")
        && arcs.iter().all(|arc| !arc.is_empty() && arc.bytes().all(|octet| octet.is_ascii_digit()))
}

fn pkcs11(file: &SourceFile) -> Vec<(usize, String)> {
    let words = file.idents().chain(file.texts());
    words.filter(|(_, word)| is_pkcs11(word)).map(|(line, word)| (line, word.to_owned())).collect()
}

/// `cryptoki`, `C_Sign`, `CKA_ID` and their like, as a word of their own or inside a text.
fn is_pkcs11(word: &str) -> bool {
    word.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|part| {
        part == "cryptoki"
            || part
                .strip_prefix("C_")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            || ["CKA_", "CKD_", "CKF_", "CKG_", "CKK_", "CKM_", "CKO_", "CKR_", "CKS_", "CKU_"]
                .iter()
                .any(|prefix| part.starts_with(prefix))
    })
}

fn http(file: &SourceFile) -> Vec<(usize, String)> {
    const WORDS: &[&str] = &["axum", "http", "hyper", "StatusCode"];
    let words = file.idents().filter(|(_, word)| WORDS.contains(word));
    words.map(|(line, word)| (line, word.to_owned())).collect()
}

fn one(path: &str, source: &str) -> [SourceFile; 1] {
    [SourceFile::parse(path, source)]
}

#[test]
fn refuses_sql_outside_store() {
    for statement in [
        "SELECT size FROM log_head",
        "insert into certificate values (?1)",
        "UPDATE\n  log_head\n  SET size = 1",
        "PRAGMA journal_mode = WAL",
    ] {
        let source = format!("fn f() {{ run({statement:?}) }}");
        assert_one(&found(&one("ca-server/src/service.rs", &source), "store", sql), "service.rs:1");
    }
}

#[test]
fn allows_sql_in_store_and_english_elsewhere() {
    let statement = one("store/src/log.rs", r#"const Q: &str = "SELECT size FROM log_head";"#);
    let english = one(
        "cli/src/main.rs",
        r#"const M: &str = "select one of them, in order by name, or update the list";"#,
    );

    assert_none(&found(&statement, "store", sql), "store speaks SQL");
    assert_none(&found(&english, "store", sql), "English is no SQL");
}

#[test]
fn refuses_an_oid_outside_x509() {
    assert_one(
        &found(&one("lint/src/rule.rs", r#"const O: &str = "2.5.29.28";"#), "x509", oid),
        "2.5.29.28",
    );
}

#[test]
fn allows_the_linter_one_table_of_its_own() {
    let table =
        r#"const CARD_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.752.34.2.1");"#;

    assert_none(&found(&one(SECOND_OPINION, table), "x509", oid), "the second opinion");
    assert_one(&found(&one("lint/src/crl/fields.rs", table), "x509", oid), "1.2.752.34.2.1");
}

#[test]
fn allows_versions_and_addresses() {
    let source = r#"const A: [&str; 3] = ["0.1.0", "127.0.0.1", "0.0.0.0"];"#;

    assert_none(&found(&one("cli/src/main.rs", source), "x509", oid), "none is an OID");
}

#[test]
fn refuses_http_in_the_service() {
    for source in ["use crate::http::peer::Caller;", "fn f() { StatusCode::CREATED }"] {
        assert_one(
            &found(&one("ca-server/src/service/issue.rs", source), "http", http),
            "service/issue.rs:1",
        );
    }
}

#[test]
fn refuses_pkcs11_outside_hsm() {
    for source in [
        "use cryptoki::context::Pkcs11;",
        "fn f() { C_Sign(); }",
        r#"const M: &str = "token said CKR_PIN_LOCKED";"#,
    ] {
        assert_one(&found(&one("store/src/key.rs", source), "hsm", pkcs11), "store/src/key.rs:1");
    }
}

#[test]
fn allows_pkcs11_in_hsm_and_words_that_only_resemble_it() {
    assert_none(
        &found(&one("hsm/src/token.rs", "fn f() { C_Sign(CKA_ID); }"), "hsm", pkcs11),
        "hsm may",
    );
    assert_none(
        &found(&one("ca/src/a.rs", "fn f(abc_d: C_, c_sign: u8) {}"), "hsm", pkcs11),
        "not PKCS#11",
    );
}

//! The table of results that operators read, docs/operations/hsm-errors.md: what the programs promise to do.
//!
//! The hsm room has a test that the page is the table in its code; the matrix has the room keep it.

use std::collections::BTreeMap;
use std::fs;

use support::laboratory::Function;
use support::workspace;

/// What the page says of each result.
pub(crate) struct Page {
    rows: BTreeMap<String, Words>,
    columns: Vec<String>,
}

struct Words {
    classes: Vec<String>,
    signed: Signed,
}

/// Whether the key may have worked although C_Sign returned an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    No,
    NotReturned,
    Perhaps,
}

impl Page {
    pub(crate) fn read() -> Self {
        let path = workspace::root().join("docs/operations/hsm-errors.md");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut lines = text.lines().skip_while(|line| !line.starts_with("| Result |")).map(cells);
        let heads = lines.next().expect("a table of results");
        let columns = heads[1..heads.len() - 1].to_vec();
        let rows = lines.skip(1).map(|cells| {
            assert_eq!(cells.len(), heads.len(), "{cells:?}");
            let signed = match cells[cells.len() - 1].as_str() {
                "no" => Signed::No,
                "not returned" => Signed::NotReturned,
                "perhaps" => Signed::Perhaps,
                other => panic!("signed? {other:?}"),
            };
            let classes = cells[1..cells.len() - 1].to_vec();
            (cells[0].trim_matches('`').to_owned(), Words { classes, signed })
        });
        Self { rows: rows.collect(), columns }
    }

    /// The class of a result of a function.
    pub(crate) fn class(&self, function: Function, name: &str, code: u64) -> &str {
        let column = column(function);
        let place = self.columns.iter().position(|one| one == column).expect(column);
        &self.words(name, code).classes[place]
    }

    /// Whether C_Sign may have signed all the same.
    pub(crate) fn signed(&self, name: &str, code: u64) -> Signed {
        self.words(name, code).signed
    }

    fn words(&self, name: &str, code: u64) -> &Words {
        let unknown =
            if code >= 0x8000_0000 { "a vendor's own code" } else { "a code that nobody knows" };
        self.rows.get(name).or_else(|| self.rows.get(unknown)).expect("a row for any code")
    }
}

/// The column in which a function stands.
fn column(function: Function) -> &'static str {
    match function {
        Function::Initialize | Function::Finalize | Function::GetInfo => "start",
        Function::GetSlotList
        | Function::GetSlotInfo
        | Function::GetTokenInfo
        | Function::GetMechanismList
        | Function::GetMechanismInfo => "list",
        Function::OpenSession => "open",
        Function::CloseSession | Function::GetSessionInfo | Function::Logout => "session",
        Function::Login => "login",
        Function::FindObjectsInit
        | Function::FindObjects
        | Function::FindObjectsFinal
        | Function::GetAttributeValue => "find",
        Function::SignInit => "sign-init",
        Function::Sign => "sign",
        Function::GenerateKeyPair
        | Function::CreateObject
        | Function::CopyObject
        | Function::DestroyObject
        | Function::SetAttributeValue
        | Function::InitToken
        | Function::InitPIN
        | Function::SetPIN => "make",
        _ => "other",
    }
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn the_page_has_a_word_for_every_result_of_every_function() {
    let page = Page::read();

    assert_eq!(page.class(Function::SignInit, "CKR_SESSION_HANDLE_INVALID", 0xb3), "fresh session");
    assert_eq!(page.class(Function::GetSlotList, "CKR_GENERAL_ERROR", 5), "reconnect");
    assert_eq!(page.class(Function::Login, "CKR_SOMETHING_OF_A_VENDOR", 0x8000_0001), "human: PIN");
    assert_eq!(page.signed("CKR_DEVICE_ERROR", 0x30), Signed::NotReturned);
    assert_eq!(page.signed("CKR_OF_THE_FUTURE", 0x7000_0001), Signed::Perhaps);
}

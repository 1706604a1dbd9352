//! What must come of a row of the matrix by the page that operators read, whatever the room's code says.

use std::time::Duration;

use support::laboratory::Function;

use crate::page::{Page, Signed};
use crate::rows::{FailedCall, Often, Outcome, Row, Work};

/// Classes by which the room goes on by itself.
pub(crate) const HEALED: [&str; 2] = ["fresh session", "reconnect"];

/// What C_GetAttributeValue says where it has told of the other attributes (PKCS#11 v3.1 §5.7.5).
const OF_AN_ATTRIBUTE: [&str; 3] =
    ["CKR_ATTRIBUTE_SENSITIVE", "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_BUFFER_TOO_SMALL"];

/// Whether an error named the disturbed call, and so could be compared with the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Class,
    Nothing,
}

/// Judges a row by how its work ended and how often its fault struck.
pub(crate) fn judge(
    page: &Page,
    row: &Row,
    outcome: &Outcome,
    strikes: u64,
) -> Result<Compared, String> {
    // A device that says all is well, and has done nothing, is found out elsewhere.
    if row.code == 0 {
        return Ok(Compared::Nothing);
    }
    let class = page.class(row.function, &row.name, row.code);
    let compared = compare(row, outcome, class)?;
    let heals = HEALED.contains(&class);
    match row.function {
        Function::Sign => signature(page.signed(&row.name, row.code), heals, row, outcome)?,
        Function::Login if strikes > 1 => return Err(format!("sent the PIN {strikes} times")),
        Function::GenerateKeyPair if class == "other template" => {
            wanted(row.often == Often::Once, outcome, "another template")?;
        }
        Function::GenerateKeyPair if strikes > 1 => {
            return Err(format!("asked for a key {strikes} times"));
        }
        Function::GetSlotList
        | Function::OpenSession
        | Function::FindObjectsInit
        | Function::FindObjects
        | Function::SignInit => wanted(heals && row.often == Often::Once, outcome, class)?,
        // Of an attribute alone, which a token need not know.
        Function::GetAttributeValue if OF_AN_ATTRIBUTE.contains(&row.name.as_str()) => {}
        Function::GetAttributeValue => wanted(heals && row.often == Often::Once, outcome, class)?,
        // Failures of the others are borne, or are told of by what comes of them.
        _ => {}
    }
    let once = matches!(row.function, Function::SignInit | Function::Sign)
        && row.work == Work::Sign
        && !heals;
    if once && strikes != 1 {
        return Err(format!("{class}: tried {strikes} times"));
    }
    let lasting = row.function == Function::SignInit && row.often == Often::Lasting;
    if lasting && row.work == Work::Sign && heals && strikes < 2 {
        return Err(format!("{class}: tried {strikes} times"));
    }
    Ok(compared)
}

/// The class of the failed call is the page's.
pub(crate) fn compare(row: &Row, outcome: &Outcome, class: &str) -> Result<Compared, String> {
    match outcome {
        Outcome::Refused { call: Some(call), .. } if is_of(row, call) => {
            let told = call.class.name();
            let same = told == class;
            same.then_some(Compared::Class)
                .ok_or_else(|| format!("is {told:?}, the page says {class:?}"))
        }
        _ => Ok(Compared::Nothing),
    }
}

fn is_of(row: &Row, call: &FailedCall) -> bool {
    // The binding tells of codes that it does not know by their number.
    let number = format!("{:#010x}", row.code);
    call.function == row.function.name()
        && (call.result == row.name || call.result.contains(&number))
}

/// A signature that may exist is not made again; one that may not, or was not returned, is.
fn signature(signed: Signed, heals: bool, row: &Row, outcome: &Outcome) -> Result<(), String> {
    let again = heals && signed != Signed::Perhaps;
    wanted(again && row.often == Often::Once, outcome, &format!("{signed:?}"))
}

fn wanted(done: bool, outcome: &Outcome, why: &str) -> Result<(), String> {
    match (done, outcome) {
        (true, Outcome::Refused { .. }) => Err(format!("{why}: not made good: {outcome:?}")),
        (false, Outcome::Done) => Err(format!("{why}: done although the call failed")),
        _ => Ok(()),
    }
}

/// How often the module may be initialised anew for a row that took so long with its recovery: never for a
/// result that does not say that token, session or module is lost, so that no needless initialisation
/// explains the login that follows it.
pub(crate) fn most_renewals(page: &Page, row: &Row, took: Duration) -> u64 {
    // Once a second, and once when the row began.
    let as_often_as_it_may = 2 + took.as_secs();
    let heals = HEALED.contains(&page.class(row.function, &row.name, row.code));
    match (row.work, row.function) {
        // Something else has finalised it.
        (Work::Revive, _) => as_often_as_it_may,
        // A token that is not told of is looked for by a module that begins anew, whatever the result.
        (_, Function::GetTokenInfo | Function::GetSlotList) => as_often_as_it_may,
        _ if heals || row.code == 0 => as_often_as_it_may,
        _ => 0,
    }
}

/// How often the key may have signed a text of this row without anybody getting the signature.
pub(crate) fn most_withheld(page: &Page, row: &Row) -> usize {
    if row.work != Work::Withhold || row.code == 0 {
        return 0;
    }
    let heals = HEALED.contains(&page.class(row.function, &row.name, row.code));
    match page.signed(&row.name, row.code) {
        // The device breaks the standard: it says that it has done nothing.
        Signed::No if heals => usize::MAX,
        Signed::NotReturned if heals => 2,
        Signed::No | Signed::NotReturned | Signed::Perhaps => 1,
    }
}

#[cfg(test)]
mod tests {
    use hsm::FailureClass;

    use super::*;

    fn row(function: Function, name: &str, code: u64, often: Often) -> Row {
        Row { function, work: Work::Sign, name: name.to_owned(), code, often }
    }

    fn refused(function: &str, result: &str, class: FailureClass) -> Outcome {
        let call = FailedCall { function: function.to_owned(), result: result.to_owned(), class };
        Outcome::Refused { code: "hsm-sign", call: Some(call) }
    }

    /// The judge itself is judged: a class that the page does not say, work that was not made good, a
    /// second try of what is refused, a signature made again that may exist.
    #[test]
    fn refuses_what_the_page_does_not_promise() {
        let page = Page::read();
        let lost = row(Function::SignInit, "CKR_SESSION_CLOSED", 0xb0, Often::Once);
        let never = row(Function::SignInit, "CKR_ARGUMENTS_BAD", 7, Often::Lasting);
        let perhaps = row(Function::Sign, "CKR_SIGNATURE_INVALID", 0xc0, Often::Once);
        let other = refused("C_SignInit", "CKR_ARGUMENTS_BAD", FailureClass::SessionLost);
        let right = refused("C_SignInit", "CKR_ARGUMENTS_BAD", FailureClass::Refused);
        let closed = refused("C_SignInit", "CKR_SESSION_CLOSED", FailureClass::SessionLost);

        assert!(judge(&page, &never, &other, 1).unwrap_err().contains("the page says"));
        assert!(judge(&page, &never, &right, 2).unwrap_err().contains("tried 2 times"));
        assert_eq!(judge(&page, &never, &right, 1), Ok(Compared::Class));
        assert!(judge(&page, &lost, &closed, 1).unwrap_err().contains("not made good"));
        assert_eq!(judge(&page, &lost, &Outcome::Done, 1), Ok(Compared::Nothing));
        assert!(judge(&page, &perhaps, &Outcome::Done, 1).is_err());
        let of = |row| most_renewals(&page, row, Duration::from_millis(1500));
        assert_eq!((of(&never), of(&perhaps), of(&lost)), (0, 0, 3));
        let [read, unreadable] = [("CKR_GENERAL_ERROR", 5), ("CKR_ARGUMENTS_BAD", 7)]
            .map(|(name, code)| row(Function::GetAttributeValue, name, code, Often::Once));
        let broken = refused("C_GetAttributeValue", "CKR_GENERAL_ERROR", FailureClass::SessionLost);
        assert!(judge(&page, &read, &broken, 1).unwrap_err().contains("not made good"));
        assert!(judge(&page, &unreadable, &Outcome::Done, 1).is_err());
        let login = row(Function::Login, "CKR_USER_ALREADY_LOGGED_IN", 0x100, Often::Lasting);
        assert!(judge(&page, &login, &Outcome::Done, 2).unwrap_err().contains("the PIN 2 times"));
    }
}

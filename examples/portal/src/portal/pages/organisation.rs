//! Organisations, and certificates of functions.

use portal::html::{anchor, both, choice, escape, facts, field, form, hidden, part, table};
use portal::serving::Reply;
use x509::time::UnixTime;

use super::View;
use super::order::path_part;
use crate::ca::Trouble;
use crate::desk::now;

const KINDS: &[(&str, &str, &str)] = &[
    ("directly-connected", "Direktansluten organisation", "Directly connected"),
    ("third-party", "Tredjepartsorganisation", "Third party"),
    ("sub-organisation", "Underorganisation", "Part of an organisation"),
    ("office", "Kontor", "Office"),
];

const FUNCTION_PROFILES: &[(&str, &str, &str)] = &[
    ("function", "Server och klient", "Server and client"),
    ("function-client", "Klient", "Client"),
    ("function-machine", "Maskin", "Machine"),
    ("function-ec", "Server och klient på P-256", "Server and client on P-256"),
];

/// The organisations of the portal.
fn all(view: &View<'_>) -> Result<Vec<api::Organisation>, Trouble> {
    let found: api::Page<api::Organisation> = view.desk.ca.see("/v1/organisations")?;
    Ok(found.items)
}

/// Number and name of those that have a number and are there today.
pub(crate) fn numbered(view: &View<'_>) -> Result<Vec<(String, String)>, Trouble> {
    let there = all(view)?.into_iter().filter(|one| one.active);
    Ok(there.filter_map(|one| Some((one.number?, one.name))).collect())
}

/// All of them, and the form of a new one.
pub(crate) fn list(view: &View<'_>) -> Reply {
    let found = match all(view) {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let rows: Vec<_> = found
        .iter()
        .map(|one| {
            vec![
                anchor(&format!("/organisations/{}", one.id), &one.name),
                escape(&one.kind_sv),
                escape(one.number.as_deref().or(one.office.as_deref()).unwrap_or_default()),
                escape(&one.from),
                escape(one.until.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let heads = [
        ("Namn", "Name"),
        ("Slag", "Kind"),
        ("Nummer", "Number"),
        ("Från", "From"),
        ("Till", "Until"),
    ];
    let parents: Vec<_> =
        found.iter().map(|one| (&one.id[..], &one.name[..], &one.kind_sv[..])).collect();
    let fields = hidden("kind", "add-organisation")
        + &hidden("actor", &view.who.said.hsa_id)
        + &choice("kind_of", ("Slag", "Kind"), KINDS)
        + &choice("parent", ("Under", "Under"), &parents)
        + &field("name", ("Namn", "Name"), "", "required")
        + &field(
            "number",
            ("Organisationsnummer (ej kontor)", "Organisation number (not of offices)"),
            "",
            "pattern=\"[0-9]{10}\"",
        )
        + &field("office", ("Kontorets id", "Id of an office"), "", "")
        + &field("from", ("Första dag", "First day"), &today(), "required")
        + &field("note", ("Anteckning", "Note"), "", "");
    let content = table(("Organisationer", "Organisations"), &heads, &rows)
        + &part(
            "Ny organisation",
            "New organisation",
            &form("/acts", &fields, ("Lägg till", "Add")),
        );
    view.page(("Organisationer", "Organisations"), &content)
}

/// One, and how it is changed and ended.
pub(crate) fn show(view: &View<'_>, id: &str) -> Reply {
    let one: api::Organisation =
        match view.desk.ca.see(&format!("/v1/organisations/{}", path_part(id))) {
            Ok(found) => found,
            Err(trouble) => return view.troubled(&trouble),
        };
    let rests_on = |kind| {
        hidden("kind", kind)
            + &hidden("id", &one.id)
            + &hidden("actor", &view.who.said.hsa_id)
            + &hidden("revision", &one.revision.to_string())
    };
    let change = rests_on("change-organisation")
        + &field("name", ("Nytt namn", "New name"), &one.name, "")
        + &field("note", ("Anteckning", "Note"), "", "");
    let end = rests_on("end-organisation")
        + &field("until", ("Sista dag", "Last day"), &today(), "")
        + &field("note", ("Anteckning", "Note"), "", "");
    let content = facts(&[
        (("Namn", "Name"), escape(&one.name)),
        (("Slag", "Kind"), escape(&one.kind_sv)),
        (("Nummer", "Number"), escape(one.number.as_deref().unwrap_or_default())),
        (("Kontor", "Office"), escape(one.office.as_deref().unwrap_or_default())),
        (("Från", "From"), escape(&one.from)),
        (("Till", "Until"), escape(one.until.as_deref().unwrap_or_default())),
        (("Id", "Id"), escape(&one.id)),
    ]) + &part("Ändra", "Change", &form("/acts", &change, ("Ändra", "Change")))
        + &part("Avsluta", "End", &form("/acts", &end, ("Avsluta", "End")));
    view.page(("Organisation", "Organisation"), &content)
}

/// The form of a function's certificate.
pub(crate) fn functions(view: &View<'_>) -> Reply {
    let label = both("Begäran (PKCS #10, PEM)", "Request (PKCS #10, PEM)");
    let fields = hidden("kind", "issue-function")
        + &choice("profile", ("Slag", "Kind"), FUNCTION_PROFILES)
        + &field("common_name", ("Namn", "Common name"), "", "required")
        + &field("hsa_id", ("Funktionens HSA-id", "HSA-id of the function"), "", "required")
        + &field("organisation_name", ("Organisation", "Organisation"), "", "required")
        + &field(
            "dns",
            ("DNS-namn, med blanksteg mellan", "DNS names, with spaces between"),
            "",
            "",
        )
        + &format!(
            "<p><label>{label}<br><textarea name=\"csr\" rows=\"8\" required></textarea></label></p>\n"
        );
    let content = form("/acts", &fields, ("Utfärda", "Issue"));
    view.page(("Funktionscertifikat", "Function certificates"), &content)
}

/// Today's date, of UTC.
fn today() -> String {
    let now = UnixTime::from_secs(now()).map(|now| now.to_string()).unwrap_or_default();
    now.split('T').next().unwrap_or_default().to_owned()
}

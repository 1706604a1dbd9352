//! Finding eIDs, cards and certificates, saying why one does not work, and revoking.

use portal::form::{Form, link};
use portal::html::{alert, anchor, both, choice, escape, facts, field, form, hidden, part, table};
use portal::serving::Reply;

use super::View;
use super::order::path_part;
use crate::ca::Trouble;

/// What can have happened, as docs/revocation-events.md has it, of persons' certificates.
const EVENTS: &[(&str, &str, &str)] = &[
    ("lost", "Förlorad", "Lost"),
    ("stolen", "Stulen", "Stolen"),
    ("mislaid", "Borta för tillfället (tillfällig spärr)", "Mislaid (hold)"),
    ("pin-disclosed", "Röjd pinkod", "PIN disclosed"),
    ("damaged", "Trasig", "Damaged"),
    ("replaced", "Ersatt", "Replaced"),
    ("updated", "Uppdaterat SITHS eID", "Updated"),
    ("name-changed", "Namnbyte", "Name changed"),
    ("employment-ended", "Avslutad anställning", "Employment ended"),
    ("deceased", "Avliden", "Deceased"),
    ("not-wanted", "Eget önskemål", "Not wanted"),
    ("issued-to-another", "Utlämnad till fel person", "Issued to another"),
    ("wrongly-issued", "Felaktigt utfärdad", "Wrongly issued"),
    ("terms-broken", "Brott mot villkoren", "Terms broken"),
    ("organisation-ended", "Organisationen har upphört", "Organisation ended"),
];

/// The same of functions.
const FUNCTION_EVENTS: &[(&str, &str, &str)] = &[
    ("key-exposed", "Röjd nyckel", "Key exposed"),
    ("function-retired", "Avvecklad funktion", "Function retired"),
    ("function-renewed", "Förnyat funktionscertifikat", "Renewed"),
    ("domain-lost", "Domänen har bytt ägare", "Domain lost"),
];

/// The portal's three fields.
pub(crate) fn search(view: &View<'_>) -> Reply {
    view.page(("Sök", "Search"), &search_form())
}

fn search_form() -> String {
    let fields = field("person", ("Person-id, ååååmmdd-nnnn", "Personal number"), "", "")
        + &field(
            "hsa_id_end",
            (
                "Tjänste-id, minst de tre sista tecknen",
                "End of the HSA-id, at least three characters",
            ),
            "",
            "",
        )
        + &field(
            "card_number",
            ("Kortserienummer, 19 siffror", "Card number, 19 digits"),
            "",
            "inputmode=\"numeric\"",
        );
    form("/search", &fields, ("Sök", "Search"))
}

/// What they find. The question has a body: it names a person, and stands in no address.
pub(crate) fn found(view: &View<'_>, fields: &Form) -> Reply {
    let question = api::EidSearch {
        person: fields.given("person"),
        hsa_id_end: fields.given("hsa_id_end"),
        card_number: fields.given("card_number"),
        organisation: None,
        cursor: fields.given("cursor"),
        limit: None,
    };
    let found: Result<api::Page<api::Eid>, Trouble> =
        view.desk.ca.ask("/v1/eids/search", &question);
    let found = match found {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let rows: Vec<_> = found.items.iter().map(eid_row).collect();
    let heads = [
        ("SITHS eID", "eID"),
        ("Läge", "Stage"),
        ("Organisation", "Organisation"),
        ("Bärare", "Carrier"),
    ];
    let mut content = search_form() + &table(("Träffar", "Found"), &heads, &rows);
    if let Some(next) = found.next {
        let mut hiddens = hidden("cursor", &next);
        for name in ["person", "hsa_id_end", "card_number"] {
            if let Some(value) = fields.given(name) {
                hiddens += &hidden(name, &value);
            }
        }
        content += &form("/search", &hiddens, ("Fler", "More"));
    }
    view.page(("Sök", "Search"), &content)
}

fn eid_row(eid: &api::Eid) -> Vec<String> {
    vec![
        anchor(&format!("/eids/{}", eid.id), &eid.id),
        both(&eid.stage_sv, word(&eid.stage).as_str()),
        escape(&eid.organisation),
        anchor(&format!("/carriers/{}", eid.carrier), &eid.carrier),
    ]
}

/// A value of the contract by its name there.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A row of a table of certificates.
pub(crate) fn certificate_row(one: &api::Certificate) -> Vec<String> {
    let reason = one.reason.as_ref().map(|reason| format!(" ({})", escape(&word(reason))));
    vec![
        anchor(&format!("/certificates/{}", one.id), &one.id),
        escape(&one.profile),
        format!("{}{}", escape(&word(&one.state)), reason.unwrap_or_default()),
        escape(&one.not_after),
    ]
}

fn certificates(list: &[api::Certificate]) -> String {
    let heads = [
        ("Certifikat", "Certificate"),
        ("Profil", "Profile"),
        ("Läge", "State"),
        ("Till", "Until"),
    ];
    let rows: Vec<_> = list.iter().map(certificate_row).collect();
    table(("Certifikat", "Certificates"), &heads, &rows)
}

/// The form of a revocation.
fn revocation(
    kind: &str,
    id: &str,
    back: &str,
    events: &[(&str, &str, &str)],
    button: (&str, &str),
) -> String {
    let fields = hidden("kind", kind)
        + &hidden("id", id)
        + &hidden("back", back)
        + &choice("event", ("Vad har hänt?", "What has happened?"), events)
        + &field(
            "requested_at",
            ("Begärdes (om tidigare)", "Asked for (where earlier)"),
            "",
            "placeholder=\"2026-11-23T09:00:00Z\"",
        );
    form("/acts", &fields, button)
}

fn diagnosis_form(name: &str, id: &str) -> String {
    let fields = hidden(name, id)
        + &choice(
            "use",
            ("Vad fungerar inte?", "What does not work?"),
            &[("login", "Legitimering", "Login"), ("signature", "Underskrift", "Signature")],
        )
        + &choice(
            "level",
            ("Minsta tillitsnivå", "Level at least"),
            &[("", "Valfri", "Any"), ("2", "2", ""), ("3", "3", "")],
        );
    form("/diagnosis", &fields, ("Varför fungerar det inte?", "Why does it not work?"))
}

/// An eID.
pub(crate) fn eid(view: &View<'_>, id: &str) -> Reply {
    let here = format!("/eids/{}", path_part(id));
    let eid: api::Eid = match view.desk.ca.see(&format!("/v1{here}")) {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let content = facts(&[
        (
            ("Läge", "Stage"),
            format!("<span class=\"stage\">{}</span>", both(&eid.stage_sv, &word(&eid.stage))),
        ),
        (("Organisation", "Organisation"), escape(&eid.organisation)),
        (
            ("Utfärdande organisation", "Issuing organisation"),
            escape(eid.issuing_organisation.as_deref().unwrap_or_default()),
        ),
        (("Bärare", "Carrier"), anchor(&format!("/carriers/{}", eid.carrier), &eid.carrier)),
        (("Skapad", "Created"), escape(&eid.created)),
    ]) + &certificates(&eid.certificates)
        + &format!(
            "<p>{}</p>\n",
            anchor(
                &link("/orders/new", &[("replaces_eid", &eid.id)]),
                "Ersätt eller uppdatera / Replace or update"
            )
        )
        + &diagnosis_form("eid", &eid.id)
        + &part(
            "Spärra",
            "Revoke",
            &revocation(
                "revoke-eid",
                &eid.id,
                &here,
                EVENTS,
                ("Spärra SITHS eID", "Revoke the eID"),
            ),
        );
    view.page(("SITHS eID", "eID"), &content)
}

/// A card or a telephone, with every eID on it.
pub(crate) fn carrier(view: &View<'_>, id: &str) -> Reply {
    let here = format!("/carriers/{}", path_part(id));
    let carrier: api::Carrier = match view.desk.ca.see(&format!("/v1{here}")) {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let rows: Vec<_> = carrier.eids.iter().map(eid_row).collect();
    let heads = [
        ("SITHS eID", "eID"),
        ("Läge", "Stage"),
        ("Organisation", "Organisation"),
        ("Bärare", "Carrier"),
    ];
    let unbound = if carrier.unbound == 0 { String::new() } else { carrier.unbound.to_string() };
    let foreign = if carrier.foreign { both("ja", "yes") } else { String::new() };
    let content = facts(&[
        (
            ("Läge", "Stage"),
            format!(
                "<span class=\"stage\">{}</span>",
                both(&carrier.stage_sv, &word(&carrier.stage))
            ),
        ),
        (("Slag", "Kind"), both(&carrier.kind_sv, &carrier.kind)),
        (("Kortfamilj", "Family"), escape(&carrier.family)),
        (("Spärrad", "Revoked"), escape(carrier.revoked_at.as_deref().unwrap_or_default())),
        (("Certifikat utan SITHS eID", "Certificates of no eID"), unbound),
        (("SITHS eID hos andra organisationer", "eIDs of other organisations"), foreign),
    ]) + &table(("SITHS eID på bäraren", "eIDs on it"), &heads, &rows)
        + &diagnosis_form("carrier", &carrier.id)
        + &part(
            "Spärra",
            "Revoke",
            &revocation(
                "revoke-carrier",
                &carrier.id,
                &here,
                EVENTS,
                ("Spärra kort", "Revoke the card"),
            ),
        );
    view.page(("Bärare", "Carrier"), &content)
}

/// A certificate.
pub(crate) fn certificate(view: &View<'_>, id: &str) -> Reply {
    let here = format!("/certificates/{}", path_part(id));
    let one: api::Certificate = match view.desk.ca.see(&format!("/v1{here}")) {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let is_function = one.profile.starts_with("function");
    let events = if is_function { FUNCTION_EVENTS } else { EVENTS };
    let mut content = facts(&[
        (("Läge", "State"), format!("<span class=\"stage\">{}</span>", escape(&word(&one.state)))),
        (("Orsak", "Reason"), escape(&one.reason.as_ref().map(word).unwrap_or_default())),
        (("Spärrat", "Revoked"), escape(one.revoked_at.as_deref().unwrap_or_default())),
        (("Profil", "Profile"), escape(&one.profile)),
        (("Utfärdare", "Authority"), escape(&one.authority)),
        (("Serienummer", "Serial number"), escape(&one.serial)),
        (("Från", "From"), escape(&one.not_before)),
        (("Till", "Until"), escape(&one.not_after)),
        (("Slutar genom", "Ended by"), escape(one.ended_by.as_deref().unwrap_or_default())),
    ]) + &diagnosis_form("certificate", &one.id)
        + &part(
            "Spärra",
            "Revoke",
            &revocation(
                "revoke-certificate",
                &one.id,
                &here,
                events,
                ("Spärra certifikat", "Revoke the certificate"),
            ),
        );
    if one.state == api::CertificateState::Held {
        let fields =
            hidden("kind", "release-certificate") + &hidden("id", &one.id) + &hidden("back", &here);
        content += &form("/acts", &fields, ("Häv tillfällig spärr", "End the hold"));
    }
    if let Some(pem) = &one.certificate {
        content += &format!("<pre>{}{}</pre>", escape(pem), escape(&one.chain.concat()));
    }
    view.page(("Certifikat", "Certificate"), &content)
}

/// Why something does not work, and what to do.
pub(crate) fn diagnosis(view: &View<'_>, fields: &Form) -> Reply {
    let wanted = match fields.text("use") {
        "signature" => api::DiagnosisUse::Signature,
        _ => api::DiagnosisUse::Login,
    };
    let question = api::DiagnosisRequest {
        certificate: fields.given("certificate"),
        certificate_pem: None,
        eid: fields.given("eid"),
        carrier: fields.given("carrier"),
        card_number: fields.given("card_number"),
        wanted,
        level: fields.text("level").parse().ok(),
    };
    let found: Result<api::Diagnosis, Trouble> = view.desk.ca.ask("/v1/diagnosis", &question);
    let found = match found {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let mut content = if found.works {
        format!("<p class=\"stage\">{}</p>", both("Det ska fungera.", "It should work."))
    } else {
        format!("<p class=\"stage\">{}</p>", both("Det fungerar inte.", "It does not work."))
    };
    for one in &found.obstacles {
        content += &alert(&format!(
            "<p>{}</p>\n<p>{}</p>\n<p><code>{}</code></p>",
            both(&one.reason_sv, &one.reason),
            both(&one.remedy_sv, &one.remedy),
            escape(&one.code)
        ));
    }
    let rows: Vec<_> = found
        .certificates
        .iter()
        .map(|one| {
            let codes: Vec<_> = one.obstacles.iter().map(|one| escape(&one.code)).collect();
            vec![
                anchor(&link(&format!("/certificates/{}", one.id), &[]), &one.id),
                escape(&word(&one.state)),
                codes.join(", "),
            ]
        })
        .collect();
    let heads = [("Certifikat", "Certificate"), ("Läge", "State"), ("Hinder", "Obstacles")];
    content += &table(("Undersökta", "Looked at"), &heads, &rows);
    view.page(("Diagnos", "Diagnosis"), &content)
}

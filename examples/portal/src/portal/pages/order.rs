//! Orders: making one, taking its steps, and what the card has to do with them.

use portal::form::{Form, link};
use portal::html::{anchor, both, choice, escape, facts, field, form, hidden, part, table};
use portal::serving::Reply;
use x509::time::UnixTime;

use super::View;
use crate::ca::Trouble;
use crate::desk::now;

/// How identity is proven at a visit, as profiles/lists has it.
const METHODS: &[(&str, &str, &str)] = &[
    ("swedish-passport", "Svenskt pass (vinröd bok)", "Swedish passport"),
    ("national-id-card", "Nationellt id-kort", "Swedish national identity card"),
    ("swedish-driving-licence", "Svenskt körkort", "Swedish driving licence"),
    ("swedish-tax-agency-id", "Skatteverkets id-kort", "Identity card of the Swedish Tax Agency"),
    ("sis-id-card", "SIS-godkänt id-kort", "SIS-approved identity card"),
    ("foreign-passport", "Utländskt pass", "Passport of another country"),
];

const ROUTINES: &[(&str, &str, &str)] = &[
    ("office-visit", "Besök hos ID-administratör, tillitsnivå 3", "Visit, level 3"),
    ("office-visit-2", "Besök hos ID-administratör, tillitsnivå 2", "Visit, level 2"),
    ("reserve-card-3", "Reservkort tillitsnivå 3", "Reserve card, level 3"),
    ("reserve-card-2", "Reservkort tillitsnivå 2", "Reserve card, level 2"),
];

const ROLES: &[(&str, &str, &str)] = &[
    ("id-administrator", "Handläggare", "ID administrator"),
    (
        "reserve-card-administrator-3",
        "Reservkortshandläggare tillitsnivå 3",
        "Reserve cards, level 3",
    ),
    (
        "reserve-card-administrator-2",
        "Reservkortshandläggare tillitsnivå 2",
        "Reserve cards, level 2",
    ),
    ("responsible-issuer", "Ansvarig utgivare", "Responsible issuer"),
];

/// The profiles for authentication, and those for signatures.
const PROFILES: [&[(&str, &str, &str)]; 2] = [
    &[
        ("person-hsaid-3-authentication", "Tjänste-id, tillitsnivå 3", "Service identity, level 3"),
        ("person-id-3-authentication", "Person-id, tillitsnivå 3", "Person, level 3"),
        ("person-hsaid-2-authentication", "Tjänste-id, tillitsnivå 2", "Service identity, level 2"),
        ("person-id-2-authentication", "Person-id, tillitsnivå 2", "Person, level 2"),
        ("reserve-hsaid-3-authentication", "Reservkort, tillitsnivå 3", "Reserve card, level 3"),
        ("reserve-hsaid-2-authentication", "Reservkort, tillitsnivå 2", "Reserve card, level 2"),
        ("extra-hsaid-3-authentication", "Extra SITHS eID, tillitsnivå 3", "Extra eID, level 3"),
    ],
    &[
        ("person-hsaid-3-signature", "Tjänste-id, tillitsnivå 3", "Service identity, level 3"),
        ("", "Inget", "None"),
        ("person-id-3-signature", "Person-id, tillitsnivå 3", "Person, level 3"),
        ("person-hsaid-2-signature", "Tjänste-id, tillitsnivå 2", "Service identity, level 2"),
        ("person-id-2-signature", "Person-id, tillitsnivå 2", "Person, level 2"),
        ("reserve-hsaid-3-signature", "Reservkort, tillitsnivå 3", "Reserve card, level 3"),
        ("reserve-hsaid-2-signature", "Reservkort, tillitsnivå 2", "Reserve card, level 2"),
        ("extra-hsaid-3-signature", "Extra SITHS eID, tillitsnivå 3", "Extra eID, level 3"),
    ],
];

/// What happened to what an order replaces, as routines have rules for it.
const REPLACED: &[(&str, &str, &str)] = &[
    ("replaced", "Kortet byts", "The card is replaced"),
    ("lost", "Kortet är förlorat", "The card is lost"),
    ("stolen", "Kortet är stulet", "The card is stolen"),
    ("pin-disclosed", "Röjd pinkod", "PIN disclosed"),
    ("damaged", "Kortet är trasigt", "The card is damaged"),
    ("updated", "Uppdatera SITHS eID på samma kort", "Update the eID on the same card"),
    ("name-changed", "Namnbyte", "Name changed"),
];

/// The form of a new order, of one that replaces an eID too.
pub(crate) fn new(view: &View<'_>, asked: &Form) -> Reply {
    let organisations = match super::organisation::numbered(view) {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let options: Vec<_> =
        organisations.iter().map(|(number, name)| (&number[..], &name[..], &number[..])).collect();
    let name = organisations.first().map(|(_, name)| &name[..]).unwrap_or_default();
    let [authentication, signature] = PROFILES;
    let replaces = match asked.given("replaces_eid") {
        None => String::new(),
        Some(eid) => {
            hidden("replaces_eid", &eid)
                + &facts(&[(("Ersätter", "Replaces"), anchor(&format!("/eids/{eid}"), &eid))])
                + &choice("replaces_event", ("Varför?", "Why?"), REPLACED)
                + &field(
                    "replaces_since",
                    ("Hände (om tidigare)", "Happened (where earlier)"),
                    "",
                    "placeholder=\"2026-11-20T09:00:00Z\"",
                )
        }
    };
    let fields = hidden("kind", "prepare")
        + &replaces
        + &field("given_name", ("Förnamn", "Given name"), "", "required")
        + &field("surname", ("Efternamn", "Surname"), "", "required")
        + &choice(
            "identity",
            ("Identitet", "Identity"),
            &[
                ("personnummer", "Personnummer", "Personal identity number"),
                ("samordningsnummer", "Samordningsnummer", "Coordination number"),
            ],
        )
        + &field(
            "number",
            ("Nummer, ååååmmddnnnn", "Number, 12 digits"),
            "",
            "inputmode=\"numeric\" required",
        )
        + &field("hsa_id", ("HSA-id", "HSA-id"), "", "")
        + &choice("organisation", ("Organisation", "Organisation"), &options)
        + &field(
            "organisation_name",
            ("Organisationens namn i certifikatet", "Its name in the certificate"),
            name,
            "required",
        )
        + &field(
            "issuing",
            (
                "Kortets organisation, om en annan (extra SITHS eID)",
                "Number of the card's organisation, where another",
            ),
            "",
            "pattern=\"[0-9]{10}\"",
        )
        + &field("issuing_name", ("Dess namn", "Its name"), "", "")
        + &choice("routine", ("Rutin", "Routine"), ROUTINES)
        + &choice("role", ("Beställs som", "Ordered as"), ROLES)
        + &choice(
            "family",
            ("Kort", "Card"),
            &[
                ("nls-card-2023", "Ordinarie kort", "Ordinary card"),
                ("reserve-card-2023", "Reservkort", "Reserve card"),
            ],
        )
        + &field(
            "card_number",
            ("Kortets nummer, 19 siffror", "Number of the card, 19 digits"),
            "",
            "pattern=\"[0-9]{19}\" inputmode=\"numeric\" required",
        )
        + &field(
            "valid_until",
            ("Giltigt längst till (reservkort)", "Valid until at the latest (reserve cards)"),
            "",
            "placeholder=\"2026-12-01T22:00:00Z\"",
        )
        + &choice(
            "profile",
            ("Certifikat för legitimering", "Certificate for authentication"),
            authentication,
        )
        + &choice(
            "profile",
            ("Certifikat för underskrift", "Certificate for signatures"),
            signature,
        );
    view.page(("Ny beställning", "New order"), &form("/acts", &fields, ("Beställ", "Order")))
}

/// Orders of an organisation, or those whose deadline strikes until a time.
pub(crate) fn list(view: &View<'_>, fields: &Form) -> Reply {
    let organisations = match super::organisation::numbered(view) {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let first = organisations.first().map(|(number, _)| number.clone()).unwrap_or_default();
    let organisation = fields.given("organisation").unwrap_or(first);
    let mut query = vec![("organisation", &organisation[..]), ("limit", "1000")];
    let due = fields.text("due_before");
    if !due.is_empty() {
        query.push(("due_before", due));
    }
    let strikes = fields.text("strikes_before");
    if !strikes.is_empty() {
        query.push(("strikes_before", strikes));
    }
    if let Some(cursor) = Some(fields.text("cursor")).filter(|cursor| !cursor.is_empty()) {
        query.push(("cursor", cursor));
    }
    let found: Result<api::Page<api::EidOrder>, Trouble> =
        view.desk.ca.see(&link("/v1/orders", &query));
    let found = match found {
        Ok(found) => found,
        Err(trouble) => return view.troubled(&trouble),
    };
    let rows: Vec<_> = found.items.iter().map(row).collect();
    let options: Vec<_> =
        organisations.iter().map(|(number, name)| (&number[..], &name[..], &number[..])).collect();
    let fields = choice("organisation", ("Organisation", "Organisation"), &options)
        + &field(
            "due_before",
            ("Frister som löper ut före", "Deadlines that strike before"),
            due,
            "placeholder=\"2026-12-01T00:00:00Z\"",
        )
        + &field(
            "strikes_before",
            ("Det gamla spärras före", "What is replaced is revoked before"),
            strikes,
            "placeholder=\"2026-12-01T00:00:00Z\"",
        );
    // A question: it stands in the address, and names no person.
    let ask =
        form("/orders", &fields, ("Visa", "Show")).replacen("method=\"post\"", "method=\"get\"", 1);
    let heads =
        [("Beställning", "Order"), ("Läge", "Stage"), ("Rutin", "Routine"), ("Frist", "Deadline")];
    let more = found.next.map(|next| {
        let query = [
            ("organisation", &organisation[..]),
            ("due_before", due),
            ("strikes_before", strikes),
            ("cursor", &next),
        ];
        anchor(&link("/orders", &query), "Fler / More")
    });
    let content =
        ask + &table(("Äldst först", "Oldest first"), &heads, &rows) + &more.unwrap_or_default();
    view.page(("Beställningar", "Orders"), &content)
}

fn row(order: &api::EidOrder) -> Vec<String> {
    vec![
        anchor(&format!("/orders/{}", order.id), &order.id),
        both(&order.stage_sv, &order.stage),
        escape(&order.routine),
        due(order),
    ]
}

fn due(order: &api::EidOrder) -> String {
    let due = order.due.as_ref();
    due.map(|due| format!("{} {}", both(&due.term_sv, &due.term), escape(&due.at)))
        .unwrap_or_default()
}

/// What an order replaces, and when that ends or did.
fn replaced(order: &api::EidOrder) -> String {
    let Some(old) = &order.replaces else { return String::new() };
    let of = [("/eids/", &old.eid), ("/carriers/", &old.carrier)];
    let named = of
        .iter()
        .filter_map(|(path, id)| Some(anchor(&format!("{path}{0}", id.as_ref()?), id.as_ref()?)));
    let when = match (&old.done, &old.due) {
        (Some(done), _) => format!("{} {}", both("spärrat", "revoked"), escape(done)),
        (None, Some(due)) => format!("{} {}", both("spärras", "is revoked"), escape(due)),
        (None, None) => String::new(),
    };
    format!("{} {} {when}", named.collect::<String>(), both(&old.event_sv, &old.event))
}

fn seen(view: &View<'_>, id: &str) -> Result<api::EidOrder, Reply> {
    let target = link(&format!("/v1/orders/{}", path_part(id)), &[]);
    view.desk.ca.see(&target).map_err(|trouble| view.troubled(&trouble))
}

/// A part of a path as it is sent: ids have no other characters.
pub(crate) fn path_part(id: &str) -> String {
    id.chars()
        .filter(|character| character.is_ascii_alphanumeric() || "_-".contains(*character))
        .collect()
}

/// An order, its history, and the forms of the steps that its stage may have.
pub(crate) fn show(view: &View<'_>, id: &str) -> Reply {
    let order = match seen(view, id) {
        Ok(order) => order,
        Err(refused) => return refused,
    };
    let ordered = view.desk.ordered(&order.id);
    let subject = ordered.as_ref().map(|one| one.subject.clone()).unwrap_or_default();
    let name = [subject.given_name, subject.surname].map(Option::unwrap_or_default).join(" ");
    let card = ordered.and_then(|one| one.carrier.card_number).unwrap_or_default();
    let stage = format!("<span class=\"stage\">{}</span>", both(&order.stage_sv, &order.stage));
    let mut content = facts(&[
        (("Läge", "Stage"), stage),
        (("Innehavare", "Holder"), escape(&name)),
        (("Kort", "Card"), escape(&card)),
        (("Organisation", "Organisation"), escape(&order.organisation)),
        (("Rutin", "Routine"), escape(&order.routine)),
        (("Frist", "Deadline"), due(&order)),
        (("Ersätter", "Replaces"), replaced(&order)),
        (("Certifikat", "Certificates"), escape(&order.profiles.join(", "))),
    ]);
    let steps = next_steps(&order, &card);
    if !steps.is_empty() {
        content += &part("Nästa steg", "Next step", &steps);
    }
    content += &certificates(&order);
    content += &receipt_shown(&order);
    let rows: Vec<_> = order.steps.iter().map(step_row).collect();
    let heads =
        [("Nr", "No."), ("Steg", "Step"), ("När", "When"), ("Vem", "Who"), ("Klient", "Client")];
    content += &part("Historik", "History", &table(("Äldst först", "Oldest first"), &heads, &rows));
    view.page(("Beställning", "Order"), &content)
}

fn step_row(step: &api::EidOrderStep) -> Vec<String> {
    vec![
        step.number.to_string(),
        both(&step.act_sv, &step.act),
        escape(&step.at),
        escape(step.by.as_deref().unwrap_or_default()),
        escape(&step.client),
    ]
}

fn certificates(order: &api::EidOrder) -> String {
    if order.certificates.is_empty() {
        return String::new();
    }
    let heads = [
        ("Certifikat", "Certificate"),
        ("Profil", "Profile"),
        ("Läge", "State"),
        ("Till", "Until"),
    ];
    let rows: Vec<_> = order.certificates.iter().map(super::find::certificate_row).collect();
    part(
        "Certifikat",
        "Certificates",
        &table(("Beställningens certifikat", "Certificates of the order"), &heads, &rows),
    )
}

fn receipt_shown(order: &api::EidOrder) -> String {
    let Some(receipt) = &order.receipt else { return String::new() };
    let rows = facts(&[
        (("Form", "Form"), escape(&receipt.form)),
        (("När", "When"), escape(&receipt.at)),
        (("Villkor", "Terms"), escape(&receipt.terms)),
        (
            ("Regionalt tillägg", "Regional addition"),
            escape(receipt.addition.as_deref().unwrap_or_default()),
        ),
        (("SHA-256", "SHA-256"), escape(&receipt.sha256)),
        (("Underskrift", "Signature"), escape(receipt.signature.as_deref().unwrap_or_default())),
    ]);
    let text = receipt.text.as_deref().map(|text| format!("<pre>{}</pre>", escape(text)));
    part("Kvittens", "Receipt", &(rows + &text.unwrap_or_default()))
}

/// The forms of the steps that may follow (docs/states.md). Whether one does, the CA says.
fn next_steps(order: &api::EidOrder, card: &str) -> String {
    let plain = |kind: &str, button| {
        form("/acts", &(hidden("kind", kind) + &hidden("order", &order.id)), button)
    };
    let issue = || {
        let fields = hidden("what", "requests");
        form(
            &format!("/orders/{}/card", order.id),
            &fields,
            ("Utfärda: hämta kortets begäran", "Issue: get the card's requests"),
        )
    };
    let mut steps = match &order.stage[..] {
        "ordered" => {
            let at = UnixTime::from_secs(now()).map(|now| now.to_string()).unwrap_or_default();
            let fields = hidden("kind", "evidence")
                + &hidden("order", &order.id)
                + &choice("method", ("Id-handling", "Identity document"), METHODS)
                + &field("at", ("När", "When"), &at, "required")
                + &field("place", ("Kontor", "Office"), "kontor-17", "required");
            form("/acts", &fields, ("Identifiera", "Identify"))
        }
        "identified" => plain("approvals", ("Godkänn", "Approve")),
        "approved" => receipts(order, card) + &issue(),
        "receipted" if order.certificates.is_empty() => issue(),
        "receipted" => plain("activation", ("Aktivera", "Activate")),
        "issued" => plain("delivery", ("Lämna ut", "Deliver")),
        "delivered" if order.receipt.is_some() => plain("activation", ("Aktivera", "Activate")),
        "delivered" => receipts(order, card) + &plain("activation", ("Aktivera", "Activate")),
        _ => return String::new(),
    };
    steps += &plain("cancellation", ("Ta bort beställning", "Take the order back"));
    steps
}

fn receipts(order: &api::EidOrder, card: &str) -> String {
    let serials: Vec<&str> = {
        let mut serials: Vec<_> = order.certificates.iter().map(|one| &one.serial[..]).collect();
        serials.sort_unstable();
        serials
    };
    let serials = if serials.is_empty() { "-".to_owned() } else { serials.join(",") };
    let terms =
        field("terms", ("Villkorens version", "Version of the terms"), "2026-1", "required")
            + &field("addition", ("Regionalt tillägg", "Regional addition"), "", "");
    let with_card =
        hidden("what", "receipt") + &hidden("serials", &serials) + &hidden("card", card) + &terms;
    let on_paper = hidden("kind", "receipt")
        + &hidden("order", &order.id)
        + &choice(
            "form",
            ("Form", "Form"),
            &[
                ("on-paper", "På papper", "On paper"),
                ("registered-post", "Rekommenderat brev", "Registered post"),
            ],
        )
        + &terms
        + &field(
            "sha256",
            ("Dokumentets SHA-256", "SHA-256 of the document"),
            "",
            "pattern=\"[0-9a-fA-F]{64}\" required",
        );
    form(
        &format!("/orders/{}/card", order.id),
        &with_card,
        ("Kvittera med kortet", "Receipt with the card"),
    ) + &form("/acts", &on_paper, ("Kvittens på papper", "Receipt on paper"))
}

/// Sends the holder to his card.
pub(crate) fn to_card(view: &View<'_>, id: &str, fields: &Form) -> Reply {
    let id = path_part(id);
    let card = view.desk.ordered(&id).and_then(|one| one.carrier.card_number).unwrap_or_default();
    let ask = format!("{}/ask", view.desk.reader);
    if fields.text("what") == "requests" {
        let back = format!("/orders/{id}/requests");
        let query = [("act", "requests"), ("card", &card[..]), ("order", &id), ("back", &back)];
        return Reply::see(&link(&ask, &query));
    }
    let (terms, addition) =
        (fields.text("terms"), fields.given("addition").unwrap_or("-".to_owned()));
    // The reader gives its answer to a path: what belongs to the answer stands in it, octet for octet.
    let in_path = |text: &str| base16ct::lower::encode_string(text.as_bytes());
    let back = format!("/orders/{id}/receipt/{}/{}", in_path(terms), in_path(&addition));
    let query = [
        ("act", "receipt"),
        ("card", &card[..]),
        ("order", &id),
        ("serials", fields.text("serials")),
        ("terms", terms),
        ("addition", &addition),
        ("back", &back),
    ];
    Reply::see(&link(&ask, &query))
}

/// What the card has signed, to be sent by the administrator.
pub(crate) fn receipt(
    view: &View<'_>,
    id: &str,
    (terms, addition): (&str, &str),
    fields: &Form,
) -> Reply {
    let of_path = |text: &str| {
        let octets = base16ct::lower::decode_vec(text).ok();
        octets.and_then(|octets| String::from_utf8(octets).ok()).unwrap_or_default()
    };
    let (terms, addition) = (of_path(terms), of_path(addition));
    let order = match seen(view, id) {
        Ok(order) => order,
        Err(refused) => return refused,
    };
    let mut hiddens = hidden("kind", "receipt")
        + &hidden("order", &order.id)
        + &hidden("form", "electronic")
        + &hidden("terms", &terms)
        + &hidden("signature", fields.text("signature"));
    if addition != "-" {
        hiddens += &hidden("addition", &addition);
    }
    // After issuing the key is that of the certificate.
    if order.certificates.is_empty() {
        hiddens += &hidden("key", fields.text("key"));
    }
    let content = facts(&[
        (("Villkor", "Terms"), escape(&terms)),
        (("Regionalt tillägg", "Regional addition"), escape(&addition)),
        (("Kortets underskrift", "Signature of the card"), escape(fields.text("signature"))),
    ]) + &form("/acts", &hiddens, ("Ta emot kvittensen", "Take the receipt"));
    view.page(("Kvittens", "Receipt"), &content)
}

/// The requests that the card has made, to be sent by the administrator.
pub(crate) fn requests(view: &View<'_>, id: &str, fields: &Form) -> Reply {
    let order = match seen(view, id) {
        Ok(order) => order,
        Err(refused) => return refused,
    };
    let (authentication, signature) = (fields.text("authentication"), fields.text("signature"));
    let mut hiddens = hidden("kind", "issuance") + &hidden("order", &order.id);
    for profile in &order.profiles {
        hiddens += &hidden("profile", profile);
    }
    hiddens += &hidden("authentication", authentication);
    hiddens += &hidden("signature", signature);
    let content = format!("<pre>{}\n{}</pre>", escape(authentication), escape(signature))
        + &form("/acts", &hiddens, ("Utfärda", "Issue"));
    view.page(("Kortets begäran", "Requests of the card"), &content)
}

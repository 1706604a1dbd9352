//! What can be done: each row a form of a page, a call of the contract, and the page to go on at.
//!
//! The portal checks nothing that the CA checks: what is refused comes back in the CA's own words.

use portal::form::Form;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A call that a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its path.
    pub(crate) target: String,
    /// Its body.
    pub(crate) body: String,
    /// The page to go on at; empty: that of what the answer names.
    pub(crate) after: String,
}

/// What can be done.
pub(crate) struct Kind {
    /// Its name in forms and in the ledger.
    pub(crate) name: &'static str,
    pub(crate) swedish: &'static str,
    pub(crate) english: &'static str,
    call: fn(&Form) -> Result<Call, String>,
}

impl Kind {
    /// The row of a name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The call that a form asks for; in words what is wrong with the form.
    pub(crate) fn call(&self, form: &Form) -> Result<Call, String> {
        (self.call)(form)
    }
}

/// All of them.
pub(crate) const KINDS: &[Kind] = &[
    Kind { name: "prepare", swedish: "Beställ", english: "Order", call: prepare },
    Kind { name: "evidence", swedish: "Identifiera", english: "Identify", call: evidence },
    Kind { name: "approvals", swedish: "Godkänn", english: "Approve", call: step },
    Kind {
        name: "receipt",
        swedish: "Ta emot kvittens",
        english: "Take the receipt",
        call: receipt,
    },
    Kind { name: "issuance", swedish: "Utfärda", english: "Issue", call: issuance },
    Kind { name: "delivery", swedish: "Lämna ut", english: "Deliver", call: step },
    Kind { name: "activation", swedish: "Aktivera", english: "Activate", call: step },
    Kind {
        name: "cancellation",
        swedish: "Ta bort beställning",
        english: "Take the order back",
        call: step,
    },
    Kind {
        name: "revoke-certificate",
        swedish: "Spärra certifikat",
        english: "Revoke a certificate",
        call: revoke,
    },
    Kind {
        name: "revoke-eid",
        swedish: "Spärra SITHS eID",
        english: "Revoke an eID",
        call: revoke,
    },
    Kind {
        name: "revoke-carrier", swedish: "Spärra kort", english: "Revoke a card", call: revoke
    },
    Kind {
        name: "release-certificate",
        swedish: "Häv tillfällig spärr",
        english: "End a hold",
        call: release,
    },
    Kind {
        name: "add-organisation",
        swedish: "Lägg till organisation",
        english: "Add an organisation",
        call: add_organisation,
    },
    Kind {
        name: "change-organisation",
        swedish: "Ändra organisation",
        english: "Change an organisation",
        call: change_organisation,
    },
    Kind {
        name: "end-organisation",
        swedish: "Avsluta organisation",
        english: "End an organisation",
        call: end_organisation,
    },
    Kind {
        name: "issue-function",
        swedish: "Utfärda funktionscertifikat",
        english: "Issue a function certificate",
        call: function,
    },
];

fn call(target: String, body: &impl Serialize, after: String) -> Result<Call, String> {
    let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
    Ok(Call { target, body, after })
}

/// A body that is put together as JSON, read as the type of the contract: so that a misspelt field is seen here.
fn typed<T: serde::de::DeserializeOwned + Serialize>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// An id that goes into a path.
fn id(form: &Form, name: &str) -> Result<String, String> {
    let id = form.text(name);
    let fits = !id.is_empty()
        && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"_-".contains(&octet));
    if fits { Ok(id.to_owned()) } else { Err(format!("{name}: {id:?} is no id")) }
}

fn prepare(form: &Form) -> Result<Call, String> {
    let mut body = given(form, &["routine", "role", "valid_until"]);
    if let Some(holder) = form.given("hsa_id") {
        body.insert("holder".to_owned(), holder.into());
    }
    let mut identity = given(form, &["number"]);
    identity.insert("kind".to_owned(), form.text("identity").into());
    let organisation =
        |name: &str, number: &str| json!({ "name": form.text(name), "number": form.text(number) });
    let mut organisations = json!({ "user": organisation("organisation_name", "organisation") });
    if let (Some(_), Some(named)) = (form.given("issuing"), organisations.as_object_mut()) {
        named.insert("issuing".to_owned(), organisation("issuing_name", "issuing"));
    }
    let mut subject = given(form, &["given_name", "surname", "hsa_id"]);
    subject.insert("organization".to_owned(), form.text("organisation_name").into());
    for (name, value) in [
        ("identity", identity.into()),
        ("carrier", given(form, &["family", "card_number"]).into()),
        ("organisations", organisations),
        ("profiles", form.all("profile").into()),
        ("subject", subject.into()),
    ] {
        body.insert(name.to_owned(), value);
    }
    if let Some(eid) = form.given("replaces_eid") {
        let mut replaces = Map::from_iter([("eid".to_owned(), eid.into())]);
        replaces.insert("event".to_owned(), form.text("replaces_event").into());
        if let Some(since) = form.given("replaces_since") {
            replaces.insert("since".to_owned(), since.into());
        }
        body.insert("replaces".to_owned(), replaces.into());
    }
    let body: api::EidOrderRequest = typed(body.into())?;
    call("/v1/orders".to_owned(), &body, String::new())
}

fn of_order(form: &Form, step: &str, body: &impl Serialize) -> Result<Call, String> {
    let order = id(form, "order")?;
    call(format!("/v1/orders/{order}/{step}"), body, format!("/orders/{order}"))
}

fn evidence(form: &Form) -> Result<Call, String> {
    let body: api::EidOrderEvidence = typed(given(form, &["method", "at", "place"]).into())?;
    of_order(form, "evidence", &body)
}

/// A step that says no more than who takes it, which the statement says.
fn step(form: &Form) -> Result<Call, String> {
    of_order(form, form.text("kind"), &api::EidOrderStepRequest { by: None })
}

fn receipt(form: &Form) -> Result<Call, String> {
    let names = ["form", "terms", "addition", "key", "signature", "sha256"];
    let body: api::EidOrderReceiptRequest = typed(given(form, &names).into())?;
    of_order(form, "receipt", &body)
}

/// The profiles of an order come in the order in which it has them; each takes the request of the key that it is for.
fn issuance(form: &Form) -> Result<Call, String> {
    let request = |profile: String| {
        let purpose = if profile.ends_with("-signature") { "signature" } else { "authentication" };
        json!({ "profile": profile, "csr": form.text(purpose) })
    };
    let requests: Vec<Value> = form.all("profile").into_iter().map(request).collect();
    let body: api::EidOrderIssuance = typed(json!({ "requests": requests }))?;
    of_order(form, "issuance", &body)
}

fn revoke(form: &Form) -> Result<Call, String> {
    let target = match form.text("kind") {
        "revoke-eid" => format!("/v1/eids/{}/revocation", id(form, "id")?),
        "revoke-carrier" => format!("/v1/carriers/{}/revocation", id(form, "id")?),
        _ => format!("/v1/certificates/{}/revocation", id(form, "id")?),
    };
    let body: api::RevocationRequest = typed(given(form, &["event", "requested_at"]).into())?;
    call(target, &body, back(form))
}

fn release(form: &Form) -> Result<Call, String> {
    let target = format!("/v1/certificates/{}/release", id(form, "id")?);
    call(target, &api::ReleaseRequest::default(), back(form))
}

/// The page of the portal that a form came from.
fn back(form: &Form) -> String {
    let back = form.text("back");
    let fits = back.starts_with('/') && !back.starts_with("//") && back.is_ascii();
    if fits { back.to_owned() } else { "/".to_owned() }
}

/// The fields that were filled in, of these.
fn given(form: &Form, names: &[&str]) -> Map<String, Value> {
    let fields = names.iter().map(|name| ((*name).to_owned(), form.given(name)));
    fields.filter_map(|(name, value)| Some((name, value?.into()))).collect()
}

fn add_organisation(form: &Form) -> Result<Call, String> {
    let names = ["parent", "name", "number", "office", "from", "until", "note", "actor"];
    let mut body = given(form, &names);
    body.insert("kind".to_owned(), form.text("kind_of").into());
    let body: api::OrganisationRequest = typed(body.into())?;
    call("/v1/organisations".to_owned(), &body, "/organisations".to_owned())
}

fn change_organisation(form: &Form) -> Result<Call, String> {
    let body = revised(form, &["parent", "name", "number", "office", "note", "actor"])?;
    let body: api::OrganisationChangeRequest = typed(body)?;
    let target = format!("/v1/organisations/{}/change", id(form, "id")?);
    call(target, &body, "/organisations".to_owned())
}

fn end_organisation(form: &Form) -> Result<Call, String> {
    let body: api::OrganisationEndRequest = typed(revised(form, &["until", "note", "actor"])?)?;
    let target = format!("/v1/organisations/{}/ending", id(form, "id")?);
    call(target, &body, "/organisations".to_owned())
}

fn revised(form: &Form, names: &[&str]) -> Result<Value, String> {
    let mut body = given(form, names);
    let revision: u32 =
        form.text("revision").parse().map_err(|_| "revision: no number".to_owned())?;
    body.insert("revision".to_owned(), revision.into());
    Ok(body.into())
}

fn function(form: &Form) -> Result<Call, String> {
    let mut subject = given(form, &["common_name", "hsa_id"]);
    subject.insert("organization".to_owned(), form.text("organisation_name").into());
    let dns: Vec<&str> = form.text("dns").split_whitespace().collect();
    let mut body = given(form, &["profile", "csr"]);
    body.insert("subject".to_owned(), subject.into());
    body.insert("alternative_names".to_owned(), json!({ "dns": dns }));
    let body: api::IssueRequest = typed(body.into())?;
    call("/v1/certificates".to_owned(), &body, String::new())
}

#[cfg(test)]
mod tests {
    use portal::form::link;

    use super::*;

    fn form(fields: &[(&str, &str)]) -> Form {
        Form::parse(link("", fields).trim_start_matches('?'))
    }

    fn asked(kind: &str, fields: &[(&str, &str)]) -> Result<Call, String> {
        Kind::of(kind).unwrap().call(&form(&[&[("kind", kind)], fields].concat()))
    }

    #[test]
    fn a_step_is_the_call_of_its_name() {
        for kind in ["approvals", "delivery", "activation", "cancellation"] {
            let call = asked(kind, &[("order", "ord_1")]).unwrap();
            assert_eq!(call.target, format!("/v1/orders/ord_1/{kind}"));
            assert_eq!((&call.body[..], &call.after[..]), ("{}", "/orders/ord_1"));
        }
    }

    #[test]
    fn each_profile_takes_the_request_of_its_key() {
        let fields = [
            ("order", "ord_1"),
            ("profile", "person-hsaid-3-authentication"),
            ("profile", "person-hsaid-3-signature"),
            ("authentication", "A"),
            ("signature", "S"),
        ];
        let body: Value = serde_json::from_str(&asked("issuance", &fields).unwrap().body).unwrap();

        let found: Vec<_> = body["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["csr"].as_str().unwrap())
            .collect();
        assert_eq!(found, ["A", "S"]);
    }

    /// No form leads to another call than the one of its row, and none to another site.
    #[test]
    fn what_goes_into_a_path_is_an_id_and_back_is_a_page_of_the_portal() {
        for wrong in ["", "../certificates", "a/b", "a?b", "å"] {
            assert!(asked("approvals", &[("order", wrong)]).is_err(), "{wrong}");
            assert!(asked("revoke-eid", &[("id", wrong), ("event", "lost")]).is_err(), "{wrong}");
        }
        for (back, expected) in
            [("/eids/e", "/eids/e"), ("//evil", "/"), ("http://evil", "/"), ("", "/")]
        {
            let call =
                asked("revoke-eid", &[("id", "eid_1"), ("event", "lost"), ("back", back)]).unwrap();
            assert_eq!(call.after, expected);
        }
        assert!(asked("revoke-eid", &[("id", "eid_1"), ("event", "bored")]).is_err());
    }

    #[test]
    fn names_are_each_there_once() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }
}

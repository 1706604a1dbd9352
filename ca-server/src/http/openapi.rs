//! `/openapi.json`: the contract of the API, made from its operations, their handlers and the wire types.

use std::collections::BTreeMap;

use axum::Json;
use ca::operation::{Business, Operation};
use utoipa::openapi::path::{Operation as Described, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AllOfBuilder, AnyOfBuilder, Components, Object, ObjectBuilder, OneOfBuilder, Schema,
    SchemaType, Type,
};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, OpenApi as Document, Ref, RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{IntoParams, IntoResponses, OpenApi};

use super::routes::Handlers;

/// What the contract says of no operation alone.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sigill CA API",
        description = "Issues and revokes certificates. Mutual TLS; every POST that acts carries Idempotency-Key.",
        license(name = "Apache-2.0 OR MIT")
    ),
    components(schemas(api::Problem))
)]
struct Common;

/// The name of the one way to be let in.
const CLIENT_CERTIFICATE: &str = "client-certificate";

/// The contract: what the handlers say of themselves, under the names of the table of operations.
fn contract() -> Document {
    let mut document = Common::openapi();
    document.merge(Handlers::openapi());
    for (path, item) in &mut document.paths.paths {
        for (method, described) in [("GET", &mut item.get), ("POST", &mut item.post)] {
            if let Some((described, operation)) =
                described.as_mut().zip(Operation::of(method, path))
            {
                name(described, operation);
            }
        }
    }
    let scheme = SecurityScheme::MutualTls {
        description: Some(
            "a certificate of the management CA for a configured client (API-01)".to_owned(),
        ),
        deprecated: None,
        extensions: None,
    };
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(CLIENT_CERTIFICATE, scheme);
    demand_choices(components);
    document.security = Some(vec![SecurityRequirement::new(CLIENT_CERTIFICATE, [""; 0])]);
    document
}

/// Bodies of which exactly one of these fields is there.
const EXACTLY_ONE: &[(&str, &[&str])] = &[
    ("DiagnosisRequest", &["certificate", "certificate_pem", "eid", "carrier", "card_number"]),
    ("EidSearch", &["person", "hsa_id_end", "card_number"]),
    ("ProtectionRequest", &["person", "passport"]),
    ("ReadSearch", &["person", "passport"]),
    ("RegisterLookup", &["hsa_id", "person"]),
    ("ScheduleRequest", &["certificate", "eid", "carrier", "holder_of"]),
    ("ScheduleRequest", &["at", "last_day"]),
];
/// Bodies of which one of these fields is there, or more.
const ONE_OR_MORE: &[(&str, &[&str])] =
    &[("RevocationRequest", &["reason", "event"]), ("ScheduleRequest", &["reason", "event"])];

/// Says of bodies which of their fields must be there, which no type of theirs says.
fn demand_choices(components: &mut Components) {
    let exactly = EXACTLY_ONE.iter().map(|(name, fields)| {
        let all = fields.iter().fold(OneOfBuilder::new(), |all, field| all.item(with(field)));
        (name, Schema::OneOf(all.build()))
    });
    let one_or_more = ONE_OR_MORE.iter().map(|(name, fields)| {
        let all = fields.iter().fold(AnyOfBuilder::new(), |all, field| all.item(with(field)));
        (name, Schema::AnyOf(all.build()))
    });
    for (name, demanded) in exactly.chain(one_or_more) {
        if let Some(body) = components.schemas.remove(*name) {
            let both = AllOfBuilder::new().item(body).item(demanded).build();
            components.schemas.insert((*name).to_owned(), Schema::AllOf(both).into());
        }
    }
}

/// An object with a text, the name of something or a thing of several fields in this field.
fn with(field: &str) -> Object {
    let given = SchemaType::from_iter([Type::String, Type::Object]);
    let given = ObjectBuilder::new().schema_type(given);
    ObjectBuilder::new().property(field, given).required(field).build()
}

/// What the table knows of an operation: its id, what it is about, and whether a statement may come with it.
fn name(described: &mut Described, operation: Operation) {
    described.operation_id = Some(operation.id().to_owned());
    described.tags = operation.path().split('/').nth(2).map(|about| vec![about.to_owned()]);
    let wanted = match operation.business() {
        Business::Own => return,
        Business::Reading => {
            "the statement of the administrator who reads, of clients that need one for every call"
        }
        Business::Acting => {
            "the statement of the administrator who acts, of clients that need one (docs/formats/actor-statement.md)"
        }
    };
    let statement = header(api::ACTOR_STATEMENT, Required::False, wanted, ObjectBuilder::new());
    described.parameters.get_or_insert_default().push(statement.into());
}

fn header(name: &str, required: Required, description: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(schema.schema_type(Type::String).build()))
        .build()
}

/// The header that names an order (API-02).
pub(super) enum Keyed {}

impl IntoParams for Keyed {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let says = "names the order: 1 to 200 visible ASCII characters, the same with each retry";
        let schema = ObjectBuilder::new().pattern(Some("^[!-~]{1,200}$"));
        vec![header(api::IDEMPOTENCY_KEY, Required::True, says, schema)]
    }
}

/// The header of callers that want to hear when an act is published.
pub(super) enum Waiting {}

impl IntoParams for Waiting {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let says = "`wait`: answer once a published checkpoint covers the act";
        vec![header("Prefer", Required::False, says, ObjectBuilder::new())]
    }
}

/// How a call can be refused that reads.
pub(super) enum ReadingProblems {}
/// The same of a question that has a body and changes nothing.
pub(super) enum QuestionProblems {}
/// The same of an act under an idempotency key.
pub(super) enum ActProblems {}

const OF_ALL: &[(u16, &str)] = &[
    (400, "not well formed"),
    (401, "caller not known, or who acts is not"),
    (403, "caller may not"),
    (404, "no such thing"),
    (422, "a rule refuses, or the key was used with another body"),
    (500, "a defect of the program"),
    (503, "come back after Retry-After"),
];
const OF_BODIES: &[(u16, &str)] = &[
    (409, "state or configuration does not allow it, or the key is at work"),
    (413, "body above 128 KiB"),
];
const OF_READS: &[(u16, &str)] = &[(
    429,
    "the client has been shown what it may of persons in this hour: come back after Retry-After",
)];
const OF_ACTS: &[(u16, &str)] =
    &[(429, "the client has had what it may alone in this hour: come back after Retry-After")];

impl IntoResponses for ReadingProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[OF_ALL, OF_READS])
    }
}

impl IntoResponses for QuestionProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[OF_ALL, OF_READS, OF_BODIES])
    }
}

impl IntoResponses for ActProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[OF_ALL, OF_BODIES, OF_ACTS])
    }
}

fn problems(lists: &[&[(u16, &str)]]) -> BTreeMap<String, RefOr<Response>> {
    let problem = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = |says: &str| {
        ResponseBuilder::new()
            .description(says)
            .content(api::problem::MEDIA_TYPE, problem())
            .build()
    };
    let rows = lists.iter().copied().flatten();
    rows.map(|(status, says)| (status.to_string(), response(says).into())).collect()
}

/// `GET /openapi.json`.
pub(crate) async fn show() -> Json<Document> {
    Json(contract())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// API-04, API-05, API-11: the contract has each operation of the table under its name, and no other; and each that may want a statement says
    /// where it comes, and how it is refused.
    #[test]
    fn the_contract_is_that_of_the_table_of_operations() {
        let document = serde_json::to_value(contract()).unwrap();
        let mut found = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let one = Operation::of(&method.to_uppercase(), path);
                let one = one.unwrap_or_else(|| panic!("{method} {path} is in no row"));
                assert_eq!(operation["operationId"], one.id(), "{method} {path}");
                let parameters = || operation["parameters"].as_array().into_iter().flatten();
                let takes = |name: &str| parameters().filter(|one| one["name"] == name).count();
                let expected = usize::from(one.business() != Business::Own);
                assert_eq!(takes(api::ACTOR_STATEMENT), expected, "{method} {path}");
                // What changes something names its order, and so does a renewal.
                let acts = one.business() == Business::Acting || one == Operation::RenewClient;
                assert_eq!(takes(api::IDEMPOTENCY_KEY), usize::from(acts), "{method} {path}");
                for status in ["400", "401", "403", "500", "503"] {
                    let problem =
                        &operation["responses"][status]["content"][api::problem::MEDIA_TYPE];
                    assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{path}");
                }
                found += 1;
            }
        }
        assert_eq!(found, Operation::ALL.len());
    }

    /// Every type that the contract speaks of stands in it.
    #[test]
    fn the_contract_is_whole() {
        let document = serde_json::to_value(contract()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        let named: BTreeSet<&str> = text
            .split("\"#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();

        assert!(named.len() > 60, "{}", named.len());
        let missing: Vec<_> = named.iter().filter(|name| !schemas.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// API-11: what no type says of a body, the contract says.
    #[test]
    fn a_body_of_one_of_several_fields_is_told_so() {
        let document = serde_json::to_value(contract()).unwrap();
        for (kind, bodies) in [("oneOf", EXACTLY_ONE), ("anyOf", ONE_OR_MORE)] {
            for (name, fields) in bodies {
                let mut body = &document["components"]["schemas"][name];
                // A choice is put round what was there before it.
                let choice = loop {
                    let all = body["allOf"].as_array().unwrap();
                    let [inner, choice] = all.as_slice() else { panic!("{name}") };
                    body = inner;
                    if choice[kind][0]["required"][0] == fields[0] {
                        break choice;
                    }
                };
                while let Some(all) = body["allOf"].as_array() {
                    body = &all[0];
                }
                for (field, one) in fields.iter().zip(choice[kind].as_array().unwrap()) {
                    assert!(body["properties"][field].is_object(), "{name} has no {field}");
                    assert_eq!(one["required"][0], *field);
                }
            }
        }
    }

    /// The example of an order in the contract is the one that docs/operations/run.md explains, and is one.
    #[test]
    fn the_example_of_an_order_is_that_of_the_page_and_parses() {
        let document = serde_json::to_value(contract()).unwrap();
        let example = &document["components"]["schemas"]["OrderFields"]["example"];
        let page = include_str!("../../../docs/operations/run.md");
        let (_, section) = page.split_once("\n## Orders for persons\n").unwrap();
        let (_, block) = section.split_once("```json\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let explained: serde_json::Value = serde_json::from_str(block).unwrap();

        let order: api::OrderFields = serde_json::from_value(example.clone()).unwrap();

        assert_eq!(example, &explained);
        assert_eq!(serde_json::to_value(order).unwrap(), explained, "nothing is lost");
    }
}

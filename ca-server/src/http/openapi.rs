//! `/openapi.json`: the contract of the API, made from the wire types.

use axum::Json;
use ca::operation::{Business, Operation};
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi as Document, Required};
use utoipa::{Modify, OpenApi};

/// The contract.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sigill CA API",
        description = "Issues and revokes certificates. Mutual TLS; every POST that acts carries Idempotency-Key.",
        license(name = "Apache-2.0 OR MIT")
    ),
    paths(
        super::certificates::create,
        super::certificates::list,
        super::certificates::show,
        super::certificates::revoke,
        super::certificates::release,
        super::receipts::sign,
        super::receipts::list,
        super::receipts::list_of_serial,
        super::probe::work,
        super::probe::observe,
        super::certificates::revoke_serial,
        super::clients::renew,
        super::limits::list,
        super::limits::resume,
        super::authorities::list,
        super::authorities::show,
        super::authorities::shards,
        super::profiles::replay,
        super::jobs::plan,
        super::jobs::add_terms,
        super::jobs::act,
        super::jobs::list,
        super::jobs::show,
        super::jobs::items,
        super::trials::list,
        super::bindings::list,
        super::bindings::search,
        super::bindings::show_eid,
        super::bindings::revoke_eid,
        super::bindings::look_up,
        super::diagnosis::diagnose,
        super::bindings::show_carrier,
        super::bindings::revoke_carrier,
        super::organisations::add,
        super::organisations::list,
        super::organisations::show,
        super::organisations::change,
        super::organisations::end
    ),
    components(schemas(
        api::IssueRequest,
        api::SubjectFields,
        api::AlternativeNames,
        api::Actor,
        api::OrderFields,
        api::order::Orderer,
        api::order::OrderIdentity,
        api::order::OrderPassport,
        api::order::OrderProofing,
        api::order::OrderEid,
        api::order::OrderCarrier,
        api::order::OrderOrganisations,
        api::order::OrderOrganisation,
        api::order::OrderApproval,
        api::order::OrderReceipt,
        api::order::OrderEvidence,
        api::Certificate,
        api::CertificateState,
        api::Origin,
        api::RevocationRequest,
        api::ReleaseRequest,
        api::ReceiptRequest,
        api::ReceiptMethod,
        api::Receipt,
        api::Receipts,
        api::ProbeWork,
        api::ProbeTarget,
        api::ProbeLook,
        api::ObservationsRequest,
        api::ObservationsTaken,
        api::RefusedObservation,
        api::StatusOutcome,
        api::BusinessEvent,
        api::EventReach,
        api::SerialStatus,
        api::ReasonCode,
        api::RenewalRequest,
        api::ClientCredential,
        api::LimitStanding,
        api::SuddenLimit,
        api::LimitPause,
        api::ResumptionRequest,
        api::Authority,
        api::AuthorityCrl,
        api::CrlShard,
        api::ReplayRequest,
        api::ReplayPage,
        api::ReplayItem,
        api::ReplayOutcome,
        api::ReplayDifference,
        api::ReplayRefusal,
        api::JobRequest,
        api::JobSelector,
        api::JobTermsRequest,
        api::JobSerial,
        api::JobTerms,
        api::JobAct,
        api::JobActRequest,
        api::JobState,
        api::Job,
        api::job::JobSelecting,
        api::job::JobForecast,
        api::job::JobPart,
        api::job::JobApproval,
        api::job::JobProgress,
        api::job::JobReceipts,
        api::job::JobWave,
        api::JobItem,
        api::TrialRevocations,
        api::TrialSummary,
        api::TrialRevocation,
        api::TrialSight,
        api::Eid,
        api::EidStage,
        api::EidSearch,
        api::Carrier,
        api::CarrierStage,
        api::CarrierLookup,
        api::DiagnosisRequest,
        api::DiagnosisUse,
        api::Diagnosis,
        api::DiagnosedCertificate,
        api::DiagnosisObstacle,
        api::Organisation,
        api::OrganisationKind,
        api::OrganisationRequest,
        api::OrganisationChangeRequest,
        api::OrganisationEndRequest,
        api::Problem
    )),
    modifiers(&Statements)
)]
struct Contract;

/// The header of statements, at each operation that takes one.
struct Statements;

impl Modify for Statements {
    fn modify(&self, document: &mut Document) {
        for (path, item) in &mut document.paths.paths {
            let operations = [("GET", &mut item.get), ("POST", &mut item.post)];
            for (method, operation) in operations {
                let business = Operation::of(method, path).map(Operation::business);
                let Some(operation) =
                    operation.as_mut().filter(|_| business != Some(Business::Own))
                else {
                    continue;
                };
                let header = ParameterBuilder::new()
                    .name(api::ACTOR_STATEMENT)
                    .parameter_in(ParameterIn::Header)
                    .required(Required::False)
                    .description(Some(match business {
                        Some(Business::Reading) => "the statement of the administrator who reads, of clients that need one for every call",
                        _ => "the statement of the administrator who acts, of clients that need one (docs/formats/actor-statement.md)",
                    }))
                    .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
                    .build();
                operation.parameters.get_or_insert_default().push(header.into());
            }
        }
    }
}

/// `GET /openapi.json`.
pub(crate) async fn show() -> Json<Document> {
    Json(Contract::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// API-04, API-05: the table of who must sign has each operation of the contract under its name, and no other; and each that may want a
    /// statement says where it comes.
    #[test]
    fn the_table_of_operations_is_that_of_the_contract() {
        let document = serde_json::to_value(Contract::openapi()).unwrap();
        let mut found = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let one = Operation::of(&method.to_uppercase(), path);
                let one = one.unwrap_or_else(|| panic!("{method} {path} is in no row"));
                assert_eq!(operation["operationId"], one.id(), "{method} {path}");
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let takes = parameters.filter(|one| one["name"] == api::ACTOR_STATEMENT).count();
                let expected = usize::from(one.business() != Business::Own);
                assert_eq!(takes, expected, "{method} {path}");
                found += 1;
            }
        }
        assert_eq!(found, Operation::ALL.len());
    }

    /// API-11: every route of the router stands in the contract, with its problems.
    #[test]
    fn the_contract_lists_every_operation() {
        let document = serde_json::to_value(Contract::openapi()).unwrap();
        let operations = [
            ("/v1/certificates", "post"),
            ("/v1/certificates", "get"),
            ("/v1/certificates/{id}", "get"),
            ("/v1/certificates/{id}/revocation", "post"),
            ("/v1/certificates/{id}/release", "post"),
            ("/v1/certificates/{id}/receipt", "post"),
            ("/v1/certificates/{id}/receipts", "get"),
            ("/v1/authorities/{name}/serials/{serial}/receipts", "get"),
            ("/v1/probe/work", "get"),
            ("/v1/probe/observations", "post"),
            ("/v1/authorities/{name}/serials/{serial}/revocation", "post"),
            ("/v1/clients/self/renewal", "post"),
            ("/v1/profiles/replay", "post"),
            ("/v1/limits", "get"),
            ("/v1/limits/resumption", "post"),
            ("/v1/jobs", "post"),
            ("/v1/jobs", "get"),
            ("/v1/jobs/{id}", "get"),
            ("/v1/jobs/{id}/terms", "post"),
            ("/v1/jobs/{id}/acts", "post"),
            ("/v1/jobs/{id}/items", "get"),
            ("/v1/trial-revocations", "get"),
            ("/v1/eids", "get"),
            ("/v1/eids/search", "post"),
            ("/v1/eids/{id}", "get"),
            ("/v1/eids/{id}/revocation", "post"),
            ("/v1/carriers/lookup", "post"),
            ("/v1/diagnosis", "post"),
            ("/v1/carriers/{id}", "get"),
            ("/v1/carriers/{id}/revocation", "post"),
            ("/v1/organisations", "post"),
            ("/v1/organisations", "get"),
            ("/v1/organisations/{id}", "get"),
            ("/v1/organisations/{id}/change", "post"),
            ("/v1/organisations/{id}/ending", "post"),
            ("/v1/authorities", "get"),
            ("/v1/authorities/{name}", "get"),
            ("/v1/authorities/{name}/shards", "get"),
        ];
        for (path, method) in operations {
            let operation = &document["paths"][path][method];

            assert!(operation["operationId"].is_string(), "{method} {path}");
            assert!(operation["responses"]["403"].is_object(), "{method} {path}");
        }
        assert_eq!(document["paths"].as_object().unwrap().len(), 35);
    }

    /// The example of an order in the contract is the one that docs/operations/run.md explains, and is one.
    #[test]
    fn the_example_of_an_order_is_that_of_the_page_and_parses() {
        let document = serde_json::to_value(Contract::openapi()).unwrap();
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

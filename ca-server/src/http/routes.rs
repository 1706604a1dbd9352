//! The routes of the API: one row an operation of `ca::operation`, with the handler that answers it.
//!
//! Router and contract are made from these rows. Method, path and name of an operation stand in `ca::operation` alone, a row there without one here
//! does not compile, and no handler is reached but by a row.

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter, on};
use ca::operation::Operation;
use utoipa::OpenApi;

use super::App;

macro_rules! routes {
    ($($operation:ident => $module:ident::$handler:ident;)*) => {
        /// What the handlers say of themselves.
        #[derive(OpenApi)]
        #[openapi(paths($(super::$module::$handler),*))]
        pub(super) struct Handlers;

        fn endpoint(operation: Operation) -> MethodRouter<App> {
            match operation {
                $(Operation::$operation => on(filter(operation), super::$module::$handler),)*
            }
        }

        /// Each operation, with the module and the name of its handler.
        #[cfg(test)]
        pub(super) const ROWS: &[(Operation, &str, &str)] =
            &[$((Operation::$operation, stringify!($module), stringify!($handler)),)*];
    };
}

routes! {
    IssueCertificate => certificates::create;
    ListCertificates => certificates::list;
    ShowCertificate => certificates::show;
    RevokeCertificate => certificates::revoke;
    ReleaseCertificate => certificates::release;
    SignReceipt => receipts::sign;
    ListReceipts => receipts::list;
    ListReceiptsOfSerial => receipts::list_of_serial;
    ProbeWork => probe::work;
    ProbeObservations => probe::observe;
    RevokeSerial => certificates::revoke_serial;
    RenewClient => clients::renew;
    ListLimits => limits::list;
    ResumeLimit => limits::resume;
    ListAuthorities => authorities::list;
    ShowAuthority => authorities::show;
    ListShards => authorities::shards;
    ReplayProfile => profiles::replay;
    PlanJob => jobs::plan;
    ListJobs => jobs::list;
    ShowJob => jobs::show;
    AddJobTerms => jobs::add_terms;
    ActOnJob => jobs::act;
    ListJobItems => jobs::items;
    ListTrials => trials::list;
    ListEids => bindings::list;
    SearchEids => bindings::search;
    ShowEid => bindings::show_eid;
    RevokeEid => bindings::revoke_eid;
    LookUpCarrier => bindings::look_up;
    Diagnose => diagnosis::diagnose;
    PrepareOrder => steps::prepare;
    ListOrders => steps::list;
    ShowOrder => steps::show;
    AddOrderEvidence => steps::evidence;
    ApproveOrder => steps::approve;
    TakeOrderReceipt => steps::take_receipt;
    IssueOrder => steps::issue;
    DeliverOrder => steps::deliver;
    ActivateOrder => steps::activate;
    CancelOrder => steps::cancel;
    RegisterCarriers => carriers::register;
    ListCarriers => carriers::list;
    MoveCarrier => carriers::move_on;
    ShowCarrier => bindings::show_carrier;
    RevokeCarrier => bindings::revoke_carrier;
    ScheduleRevocation => scheduled::schedule;
    ListScheduledRevocations => scheduled::list;
    ShowScheduledRevocation => scheduled::show;
    CancelScheduledRevocation => scheduled::cancel;
    RegisterRequests => scheduled::register;
    AddOrganisation => organisations::add;
    ListOrganisations => organisations::list;
    ShowOrganisation => organisations::show;
    ChangeOrganisation => organisations::change;
    EndOrganisation => organisations::end;
    StateDomain => domains::state;
    ListDomains => domains::list;
    ShowDomain => domains::show;
    TokenOfDomain => domains::token;
    ProveDomain => domains::prove;
    WithdrawDomain => domains::withdraw;
    SetProtection => protection::set;
    ListProtectedPersons => protection::list;
    SearchReads => reads::search;
    LookUpInRegister => registers::look_up;
    AskApproval => approvals::ask;
    ListApprovals => approvals::list;
    ShowApproval => approvals::show;
    DecideApproval => approvals::decide;
    WithdrawApproval => approvals::withdraw;
}

/// All operations, each under its method and path.
pub(super) fn operations() -> Router<App> {
    let all = Operation::ALL.iter();
    all.fold(Router::new(), |router, one| router.route(one.path(), endpoint(*one)))
}

/// A `HEAD` goes where its `GET` goes.
fn filter(operation: Operation) -> MethodFilter {
    if operation.method() == "GET" { MethodFilter::GET } else { MethodFilter::POST }
}

#[cfg(test)]
mod tests {
    use ca::four_eyes::can_be_asked_for;
    use ca::operation::Business;

    use super::*;

    /// API-11: what answers an operation is what describes itself as that operation, and it is all that describes itself.
    #[test]
    fn each_operation_is_answered_by_the_handler_of_its_contract() {
        let document = serde_json::to_value(Handlers::openapi()).unwrap();
        for (operation, module, handler) in ROWS {
            let said = &document["paths"][operation.path()][operation.method().to_lowercase()];
            assert_eq!(said["operationId"], *handler, "{operation:?}");
            assert_eq!(said["tags"][0], format!("super::{module}"), "{operation:?}");
        }
        let paths = document["paths"].as_object().unwrap().values();
        let described: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
        assert_eq!((ROWS.len(), described), (Operation::ALL.len(), Operation::ALL.len()));
    }

    /// AUD-06: what a reading call answers goes by [`super::super::reading`], which writes down whom it shows; a question with a body by
    /// [`super::super::asking`], which goes by it.
    #[test]
    fn no_reading_call_is_answered_past_the_record_of_reads() {
        const BY_THE_RECORD: &str = "reading(app, caller, call, ";
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
        let shared = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
        let (_, asking) = shared.split_once("async fn asking<").unwrap();
        let asking = asking.split("\n}\n").next().unwrap();
        assert!(asking.contains(BY_THE_RECORD) && !asking.contains("Json("), "{asking}");
        let reading = ROWS.iter().filter(|(one, ..)| one.business() == Business::Reading);
        let mut found = 0;
        for (operation, module, handler) in reading {
            let file = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
            let (_, rest) = file.split_once(&format!("async fn {handler}(")).unwrap();
            let body = rest.split("\npub(crate) async fn ").next().unwrap();
            let asks = body.contains("asking(app, caller, call, request, ");
            assert!(asks || body.contains(BY_THE_RECORD), "{operation:?}");
            assert!(!body.contains("Json("), "{operation:?}");
            found += 1;
        }
        assert!(found > 20, "{found}");
    }

    /// CER-10: what can be put under four eyes is done under a key, where that is held against its approval, and nowhere else.
    #[test]
    fn what_four_eyes_can_be_demanded_for_goes_by_the_key_that_holds_it_to_that() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
        let mut found = 0;
        for (_, module, handler) in ROWS.iter().filter(|row| can_be_asked_for(row.0)) {
            let file = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
            let (_, rest) = file.split_once(&format!("async fn {handler}(")).unwrap();
            let body = rest.split("\npub(crate) async fn ").next().unwrap();
            let by_key = ["under_key(", "acting(", "organising("];
            assert!(by_key.iter().any(|way| body.contains(way)), "{module}::{handler}");
            assert!(!body.contains("issue_under_key("), "{module}::{handler}");
            found += 1;
        }
        assert!(found > 7, "{found}");
    }

    #[test]
    fn every_method_of_an_operation_is_one_that_the_router_knows() {
        for one in Operation::ALL {
            assert!(["GET", "POST"].contains(&one.method()), "{one:?}");
        }
    }
}

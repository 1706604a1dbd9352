//! `/v1/orders`: orders for eIDs that are made in several steps.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::life::OrderAct;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems, Waiting};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::{Act, Answered, OrderWork};

/// Takes a step under the call's key. The service judges all of it; here a caller that orders nothing is refused before anything is recorded.
async fn step(
    app: App,
    call: Call,
    caller: Caller,
    request: Request,
    work: impl FnOnce(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied> + Send + 'static,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_order_something() {
        return refuse(&app, &caller, &call, denied).await;
    }
    let who = caller.clone();
    under_key(app, call, caller, parts, body, Act::Step, move |service, order| {
        work(service, &who, order)
    })
    .await
}

/// `POST /v1/orders`: what is wanted, for whom, on what. Nothing is issued; what the rules would refuse is refused now.
#[utoipa::path(
    post,
    path = Operation::PrepareOrder.path(),
    params(Keyed),
    request_body = api::EidOrderRequest,
    responses(
        (status = 201, body = api::EidOrder, description = "the order"),
        ActProblems,
    )
)]
pub(crate) async fn prepare(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, |service, who, work| service.prepare_order(who, work)).await
}

/// `GET /v1/orders`: oldest first; with `due_before` those whose deadline strikes until then. A client that is limited to organisations names one of them.
#[utoipa::path(
    get,
    path = Operation::ListOrders.path(),
    params(api::EidOrderQuery),
    responses(
        (status = 200, body = api::Page<api::EidOrder>, description = "a page, without steps and certificates"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::EidOrderQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.eid_orders(&who, &query)).await
}

/// `GET /v1/orders/{id}`: with its steps, the receipt, and its certificates once all of them are issued.
#[utoipa::path(
    get,
    path = Operation::ShowOrder.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID")),
    responses(
        (status = 200, body = api::EidOrder, description = "the order with its history"),
        ReadingProblems,
    )
)]
pub(crate) async fn show(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.eid_order(&who, &id)).await
}

/// `POST /v1/orders/{id}/evidence`: how the holder was identified, by whom, where and when.
#[utoipa::path(
    post,
    path = Operation::AddOrderEvidence.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed),
    request_body = api::EidOrderEvidence,
    responses(
        (status = 200, body = api::EidOrder, description = "the order"),
        ActProblems,
    )
)]
pub(crate) async fn evidence(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| {
        service.add_order_evidence(who, &id, work)
    })
    .await
}

/// `POST /v1/orders/{id}/approvals`: who calls approves it.
#[utoipa::path(
    post,
    path = Operation::ApproveOrder.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed),
    request_body = api::EidOrderStepRequest,
    responses(
        (status = 200, body = api::EidOrder, description = "the order"),
        ActProblems,
    )
)]
pub(crate) async fn approve(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| {
        service.say_of_order(who, &id, OrderAct::Approve, work)
    })
    .await
}

/// `POST /v1/orders/{id}/receipt`: the holder's receipt (*kvittens*), which is kept sealed and shown again.
#[utoipa::path(
    post,
    path = Operation::TakeOrderReceipt.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed),
    request_body = api::EidOrderReceiptRequest,
    responses(
        (status = 200, body = api::EidOrder, description = "the order"),
        ActProblems,
    )
)]
pub(crate) async fn take_receipt(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| {
        service.take_order_receipt(who, &id, work)
    })
    .await
}

/// `POST /v1/orders/{id}/issuance`: issues all its certificates; none is given out before all are there.
#[utoipa::path(
    post,
    path = Operation::IssueOrder.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed, Waiting),
    request_body = api::EidOrderIssuance,
    responses(
        (status = 201, body = api::EidOrder, description = "the order with its certificates"),
        ActProblems,
    )
)]
pub(crate) async fn issue(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| service.issue_order(who, &id, work))
        .await
}

/// `POST /v1/orders/{id}/delivery`: the carrier is in the holder's hands.
#[utoipa::path(
    post,
    path = Operation::DeliverOrder.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed),
    request_body = api::EidOrderStepRequest,
    responses(
        (status = 200, body = api::EidOrder, description = "the order"),
        ActProblems,
    )
)]
pub(crate) async fn deliver(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| {
        service.say_of_order(who, &id, OrderAct::Deliver, work)
    })
    .await
}

/// `POST /v1/orders/{id}/activation`: the holder takes the eID into use: all its certificates at once.
#[utoipa::path(
    post,
    path = Operation::ActivateOrder.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed, Waiting),
    request_body = api::EidOrderStepRequest,
    responses(
        (status = 200, body = api::EidOrder, description = "the order; its certificates are activated"),
        ActProblems,
    )
)]
pub(crate) async fn activate(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| {
        service.activate_order(who, &id, work)
    })
    .await
}

/// `POST /v1/orders/{id}/cancellation`: takes it back (*Ta bort beställning*).
#[utoipa::path(
    post,
    path = Operation::CancelOrder.path(),
    params(("id" = String, Path, description = "`ord_` and a UUID"), Keyed, Waiting),
    request_body = api::EidOrderStepRequest,
    responses(
        (status = 200, body = api::EidOrder, description = "the order; what was issued for it is revoked"),
        ActProblems,
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    step(app, call, caller, request, move |service, who, work| service.cancel_order(who, &id, work))
        .await
}

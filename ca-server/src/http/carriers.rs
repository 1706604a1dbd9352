//! `/v1/carriers`: cards before the first certificate on them.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use ca::operation::Operation;

use super::asked::Asked;
use super::openapi::{ActProblems, Keyed, ReadingProblems};
use super::problem::Call;
use super::{App, Named, reading, refuse, under_key};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::{Act, Answered, OrderWork};

async fn acting(
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

/// `POST /v1/carriers`: takes cards into the register, all of them or none: ordinary ones as ordered, reserve cards as blank.
#[utoipa::path(
    post,
    path = Operation::RegisterCarriers.path(),
    params(Keyed),
    request_body = api::CarrierRegistration,
    responses(
        (status = 201, body = api::RegisteredCarriers, description = "in the order of the list"),
        ActProblems,
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    acting(app, call, caller, request, |service, who, work| service.register_carriers(who, work))
        .await
}

/// `GET /v1/carriers`: those that were registered, oldest first. A client that is limited to organisations names one of them.
#[utoipa::path(
    get,
    path = Operation::ListCarriers.path(),
    params(api::CarrierQuery),
    responses(
        (status = 200, body = api::Page<api::Carrier>, description = "a page"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::CarrierQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.registered_carriers(&who, &query)).await
}

/// `POST /v1/carriers/{id}/moves`: sent, its order taken back, or taken out of the register, before there is a certificate on it.
#[utoipa::path(
    post,
    path = Operation::MoveCarrier.path(),
    params(("id" = String, Path, description = "`car_` and a UUID"), Keyed),
    request_body = api::CarrierMove,
    responses(
        (status = 200, body = api::Carrier, description = "where it stands then"),
        ActProblems,
    )
)]
pub(crate) async fn move_on(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    acting(app, call, caller, request, move |service, who, work| {
        service.move_carrier(who, &id, work)
    })
    .await
}

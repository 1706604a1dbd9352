//! `/v1/domains`: what the DNS names of functions rest on, as far as the caller sees it.

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

/// `POST /v1/domains`: one of the caller's organisations states a domain, and gets a token to prove its control by.
#[utoipa::path(
    post,
    path = Operation::StateDomain.path(),
    params(Keyed),
    request_body = api::DomainRequest,
    responses(
        (status = 201, body = api::Domain, description = "stated"),
        ActProblems,
    )
)]
pub(crate) async fn state(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    acting(app, call, caller, request, move |service, work| service.state_domain(&who, work)).await
}

/// `POST /v1/domains/{id}/token`: gives out another token; the one before is worth nothing then.
#[utoipa::path(
    post,
    path = Operation::TokenOfDomain.path(),
    params(("id" = String, Path, description = "`dom_` and a UUID"), Keyed),
    request_body = api::DomainActRequest,
    responses(
        (status = 200, body = api::Domain, description = "how it is then"),
        ActProblems,
    )
)]
pub(crate) async fn token(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    acting(app, call, caller, request, move |service, work| {
        service.token_of_domain(&who, &id, work)
    })
    .await
}

/// `POST /v1/domains/{id}/proofs`: its control was proved, for the first time or again.
#[utoipa::path(
    post,
    path = Operation::ProveDomain.path(),
    params(("id" = String, Path, description = "`dom_` and a UUID"), Keyed),
    request_body = api::DomainProofRequest,
    responses(
        (status = 200, body = api::Domain, description = "how it is then"),
        ActProblems,
    )
)]
pub(crate) async fn prove(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    acting(app, call, caller, request, move |service, work| service.prove_domain(&who, &id, work))
        .await
}

/// `POST /v1/domains/{id}/withdrawal`: no certificate rests on it any more; those that are there stay.
#[utoipa::path(
    post,
    path = Operation::WithdrawDomain.path(),
    params(("id" = String, Path, description = "`dom_` and a UUID"), Keyed),
    request_body = api::DomainActRequest,
    responses(
        (status = 200, body = api::Domain, description = "how it is then"),
        ActProblems,
    )
)]
pub(crate) async fn withdraw(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
    request: Request,
) -> Response<Body> {
    let who = caller.clone();
    acting(app, call, caller, request, move |service, work| {
        service.withdraw_domain(&who, &id, work)
    })
    .await
}

/// The service judges the right, too; here a caller without it is refused before an order is recorded for it.
async fn acting(
    app: App,
    call: Call,
    caller: Caller,
    request: Request,
    work: impl FnOnce(&Service, &OrderWork<'_>) -> Result<Answered, Denied> + Send + 'static,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(denied) = caller.must_organise() {
        return refuse(&app, &caller, &call, denied).await;
    }
    under_key(app, call, caller, parts, body, Act::Organise, work).await
}

/// `GET /v1/domains`: the domains of the caller's organisations and of what lies under them; all, for an operator.
#[utoipa::path(
    get,
    path = Operation::ListDomains.path(),
    params(api::DomainQuery),
    responses(
        (status = 200, body = api::Page<api::Domain>, description = "a page, in an order that does not change"),
        ReadingProblems,
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    Extension(call): Extension<Call>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<api::DomainQuery>,
) -> Response<Body> {
    let who = caller.clone();
    reading(app, caller, call, move |service| service.domains(&who, &query)).await
}

/// `GET /v1/domains/{id}`: one of them, with all its proofs.
#[utoipa::path(
    get,
    path = Operation::ShowDomain.path(),
    params(("id" = String, Path, description = "`dom_` and a UUID")),
    responses(
        (status = 200, body = api::Domain, description = "the domain"),
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
    reading(app, caller, call, move |service| service.domain(&who, &id)).await
}

//! The API's front: routes, the envelope of every call, and nothing that is a rule.
//!
//! A handler turns JSON into the words of the service, runs it on a blocking thread, and turns what
//! comes back into JSON. Refusals become problems in `problem`, once.

mod actor;
pub(crate) mod admission;
mod approvals;
mod asked;
mod authorities;
mod bindings;
mod carriers;
mod certificates;
mod clients;
mod diagnosis;
mod domains;
pub(crate) mod doors;
mod jobs;
mod limits;
mod openapi;
mod organisations;
pub(crate) mod peer;
mod probe;
mod problem;
mod profiles;
mod protection;
mod reads;
mod receipts;
mod registers;
mod routes;
mod scheduled;
mod steps;
pub(crate) mod tls;
mod trials;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, MatchedPath, Path, Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::get;
use ca::operation::Operation;
use ca::refusal::Refusal;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::denied::{Denied, Kind};
use crate::observe::Readiness;
use crate::service::Service;
use crate::service::body::from_json;
use crate::service::caller::Caller;
use crate::service::order::{Act, Answered, OrderAnswered, OrderCall, OrderWork, Replies, Wait};
use crate::service::reads::{ReadCall, Shows};
pub(crate) use admission::Admission;
use admission::Lane;
use peer::{Clients, PeerCertificate};
use problem::Call;

/// The largest body that is read: a request of 64 KiB in base64 with its names fits.
const BODY_LIMIT_OCTETS: usize = 128 * 1024;
/// How much of a larger body is read past before its refusal is sent.
const FORGOTTEN_LIMIT_OCTETS: usize = 16 * 1024 * 1024;
/// A caller that has not sent its body by then is dropped.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) admission: Admission,
}

/// All routes of the API: its operations, and what every client may ask.
pub(crate) fn router(app: App) -> Router {
    routes::operations()
        .route("/openapi.json", get(openapi::show))
        .route("/healthz", get(|| async { axum::Json(serde_json::json!({ "alive": true })) }))
        .route("/readyz", get(|State(app): State<App>| async move { app.readiness.answer() }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), envelope))
        .with_state(app)
}

/// Names the call, identifies the caller, and puts the common headers on every answer.
async fn envelope(State(app): State<App>, request: Request, next: Next) -> Response<Body> {
    let started = std::time::Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let call = Call {
        correlation_id: app.service.draw_correlation_id(),
        now: app.service.clock().read().now,
        operation: Operation::of(method.as_str(), &route),
    };
    let peer = request.extensions().get::<PeerCertificate>().cloned();
    let caller = peer
        .as_ref()
        .ok_or_else(|| {
            Denied::new(
                Kind::Unauthenticated,
                Refusal::new(
                    "client-unknown",
                    "API-01: callers come with a certificate of the management CA",
                    &"no client certificate",
                    "mutual TLS",
                    "connect with the client certificate that was issued for you",
                ),
            )
        })
        .and_then(|peer| app.clients.identify(peer, call.now));
    let mut response = match caller {
        Ok(mut caller) => match admitted(&app, &call, &mut caller, &route, request).await {
            Ok(mut request) => {
                request.extensions_mut().insert(call.clone());
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Err(denied) => refuse(&app, &caller, &call, denied).await,
        },
        Err(denied) => problem::respond(&denied, &call),
    };
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(api::CORRELATION_ID, &call.correlation_id);
    put(api::DEPLOYMENT, &app.service.deployment().to_string());
    put("Cache-Control", "no-store");
    let status = response.status().as_u16().to_string();
    metrics::counter!("sigill_api_calls_total", "route" => route.clone(), "method" => method_label(&method), "status" => status)
        .increment(1);
    metrics::histogram!("sigill_api_call_seconds", "route" => route)
        .record(started.elapsed().as_secs_f64());
    response
}

/// The call of a known client that may come so far, with who signed for it.
async fn admitted(
    app: &App,
    call: &Call,
    caller: &mut Caller,
    route: &str,
    request: Request,
) -> Result<Request, Denied> {
    caller.may_call(route)?;
    app.service.may_be_done(call.operation)?;
    actor::signed_for(app, call, caller, route, request).await
}

/// The method as a label: a closed set, whatever a caller sends.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        _ => "other",
    }
}

async fn no_such_path(
    State(app): State<App>,
    axum::Extension(call): axum::Extension<Call>,
    axum::Extension(caller): axum::Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let refusal = Refusal::new(
        "path-unknown",
        "the API has the paths that /openapi.json lists",
        &request.uri().path(),
        "a path of /openapi.json",
        "correct the path",
    );
    refuse(&app, &caller, &call, Denied::new(Kind::NotFound, refusal)).await
}

async fn no_such_method(
    State(app): State<App>,
    axum::Extension(call): axum::Extension<Call>,
    axum::Extension(caller): axum::Extension<Caller>,
    request: Request,
) -> Response<Body> {
    let refusal = Refusal::new(
        "method-not-allowed",
        "each path has the methods that /openapi.json lists",
        &request.method(),
        "a method that /openapi.json lists for this path",
        "correct the method",
    );
    refuse(&app, &caller, &call, Denied::new(Kind::Method, refusal)).await
}

/// What a path names; a path whose octets are no UTF-8 names nothing.
struct Named<T>(T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = Response<Body>;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        app: &App,
    ) -> Result<Self, Self::Rejection> {
        let rejection = match Path::<T>::from_request_parts(parts, app).await {
            Ok(Path(named)) => return Ok(Self(named)),
            Err(rejection) => rejection,
        };
        let refusal = Refusal::new(
            "path-unknown",
            "the API has the paths that /openapi.json lists",
            &rejection.body_text(),
            "a path of /openapi.json",
            "correct the path",
        );
        let denied = Denied::new(Kind::NotFound, refusal);
        let extensions = &parts.extensions;
        match (extensions.get::<Call>().cloned(), extensions.get::<Caller>().cloned()) {
            (Some(call), Some(caller)) => Err(refuse(app, &caller, &call, denied).await),
            // Calls without both do not come past the envelope.
            _ => Err(StatusCode::NOT_FOUND.into_response()),
        }
    }
}

/// Reads a body of at most [`BODY_LIMIT_OCTETS`].
async fn read_body(body: Body) -> Result<Bytes, Denied> {
    let refused = |kind, code, seen: &str| {
        Denied::new(
            kind,
            Refusal::new(
                code,
                "a body is at most 131072 octets and arrives within 15 s",
                &seen,
                "131072 octets within 15 s",
                "send a smaller body",
            ),
        )
    };
    match tokio::time::timeout(BODY_TIMEOUT, collect(body)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(refused(Kind::TooLarge, "body-too-large", "more than 131072 octets")),
        Ok(Err(_)) => Err(refused(Kind::Malformed, "body-incomplete", "a body that broke off")),
        Err(_) => Err(refused(
            Kind::Malformed,
            "body-incomplete",
            "a body that had not arrived after 15 s",
        )),
    }
}

/// The problem of a known client's call, which also goes into the audit log.
pub(super) async fn refuse(
    app: &App,
    caller: &Caller,
    call: &Call,
    denied: Denied,
) -> Response<Body> {
    let response = problem::respond(&denied, call);
    let Some(leaf) = app.service.leaf_of_refusal(&caller.name, &denied) else { return response };
    let Some(place) = app.admission.audit() else {
        app.service.count_refusal(&caller.name, leaf);
        return response;
    };
    let (service, name, id) =
        (Arc::clone(&app.service), caller.name.clone(), call.correlation_id.clone());
    let audited = tokio::task::spawn_blocking(move || {
        service.audit_refusal(&name, &id, &denied, leaf);
        drop(place);
    })
    .await;
    if audited.is_err() {
        tracing::error!(call.id = %call.correlation_id, "refusal is not in the audit log: a panic");
    }
    response
}

/// The body, or nothing if it is larger than [`BODY_LIMIT_OCTETS`]. Of a larger one a part is read
/// and forgotten: a client that still sends does not read why it was refused.
async fn collect(mut body: Body) -> Result<Option<Bytes>, axum::Error> {
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= BODY_LIMIT_OCTETS {
            kept.extend_from_slice(&data);
        } else if length > FORGOTTEN_LIMIT_OCTETS {
            break;
        }
    }
    Ok((length <= BODY_LIMIT_OCTETS).then(|| kept.into()))
}

/// Runs `work` on a blocking thread, which keeps the call's place until the work has ended: it goes on
/// when the caller hangs up.
///
/// # Errors
///
/// There is no place in `lane`, or the work ended in a panic.
async fn at_work<T: Send + 'static>(
    admission: &Admission,
    lane: Lane,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Denied> {
    let place = admission.admit(lane)?;
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    working.await.map_err(|_| crashed())
}

/// Runs `work` of the service under the call's idempotency key, on a blocking thread that goes on
/// when the caller hangs up.
async fn under_key(
    app: App,
    call: Call,
    caller: Caller,
    parts: axum::http::request::Parts,
    body: Body,
    act: Act,
    work: impl FnOnce(&Service, &OrderWork<'_>) -> Result<Answered, Denied> + Send + 'static,
) -> Response<Body> {
    under_key_by(app, call, caller, parts, body, act, move |service, order, replies| {
        service.under_key(order, work, replies.as_ref())
    })
    .await
}

/// As [`under_key`], for an act that has its own way with the key.
async fn under_key_by(
    app: App,
    call: Call,
    caller: Caller,
    parts: axum::http::request::Parts,
    body: Body,
    act: Act,
    work: impl FnOnce(&Service, &OrderCall, &Arc<dyn Replies>) -> Result<OrderAnswered, Denied>
    + Send
    + 'static,
) -> Response<Body> {
    let key = match idempotency_key(&parts.headers) {
        Ok(key) => key,
        Err(denied) => return refuse(&app, &caller, &call, denied).await,
    };
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(denied) => return refuse(&app, &caller, &call, denied).await,
    };
    let wait = parts
        .headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().split('=').next() == Some("wait"));
    let named = match approvals::named(&parts.headers, &call, &caller) {
        Ok(named) => named,
        Err(denied) => return refuse(&app, &caller, &call, denied).await,
    };
    let order = OrderCall {
        act,
        client: caller.name.clone(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        key,
        body: body.to_vec(),
        wait_for_publication: if wait { Wait::Yes } else { Wait::ByEnvironment },
        correlation_id: call.correlation_id.clone(),
        named,
    };
    let service = Arc::clone(&app.service);
    let replies: Arc<dyn Replies> = Arc::new(call.clone());
    let outcome =
        at_work(&app.admission, act.into(), move || work(&service, &order, &replies)).await;
    match outcome.flatten() {
        Ok(answer) => replayable(answer),
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}

/// Runs a reading use case on a blocking thread and answers with its JSON, once it is on record whom that shows.
async fn reading<T: Serialize + Shows + Send + 'static>(
    app: App,
    caller: Caller,
    call: Call,
    work: impl FnOnce(&Service) -> Result<T, Denied> + Send + 'static,
) -> Response<Body> {
    let service = Arc::clone(&app.service);
    let (who, id, operation) = (caller.clone(), call.correlation_id.clone(), call.operation);
    let noted = move || {
        let operation = operation.ok_or_else(crashed)?;
        service.reading(&who, ReadCall { id: &id, operation }, work)
    };
    match at_work(&app.admission, Lane::Reading, noted).await.flatten() {
        Ok(value) => axum::Json(value).into_response(),
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}

/// As [`reading`], of a question that has a body: it changes nothing, and has no idempotency key.
async fn asking<Q, T>(
    app: App,
    caller: Caller,
    call: Call,
    request: Request,
    work: impl FnOnce(&Service, &Caller, &Q) -> Result<T, Denied> + Send + 'static,
) -> Response<Body>
where
    Q: DeserializeOwned + Serialize + Send + 'static,
    T: Serialize + Shows + Send + 'static,
{
    let asked = read_body(request.into_body()).await;
    match asked.and_then(|body| from_json::<Q>(&body)) {
        Ok(asked) => {
            let who = caller.clone();
            reading(app, caller, call, move |service| work(service, &who, &asked)).await
        }
        Err(denied) => refuse(&app, &caller, &call, denied).await,
    }
}

fn crashed() -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "internal",
            "a defect of the program ended this call",
            &"a panic",
            "",
            "report the correlation id; the same idempotency key goes on with the same order",
        ),
    )
}

fn replayable(answer: OrderAnswered) -> Response<Body> {
    let status =
        StatusCode::from_u16(answer.response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.response.body).into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&answer.response.content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if answer.replayed {
        headers.insert(api::IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(position) = answer.position
        && let Ok(value) = HeaderValue::from_str(&position.to_string())
    {
        headers.insert(api::POSITION, value);
    }
    response
}

fn idempotency_key(headers: &axum::http::HeaderMap) -> Result<String, Denied> {
    let refused = |seen: &str| {
        Denied::new(
            Kind::Malformed,
            Refusal::new(
                "idempotency-key-required",
                "API-02: every POST that acts has the header Idempotency-Key, which names its order",
                &seen,
                "one header of 1 to 200 visible ASCII characters",
                "send a fresh random key with each order, and the same key with each retry of it",
            ),
        )
    };
    let mut values = headers.get_all(api::IDEMPOTENCY_KEY).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("no such header, or more than one"));
    };
    let text = value.to_str().map_err(|_| refused("other than visible ASCII characters"))?;
    if text.is_empty() {
        return Err(refused("an empty header"));
    }
    if text.len() > 200 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(refused(text));
    }
    Ok(text.to_owned())
}

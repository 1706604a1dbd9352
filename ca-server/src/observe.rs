//! Health and metrics for the machine itself, plain HTTP on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};

/// What readiness rests on. Each part is set by its owner and read here.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// The log head agreed with what is published.
    pub(crate) reconciled: AtomicBool,
    /// The publication folder took the last checkpoint.
    pub(crate) publishing: AtomicBool,
    /// The last signature asked for was made, or none was asked for yet.
    pub(crate) signing: AtomicBool,
    /// The database took the last act.
    pub(crate) storing: AtomicBool,
    /// Wall time and monotonic time agree.
    pub(crate) clock: AtomicBool,
    /// The API's server certificate is valid now.
    pub(crate) tls: AtomicBool,
}

impl Readiness {
    fn parts(&self) -> [(&'static str, bool); 6] {
        let read = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        [
            ("reconciled", read(&self.reconciled)),
            ("publishing", read(&self.publishing)),
            ("signing", read(&self.signing)),
            ("storing", read(&self.storing)),
            ("clock", read(&self.clock)),
            ("tls", read(&self.tls)),
        ]
    }

    /// 200 when every part is well, 503 with the parts that are not.
    pub(crate) fn answer(&self) -> (StatusCode, Json<Value>) {
        let parts = self.parts();
        let ready = parts.iter().all(|(_, well)| *well);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let parts: serde_json::Map<String, Value> =
            parts.into_iter().map(|(name, well)| (name.to_owned(), Value::Bool(well))).collect();
        (status, Json(json!({ "ready": ready, "parts": parts })))
    }
}

/// `/healthz` (the process answers), `/readyz` (it can issue), `/metrics` (Prometheus text).
pub(crate) fn router(readiness: Arc<Readiness>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "alive": true })) }))
        .route(
            "/readyz",
            get(|State(readiness): State<Arc<Readiness>>| async move { readiness.answer() }),
        )
        .with_state(readiness)
        .route(
            "/metrics",
            get(move || {
                let text = metrics.render();
                async move { ([("content-type", "text/plain; version=0.0.4")], text) }
            }),
        )
}

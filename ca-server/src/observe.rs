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

/// Counters of alarms without labels, and those of a token's failures by their codes.
const ALARMS: [&str; 4] = [
    "sigill_publication_failures_total",
    "sigill_signature_alarms_total",
    "sigill_crl_previous_unreadable_total",
    "sigill_intents_voided_total",
];
const SIGNING_FAILURES: [&str; 5] =
    ["hsm-busy", "hsm-key-unknown", "hsm-sign", "hsm-signature-form", "hsm-unanswered"];

/// Puts the counters of alarms at 0: that one rises is not seen when it begins at 1.
pub(crate) fn start_alarms() {
    for name in ALARMS {
        metrics::counter!(name).absolute(0);
    }
    for code in SIGNING_FAILURES {
        metrics::counter!("sigill_signing_failures_total", "code" => code).absolute(0);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_alarms_are_there_before_anything_is_counted() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            start_alarms();
            crate::schedule::start_alarms(["one"].into_iter());
        });
        let text = recorder.handle().render();

        for series in [
            "sigill_publication_failures_total",
            "sigill_signature_alarms_total",
            "sigill_crl_previous_unreadable_total",
            "sigill_intents_voided_total",
            "sigill_signing_failures_total{code=\"hsm-sign\"}",
            "sigill_schedule_failures_total{task=\"lease\"}",
            "sigill_schedule_failures_total{task=\"crl one\"}",
        ] {
            assert!(text.lines().any(|line| line == format!("{series} 0")), "{series}: {text}");
        }
    }
}

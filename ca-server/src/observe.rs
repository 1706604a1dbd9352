//! Health and metrics for the machine itself, plain HTTP on loopback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use store::StoreError;

use crate::http::admission;
use crate::publication::lossy;
use crate::push::OuterHosts;

/// What readiness rests on. Each part is set by its owner and read here.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// The log head agreed with what is published.
    pub(crate) reconciled: AtomicBool,
    /// The publication folder took the last checkpoint.
    pub(crate) publishing: AtomicBool,
    /// Every authority's key signs, as far as its last call and its tokens tell.
    pub(crate) signing: AtomicBool,
    /// The authorities whose keys do not, by their short names.
    not_signing: Mutex<Vec<String>>,
    /// The database took the last act.
    pub(crate) storing: AtomicBool,
    /// Wall time and monotonic time agree.
    pub(crate) clock: AtomicBool,
    /// The API's server certificate is valid now.
    pub(crate) tls: AtomicBool,
    /// The management CA's key is there, or none is configured.
    pub(crate) renewal: AtomicBool,
    /// No authority that is not retired has stopped issuing, or will within 90 days.
    pub(crate) issuing: AtomicBool,
    /// The configuration is the one that two persons activated, or none need be.
    pub(crate) configuration: AtomicBool,
    /// Every offline authority's CRL lasts for 60 days or more.
    pub(crate) offline_crls: AtomicBool,
    /// Software tokens may sign outside environment test: no part of being ready, and told with it.
    pub(crate) danger_software_token: AtomicBool,
    /// What is pushed to.
    outer_hosts: OnceLock<Arc<OuterHosts>>,
    /// Profiles under which nothing is issued: no part of being ready, and told with it.
    closed: Mutex<Vec<String>>,
    /// Clients that are paused, with the profile: no part of being ready, and told with it.
    paused: Mutex<Vec<(String, String)>>,
    /// No list of Debian's weak keys is configured: no part of being ready, and told with it.
    pub(crate) without_debian_list: AtomicBool,
}

/// Name of a part, whether it is well, and what rests on it.
type Part = (&'static str, bool, Need);

/// What a part of readiness is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Every call: a balancer sends them elsewhere while it is not well.
    Calls,
    /// Weeks ahead: an alarm, and no reason to take an API away that issues and revokes.
    Upkeep,
}

impl Readiness {
    /// Says which authorities' keys do not sign now; with none of them signing is well.
    pub(crate) fn tell_not_signing(&self, authorities: Vec<String>) {
        let mut not_signing = self.not_signing.lock().unwrap_or_else(PoisonError::into_inner);
        self.signing.store(authorities.is_empty(), Ordering::Relaxed);
        *not_signing = authorities;
    }

    /// Says which profiles are closed, also in the metrics.
    pub(crate) fn tell_closed(&self, profiles: Vec<String>) {
        metrics::gauge!("sigill_profiles_closed")
            .set(lossy(u64::try_from(profiles.len()).unwrap_or(u64::MAX)));
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = profiles;
    }

    /// Says which clients are paused, with the profile, also in the metrics.
    pub(crate) fn tell_paused(&self, pairs: Vec<(String, String)>) {
        metrics::gauge!("sigill_limits_paused")
            .set(lossy(u64::try_from(pairs.len()).unwrap_or(u64::MAX)));
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = pairs;
    }

    /// Has the state of the outer hosts told with the rest.
    pub(crate) fn watch_outer_hosts(&self, hosts: Arc<OuterHosts>) {
        let _first = self.outer_hosts.set(hosts);
    }

    fn of_outer_hosts(&self, named: fn(&OuterHosts) -> Vec<String>) -> Vec<String> {
        self.outer_hosts.get().map(|hosts| named(hosts)).unwrap_or_default()
    }

    fn parts(&self) -> [Part; 11] {
        let behind = self.of_outer_hosts(OuterHosts::behind);
        let part = |name, flag: &AtomicBool, need| (name, flag.load(Ordering::Relaxed), need);
        [
            part("reconciled", &self.reconciled, Need::Calls),
            part("publishing", &self.publishing, Need::Calls),
            part("signing", &self.signing, Need::Calls),
            part("storing", &self.storing, Need::Calls),
            part("clock", &self.clock, Need::Calls),
            part("tls", &self.tls, Need::Calls),
            part("renewal", &self.renewal, Need::Upkeep),
            part("issuing", &self.issuing, Need::Upkeep),
            part("configuration", &self.configuration, Need::Upkeep),
            part("offline-crls", &self.offline_crls, Need::Upkeep),
            ("outer-hosts", behind.is_empty(), Need::Upkeep),
        ]
    }

    /// 200 when every part that calls need is well, else 503; the parts that are not stand in it either
    /// way.
    pub(crate) fn answer(&self) -> (StatusCode, Json<Value>) {
        let parts = self.parts();
        let ready = parts.iter().all(|(_, well, need)| *well || *need == Need::Upkeep);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let parts: serde_json::Map<String, Value> =
            parts.into_iter().map(|(name, well, _)| (name.to_owned(), Value::Bool(well))).collect();
        let mut answer = serde_json::Map::new();
        answer.insert("ready".to_owned(), ready.into());
        answer.insert("parts".to_owned(), parts.into());
        let mut tell = |name: &str, told: Vec<Value>| {
            if !told.is_empty() {
                answer.insert(name.to_owned(), told.into());
            }
        };
        let pair =
            |(client, profile): (String, String)| json!({ "client": client, "profile": profile });
        let if_so = |flag: &AtomicBool, word: &str| {
            flag.load(Ordering::Relaxed).then(|| word.into()).into_iter().collect()
        };
        tell("not-signing", told(&self.not_signing, Value::from));
        tell("closed-profiles", told(&self.closed, Value::from));
        tell("paused", told(&self.paused, pair));
        let named = |hosts: Vec<String>| hosts.into_iter().map(Value::from).collect();
        tell("outer-hosts-behind", named(self.of_outer_hosts(OuterHosts::behind)));
        tell("outer-hosts-unread", named(self.of_outer_hosts(OuterHosts::unread)));
        tell("dangers", if_so(&self.danger_software_token, "danger-software-token"));
        tell("key-lists-missing", if_so(&self.without_debian_list, "debian"));
        (status, Json(answer.into()))
    }
}

/// What is told of now, each as JSON.
fn told<T: Clone>(kept: &Mutex<Vec<T>>, shown: impl Fn(T) -> Value) -> Vec<Value> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().cloned().map(shown).collect()
}

/// Counters of alarms without labels.
const ALARMS: [&str; 11] = [
    "sigill_publication_failures_total",
    "sigill_limit_pauses_total",
    "sigill_revocations_stopped_total",
    "sigill_reads_stopped_total",
    "sigill_job_failures_total",
    "sigill_shared_factor_alarms_total",
    "sigill_signature_alarms_total",
    "sigill_crl_previous_unreadable_total",
    "sigill_intents_voided_total",
    "sigill_issuer_file_alarms_total",
    "sigill_server_certificate_renewal_failures_total",
];
/// Puts the counters of alarms at 0: that one rises is not seen when it begins at 1. The schedule does
/// so with those of its tasks.
pub(crate) fn start_alarms() {
    for name in ALARMS {
        metrics::counter!(name).absolute(0);
    }
    crate::http::doors::start_alarms();
    crate::service::renewal::start_alarms();
    let late = &crate::service::key_use::LATE_CODE;
    for code in hsm::SignError::CODES.iter().chain([late]) {
        metrics::counter!("sigill_signing_failures_total", "code" => *code).absolute(0);
        metrics::counter!("sigill_signing_put_off_total", "code" => *code).absolute(0);
    }
    metrics::counter!("sigill_signing_put_off_total", "code" => "signature-invalid").absolute(0);
    for code in ["limit-hour", "limit-paused"] {
        metrics::counter!("sigill_limit_refusals_total", "code" => code).absolute(0);
    }
    for code in StoreError::PASSING_CODES {
        metrics::counter!("sigill_storage_failures_total", "code" => code).absolute(0);
    }
    admission::start_alarms();
}

/// The key of an authority signs now.
pub(crate) fn signing_authority(name: &str) {
    metrics::gauge!("sigill_authority_signing", "authority" => name.to_owned()).set(1.0);
}

/// The key of an authority does not sign now.
pub(crate) fn silent_authority(name: &str) {
    metrics::gauge!("sigill_authority_signing", "authority" => name.to_owned()).set(0.0);
}

/// How a token is. Counters of alarms begin at 0 with the first look, which is before anything happens.
pub(crate) fn token(state: &hsm::TokenState) {
    let label = || state.name.label.as_str().to_owned();
    let lost = state.lost_for.map_or(0.0, |span| span.as_secs_f64());
    metrics::gauge!("sigill_token_lost_seconds", "token" => label()).set(lost);
    metrics::gauge!("sigill_token_hung_calls", "token" => label())
        .set(lossy(u64::try_from(state.hung).unwrap_or(u64::MAX)));
    metrics::gauge!("sigill_token_left_behind_calls", "token" => label())
        .set(lossy(u64::try_from(state.left_behind).unwrap_or(u64::MAX)));
    let is_closed = state.breaker == hsm::BreakerState::Closed;
    metrics::gauge!("sigill_token_breaker_open", "token" => label()).set(if is_closed {
        0.0
    } else {
        1.0
    });
    for (name, count) in [
        ("sigill_token_outages_total", state.outages),
        ("sigill_token_breaker_openings_total", state.breaker_openings),
        ("sigill_token_logins_total", state.logins),
        ("sigill_token_retries_total", state.retries),
        ("sigill_token_initialisations_total", state.initialisations),
    ] {
        metrics::counter!(name, "token" => label()).absolute(count);
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

    /// A balancer must not take the API away over what is needed in weeks only.
    #[test]
    fn a_lost_management_key_is_told_and_takes_no_call_away() {
        let readiness = Readiness::default();
        for flag in [
            &readiness.reconciled,
            &readiness.publishing,
            &readiness.signing,
            &readiness.storing,
            &readiness.clock,
            &readiness.tls,
        ] {
            assert_eq!(readiness.answer().0, StatusCode::SERVICE_UNAVAILABLE);
            flag.store(true, Ordering::Relaxed);
        }

        let (status, Json(body)) = readiness.answer();

        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["ready"], true);
        assert_eq!(body["parts"]["renewal"], false);
    }

    fn rendered() -> String {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            start_alarms();
            crate::schedule::start_alarms(["one"].into_iter());
        });
        recorder.handle().render()
    }

    /// KEY-01: the switch is never on in silence.
    #[test]
    fn readiness_tells_of_software_tokens_that_may_sign() {
        let readiness = Readiness::default();
        assert_eq!(readiness.answer().1.0.get("dangers"), None);

        readiness.danger_software_token.store(true, Ordering::Relaxed);

        assert_eq!(readiness.answer().1.0["dangers"], json!(["danger-software-token"]));
    }

    /// ISS-11.
    #[test]
    fn readiness_tells_of_a_missing_list_of_weak_keys() {
        let readiness = Readiness::default();
        assert_eq!(readiness.answer().1.0.get("key-lists-missing"), None);

        readiness.without_debian_list.store(true, Ordering::Relaxed);

        assert_eq!(readiness.answer().1.0["key-lists-missing"], json!(["debian"]));
    }

    /// ISS-22: a pause of one client takes nothing from the others, and is not kept quiet.
    #[test]
    fn readiness_tells_of_paused_clients() {
        let readiness = Readiness::default();
        let status = readiness.answer().0;
        assert_eq!(readiness.answer().1.0.get("paused"), None);

        readiness.tell_paused(vec![("portal".to_owned(), "function".to_owned())]);

        let (told, Json(body)) = readiness.answer();
        assert_eq!(body["paused"], json!([{ "client": "portal", "profile": "function" }]));
        assert_eq!(told, status);
    }

    fn is_at_zero(text: &str, series: &str) -> bool {
        text.lines().any(|line| line == format!("{series} 0"))
    }

    #[test]
    fn counters_of_alarms_are_there_before_anything_is_counted() {
        let text = rendered();

        for series in [
            "sigill_signing_failures_total{code=\"hsm-sign\"}",
            "sigill_signing_failures_total{code=\"hsm-sign-in-doubt\"}",
            "sigill_storage_failures_total{code=\"database-full\"}",
            "sigill_calls_not_admitted_total{kind=\"revoking\"}",
            "sigill_schedule_failures_total{task=\"lease\"}",
            "sigill_schedule_failures_total{task=\"management\"}",
            "sigill_schedule_failures_total{task=\"crl one\"}",
        ] {
            assert!(is_at_zero(&text, series), "{series}: {text}");
        }
    }

    #[test]
    fn a_token_that_is_lost_and_hangs_is_told_of() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let state = hsm::TokenState {
            name: hsm::token::TokenName {
                label: "sg-td-ab12-issuing".parse().unwrap(),
                serial: "1".parse().unwrap(),
            },
            lost_for: Some(std::time::Duration::from_millis(1500)),
            hung: 2,
            left_behind: 1,
            serving: 3,
            breaker: hsm::BreakerState::Open,
            breaker_openings: 1,
            outages: 4,
            retries: 0,
            logins: 5,
            initialisations: 6,
        };
        metrics::with_local_recorder(&recorder, || token(&state));
        let text = recorder.handle().render();

        for line in [
            "sigill_token_lost_seconds{token=\"sg-td-ab12-issuing\"} 1.5",
            "sigill_token_hung_calls{token=\"sg-td-ab12-issuing\"} 2",
            "sigill_token_left_behind_calls{token=\"sg-td-ab12-issuing\"} 1",
            "sigill_token_breaker_open{token=\"sg-td-ab12-issuing\"} 1",
            "sigill_token_outages_total{token=\"sg-td-ab12-issuing\"} 4",
            "sigill_token_logins_total{token=\"sg-td-ab12-issuing\"} 5",
            "sigill_token_initialisations_total{token=\"sg-td-ab12-issuing\"} 6",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    /// Operators are told to watch them: each row of the page whose counter has no label.
    #[test]
    fn every_counter_that_operators_are_told_of_is_there() {
        let page = include_str!("../../docs/operations/run.md");
        let named: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("sigill_") && name.ends_with("_total"))
            .collect();
        let text = rendered();

        assert!(named.len() >= ALARMS.len(), "{named:?}");
        for name in named {
            assert!(is_at_zero(&text, name), "{name}: {text}");
        }
    }
}

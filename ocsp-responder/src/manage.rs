//! Health and metrics for the machine itself: loopback only.

use std::convert::Infallible;
use std::sync::Arc;

use hsm::{BreakerState, TokenState};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};

use crate::clock::now;
use crate::config::PinnedAuthority;
use crate::http::{Site, plain};

/// What `/readyz` looks at.
pub(crate) struct Management {
    pub(crate) site: Arc<Site>,
    pub(crate) authorities: Vec<PinnedAuthority>,
    /// A software token may sign outside environment test.
    pub(crate) danger_software_token: bool,
}

impl Management {
    pub(crate) fn serve(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(match request.uri().path() {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let missing = self.missing();
                let is_well = self.token_is_well();
                let is_ready =
                    missing.is_empty() && (is_well || self.site.responder.keeps_answers());
                let mut lines = missing;
                if is_ready {
                    lines.insert(0, "ready\n".to_owned());
                }
                if !is_well {
                    lines.push(format!(
                        "token: false: it is out of reach, and nothing is signed; {}\n",
                        if is_ready {
                            "answers that are kept are given"
                        } else {
                            "no answer is kept"
                        }
                    ));
                }
                if is_ready && self.danger_software_token {
                    let danger = "danger-software-token = true: a software token may sign\n";
                    lines.push(danger.to_owned());
                }
                let status =
                    if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                plain(status, lines.concat())
            }
            "/metrics" => plain(StatusCode::OK, self.metrics()),
            _ => plain(StatusCode::NOT_FOUND, "healthz, readyz or metrics\n"),
        })
    }

    /// Whether every token with keys of delegates can be asked.
    fn token_is_well(&self) -> bool {
        let is_well =
            |token: &TokenState| token.lost_for.is_none() && token.breaker == BreakerState::Closed;
        self.site.responder.tokens().iter().all(is_well)
    }

    /// What keeps the responder from answering, a line each.
    fn missing(&self) -> Vec<String> {
        let now = now();
        let responder = &self.site.responder;
        let mut missing = Vec::new();
        if responder.view.read(now, |_| ()).is_none() {
            missing.push("no fresh checkpoint of the status log\n".to_owned());
        }
        let authorities = responder.authorities.load();
        for pinned in &self.authorities {
            if !authorities.list().iter().any(|one| one.name == pinned.name) {
                missing.push(format!("no certificate of authority {}\n", pinned.name));
            } else if responder.delegates.current(&pinned.name, now).is_none() {
                missing.push(format!("no delegate for authority {}\n", pinned.name));
            }
        }
        missing
    }

    fn metrics(&self) -> String {
        let now = now();
        let responder = &self.site.responder;
        let (checkpoint, position, certificates) = responder.view.state();
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let age = checkpoint.map_or(u64::MAX, |at| now.since(at).as_secs());
        let delegates = responder.delegates.all();
        let ends = delegates.iter().map(|delegate| delegate.not_after().since(now).as_secs());
        let tokens = responder.tokens();
        let lost_for = tokens.iter().filter_map(|token| token.lost_for).max();
        let is_closed = |token: &TokenState| token.breaker == BreakerState::Closed;
        responder.metrics.render(&[
            ("sigill_ocsp_checkpoint_age_seconds", "Age of the trusted checkpoint.", age),
            ("sigill_ocsp_log_size", "Entries of the status log.", position.index),
            ("sigill_ocsp_certificates", "Certificates in memory.", number(certificates)),
            ("sigill_ocsp_delegates", "Live delegates.", number(delegates.len())),
            (
                "sigill_ocsp_delegate_seconds_left",
                "Life of the delegate that ends first.",
                ends.min().unwrap_or(0),
            ),
            (
                "sigill_ocsp_waiting",
                "Questions that wait for a checkpoint.",
                number(responder.waiting()),
            ),
            (
                "sigill_ocsp_ready",
                "Whether every question can be answered.",
                u64::from(self.missing().is_empty() && self.token_is_well()),
            ),
            (
                "sigill_ocsp_token_lost_seconds",
                "For how long a token with keys of delegates has been out of reach.",
                lost_for.map_or(0, |span| span.as_secs().max(1)),
            ),
            (
                "sigill_ocsp_token_hung_calls",
                "Calls of tokens that did not end in time.",
                number(tokens.iter().map(|token| token.hung).sum()),
            ),
            (
                "sigill_ocsp_token_left_behind_calls",
                "Calls of tokens that have hung for ten minutes and hold a thread until the end.",
                number(tokens.iter().map(|token| token.left_behind).sum()),
            ),
            (
                "sigill_ocsp_token_breaker_open",
                "Whether a token is called no more because calls hang.",
                u64::from(!tokens.iter().all(is_closed)),
            ),
            (
                "sigill_ocsp_danger_software_token",
                "Whether a software token may sign outside environment test.",
                u64::from(self.danger_software_token),
            ),
        ])
    }
}

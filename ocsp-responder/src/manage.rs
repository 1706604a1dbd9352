//! Health and metrics for the machine itself: loopback only.

use std::convert::Infallible;
use std::sync::Arc;

use hsm::{BreakerState, TokenState};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use x509::time::UnixTime;

use crate::alarms::AlarmCounts;
use crate::clock::now;
use crate::config::{DelegateSource, PinnedAuthority};
use crate::delegate::KeyPlace;
use crate::http::{Site, plain};
use crate::presigned::Presigning;

/// What `/readyz` looks at.
pub(crate) struct Management {
    pub(crate) site: Arc<Site>,
    pub(crate) authorities: Vec<PinnedAuthority>,
    /// Refused states of the publication folder.
    pub(crate) following: Arc<AlarmCounts>,
    /// Figures of signing beforehand; `None` where answers are signed when asked, or given.
    pub(crate) presigning: Option<Arc<Presigning>>,
    /// Refused pushes; `None` where nothing is received.
    pub(crate) receiving: Option<Arc<AlarmCounts>>,
    /// A software token may sign outside environment test.
    pub(crate) danger_software_token: bool,
}

/// An authority whose answers are not signed now.
struct Unsigned<'a> {
    authority: &'a str,
    why: String,
    kept: Kept,
}

/// Whether answers are kept that can be given without a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Some,
    None,
}

impl Management {
    pub(crate) fn serve(
        &self,
        request: &Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(match request.uri().path() {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(),
            "/metrics" => plain(StatusCode::OK, self.metrics()),
            _ => plain(StatusCode::NOT_FOUND, "healthz, readyz or metrics\n"),
        })
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let (mut lines, unsigned) = (self.missing(), self.unsigned());
        let is_ready = lines.is_empty() && unsigned.iter().all(|one| one.kept == Kept::Some);
        if is_ready {
            lines.insert(0, "ready\n".to_owned());
        }
        for Unsigned { authority, why, kept } in unsigned {
            let kept = match kept {
                Kept::Some => "answers that are kept are given",
                Kept::None => "no answer is kept",
            };
            lines.push(format!(
                "token: false: answers for authority {authority} are not signed: {why}; {kept}\n"
            ));
        }
        if is_ready && self.danger_software_token {
            let danger = "danger-software-token = true: a software token may sign\n";
            lines.push(danger.to_owned());
        }
        if is_ready {
            lines.extend(self.in_memory().map(|name| {
                format!(
                    "delegate-keys-in-memory: keys for authority {name} lie in process memory\n"
                )
            }));
        }
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        plain(status, lines.concat())
    }

    /// The authorities whose delegate does not sign now, as far as is known without a call.
    fn unsigned(&self) -> Vec<Unsigned<'_>> {
        let (now, responder) = (now(), &self.site.responder);
        let unsigned = |pinned: &'_ PinnedAuthority| {
            let delegate = responder.delegate_of(&pinned.name, now)?;
            let why = responder.obstacle(&delegate)?;
            let kept = if responder.keeps_answers(&delegate) { Kept::Some } else { Kept::None };
            Some((why, kept))
        };
        let named = |pinned| {
            let (why, kept) = unsigned(pinned)?;
            Some(Unsigned { authority: &pinned.name, why, kept })
        };
        self.authorities.iter().filter_map(named).collect()
    }

    /// The CAs whose delegates' keys lie, or are to lie, in process memory.
    fn in_memory(&self) -> impl Iterator<Item = &str> {
        let delegates = &self.site.responder.delegates;
        let lies = move |pinned: &&PinnedAuthority| {
            pinned.delegate_key_place == KeyPlace::ProcessMemory
                || delegates.of(&pinned.name).iter().any(|one| one.lies_in_memory())
        };
        self.authorities.iter().filter(lies).map(|pinned| pinned.name.as_str())
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
            } else if let Some(stock) = responder.stock_of(&pinned.name) {
                match stock {
                    _ if pinned.delegates == DelegateSource::Shared => {}
                    None => {
                        let what = "no answers signed beforehand for authority";
                        missing.push(format!("{what} {}\n", pinned.name));
                    }
                    Some(state) if state.ends <= now => {
                        missing.push(format!("answers for authority {} have ended\n", pinned.name));
                    }
                    Some(_) => {}
                }
            } else if responder.delegate_of(&pinned.name, now).is_none()
                && !responder.has_final(&pinned.name)
            {
                missing.push(format!("no delegate for authority {}\n", pinned.name));
            }
        }
        missing
    }

    /// Figures of answers that are signed beforehand, where they are.
    fn presigned(&self, now: UnixTime) -> String {
        let responder = &self.site.responder;
        let stock = self.authorities.iter().filter_map(|pinned| responder.stock_of(&pinned.name));
        let files: Vec<_> = stock.flatten().collect();
        let gauges = if let Some(presigning) = &self.presigning {
            let [certificates, behind, lasts, unsigned] = presigning.figures(now);
            vec![
                ("certificates", "Certificates that answers are signed for.", certificates),
                ("waves_behind", "Files of answers that are to be made or looked at.", behind),
                ("seconds_left", "For how long all answers last.", lasts),
                (
                    "authorities_unsigned",
                    "CAs that nothing is signed for, without a live delegate.",
                    unsigned,
                ),
            ]
        } else if let Some(ends) = files.iter().map(|state| state.ends).min() {
            let waves = files.iter().map(|state| state.waves).sum::<usize>();
            let waves = u64::try_from(waves).unwrap_or(u64::MAX);
            vec![
                ("waves", "Files of answers that are given from.", waves),
                ("seconds_left", "For how long all answers last.", ends.since(now).as_secs()),
            ]
        } else {
            Vec::new()
        };
        let line = |(name, help, value): (&str, &str, u64)| {
            let name = format!("sigill_ocsp_presigned_{name}");
            format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n")
        };
        gauges.into_iter().map(line).collect()
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
        let mut text = responder.metrics.render(&[
            ("sigill_ocsp_checkpoint_age_seconds", "Age of the trusted checkpoint.", age),
            ("sigill_ocsp_log_size", "Entries of the status log.", position.index),
            ("sigill_ocsp_certificates", "Certificates in memory.", number(certificates)),
            (
                "sigill_ocsp_index_bytes",
                "Memory that the certificates take.",
                number(responder.view.octets()),
            ),
            ("sigill_ocsp_delegates", "Live delegates.", number(delegates.len())),
            (
                "sigill_ocsp_delegates_in_memory",
                "Live delegates whose keys lie in process memory.",
                number(delegates.iter().filter(|one| one.lies_in_memory()).count()),
            ),
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
                u64::from(self.missing().is_empty() && self.unsigned().is_empty()),
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
        ]);
        text += &self.presigned(now);
        text += &self.following.render(
            "sigill_ocsp_follow_refusals_total",
            "Refused states of the publication folder by code.",
        );
        if let Some(receiving) = &self.receiving {
            text += &receiving.render("sigill_ocsp_push_refusals_total", "Refused pushes by code.");
        }
        text
    }
}

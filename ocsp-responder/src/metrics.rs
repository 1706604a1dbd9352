//! Figures for `/metrics`: counts without addresses, serials or names of persons (ENV-07).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use x509::ocsp::Refusal;

/// Counters since the program started.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    questions: AtomicU64,
    signed: AtomicU64,
    from_cache: AtomicU64,
    sign_failures: AtomicU64,
    refusals: [AtomicU64; 4],
    files: AtomicU64,
    follow_failures: AtomicU64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    Question,
    Signed,
    FromCache,
    SignFailure,
    Refusal(Refusal),
    File,
    FollowFailure,
}

impl Metrics {
    pub(crate) fn count(&self, what: Counted) {
        let counter = match what {
            Counted::Question => Some(&self.questions),
            Counted::Signed => Some(&self.signed),
            Counted::FromCache => Some(&self.from_cache),
            Counted::SignFailure => Some(&self.sign_failures),
            Counted::File => Some(&self.files),
            Counted::FollowFailure => Some(&self.follow_failures),
            Counted::Refusal(refusal) => Refusal::ALL
                .iter()
                .position(|one| *one == refusal)
                .and_then(|place| self.refusals.get(place)),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The Prometheus text format, followed by `gauges`: name, help, value.
    pub(crate) fn render(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut text = String::new();
        let counters = [
            ("sigill_ocsp_questions_total", "OCSP requests answered.", &self.questions),
            ("sigill_ocsp_signatures_total", "Answers signed.", &self.signed),
            ("sigill_ocsp_cached_total", "Answers given from memory.", &self.from_cache),
            (
                "sigill_ocsp_sign_failures_total",
                "Answers that were not signed.",
                &self.sign_failures,
            ),
            ("sigill_ocsp_files_total", "CRLs and CA certificates served.", &self.files),
            (
                "sigill_ocsp_follow_failures_total",
                "Refused states of the publication folder.",
                &self.follow_failures,
            ),
        ];
        for (name, help, counter) in counters {
            let value = counter.load(Ordering::Relaxed);
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        }
        let name = "sigill_ocsp_refusals_total";
        let _ =
            write!(text, "# HELP {name} Unsigned responses by status.\n# TYPE {name} counter\n");
        for (refusal, counter) in Refusal::ALL.iter().zip(&self.refusals) {
            let value = counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}{{status=\"{}\"}} {value}", refusal.code());
        }
        for (name, help, value) in gauges {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
        text
    }
}

//! Stops the service for a moment at one named point of issuing, so that a test can end the process
//! there and nowhere else.
//!
//! Section `[danger-test]` of the configuration; refused outside environment test. The first
//! certificate that comes to the point waits, once a start; everything else goes on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca::deployment::{Deployment, Environment};
use serde::Deserialize;
use store::OrderId;
use thiserror::Error;

/// The section as it stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DangerSection {
    /// Between which two steps the service stops.
    pub(crate) pause_at: Window,
    /// For how many milliseconds.
    pub(crate) pause_ms: u64,
    /// The file into which it then writes the id of the order at work.
    pub(crate) mark: PathBuf,
}

/// A point between two steps of issuing.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Window {
    /// Prepared and linted; nothing is recorded but the order.
    BeforeIntent,
    /// The intent is recorded; no key has been touched.
    IntentSign,
    /// The token has signed; the signature has not been looked at.
    SignVerify,
    /// The signature verifies; the certificate is not recorded.
    VerifyIssued,
    /// The certificate is recorded; nobody has got it.
    IssuedReleased,
}

/// The pause that a test has ordered, if any.
#[derive(Debug, Default)]
pub(crate) struct Danger {
    section: Option<DangerSection>,
    taken: AtomicBool,
}

/// The section is there where it must not be.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "section [danger-test] is refused in deployment {deployment}: it exists for environment test only"
)]
pub(crate) struct DangerRefused {
    deployment: Deployment,
}

impl Danger {
    /// Takes the section over.
    ///
    /// # Errors
    ///
    /// [`DangerRefused`] outside environment test.
    pub(crate) fn new(
        section: Option<&DangerSection>,
        deployment: Deployment,
    ) -> Result<Self, DangerRefused> {
        if section.is_some() && deployment.environment() != Environment::Test {
            return Err(DangerRefused { deployment });
        }
        Ok(Self { section: section.cloned(), taken: AtomicBool::new(false) })
    }

    /// Waits, if this is the point and nobody has waited yet.
    pub(crate) fn pass(&self, window: Window, order: OrderId) {
        let Some(section) = &self.section else { return };
        if section.pause_at != window || self.taken.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(order.id = %order, "danger-test: stopping for {} ms", section.pause_ms);
        if let Err(error) = std::fs::write(&section.mark, order.to_string()) {
            tracing::error!(error = %error, "danger-test: the mark cannot be written");
        }
        std::thread::sleep(Duration::from_millis(section.pause_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &str = "pause-at = \"sign-verify\"\npause-ms = 1\nmark = \"MARK\"\n";

    fn section(mark: &std::path::Path) -> DangerSection {
        toml::from_str(&SECTION.replace("MARK", &mark.display().to_string())).unwrap()
    }

    fn deployment(environment: &str, pki: &str) -> Deployment {
        Deployment::from_parts(environment, pki, "abcd").unwrap()
    }

    #[test]
    fn refuses_to_stand_outside_environment_test() {
        let section = section("mark".as_ref());

        for (environment, pki) in [("qa", "test"), ("prod", "prod")] {
            let refused = Danger::new(Some(&section), deployment(environment, pki)).unwrap_err();

            assert!(refused.to_string().contains("[danger-test] is refused"), "{refused}");
            assert!(Danger::new(None, deployment(environment, pki)).is_ok());
        }
        assert!(Danger::new(Some(&section), deployment("test", "demo")).is_ok());
    }

    #[test]
    fn the_first_one_at_the_point_waits_and_leaves_its_mark_once() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let danger = Danger::new(Some(&section(&mark)), deployment("test", "demo")).unwrap();
        let order = OrderId::from_time_and_random(1, [7; 10]);

        danger.pass(Window::IntentSign, order);
        assert!(!mark.exists());
        danger.pass(Window::SignVerify, order);
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), order.to_string());
        std::fs::remove_file(&mark).unwrap();
        danger.pass(Window::SignVerify, order);
        assert!(!mark.exists());
    }
}

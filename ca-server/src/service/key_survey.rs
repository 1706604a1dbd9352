//! The nightly look for RSA keys that share a prime (ISS-11): whoever has two such public keys has both
//! private halves.
//!
//! New keys are compared with each other and with all earlier ones, a block at a time; how far it has
//! come is recorded with what was found, so that it goes on there after a stop. What is found is an
//! alarm. Nothing is revoked: that is a person's decision.

use std::sync::atomic::{AtomicBool, Ordering};

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::key_quality::shared_factor::{BLOCK, Survey, has_small_factor, have_common_factor};
use ca::role::Protected;
use serde_json::json;
use store::{AuditRecord, CertificateFilter, RsaKey, Subject};
use x509::time::UnixTime;

use super::Service;
use crate::denied::Denied;
use crate::publication::lossy;

/// Certificates whose keys are collected in one act: the writer is held for milliseconds.
const COLLECTED_AT_ONCE: u32 = 100;
/// The certificates of a key that are named.
const NAMED: u32 = 20;
/// The hour of the day (UTC) in which a survey begins.
const HOUR: u64 = 1;

/// Two keys with a factor in common, or one with a small factor.
struct Finding {
    key: RsaKey,
    other: Option<RsaKey>,
}

impl Service {
    /// Whether a survey may begin now.
    pub(crate) fn is_time_for_a_survey(&self) -> bool {
        self.clock().read().now.secs() / 3600 % 24 == HOUR
    }

    /// Compares the RSA keys that have come since the last survey; ends early when `stop` turns true.
    pub(crate) fn survey_keys(&self, stop: &AtomicBool) -> Result<(), Denied> {
        let stopped = || stop.load(Ordering::Relaxed);
        let collect = || self.store().collect_rsa_keys(COLLECTED_AT_ONCE);
        while !stopped() && collect().map_err(|e| self.note_storage(&e))? == COLLECTED_AT_ONCE {}
        loop {
            let compared = self.store().keys_compared().map_err(|e| self.note_storage(&e))?;
            metrics::gauge!("sigill_key_survey_keys").set(lossy(compared));
            let block = self.rsa_keys(compared)?;
            let Some(last) = block.last().map(|key| key.number) else { return Ok(()) };
            let mut survey = Survey::of(&moduli(&block));
            let mut after = 0;
            while after < compared {
                if stopped() {
                    return Ok(());
                }
                let mut earlier = self.rsa_keys(after)?;
                earlier.retain(|key| key.number <= compared);
                let Some(key) = earlier.last() else { break };
                after = key.number;
                survey.meet(&moduli(&earlier));
            }
            let mut found = Vec::new();
            for place in survey.suspects() {
                let Some(key) = block.get(place) else { continue };
                self.locate(key, &mut found)?;
            }
            let now = self.clock().read().now;
            self.record_survey(last, &found, now)?;
        }
    }

    fn rsa_keys(&self, after: u64) -> Result<Vec<RsaKey>, Denied> {
        let limit = u32::try_from(BLOCK).unwrap_or(u32::MAX);
        self.store().rsa_keys(after, limit).map_err(|e| self.note_storage(&e))
    }

    /// What makes a key suspect: earlier keys with a factor of it, and small factors.
    fn locate(&self, key: &RsaKey, found: &mut Vec<Finding>) -> Result<(), Denied> {
        if has_small_factor(&key.modulus) {
            found.push(Finding { key: key.clone(), other: None });
        }
        let mut after = 0;
        loop {
            let earlier = self.rsa_keys(after)?;
            for other in earlier.iter().filter(|other| other.number < key.number) {
                if have_common_factor(&key.modulus, &other.modulus) {
                    found.push(Finding { key: key.clone(), other: Some(other.clone()) });
                }
            }
            match earlier.last() {
                Some(last) if last.number < key.number => after = last.number,
                _ => return Ok(()),
            }
        }
    }

    /// Makes findings evidence and alarms, and records how far the survey has come.
    fn record_survey(&self, up_to: u64, found: &[Finding], now: UnixTime) -> Result<(), Denied> {
        let records: Vec<AuditRecord> =
            found.iter().map(|one| self.told(one)).collect::<Result<_, _>>()?;
        self.store().record_keys_compared(up_to, &records, now).map_err(|e| self.note_storage(&e))
    }

    fn told(&self, finding: &Finding) -> Result<AuditRecord, Denied> {
        let mut keys = vec![finding.key.spki];
        keys.extend(finding.other.as_ref().map(|other| other.spki));
        let mut certificates = Vec::new();
        for key in &keys {
            let filter = CertificateFilter {
                spki: Some(*key),
                protected: Protected::Seen,
                ..CertificateFilter::default()
            };
            let page = self
                .store()
                .list_certificates(&filter, None, NAMED)
                .map_err(|e| self.note_storage(&e))?;
            certificates.extend(page.rows.iter().map(|row| row.id.to_string()));
        }
        metrics::counter!("sigill_shared_factor_alarms_total").increment(1);
        tracing::error!(
            problem.code = "key-shared-factor",
            key.spki = %finding.key.spki,
            key.other = finding.other.as_ref().map(|other| other.spki.to_string()),
            certificates = certificates.join(" "),
            "RSA keys share a factor, so that anybody can have their private halves; next: have the certificates revoked for \
             keyCompromise, and find out where the keys were made"
        );
        let payload = json!({
            "key": finding.key.spki.to_string(),
            "other": finding.other.as_ref().map(|other| other.spki.to_string()),
            "certificates": certificates,
        });
        let objects = ObjectIds::first_of(keys.into_iter().map(ObjectId::Key));
        let (code, failed) = (EventCode::KeySharedFactor, EventResult::Failed);
        let (actor, subject) = (self.system(), Subject::Deployment);
        Ok(Self::record(code, failed, actor, objects, None, &payload, subject))
    }
}

fn moduli(keys: &[RsaKey]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.modulus.clone()).collect()
}

#[cfg(test)]
mod tests;

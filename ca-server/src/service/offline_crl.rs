//! CRLs of authorities whose keys are offline: watched, because only a ceremony can renew them (CRL-04).
//!
//! A root's list that ends stops every relying party that checks the whole chain, and nothing here can sign the
//! next one. So it is told long before: in the metrics, in the readiness, and in the log at the start and every hour,
//! louder as the end comes nearer, until the new list is imported.

use std::sync::atomic::Ordering;
use std::time::Duration;

use store::CrlScope;

use super::Service;
use super::authority::Authority;
use crate::denied::Denied;

const DAY: Duration = Duration::from_secs(86_400);
/// Days before the end at which the warning is raised.
const MARKS: [u32; 4] = [7, 14, 30, 60];
/// From this mark on a ceremony is urgent.
const URGENT: u32 = 14;

/// The lowest mark that what is left lies below; `None` while there is time.
fn mark(left: Duration) -> Option<u32> {
    MARKS.into_iter().find(|days| left < DAY * *days)
}

impl Service {
    /// Puts how long each offline authority's CRL lasts into metrics and readiness.
    pub(crate) fn observe_offline_crls(&self) -> Result<(), Denied> {
        let mut is_well = true;
        for authority in self.offline() {
            let left = self.offline_crl_left(authority)?;
            is_well &= mark(left).is_none();
            let name = authority.name().to_owned();
            metrics::gauge!("sigill_crl_seconds_left", "authority" => name).set(left.as_secs_f64());
        }
        self.readiness.offline_crls.store(is_well, Ordering::Relaxed);
        Ok(())
    }

    /// Says in the log which offline authorities need a ceremony for their CRL.
    pub(crate) fn remind_of_offline_crls(&self) -> Result<(), Denied> {
        for authority in self.offline() {
            let left = self.offline_crl_left(authority)?;
            let Some(mark) = mark(left) else { continue };
            let (name, days_left) = (authority.name(), left.as_secs() / DAY.as_secs());
            if mark > URGENT {
                tracing::warn!(
                    authority.name = name,
                    days_left,
                    "CRL of an offline authority ends in less than {mark} days: hold the ceremony that makes the next one, then `sigill-ca import --crl`"
                );
            } else {
                tracing::error!(
                    authority.name = name,
                    days_left,
                    "CRL of an offline authority ends in less than {mark} days, and then every certificate below it is refused: make the next one now, then `sigill-ca import --crl`"
                );
            }
        }
        Ok(())
    }

    fn offline(&self) -> impl Iterator<Item = &Authority> {
        self.authorities.values().filter(|authority| !authority.signs_here())
    }

    /// Until its CRL ends; nothing where there is none.
    fn offline_crl_left(&self, authority: &Authority) -> Result<Duration, Denied> {
        let current = self
            .store()
            .current_crl(authority.id, &CrlScope::full())
            .map_err(|e| self.note_storage(&e))?;
        let now = self.clock().read().now;
        Ok(current.map_or(Duration::ZERO, |row| row.next_update.since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRL-04: told below 60, 30, 14 and 7 days, and not before.
    #[test]
    fn a_list_is_told_of_below_each_mark() {
        let left = |days: u32, secs: u64| mark(DAY * days + Duration::from_secs(secs));
        assert_eq!(left(60, 0), None);
        assert_eq!(mark(DAY * 60 - Duration::from_secs(1)), Some(60));
        assert_eq!((left(30, 0), left(29, 0)), (Some(60), Some(30)));
        assert_eq!((left(14, 0), left(13, 0)), (Some(30), Some(14)));
        assert_eq!((left(7, 0), left(6, 0), left(0, 0)), (Some(14), Some(7), Some(7)));
    }
}

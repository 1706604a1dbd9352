//! How many delegates a responder may have: two that live, and no two within an hour.
//!
//! Whoever holds a responder's identity key can ask; this is what he gets at most (architecture §2.3).
//! A responder that has lost its keys waits for a delegate to end, or an operator revokes one.

use std::time::Duration;

use ca::refusal::Refusal;
use status::CertificateState;
use store::{CertificateFilter, CertificateRow, IndexTag, IndexTerm, Responder};
use x509::time::UnixTime;

use super::super::Service;
use super::super::authority::Authority;
use super::PROFILE;
use crate::denied::Denied;

/// Delegates of one responder and authority that live at a time: the one in use and the next.
const MOST: usize = 2;
/// Shortest time from the beginning of one delegate to the next. Renewal comes after four days.
const GAP: Duration = Duration::from_secs(3600);
/// More rows than a responder can come to have that have not ended.
const ROWS: u32 = 1000;

impl Service {
    /// The delegates of a responder under an authority that have neither ended nor been revoked.
    pub(super) fn live_delegates(
        &self,
        authority: &Authority,
        responder: &Responder,
        now: UnixTime,
    ) -> Result<Vec<CertificateRow>, Denied> {
        let name = common_name(authority, responder);
        let filter = CertificateFilter {
            issuer: Some(authority.id),
            profile: Some(PROFILE.to_owned()),
            term: Some(IndexTerm::new(IndexTag::CommonName, &name)),
            valid_until: Some(now),
            ..CertificateFilter::default()
        };
        let page = self
            .store()
            .list_certificates(&filter, None, ROWS)
            .map_err(|error| self.note_storage(&error))?;
        let mut rows = page.rows;
        rows.retain(|row| row.status.status.state != CertificateState::Revoked);
        Ok(rows)
    }
}

/// What a delegate is called, and found by.
pub(super) fn common_name(authority: &Authority, responder: &Responder) -> String {
    format!("{} OCSP {}", authority.name(), responder.name)
}

/// Refuses one delegate more than there may be.
pub(super) fn must_be_wanted(live: &[CertificateRow], now: UnixTime) -> Result<(), Denied> {
    let refused = |code, seen: String, limit: String| {
        let rule = "architecture §2.3: at most two delegates live for each responder and CA, and none follows another within an hour";
        let next = "if the responder has lost its delegates, revoke them by serial number; if it has not, treat it as broken into";
        Err(Denied::rule(Refusal::new(code, rule, &seen, limit, next)).for_now())
    };
    if live.len() >= MOST {
        let ends = live.iter().map(|row| row.not_after).min().unwrap_or(now);
        let seen = format!("{} live, the first ends {ends}", live.len());
        return refused("delegate-limit", seen, format!("{MOST} live"));
    }
    if let Some(newest) = live.iter().map(|row| row.not_before).max()
        && now.since(newest) < GAP
    {
        let from = newest.checked_add(GAP).unwrap_or(UnixTime::LAST);
        return refused("delegate-too-soon", format!("one from {newest}"), format!("from {from}"));
    }
    Ok(())
}

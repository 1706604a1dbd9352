//! The published set of test certificates: of each profile one that is good, one revoked, one expired, and of persons
//! one on hold (PRO-21), made anew by itself before any of them is anything else.
//!
//! They are issued, revoked and held by the ways of all others, to the test person and the test function of the
//! samples. Their keys are forgotten as soon as they are certified: nobody can log in by them. The file in the
//! publication tree is replaced when the whole set is what it says, by OCSP and by CRL; until then the earlier set
//! stands. A set that was broken off is begun anew (docs/formats/test-certificates.md).

mod document;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ca::audit::EventCode;
use ca::profile::{Profile, sample_fields};
use ca::refusal::Refusal;
use ca::revocation::{RevocationWish, Revoker};
use sha2::{Digest as _, Sha256};
use status::{Position, PublicationPath, RevocationReason};
use store::{CrlScope, StatusAct};
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::order::Wait;
use super::own_order::{OwnOrder, Purpose};
use crate::denied::{Denied, Kind};
use crate::publication::files::replace;
use crate::test_certificates::TestCertificates;
use document::{Certificate, Missing, Shown, Standing};

/// What these orders are for.
const PURPOSE: Purpose = Purpose {
    client: "sigill-ca:test-certificates",
    path: "test-certificates.json",
    key: "test_certificate",
    why: "test certificate",
    fault: unwritable,
};

/// What a certificate of the set is there to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Good,
    Revoked,
    Held,
    Expired,
}

impl State {
    /// The expired one first: it takes its time.
    const ALL: [Self; 4] = [Self::Expired, Self::Good, Self::Revoked, Self::Held];

    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Held => "held",
            Self::Expired => "expired",
        }
    }

    /// What is done to it once it has been issued.
    const fn act(self) -> Option<(StatusAct, EventCode)> {
        match self {
            Self::Good | Self::Expired => None,
            Self::Revoked => {
                let reason = Some(RevocationReason::Superseded);
                let act = StatusAct::Revoke { reason, invalidity: None };
                Some((act, EventCode::CertificateRevoked))
            }
            Self::Held => Some((StatusAct::Hold, EventCode::CertificateHeld)),
        }
    }
}

/// Which certificate of the set: of which authority, by which profile, in which state.
type Place = (String, String, State);

/// A certificate of a set that is being made.
struct Made {
    der: Vec<u8>,
    not_after: UnixTime,
    position: Position,
}

/// A set that is being made.
struct Making {
    begun: UnixTime,
    made: BTreeMap<Place, Made>,
    missing: BTreeMap<(String, String), &'static str>,
}

/// The set of this program, and the next one as far as it has come.
pub(crate) struct TestSet {
    settings: TestCertificates,
    making: Mutex<Option<Making>>,
}

impl TestSet {
    pub(crate) const fn new(settings: TestCertificates) -> Self {
        Self { settings, making: Mutex::new(None) }
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn lock(&self) -> MutexGuard<'_, Option<Making>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Whether a set is published here.
    pub(crate) const fn has_test_certificates(&self) -> bool {
        self.test_set.is_some()
    }

    /// Makes as much of the next set as can be made now, if it is time for one, and publishes it once all of it is
    /// what it says. Ends early when `stop` turns true.
    pub(crate) fn tend_test_certificates(&self, stop: &AtomicBool) -> Result<(), Denied> {
        let Some(set) = &self.test_set else { return Ok(()) };
        // Another node's set is no other: it would take the place of this one, and back.
        if !self.publication.is_ours() {
            return Ok(());
        }
        let now = self.clock().read().now;
        let shown = self.shown_profiles(&set.settings);
        let made_of = self.made_of(&shown);
        let path = self.folders.folder.join(PublicationPath::TestCertificates.to_string());
        let standing = Standing::read(&path).map_err(|error| unwritable(&error))?;
        let mut next = set.lock();
        let deployment = self.deployment.to_string();
        if standing.is_some_and(|set| set.stands(&deployment, &made_of, now)) {
            *next = None;
            return Ok(());
        }
        next.take_if(|one| now.since(one.begun) > set.settings.made_within());
        let making = next.get_or_insert_with(|| Making {
            begun: now,
            made: BTreeMap::new(),
            missing: BTreeMap::new(),
        });
        for state in State::ALL {
            for (authority, profile) in &shown {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.make_one(&set.settings, making, (authority, profile), state)?;
            }
        }
        if !self.is_as_it_says(making)? {
            return Ok(());
        }
        let document = document::write(&Shown {
            deployment: &deployment,
            made_of: &made_of,
            made_at: now,
            refresh_at: making
                .begun
                .checked_add(set.settings.refreshed_after())
                .ok_or_else(|| unwritable(&"no time for its refresh"))?,
            chains: shown
                .iter()
                .map(|(authority, _)| (authority.name(), self.chain_of(authority)))
                .collect(),
            certificates: making
                .made
                .iter()
                .map(|((authority, profile, state), made)| Certificate {
                    authority,
                    profile,
                    state: *state,
                    der: &made.der,
                })
                .collect(),
            missing: making
                .missing
                .iter()
                .map(|((authority, profile), code)| Missing { authority, profile, code })
                .collect(),
        });
        replace(&path, &document).map_err(|error| unwritable(&error))?;
        tracing::info!(
            certificates = making.made.len(),
            missing = making.missing.len(),
            "a new set of test certificates is published"
        );
        *next = None;
        Ok(())
    }

    /// The profiles of the set, each with the authority that issues it.
    fn shown_profiles(&self, settings: &TestCertificates) -> Vec<(&Authority, &Profile)> {
        let online = self.authorities.values().filter(|authority| authority.signs_here());
        online
            .flat_map(|authority| {
                let named = authority.issuer.profiles().iter();
                named
                    .filter_map(|name| self.book.profiles().by_name(name.as_str()))
                    .filter(|profile| profile.kind().is_subscriber())
                    .filter(|profile| settings.shows(profile.name().as_str()))
                    .map(move |profile| (authority, profile))
            })
            .collect()
    }

    /// SHA-256 over everything that another set would be made of: authorities and profiles, in hexadecimal.
    fn made_of(&self, shown: &[(&Authority, &Profile)]) -> String {
        let mut hash = Sha256::new();
        for (authority, profile) in shown {
            hash.update(authority.certificate.fingerprint());
            hash.update(profile.hash().as_bytes());
        }
        base16ct::lower::encode_string(&hash.finalize())
    }
}

impl Service {
    /// Makes one certificate of the set, unless it is there. A profile that refuses is missing from the set, and
    /// keeps no other from it.
    fn make_one(
        &self,
        settings: &TestCertificates,
        making: &mut Making,
        (authority, profile): (&Authority, &Profile),
        state: State,
    ) -> Result<(), Denied> {
        let of = (authority.name().to_owned(), profile.name().to_string());
        let place = (of.0.clone(), of.1.clone(), state);
        if making.missing.contains_key(&of) || making.made.contains_key(&place) {
            return Ok(());
        }
        // REV-04: what nobody may hold is not shown on hold.
        let hold =
            ca::revocation::check(Some(profile.kind()), Revoker::Client, RevocationWish::Hold);
        if state == State::Held && hold.is_err() {
            return Ok(());
        }
        if let Err(closed) = self.closed.must_be_open(&of.1) {
            making.missing.insert(of, closed.refusal.code);
            return Ok(());
        }
        let now = self.clock().read().now;
        let ends_at = match state {
            State::Expired => now.checked_add(settings.shortest_life()),
            _ => making.begun.checked_add(settings.life),
        };
        let ends_at = ends_at.ok_or_else(|| unwritable(&"no time for its end"))?;
        // What is known to come to nothing now leaves no order behind, however often it is tried.
        self.may_issue(now)?;
        self.signing_time()?;
        drop(self.may_sign(authority)?);
        let order = self.draw_order_id(now)?;
        let fields = sample_fields(profile);
        let own = OwnOrder { purpose: &PURPOSE, authority, profile, fields: &fields, ends_at };
        let issued = match self.issue_own(&own, order) {
            Ok(issued) => issued,
            Err(denied) if denied.kind == Kind::Rule => {
                tracing::warn!(
                    problem.code = denied.refusal.code,
                    profile.name = of.1,
                    "no test certificates of this profile: {}",
                    denied.refusal.seen
                );
                making.missing.insert(of, denied.refusal.code);
                return Ok(());
            }
            Err(denied) => return Err(denied),
        };
        let position = match state.act() {
            Some(act) => {
                let whose = (issued.certificate, order);
                self.change_own(&PURPOSE, authority, whose, act)?.status.position
            }
            None => issued.position,
        };
        let made = Made { der: issued.der, not_after: ends_at, position };
        making.made.insert(place, made);
        Ok(())
    }

    /// Whether the world can see every certificate of the set as what it is there to be: by the log, by the CRL of its
    /// authority, and by the clock.
    fn is_as_it_says(&self, making: &Making) -> Result<bool, Denied> {
        let now = self.clock().read().now;
        let expired = |((_, _, state), made): (&Place, &Made)| {
            *state != State::Expired || made.not_after < now
        };
        if !making.made.iter().all(expired) {
            return Ok(false);
        }
        for ((authority, _, state), made) in &making.made {
            if state.act().is_none() {
                continue;
            }
            let authority = self.authority_named(authority)?;
            let list = self.store().current_crl(authority.id, &CrlScope::full());
            let list = list.map_err(|error| self.note_storage(&error))?;
            // Its position is that of the first entry that it does not rest on.
            let rests = |list: store::CrlRow| {
                list.published.is_some() && list.position.is_some_and(|first| first > made.position)
            };
            if !list.is_some_and(rests) || !self.shards_tell(authority, made.position)? {
                return Ok(false);
            }
        }
        let last = making.made.values().map(|made| made.position).max();
        last.map_or(Ok(()), |last| self.await_publication(last, Wait::Yes))?;
        Ok(true)
    }
}

/// The set cannot be made or written now.
fn unwritable(seen: &dyn std::fmt::Display) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "test-certificates-unwritable",
            "PRO-21: a set of test certificates is published whole, and made anew before it ends",
            &seen,
            "a publication folder that takes files, and random numbers",
            "make room or correct permissions; the earlier set stands, and it is tried again by itself",
        ),
    )
}

#[cfg(test)]
mod tests;

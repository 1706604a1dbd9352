//! Replay: what stored issuances would become under another version of their profile (PRO-19).
//!
//! Everything but the profile is today's: configuration, book, lists of keys. Time and serial number are
//! those of the certificate. Nothing is signed, and nothing is recorded but that sealed fields were opened.
//! What is said of a person stays inside: values are told of functions and machines alone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use api::{ReplayDifference, ReplayItem, ReplayOutcome, ReplayPage, ReplayRefusal, ReplayRequest};
use ca::audit::{EventCode, EventResult, ObjectIds};
use ca::issuer::Issuer;
use ca::prepare::{KeySource, Preparation, Signer, Way};
use ca::profile::{Change, Profile, ProfileKind, Replayed, replay};
use ca::refusal::Refusal;
use ca::role::Protected;
use serde_json::json;
use store::{Issuance, KeptIssuance, ListCursor, Subject};
use x509::certificate::Certificate;
use x509::signing::IntentId;
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::body::from_json;
use super::caller::Caller;
use super::ordered::requested;
use super::record;
use super::signing::defect;
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// Issuances of a page unless the caller asks for fewer.
const PAGE: u32 = 200;
/// Most issuances of a page: it is answered within seconds.
const LARGEST_PAGE: u32 = 500;
/// So many whole seconds later than it was decided an intent may have been recorded: longer than a server that keeps its
/// callers waits for anything in between. One that took longer is told of as different in its begin.
const DECIDED_BEFORE: Duration = Duration::from_secs(10);

/// How an issuance came out, and whether its values may be told.
enum Outcome {
    Replayed(Replayed, Values),
    Forgotten,
    Unreadable(&'static str),
}

/// Whether values are told, or fields alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Told,
    Kept,
}

/// Versions that decided, by the SHA-256 of their files; `None` where no file is kept or readable.
type Versions = HashMap<[u8; 32], Option<Profile>>;

impl Service {
    /// As [`Self::replay`], for an operator who may read, and his call. That sealed fields were opened is in the
    /// audit log before anything of it is told: a leaf a page.
    pub(crate) fn replay_for(
        &self,
        caller: &Caller,
        call: &str,
        request: &ReplayRequest,
    ) -> Result<ReplayPage, Denied> {
        caller.must_operate("replay issuances")?;
        caller.must_read()?;
        let client = caller.name.as_str();
        let page = self.replay(request, caller.protected())?;
        let payload = json!({
            "call": call,
            "client": client,
            "why": "replay",
            "profile": page.profile,
            "sha256": page.sha256,
            "cursor": request.cursor,
            "replayed": page.replayed,
        });
        let record = Self::record(
            EventCode::SealedRead,
            EventResult::Done,
            record::client(client),
            ObjectIds::default(),
            None,
            &payload,
            Subject::Deployment,
        );
        let now = self.clock().read().now;
        self.store().record_audit(&record, now).map_err(|e| self.note_storage(&e))?;
        Ok(page)
    }

    /// A page of issuances under the version of their profile that the caller brings.
    fn replay(&self, request: &ReplayRequest, protected: Protected) -> Result<ReplayPage, Denied> {
        let version = Profile::parse(request.profile.as_bytes()).map_err(|error| unfit(&error))?;
        if !version.kind().is_subscriber() {
            return Err(unfit(&format!("a profile of kind {}", version.kind())));
        }
        let limit = request.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(malformed("limit", &limit, &format!("1 to {LARGEST_PAGE}")));
        }
        let cursor = request.cursor.as_deref().map(|text| {
            let cursor = text.parse().map(ListCursor);
            cursor
                .map_err(|_| malformed("cursor", &text, "the `next` of an earlier page, unchanged"))
        });
        let page = self
            .store()
            .issuances(version.name().as_str(), cursor.transpose()?, limit, protected)
            .map_err(|e| self.note_storage(&e))?;
        let (mut same, mut items, mut versions) = (0, Vec::new(), Versions::new());
        for issuance in &page.issuances {
            let outcome = self.replay_one(issuance, &version, &mut versions)?;
            match item(issuance, outcome) {
                Some(item) => items.push(item),
                None => same += 1,
            }
        }
        Ok(ReplayPage {
            profile: version.name().to_string(),
            version: version.version(),
            sha256: version.hash().to_string(),
            replayed: u32::try_from(page.issuances.len()).unwrap_or(u32::MAX),
            same,
            items,
            next: page.next.map(|ListCursor(cursor)| cursor.to_string()),
        })
    }

    fn replay_one(
        &self,
        issuance: &Issuance,
        version: &Profile,
        versions: &mut Versions,
    ) -> Result<Outcome, Denied> {
        let Some(kept) = &issuance.kept else { return Ok(Outcome::Forgotten) };
        let sha256 = issuance.profile.sha256;
        let decided_by = match versions.entry(sha256) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let file = self.store().profile_file(&sha256).map_err(|e| self.note_storage(&e))?;
                unknown.insert(file.and_then(|file| Profile::parse(&file).ok()))
            }
        };
        let Some(decided_by) = &*decided_by else {
            return Ok(Outcome::Unreadable("the file of the version that decided is not kept"));
        };
        let Ok(authority) = self.authority_of(issuance.issuer) else {
            return Ok(Outcome::Unreadable("its authority is not configured"));
        };
        let Ok(certificate) = Certificate::from_der(&kept.der) else {
            return Ok(Outcome::Unreadable("the certificate is not as this program writes them"));
        };
        let issuer = self.issuer_then(authority, &certificate)?.looking_back();
        let Some(past) = Past::read(kept, certificate, issuer) else {
            return Ok(Outcome::Unreadable("the order is not as this program reads them"));
        };
        let now = self.decided_at(&past, decided_by, issuance.intended);
        let values = match decided_by.kind() {
            ProfileKind::Function | ProfileKind::Machine => Values::Told,
            _ => Values::Kept,
        };
        let replayed = self.replayed_at(&past, version, now);
        Ok(replayed.map_or(Outcome::Unreadable("what was prepared cannot be read"), |replayed| {
            Outcome::Replayed(replayed, values)
        }))
    }

    /// The second at which it was decided. The certificate says it, unless it begins with its issuer:
    /// then the one at which the version that decided gives the same octets.
    fn decided_at(&self, past: &Past, decided_by: &Profile, intended: UnixTime) -> UnixTime {
        let (own, of_issuer) = (past.certificate.validity(), past.issuer.certificate().validity());
        let backdate = decided_by.validity().backdate;
        if own.not_before() != of_issuer.not_before() {
            return own.not_before().checked_add(backdate).unwrap_or(intended);
        }
        let seconds = (0..=DECIDED_BEFORE.as_secs()).map(Duration::from_secs);
        let mut candidates = seconds.map(|before| intended.saturating_sub(before));
        let is_it = |now: &UnixTime| {
            matches!(self.replayed_at(past, decided_by, *now), Some(Replayed::Same))
        };
        candidates.find(is_it).unwrap_or(intended)
    }

    /// The issuer with the CRL that it named then, where that is a shard's.
    fn issuer_then(&self, authority: &Authority, made: &Certificate) -> Result<Issuer, Denied> {
        let issuer = authority.issuer.clone();
        let Some(url) = made.crl_uris().pop().filter(|url| url != issuer.crl_url().as_str()) else {
            return Ok(issuer);
        };
        let shards = self.store().crl_shards(authority.id).map_err(|e| self.note_storage(&e))?;
        if !shards.iter().any(|shard| shard.url == url) {
            return Ok(issuer);
        }
        issuer.pointing_to(&url).map_err(|error| defect(&chain(&error)))
    }

    /// What comes of it at `now` under `version`. `None` when nothing can be compared.
    fn replayed_at(&self, past: &Past, version: &Profile, now: UnixTime) -> Option<Replayed> {
        let mut fields = requested(&past.request);
        let ordered = match past.request.order.as_ref().map(|order| self.order_of(order)) {
            Some(Err(denied)) => return Some(Replayed::NowRefused(denied.refusal)),
            Some(Ok(ordered)) => Some(ordered),
            None => None,
        };
        if let Some(ordered) = &ordered {
            ordered.fill(&mut fields, version);
        }
        let leave = self.proving_eid(ordered.as_ref()).and_then(|proof| {
            let eid = proof.map(|(known, _)| known.looking_back());
            self.admitted(ordered.as_ref(), eid.as_ref(), version, &past.issuer, now)
        });
        let admitted = match leave {
            Ok(admitted) => admitted,
            Err(denied) => return Some(Replayed::NowRefused(denied.refusal)),
        };
        let preparation = Preparation {
            deployment: self.deployment,
            algorithms: &self.algorithms,
            test_domains: &self.test_domains,
            profile: version,
            signer: Signer::Issuer(&past.issuer),
            way: if ordered.is_some() { Way::Order } else { Way::Direct },
            fields: &fields,
            key: KeySource::Request(&past.request_der),
            keys: &self.keys,
            serial: past.certificate.serial(),
            id: IntentId::from_bytes([0; 16]),
            now,
            ends_at: None,
            admitted: admitted.as_ref(),
        };
        replay(past.certificate.as_der(), &preparation).ok()
    }
}

/// An issuance as it was asked for.
struct Past {
    certificate: Certificate,
    issuer: Issuer,
    request: api::IssueRequest,
    request_der: Vec<u8>,
}

impl Past {
    fn read(kept: &KeptIssuance, certificate: Certificate, issuer: Issuer) -> Option<Self> {
        let request: api::IssueRequest = from_json(&kept.body).ok()?;
        let request_der = ca::request::der_from_text(&request.csr).ok()?;
        Some(Self { certificate, issuer, request, request_der })
    }
}

/// How an issuance is told of; `None` where it is the same.
fn item(issuance: &Issuance, outcome: Outcome) -> Option<ReplayItem> {
    let (mut differences, mut refused, mut why) = (Vec::new(), None, None);
    let outcome = match outcome {
        Outcome::Replayed(Replayed::Same, _) => return None,
        Outcome::Replayed(Replayed::Differs(changes), values) => {
            differences = changes.into_iter().map(|change| told(change, values)).collect();
            ReplayOutcome::Differs
        }
        Outcome::Replayed(Replayed::NowRefused(refusal), _) => {
            // What was seen may be a person's.
            let Refusal { code, rule, .. } = refusal;
            refused = Some(ReplayRefusal { code: code.to_owned(), rule: rule.into() });
            ReplayOutcome::NowRefused
        }
        Outcome::Forgotten => ReplayOutcome::Forgotten,
        Outcome::Unreadable(reason) => {
            why = Some(reason.to_owned());
            ReplayOutcome::Unreadable
        }
    };
    let certificate = issuance.certificate.to_string();
    Some(ReplayItem { certificate, outcome, differences, refusal: refused, why })
}

fn told(change: Change, values: Values) -> ReplayDifference {
    let Change { field, was, would_be } = change;
    match values {
        Values::Told => ReplayDifference { field, was: Some(was), would_be: Some(would_be) },
        Values::Kept => ReplayDifference { field, was: None, would_be: None },
    }
}

fn unfit(seen: &dyn std::fmt::Display) -> Denied {
    Denied::rule(Refusal::new(
        "profile-not-replayable",
        "what is replayed are issuances of subscribers under a profile that holds",
        &seen,
        "a profile of subscribers that `sigill profile check` finds no fault in",
        "correct the profile: `sigill profile check` names every fault with its line",
    ))
}

fn malformed(parameter: &'static str, seen: &dyn std::fmt::Display, limit: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "query-malformed",
            "a replay takes the fields that /openapi.json lists",
            &format!("{parameter}={seen}"),
            limit,
            "correct the call",
        ),
    )
}

#[cfg(test)]
mod tests;

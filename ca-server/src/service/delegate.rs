//! Delegated OCSP responders: requests from the outbox, certificates into the publication tree.
//!
//! A request is believed when the responder's pinned identity key signed it, its counter has risen,
//! and deployment and authority are ours. It is an order like any other: the same request file
//! yields the same certificate, whatever happened in between (architecture §2.3).

mod live;
mod told;
mod withdrawn;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca::audit::{Actor, ObjectId};
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Way};
use ca::refusal::Refusal;
use rustix::fs::{Mode, OFlags};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::BeforeActivation;
use store::{
    BegunOrder, CertificateLookup, HeldOrder, IssuedWhen, NewOrder, OrderAnswer, OrderId, OrderKey,
    OrderProgress, Responder, StoreError, StoredResponse, Subject,
};
use x509::key::PublicKey;
use x509::request::CertificationRequest;
use x509::responder_request::ResponderRequest;
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::domains::Owner;
use super::issue::Commission;
use crate::denied::{Denied, Kind};
use crate::publication::chain;
use crate::publication::files::replace;
use live::{common_name, must_be_wanted};
pub(crate) use told::DoneRequests;
use told::{Asked, Stage, key_of};
pub(crate) use withdrawn::{RespondersSection, WithdrawnResponders};

/// The profile of delegate certificates.
pub(super) const PROFILE: &str = "ocsp";
/// A request older or newer than this is not believed.
const REQUEST_AGE: Duration = Duration::from_secs(24 * 3600);
/// The stored answer to a request that was certified is the certificate (RFC 2585 §4.1).
const CERTIFICATE: &str = "application/pkix-cert";
/// The stored answer to a request that was refused for good is a word.
const WORD: &str = "text/plain";
/// What came as a file is answered by no protocol that has a status.
const NO_STATUS: u16 = 0;
/// Request files of one authority that are looked at in a round: a responder keeps one, two at most.
const FILES: usize = 256;
/// A request file is at most this long.
const MAX_OCTETS: u64 = 16 * 1024;

/// A request that is believed, before its counter is looked at.
struct Believed<'a> {
    authority: &'a Authority,
    responder: Responder,
    request: ResponderRequest,
    /// SHA-256 of the file, hexadecimal: the key of its order.
    key: String,
    bytes: Vec<u8>,
}

impl Believed<'_> {
    fn asked(&self) -> Asked<'_> {
        Asked {
            authority: self.authority,
            responder: &self.responder,
            key: &self.key,
            counter: self.request.body().counter,
        }
    }
}

impl Service {
    /// Serves every request in the outbox that has no answer yet, in the order of their counters:
    /// one counter serves all authorities of a responder.
    ///
    /// A request that is refused is told once and left where it is: its responder replaces it. One
    /// refusal does not keep the others waiting.
    pub(crate) fn serve_delegates(&self) -> Result<(), Denied> {
        let mut first_fault = self.revoke_withdrawn(self.clock().read().now);
        let mut seen = BTreeSet::new();
        let mut waiting = Vec::new();
        let mut outboxes = vec![self.folders.outbox.clone()];
        let collected = self.folders.collected();
        match folders_in(&collected) {
            Ok(hosts) => outboxes.extend(hosts),
            Err(error) => first_fault = first_fault.and(Err(unreadable(&collected, &error))),
        }
        let asked = self
            .authorities
            .values()
            .filter(|authority| authority.signs_here())
            .flat_map(|authority| outboxes.iter().map(move |outbox| (authority, outbox)));
        for (authority, outbox) in asked {
            let folder = outbox.join("responder").join(authority.name());
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    first_fault = first_fault.and(Err(unreadable(&folder, &error)));
                    continue;
                }
            };
            let mut paths = entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "req"));
            for path in paths.by_ref().take(FILES) {
                match self.read_request(authority, &path, &mut seen) {
                    Ok(request) => waiting.extend(request),
                    Err(denied) => first_fault = first_fault.and(Err(denied)),
                }
            }
            if paths.next().is_some() {
                let crowd = format!("more than {FILES} requests");
                first_fault = first_fault.and(Err(refused(
                    &folder,
                    "outbox-crowded",
                    &crowd,
                    "one or two requests of each responder",
                )));
            }
        }
        self.delegates_done.keep(&seen);
        waiting.sort_by_key(|one| one.request.body().counter);
        for one in waiting {
            first_fault = first_fault.and(self.serve_delegate(&one));
        }
        first_fault
    }

    /// The request in a file, unless it has been answered.
    fn read_request<'a>(
        &self,
        authority: &'a Authority,
        path: &Path,
        seen: &mut BTreeSet<String>,
    ) -> Result<Option<Believed<'a>>, Denied> {
        let bytes = read_outbox(path)?;
        let key = key_of(&bytes);
        let now = self.clock().read().now;
        seen.insert(key.clone());
        if let Some(denied) = self.delegates_done.put_off(&key, now) {
            return Err(denied);
        }
        if self.delegates_done.stage(&key) == Some(Stage::Done) {
            return Ok(None);
        }
        let (responder, request) = self.signed_by(path, &bytes)?;
        let one = Believed { authority, responder, request, key, bytes };
        let may = self.withdrawn.must_not_have(&one.responder);
        match may.and_then(|()| self.must_fit(&one, path, now)) {
            Ok(()) => Ok(Some(one)),
            Err(denied) => Err(self.put_off(&one.asked(), denied)),
        }
    }

    fn serve_delegate(&self, one: &Believed<'_>) -> Result<(), Denied> {
        self.answer_delegate(one).map_err(|denied| self.put_off(&one.asked(), denied))
    }

    fn answer_delegate(&self, one: &Believed<'_>) -> Result<(), Denied> {
        let Believed { authority, responder, key, bytes, .. } = one;
        let now = self.clock().read().now;
        if let Some(der) = self.standing_delegate(one, now)? {
            // Asked again before the answer had come: it comes again.
            self.publish_delegate(authority, &der)?;
            self.delegates_done.reached(key, Stage::Done);
            return Ok(());
        }
        let (order, progress) = match self.begin_delegate(responder, authority, key, bytes, now)? {
            (_, BegunOrder::Replay { response, .. }) => {
                if response.content_type == CERTIFICATE {
                    self.publish_delegate(authority, &response.body)?;
                }
                self.delegates_done.reached(key, Stage::Done);
                return Ok(());
            }
            (order, BegunOrder::New) => (HeldOrder::first(order), None),
            (_, BegunOrder::Resume(progress)) => (progress.held(), Some(progress)),
            (_, BegunOrder::Running { .. } | BegunOrder::BodyDiffers { .. }) => return Ok(()),
        };
        let served = self.serve_order(one, order, progress.as_ref(), now);
        if let Err(denied) = &served {
            let ended = if denied.is_final() {
                self.store().finish_order(
                    order,
                    &self.node,
                    &refused_for_good(order.id, denied),
                    now,
                )
            } else {
                // Whatever failed, a later round goes on with the order.
                self.store().leave_order(order, &self.node, now)
            };
            match ended {
                Ok(()) | Err(StoreError::OrderState { .. }) => {}
                Err(error) => self.orders_left.note(order, &error),
            }
        }
        served
    }

    /// The certificate that the request's key has already, unless this very request has yet to be
    /// answered with it. Refuses a key that would have one delegate too many.
    fn standing_delegate(
        &self,
        one: &Believed<'_>,
        now: UnixTime,
    ) -> Result<Option<Vec<u8>>, Denied> {
        let live = self.live_delegates(one.authority, &one.responder, now)?;
        // What cannot be read is for the profile's rules to refuse.
        let spki = CertificationRequest::from_der(&one.request.body().request)
            .ok()
            .map(|request| request.public_key().spki_hash());
        let Some(own) = live.iter().find(|row| Some(row.spki) == spki) else {
            must_be_wanted(&live, now)?;
            self.must_not_flood(&one.responder, now)?;
            return Ok(None);
        };
        let order = own.order.map(|order| self.store().order(order)).transpose();
        let order = order.map_err(|e| self.note_storage(&e))?.flatten();
        if order.is_some_and(|order| order.key.key == one.key) {
            return Ok(None);
        }
        let record = self
            .store()
            .certificate(&CertificateLookup::Id(own.id))
            .map_err(|e| self.note_storage(&e))?;
        Ok(record.and_then(|record| record.der))
    }

    fn serve_order(
        &self,
        one: &Believed<'_>,
        held: HeldOrder,
        progress: Option<&OrderProgress>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let Believed { authority, responder, request, key, .. } = one;
        let order = held.id;
        if let Some(intent) = progress.and_then(|progress| progress.open_intent) {
            self.void_intent(intent)?;
        }
        let made = progress.and_then(|progress| progress.certificate);
        if made.is_none() && self.delegates_done.stage(key).is_none() {
            self.accept_counter(one, progress, now)?;
        }
        let der = self.delegate_certificate(authority, responder, request, order, made)?;
        self.publish_delegate(authority, &der)?;
        let response =
            StoredResponse { status: NO_STATUS, content_type: CERTIFICATE.to_owned(), body: der };
        let answer = OrderAnswer { response, subject: Subject::Order(order), shared: Vec::new() };
        self.store()
            .finish_order(held, &self.node, &answer, now)
            .map_err(|e| self.note_storage(&e))?;
        self.delegates_done.reached(key, Stage::Done);
        tracing::info!(authority.name = authority.name(), responder.name = %responder.name, "OCSP delegate certified");
        Ok(())
    }

    /// Takes the request's counter, once. A counter that did not rise ends the order for good: it
    /// must not be resumed as if it had been accepted. Only an order that goes on may find its own
    /// counter taken already: the program had stopped in between.
    fn accept_counter(
        &self,
        one: &Believed<'_>,
        progress: Option<&OrderProgress>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let counter = one.request.body().counter;
        match self.store().accept_responder_request(&one.responder.name, counter, now) {
            Err(StoreError::Replayed { last, found }) if progress.is_some() && last == found => {}
            Err(StoreError::Replayed { last, found }) => return Err(replayed(last, found)),
            accepted => accepted.map_err(|e| self.note_storage(&e))?,
        }
        self.delegates_done.reached(&one.key, Stage::Counted);
        Ok(())
    }

    /// The request and whose it is, once a pinned identity key has signed it. What nobody known has
    /// signed stands in the log only.
    fn signed_by(
        &self,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(Responder, ResponderRequest), Denied> {
        let responders = self.store().responders().map_err(|e| self.note_storage(&e))?;
        let mut seen = "no responder is pinned".to_owned();
        let found = responders.into_iter().find_map(|responder| {
            let identity = PublicKey::from_spki_der(&responder.spki_der).ok()?;
            match ResponderRequest::open(bytes, &identity) {
                Ok(request) => Some((responder, request)),
                Err(error) => {
                    seen = chain(&error);
                    None
                }
            }
        });
        found.ok_or_else(|| {
            refused(
                path,
                "responder-unknown",
                &seen,
                "a request signed by an identity key that was pinned at enrolment",
            )
        })
    }

    /// Refuses a request that is for another deployment or authority, or too old.
    fn must_fit(&self, one: &Believed<'_>, path: &Path, now: UnixTime) -> Result<(), Denied> {
        let (authority, body) = (one.authority, one.request.body());
        self.must_go_on(authority).map_err(Denied::for_now)?;
        let refused = |path, code, seen: &dyn std::fmt::Display, limit: &str| {
            let denied = refused(path, code, seen, limit);
            Denied { kind: Kind::Rule, ..denied }.for_now()
        };
        if body.deployment != self.deployment.to_string() {
            return Err(refused(
                path,
                "deployment-mismatch",
                &body.deployment,
                &self.deployment.to_string(),
            ));
        }
        if body.authority != authority.certificate.fingerprint() {
            return Err(refused(
                path,
                "responder-request-authority",
                &"another authority's certificate",
                authority.name(),
            ));
        }
        let age = now.since(body.time).max(body.time.since(now));
        if age > REQUEST_AGE {
            return Err(refused(path, "responder-request-age", &body.time, "24 h from now"));
        }
        Ok(())
    }

    fn begin_delegate(
        &self,
        responder: &Responder,
        authority: &Authority,
        key: &str,
        bytes: &[u8],
        now: UnixTime,
    ) -> Result<(OrderId, BegunOrder), Denied> {
        let id = self.draw_order_id(now)?;
        let order = NewOrder {
            id,
            key: OrderKey {
                client: format!("responder:{}", responder.name),
                method: "FILE".to_owned(),
                path: format!("responder/{}", authority.name()),
                key: key.to_owned(),
            },
            body_sha256: Sha256::digest(bytes).into(),
            body: bytes.to_vec(),
            subject: Subject::Order(id),
            node: self.node.clone(),
        };
        Ok((id, self.store().begin_order(&order, now).map_err(|e| self.note_storage(&e))?))
    }

    fn delegate_certificate(
        &self,
        authority: &Authority,
        responder: &Responder,
        request: &ResponderRequest,
        order: OrderId,
        made: Option<store::CertificateId>,
    ) -> Result<Vec<u8>, Denied> {
        if let Some(id) = made {
            let record = self
                .store()
                .certificate(&CertificateLookup::Id(id))
                .map_err(|e| self.note_storage(&e))?;
            if let Some(der) = record.and_then(|record| record.der) {
                return Ok(der);
            }
        }
        let profile = self.book.profiles().by_name(PROFILE).ok_or_else(|| {
            refused(Path::new(PROFILE), "profile-unknown", &"no such profile", "profile ocsp")
        })?;
        let fields = RequestedFields {
            common_name: Some(common_name(authority, responder)),
            organization: authority
                .certificate
                .subject()
                .text_of(x509::oid::attribute::ORGANIZATION),
            ..RequestedFields::default()
        };
        let issued = self.commission(Commission {
            ordered: None,
            owner: Owner::Program,
            authority,
            profile,
            order,
            way: Way::Internal,
            fields: &fields,
            key: KeySource::Request(&request.body().request),
            ends_at: None,
            actor: Actor::System(*self.node.boot.as_bytes()),
            objects: [ObjectId::Order(*order.as_bytes()), ObjectId::Key(responder.key)],
            payload: json!({ "responder": responder.name, "counter": request.body().counter }),
            volume: None,
            issued: IssuedWhen::BeforeItsEnd,
            before_activation: BeforeActivation::Good,
        })?;
        Ok(issued.der)
    }

    fn publish_delegate(&self, authority: &Authority, der: &[u8]) -> Result<(), Denied> {
        let fault = |seen: &dyn std::fmt::Display| {
            refused(
                &self.folders.folder,
                "publication-unwritable",
                seen,
                "a folder that takes files",
            )
        };
        let certificate =
            x509::certificate::Certificate::from_der(der).map_err(|error| fault(&error))?;
        let name = format!("{}.cer", certificate.public_key().spki_hash());
        let path = self.folders.folder.join("responder").join(authority.name()).join(name);
        if fs::read(&path).is_ok_and(|found| found == der) {
            return Ok(());
        }
        replace(&path, der).map_err(|error| fault(&error))
    }
}

/// The answer that ends the order of a refused request.
fn refused_for_good(order: OrderId, denied: &Denied) -> OrderAnswer {
    let response = StoredResponse {
        status: NO_STATUS,
        content_type: WORD.to_owned(),
        body: denied.refusal.code.as_bytes().to_vec(),
    };
    OrderAnswer { response, subject: Subject::Order(order), shared: Vec::new() }
}

fn replayed(last: u64, found: u64) -> Denied {
    Denied::rule(Refusal::new(
        "request-replayed",
        "architecture §2.3: the counter rises with every request of an identity key",
        &format!("counter {found} after {last}"),
        format!("a counter above {last}"),
        "the responder asks anew by itself; if it does not, somebody replays its requests",
    ))
}

/// The bytes of a request file. The outer zone writes here: what is no plain file is not opened, and
/// no more is read than a request has, so that a pipe or a device cannot hold the schedule up.
fn read_outbox(path: &Path) -> Result<Vec<u8>, Denied> {
    let failed = |error: io::Error| unreadable(path, &error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?,
    );
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(refused(path, "responder-request-malformed", &"no plain file", "a file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_OCTETS.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_OCTETS) {
        return Ok(bytes);
    }
    Err(refused(path, "responder-request-malformed", &"a longer file", "16384 octets"))
}

/// The folders of outer hosts that requests are collected into; none before the first is.
fn folders_in(collected: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(collected) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Denied {
    refused(path, "outbox-unreadable", error, "a folder that can be read")
}

fn refused(path: &Path, code: &'static str, seen: &dyn std::fmt::Display, limit: &str) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            code,
            "architecture §2.3: how a responder's request is believed and answered",
            &format!("{}: {seen}", path.display()),
            limit,
            "see the responder's log; it replaces the request by itself when it can",
        ),
    )
}

#[cfg(test)]
#[path = "delegate/tests.rs"]
mod requests;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn folders_that_cannot_be_listed_are_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("from/outer1")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();

        let from = folder.path().join("from");
        assert_eq!(folders_in(&from).unwrap(), [from.join("outer1")]);
        assert!(folders_in(&folder.path().join("none")).unwrap().is_empty());
        assert!(folders_in(&folder.path().join("file")).is_err());
    }

    /// What a stranger in the outer zone can put into the outbox beside requests.
    #[test]
    fn only_plain_files_of_a_requests_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("good.req"), [7; 100]).unwrap();
        fs::write(path("long.req"), [7; 16 * 1024 + 1]).unwrap();
        mknodat(CWD, path("pipe.req"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        symlink("/dev/zero", path("zero.req")).unwrap();
        symlink(path("good.req"), path("link.req")).unwrap();
        fs::create_dir(path("folder.req")).unwrap();

        assert_eq!(read_outbox(&path("good.req")).unwrap(), [7; 100]);
        for name in ["long.req", "pipe.req", "zero.req", "link.req", "folder.req", "none.req"] {
            assert!(read_outbox(&path(name)).is_err(), "{name}");
        }
    }
}

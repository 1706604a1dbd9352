//! Delegated OCSP responders: requests from the outbox, certificates into the publication tree.
//!
//! A request is believed when the responder's pinned identity key signed it, its counter has risen,
//! and deployment and authority are ours. It is an order like any other: the same request file
//! yields the same certificate, whatever happened in between (architecture §2.3).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ca::audit::{Actor, ObjectId};
use ca::fields::RequestedFields;
use ca::prepare::Way;
use ca::refusal::Refusal;
use rustix::fs::{Mode, OFlags};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::{
    BegunOrder, CertificateLookup, NewOrder, OrderAnswer, OrderId, OrderKey, OrderProgress,
    Responder, StoreError, StoredResponse, Subject,
};
use x509::key::PublicKey;

use x509::responder_request::ResponderRequest;
use x509::time::UnixTime;

use super::authority::Authority;
use super::issue::Commission;
use super::{Service, storage};
use crate::denied::{Denied, Kind};
use crate::publication::chain;
use crate::publication::files::replace;

/// The profile of delegate certificates.
const PROFILE: &str = "ocsp";
/// A request older or newer than this is not believed.
const REQUEST_AGE: Duration = Duration::from_secs(24 * 3600);
/// The stored answer to a request that was certified is the certificate (RFC 2585 §4.1).
const CERTIFICATE: &str = "application/pkix-cert";
/// The stored answer to a request whose counter did not rise is a word.
const WORD: &str = "text/plain";
/// What came as a file is answered by no protocol that has a status.
const NO_STATUS: u16 = 0;
/// A request file is at most this long.
const MAX_OCTETS: u64 = 16 * 1024;

/// Which requests need no further look. They are named by the SHA-256 of their file.
#[derive(Debug, Default)]
pub(crate) struct DoneRequests(Mutex<BTreeMap<String, Stage>>);

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its counter was taken; its certificate is still to come.
    Counted,
    /// Its certificate stands in the publication tree, or it was refused for good.
    Done,
}

impl DoneRequests {
    fn stage(&self, key: &str) -> Option<Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn reached(&self, key: &str, stage: Stage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), stage);
    }
}

/// A request that is believed, before its counter is looked at.
struct Believed<'a> {
    authority: &'a Authority,
    responder: Responder,
    request: ResponderRequest,
    /// SHA-256 of the file, hexadecimal: the key of its order.
    key: String,
    bytes: Vec<u8>,
}

impl Service {
    /// Serves every request in the outbox that has no answer yet, in the order of their counters:
    /// one counter serves all authorities of a responder.
    ///
    /// A request that is refused is named in the log and left where it is: its responder replaces
    /// it. One refusal does not keep the others waiting.
    pub(crate) fn serve_delegates(&self) -> Result<(), Denied> {
        let mut first_fault = Ok(());
        let mut waiting = Vec::new();
        for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
            let folder = self.folders.outbox.join("responder").join(authority.name());
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    first_fault = first_fault.and(Err(unreadable(&folder, &error)));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "req") {
                    match self.read_request(authority, &path) {
                        Ok(request) => waiting.extend(request),
                        Err(denied) => first_fault = first_fault.and(Err(denied)),
                    }
                }
            }
        }
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
    ) -> Result<Option<Believed<'a>>, Denied> {
        let bytes = read_outbox(path)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let key = base16ct::lower::encode_string(&digest);
        if self.delegates_done.stage(&key) == Some(Stage::Done) {
            return Ok(None);
        }
        let now = self.clock().read().now;
        let (responder, request) = self.believed(authority, path, &bytes, now)?;
        Ok(Some(Believed { authority, responder, request, key, bytes }))
    }

    fn serve_delegate(&self, one: &Believed<'_>) -> Result<(), Denied> {
        let Believed { authority, responder, key, bytes, .. } = one;
        let now = self.clock().read().now;
        let (order, progress) = match self.begin_delegate(responder, authority, key, bytes, now)? {
            (_, BegunOrder::Replay { response, .. }) => {
                if response.content_type == CERTIFICATE {
                    self.publish_delegate(authority, &response.body)?;
                }
                self.delegates_done.reached(key, Stage::Done);
                return Ok(());
            }
            (order, BegunOrder::New) => (order, None),
            (_, BegunOrder::Resume(progress)) => (progress.order, Some(progress)),
            (_, BegunOrder::Running { .. } | BegunOrder::BodyDiffers { .. }) => return Ok(()),
        };
        let served = self.serve_order(one, order, progress.as_ref(), now);
        if served.is_err() {
            // Whatever failed, the next round goes on with the order.
            match self.store().leave_order(order, now) {
                // A refusal has ended it.
                Ok(()) | Err(StoreError::OrderState { .. }) => {}
                Err(error) => self.orders_left.note(order, &error),
            }
        }
        served
    }

    fn serve_order(
        &self,
        one: &Believed<'_>,
        order: OrderId,
        progress: Option<&OrderProgress>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let Believed { authority, responder, request, key, .. } = one;
        if let Some(intent) = progress.and_then(|progress| progress.open_intent) {
            self.void_intent(intent)?;
        }
        let made = progress.and_then(|progress| progress.certificate);
        if made.is_none() && self.delegates_done.stage(key).is_none() {
            self.accept_counter(order, one, progress, now)?;
        }
        let der = self.delegate_certificate(authority, responder, request, order, made)?;
        self.publish_delegate(authority, &der)?;
        let response =
            StoredResponse { status: NO_STATUS, content_type: CERTIFICATE.to_owned(), body: der };
        let answer = OrderAnswer { response, subject: Subject::Order(order) };
        self.store().finish_order(order, &answer, now).map_err(|e| storage(&e))?;
        self.delegates_done.reached(key, Stage::Done);
        tracing::info!(authority.name = authority.name(), responder.name = %responder.name, "OCSP delegate certified");
        Ok(())
    }

    /// Takes the request's counter, once. A counter that did not rise ends the order for good: it
    /// must not be resumed as if it had been accepted. Only an order that goes on may find its own
    /// counter taken already: the program had stopped in between.
    fn accept_counter(
        &self,
        order: OrderId,
        one: &Believed<'_>,
        progress: Option<&OrderProgress>,
        now: UnixTime,
    ) -> Result<(), Denied> {
        let counter = one.request.body().counter;
        match self.store().accept_responder_request(&one.responder.name, counter, now) {
            Err(StoreError::Replayed { last, found }) if progress.is_some() && last == found => {}
            Err(error @ StoreError::Replayed { .. }) => {
                let response = StoredResponse {
                    status: NO_STATUS,
                    content_type: WORD.to_owned(),
                    body: b"request-replayed".to_vec(),
                };
                let answer = OrderAnswer { response, subject: Subject::Order(order) };
                self.store().finish_order(order, &answer, now).map_err(|e| storage(&e))?;
                return Err(storage(&error));
            }
            accepted => accepted.map_err(|e| storage(&e))?,
        }
        self.delegates_done.reached(&one.key, Stage::Counted);
        Ok(())
    }

    /// The request, once a pinned identity key has signed it for this deployment and authority.
    fn believed(
        &self,
        authority: &Authority,
        path: &Path,
        bytes: &[u8],
        now: UnixTime,
    ) -> Result<(Responder, ResponderRequest), Denied> {
        let responders = self.store().responders().map_err(|e| storage(&e))?;
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
        let Some((responder, request)) = found else {
            return Err(refused(
                path,
                "responder-unknown",
                &seen,
                "a request signed by an identity key that was pinned at enrolment",
            ));
        };
        let body = request.body();
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
        Ok((responder, request))
    }

    fn begin_delegate(
        &self,
        responder: &Responder,
        authority: &Authority,
        key: &str,
        bytes: &[u8],
        now: UnixTime,
    ) -> Result<(OrderId, BegunOrder), Denied> {
        let order = NewOrder {
            id: self.draw_order_id(now)?,
            key: OrderKey {
                client: format!("responder:{}", responder.name),
                method: "FILE".to_owned(),
                path: format!("responder/{}", authority.name()),
                key: key.to_owned(),
            },
            body_sha256: Sha256::digest(bytes).into(),
            body: bytes.to_vec(),
            node: self.node.clone(),
        };
        let id = order.id;
        Ok((id, self.store().begin_order(&order, now).map_err(|e| storage(&e))?))
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
            let record =
                self.store().certificate(&CertificateLookup::Id(id)).map_err(|e| storage(&e))?;
            if let Some(der) = record.and_then(|record| record.der) {
                return Ok(der);
            }
        }
        let profile = self.profiles.by_name(PROFILE).ok_or_else(|| {
            refused(Path::new(PROFILE), "profile-unknown", &"no such profile", "profile ocsp")
        })?;
        let fields = RequestedFields {
            common_name: Some(format!("{} OCSP {}", authority.name(), responder.name)),
            organization: authority
                .certificate
                .subject()
                .text_of(x509::oid::attribute::ORGANIZATION),
            ..RequestedFields::default()
        };
        let issued = self.commission(Commission {
            authority,
            profile,
            order,
            way: Way::Internal,
            fields: &fields,
            request_der: &request.body().request,
            actor: Actor::System(*self.node.boot.as_bytes()),
            objects: vec![ObjectId::Order(*order.as_bytes()), ObjectId::Key(responder.key)],
            payload: json!({ "responder": responder.name, "counter": request.body().counter }),
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
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

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

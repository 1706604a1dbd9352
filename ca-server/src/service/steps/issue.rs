//! Issuing the certificates of an order of several steps: all of them, or none is given out.
//!
//! Each certificate is made by an order of its own, whose key is the order and the profile: there is one, whichever call asks, on whichever
//! node. Rules are asked for all of them before the first is signed. What a crash leaves between two of them goes on with the next call; the
//! step is recorded, and the certificates are shown, once all are there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::life::OrderAct;
use ca::order::Order;
use ca::refusal::Refusal;
use ca::routine::Routine;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::{BegunOrder, CertificateRow, EidOrder, HeldOrder, NewOrder, certificate_key};
use x509::key::SpkiHash;
use x509::request::CertificationRequest;

use super::said::Known;
use super::{Move, malformed, must_order_all, replaced};
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::body::from_json;
use crate::service::caller::Caller;
use crate::service::issue::{Commission, Duties};
use crate::service::order::{Answered, AtWork, OpenOnDrop, OrderWork, Outcome, still_running};
use crate::service::signing::defect;

impl Service {
    /// Issues the certificates of an order.
    pub(crate) fn issue_order(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderIssuance = from_json(&work.call.body)?;
        let order = self.seen_order(caller, id)?;
        let number = order.row.id;
        if !order.steps.iter().any(|step| step.call == work.order) {
            let waits = replaced::waits(&order.row);
            let issued = self.issue_what_is_asked(caller, order, &request, work);
            issued.map_err(|denied| if waits { replaced::unrevoked(denied) } else { denied })?;
        }
        self.order_answered(Outcome::Created, number, work)
    }

    fn issue_what_is_asked(
        &self,
        caller: &Caller,
        order: EidOrder,
        request: &api::EidOrderIssuance,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let known = Known::read(order)?;
        must_order_all(caller, &known)?;
        let who = self.who(caller, request.by.as_deref())?;
        let routine = self.routine_of(&known)?;
        let ordered = self.order_of(&self.said_so_far(&known, routine))?;
        // Before anything is signed: the stage, the duties, the requests.
        self.judged_step(&known, (routine, &ordered), &who, OrderAct::Issue)?;
        self.issue_all(caller, &known, (routine, &ordered), request, work)?;
        let moved = Move::of(OrderAct::Issue, Value::Null);
        self.take_step(&known, (routine, &ordered), &who, moved, work)
    }

    fn issue_all(
        &self,
        caller: &Caller,
        known: &Known,
        (routine, _): (&Routine, &Order),
        request: &api::EidOrderIssuance,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let keys = self.keys_of(known, request)?;
        self.must_be_the_receipts(known, &keys)?;
        let rows = self.store().eid_order_certificates(known.id);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        let fields = self.said_so_far(known, routine);
        let mut all = Vec::new();
        for (profile, key) in &keys {
            let of = request.requests.iter().find(|one| one.profile == *profile);
            let one = known.request(profile, &fields, of);
            if !is_there(&rows, profile, *key)? {
                let duties = Duties::OfSteps;
                self.with_request(caller, work.call, work.order, &one, duties, |commission| {
                    self.foretold(&commission)
                })?;
            }
            all.push((one, *key));
        }
        // Every call begins with the same one: of two with other keys the second stops there. What an earlier call left is ended by this, too.
        all.sort_by(|(one, _), (other, _)| one.profile.cmp(&other.profile));
        for (one, key) in &all {
            self.issue_one(caller, known, (one, *key), work)?;
        }
        Ok(())
    }

    /// Rules and lint of a certificate that is not signed by this. Nothing is spent.
    fn foretold(&self, commission: &Commission<'_>) -> Result<(), Denied> {
        let now = self.signing_time()?;
        let Commission { ordered, profile, authority, .. } = *commission;
        self.closed.must_be_open(profile.name().as_str())?;
        let (known, _) = self.proving_eid(ordered)?.unzip();
        let admitted = self.admitted(ordered, known.as_ref(), profile, &authority.issuer, now)?;
        if let Some(order) = ordered {
            self.binding_of(order, profile.name().as_str(), now)?;
        }
        self.prepared(commission, &authority.issuer, admitted.as_ref(), now).map(drop)
    }

    /// The profiles of the order, each with the key that is to be certified.
    fn keys_of(
        &self,
        known: &Known,
        request: &api::EidOrderIssuance,
    ) -> Result<Vec<(String, SpkiHash)>, Denied> {
        let (mut asked, mut ordered): (Vec<_>, Vec<_>) = (
            request.requests.iter().map(|one| one.profile.clone()).collect(),
            known.prepared.profiles.clone(),
        );
        asked.sort();
        ordered.sort();
        if asked != ordered {
            let limit = format!("one request for each of {}", ordered.join(", "));
            return Err(malformed("requests", &"other profiles", &limit));
        }
        let read = |one: &api::EidOrderCertificateRequest| {
            self.profile(&one.profile)?;
            let der = ca::request::der_from_text(&one.csr)
                .map_err(|error| Denied::rule(error.refusal()))?;
            let request = CertificationRequest::from_der(&der)
                .map_err(|error| malformed("csr", &error, "a PKCS #10 request"))?;
            Ok((one.profile.clone(), request.public_key().spki_hash()))
        };
        request.requests.iter().map(read).collect()
    }

    /// Holds the requests against the key that signed the receipt: that one is certified for authentication, or the first.
    fn must_be_the_receipts(
        &self,
        known: &Known,
        keys: &[(String, SpkiHash)],
    ) -> Result<(), Denied> {
        let Some(text) = known.receipt.as_ref().and_then(|receipt| receipt.key.as_deref()) else {
            return Ok(());
        };
        let der = STANDARD.decode(text).map_err(|_| defect("a key that does not read back"))?;
        let signed: [u8; 32] = Sha256::digest(&der).into();
        let of = keys.iter().find(|(profile, _)| self.authenticates(profile)).or(keys.first());
        if of.is_some_and(|(_, key)| *key.as_bytes() == signed) {
            return Ok(());
        }
        Err(Denied::rule(Refusal::new(
            "receipt-key-differs",
            "ISS-15: the holder signs with the key of the card that he gets",
            &"a request for another key than the one that signed the receipt",
            "a request by the key of the receipt",
            "have the card that signed the receipt make the request",
        )))
    }

    /// Makes one certificate of an order, or goes on where an earlier call left it; and sees to it that what is there then is for this key: it
    /// may be of another call that was at work at the same time.
    pub(super) fn issue_one(
        &self,
        caller: &Caller,
        known: &Known,
        (request, key): (&api::IssueRequest, SpkiHash),
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        self.make_certificate(caller, known, request, work)?;
        let rows = self.store().eid_order_certificates(known.id);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        if is_there(&rows, &request.profile, key)? {
            return Ok(());
        }
        Err(defect("a recorded certificate is not there"))
    }

    fn make_certificate(
        &self,
        caller: &Caller,
        known: &Known,
        request: &api::IssueRequest,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let id = self.draw_order_id(now)?;
        let body = known.id.to_string();
        let begun = self.begin(&NewOrder {
            id,
            key: certificate_key(known.id, &request.profile),
            body_sha256: Sha256::digest(&body).into(),
            body: body.into_bytes(),
            subject: known.subject(),
            node: self.node().clone(),
        })?;
        let held = match begun {
            BegunOrder::New => HeldOrder::first(id),
            BegunOrder::Resume(progress) => {
                let held = progress.held();
                let open = OpenOnDrop::new(self, AtWork::Recorded(held));
                if let Some(certificate) = progress.certificate {
                    open.disarm();
                    self.end_own_order(held, certificate.to_string());
                    return Ok(());
                }
                if let Some(serial) = progress.lost {
                    return Err(super::super::storage(&store::StoreError::CertificateLost {
                        order: progress.order,
                        serial,
                    }));
                }
                if let Some(intent) = progress.open_intent {
                    self.void_intent(intent)?;
                }
                open.disarm();
                held
            }
            BegunOrder::Running { order } => return Err(still_running(order)),
            // Its certificate came in the meantime, by another call.
            BegunOrder::Replay { .. } => return Ok(()),
            BegunOrder::BodyDiffers { .. } => return Err(defect("an order with another body")),
        };
        let open = OpenOnDrop::new(self, AtWork::Recorded(held));
        let duties = Duties::OfSteps;
        let issued =
            self.with_request(caller, work.call, held.id, request, duties, |commission| {
                let authority = commission.authority;
                let issued = self.commission(commission)?;
                // It is on hold until it is activated: who reads lists alone is to know that soon.
                authority.ask_for_crl();
                Ok(issued)
            })?;
        open.disarm();
        self.end_own_order(held, issued.certificate.to_string());
        Ok(())
    }
}

/// Whether the certificate of a profile is there, for this key.
fn is_there(rows: &[CertificateRow], profile: &str, key: SpkiHash) -> Result<bool, Denied> {
    let of = |row: &&CertificateRow| row.profile.as_ref().is_some_and(|one| one.name == profile);
    match rows.iter().find(of) {
        None => Ok(false),
        Some(row) if row.spki == key => Ok(true),
        Some(_) => Err(Denied::new(
            Kind::Conflict,
            Refusal::new(
                "order-other-key",
                "promise 2: an order has one certificate of each profile",
                &format!("a request for {profile} by another key than it was issued for"),
                "the request that an earlier call sent",
                "send the requests of the earlier call, or cancel the order and make another one",
            ),
        )),
    }
}

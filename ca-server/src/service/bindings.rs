//! eIDs and carriers as orders have bound them: shown and looked up. They are revoked in [`super::revoke`].
//!
//! What an order says of holder, organisation and carrier is recorded with its certificate; where an eID and a carrier stand follows from
//! their certificates (`ca::life`), so that it cannot say anything else than the status log.

use std::collections::BTreeSet;

use ca::identity::{CardNumber, OrganisationNumber};
use ca::key_holder::HolderName;
use ca::life::{CarrierStage, EidStage, Named};
use ca::order::Order;
use ca::organisation::{Scope, today};
use ca::refusal::Refusal;
use ca::role::Protected;
use store::{
    Binding, BoundTo, CarrierId, CarrierRow, CertificateId, CertificateRow, EidFilter, EidId,
    EidRow, IndexTag, IndexTerm,
};
use x509::time::UnixTime;

use super::caller::Caller;
use super::{Service, milliseconds};
use crate::denied::{Denied, Kind};

/// Most rows of a page.
const PAGE: u32 = 1000;

impl Service {
    /// What an order binds its certificate of `profile` to.
    ///
    /// # Errors
    ///
    /// A carrier that is revoked gets nothing more; nor does a device of another holder, nor what is left of an order whose eID was
    /// revoked.
    pub(super) fn binding_of(
        &self,
        order: &Order,
        profile: &str,
        now: UnixTime,
    ) -> Result<Option<Binding>, Denied> {
        let Some(family) = self.book.carrier(order.carrier.as_str()) else { return Ok(None) };
        let milliseconds = milliseconds(now);
        let binding = Binding {
            eid: EidId::from_time_and_random(milliseconds, self.randomness.draw()?),
            carrier: CarrierId::from_time_and_random(milliseconds, self.randomness.draw()?),
            kind: family.kind(),
            family: order.carrier.to_string(),
            mark: mark_of(order),
            holder: HolderName::of_identity(&order.identity),
            proof: Some(proof_of(order)),
            organisation: order.user.number.as_str().to_owned(),
            issuing: order.issuing.as_ref().map(|one| one.number.as_str().to_owned()),
        };
        let may = self.store().may_bind(&binding, profile, now);
        may.map_err(|e| self.note_storage(&e))?;
        Ok(Some(binding))
    }

    /// One eID, if the caller sees it.
    pub(crate) fn eid(&self, caller: &Caller, id: &str) -> Result<api::Eid, Denied> {
        caller.must_read()?;
        let row = self.seen_eid(caller, id)?;
        self.shown_eid(&row)
    }

    pub(super) fn seen_eid(&self, caller: &Caller, id: &str) -> Result<EidRow, Denied> {
        self.eid_of_side(caller, id, caller.protected())
    }

    /// One eID of the caller's organisations; of protected persons as far as `protected` says.
    pub(super) fn eid_of_side(
        &self,
        caller: &Caller,
        id: &str,
        protected: Protected,
    ) -> Result<EidRow, Denied> {
        let unknown = || no_such("eid-not-known", "eID");
        let eid: EidId = id.parse().map_err(|_| unknown())?;
        let row = self.store().eid(eid, protected).map_err(|e| self.note_storage(&e))?;
        let row = row.ok_or_else(unknown)?;
        if self.is_of(caller, &row.organisation)? { Ok(row) } else { Err(unknown()) }
    }

    /// One carrier, if the caller sees an eID on it.
    pub(crate) fn carrier(&self, caller: &Caller, id: &str) -> Result<api::Carrier, Denied> {
        caller.must_read()?;
        let row = self.seen_carrier(caller, id)?;
        self.shown_carrier(caller, &row)
    }

    pub(super) fn seen_carrier(&self, caller: &Caller, id: &str) -> Result<CarrierRow, Denied> {
        self.carrier_of_side(caller, id, caller.protected())
    }

    /// One carrier with an eID of the caller's organisations; of protected persons as far as `protected` says.
    pub(super) fn carrier_of_side(
        &self,
        caller: &Caller,
        id: &str,
        protected: Protected,
    ) -> Result<CarrierRow, Denied> {
        let unknown = || no_such("carrier-not-known", "carrier");
        let carrier: CarrierId = id.parse().map_err(|_| unknown())?;
        let row = self.store().carrier(carrier, protected).map_err(|e| self.note_storage(&e))?;
        self.if_seen(caller, row, protected)
    }

    /// The carrier of a card number, if the caller sees an eID on it.
    pub(crate) fn carrier_of_card(
        &self,
        caller: &Caller,
        lookup: &api::CarrierLookup,
    ) -> Result<api::Carrier, Denied> {
        caller.must_read()?;
        let row = self.card_seen(caller, lookup)?;
        self.shown_carrier(caller, &row)
    }

    pub(super) fn card_seen(
        &self,
        caller: &Caller,
        lookup: &api::CarrierLookup,
    ) -> Result<CarrierRow, Denied> {
        let number: String =
            lookup.card_number.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let number = CardNumber::parse(&number)
            .map_err(|error| malformed("card_number", &error.to_string(), "19 digits"))?;
        let term = IndexTerm::new(IndexTag::CardNumber, number.as_str());
        let protected = caller.protected();
        let row = self.store().carrier_of_card(&term, protected);
        self.if_seen(caller, row.map_err(|e| self.note_storage(&e))?, protected)
    }

    fn if_seen(
        &self,
        caller: &Caller,
        row: Option<CarrierRow>,
        protected: Protected,
    ) -> Result<CarrierRow, Denied> {
        let unknown = || no_such("carrier-not-known", "carrier");
        let row = row.ok_or_else(unknown)?;
        // Before there is an eID on it, it is of the organisation that it was registered for.
        if let (Some(_), Some(organisation)) = (row.stage, &row.organisation)
            && self.is_of(caller, organisation)?
        {
            return Ok(row);
        }
        let filter = EidFilter { carrier: Some(row.id), protected, ..EidFilter::default() };
        let eids = self.store().eids(&filter, None, PAGE).map_err(|e| self.note_storage(&e))?;
        for eid in &eids.rows {
            if self.is_of(caller, &eid.organisation)? {
                return Ok(row);
            }
        }
        Err(unknown())
    }

    /// A page of eIDs. A client that is limited to organisations names one of them.
    pub(crate) fn eids(
        &self,
        caller: &Caller,
        query: &api::EidQuery,
    ) -> Result<api::Page<api::Eid>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(100);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", &limit.to_string(), "1 to 1000"));
        }
        let after = query.cursor.as_deref().map(str::parse::<u64>).transpose();
        let after = after.map_err(|_| malformed("cursor", "another text", "`next` of a page"))?;
        let organisation = self.listed_organisation(caller, query.organisation.as_deref())?;
        let carrier = query.carrier.as_deref().map(str::parse::<CarrierId>).transpose();
        let carrier = carrier.map_err(|_| no_such("carrier-not-known", "carrier"))?;
        let certificate = query.certificate.as_deref().map(str::parse::<CertificateId>);
        let certificate =
            certificate.transpose().map_err(|_| no_such("certificate-unknown", "certificate"))?;
        let protected = caller.protected();
        let filter =
            EidFilter { organisation, carrier, certificate, protected, ..EidFilter::default() };
        let page = self.store().eids(&filter, after, limit).map_err(|e| self.note_storage(&e))?;
        let items = page.rows.iter().map(|row| self.shown_eid(row));
        Ok(api::Page {
            items: items.collect::<Result<_, _>>()?,
            next: page.next.map(|next| next.to_string()),
        })
    }

    /// Whether an organisation is one of the caller's, today: any is, of one that is limited to none.
    pub(super) fn is_of(&self, caller: &Caller, number: &str) -> Result<bool, Denied> {
        let Some(own) = caller.limited_to() else { return Ok(true) };
        let Ok(number) = OrganisationNumber::parse(number) else { return Ok(false) };
        let (scope, today) = (Scope::Under(own.to_vec()), today(self.clock().read().now));
        let tree = self.tree_of(&number)?;
        let named = tree.iter().filter(|one| one.number() == Some(&number));
        let seen = named.into_iter().any(|one| tree.sees(&scope, one.id, today));
        Ok(seen)
    }

    pub(super) fn bound(&self, to: BoundTo) -> Result<Vec<(EidId, CertificateRow)>, Denied> {
        self.store().bound_certificates(to).map_err(|e| self.note_storage(&e))
    }

    pub(super) fn shown_eid(&self, row: &EidRow) -> Result<api::Eid, Denied> {
        let certificates = self.bound(BoundTo::Eid(row.id))?;
        Ok(self.eid_with(row, &certificates))
    }

    fn eid_with(&self, row: &EidRow, certificates: &[(EidId, CertificateRow)]) -> api::Eid {
        let own = || certificates.iter().filter(|(eid, _)| *eid == row.id).map(|(_, one)| one);
        let stage = stage_of(own(), self.clock().read().now);
        api::Eid {
            id: row.id.to_string(),
            carrier: row.carrier.to_string(),
            organisation: row.organisation.clone(),
            issuing_organisation: row.issuing.clone(),
            stage: shown_eid_stage(stage),
            stage_sv: stage.word().swedish.to_owned(),
            created: row.created.to_string(),
            reach: None,
            position: last_position(own()),
            certificates: own().map(|one| self.shown_row(one)).collect(),
        }
    }

    /// The certificates of the eIDs on a carrier that the caller sees, oldest first.
    pub(super) fn bound_and_seen(
        &self,
        caller: &Caller,
        carrier: CarrierId,
    ) -> Result<Vec<(EidId, CertificateRow)>, Denied> {
        let protected = caller.protected();
        let filter = EidFilter { carrier: Some(carrier), protected, ..EidFilter::default() };
        let eids = self.store().eids(&filter, None, PAGE).map_err(|e| self.note_storage(&e))?.rows;
        let mut seen = BTreeSet::new();
        for eid in &eids {
            if self.is_of(caller, &eid.organisation)? {
                seen.insert(eid.id);
            }
        }
        let mut bound = self.bound(BoundTo::Carrier(carrier))?;
        bound.retain(|(eid, _)| seen.contains(eid));
        Ok(bound)
    }

    /// A carrier with the eIDs on it that the caller sees. Of those of other organisations it says that one lives there, because it
    /// goes with the carrier when this is revoked, and nothing else.
    pub(super) fn shown_carrier(
        &self,
        caller: &Caller,
        row: &CarrierRow,
    ) -> Result<api::Carrier, Denied> {
        let protected = caller.protected();
        let filter = EidFilter { carrier: Some(row.id), protected, ..EidFilter::default() };
        let eids = self.store().eids(&filter, None, PAGE).map_err(|e| self.note_storage(&e))?.rows;
        let mut certificates = self.bound(BoundTo::Carrier(row.id))?;
        let now = self.clock().read().now;
        let stage_of_eid = |eid: &EidRow| {
            let own = certificates.iter().filter(|(of, _)| *of == eid.id);
            stage_of(own.map(|(_, one)| one), now)
        };
        let stages: Vec<EidStage> = eids.iter().map(stage_of_eid).collect();
        let mut own = BTreeSet::new();
        let mut foreign = false;
        for (eid, stage) in eids.iter().zip(&stages) {
            if self.is_of(caller, &eid.organisation)? {
                own.insert(eid.id);
            } else {
                foreign |= !matches!(stage, EidStage::Revoked | EidStage::Expired);
            }
        }
        certificates.retain(|(eid, _)| own.contains(eid));
        let eids: Vec<&EidRow> = eids.iter().filter(|eid| own.contains(&eid.id)).collect();
        let stage = match (row.revoked, row.stage) {
            (Some(_), _) => CarrierStage::Revoked,
            (None, Some(stage)) => stage,
            (None, None) => CarrierStage::bearing(&stages),
        };
        let unbound = self.store().unbound_on(row.id, now).map_err(|e| self.note_storage(&e))?;
        let kind = row.kind.word();
        Ok(api::Carrier {
            id: row.id.to_string(),
            kind: kind.name.to_owned(),
            kind_sv: kind.swedish.to_owned(),
            family: row.family.clone(),
            stage: shown_carrier_stage(stage),
            stage_sv: stage.word().swedish.to_owned(),
            revoked_at: row.revoked.map(|time| time.to_string()),
            organisation: row.organisation.clone(),
            created: eids.first().map_or(row.created, |eid| eid.created).to_string(),
            reach: None,
            position: last_position(certificates.iter().map(|(_, one)| one)),
            unbound,
            foreign,
            eids: eids.iter().map(|eid| self.eid_with(eid, &certificates)).collect(),
        })
    }
}

/// What the carrier of an order is known by.
pub(super) fn mark_of(order: &Order) -> Option<IndexTerm> {
    let card = order.card.as_ref();
    let card = card.map(|card| IndexTerm::new(IndexTag::CardNumber, card.as_str()));
    let device = order.device.as_ref();
    card.or_else(|| device.map(|device| IndexTerm::new(IndexTag::Device, device.as_str())))
}

/// The act by which the holder of an order was identified. The calls of one order say the same.
fn proof_of(order: &Order) -> IndexTerm {
    let said = format!("{} {} {}", order.proofing, order.proofing_at, order.proofing_by);
    IndexTerm::new(IndexTag::Proof, &said)
}

pub(super) fn stage_of<'a>(
    certificates: impl Iterator<Item = &'a CertificateRow>,
    now: UnixTime,
) -> EidStage {
    let states: Vec<_> =
        certificates.map(|one| (one.not_after >= now).then_some(one.status.status.state)).collect();
    // None has no certificate: it came with one.
    EidStage::of(&states).unwrap_or(EidStage::Expired)
}

/// By which a repeated call waits for what the first one waited for.
fn last_position<'a>(certificates: impl Iterator<Item = &'a CertificateRow>) -> String {
    let last = certificates.map(|one| one.status.position).max();
    last.map(|position| position.to_string()).unwrap_or_default()
}

const fn shown_eid_stage(stage: EidStage) -> api::EidStage {
    match stage {
        EidStage::Ordered | EidStage::Issued => api::EidStage::Issued,
        EidStage::Active => api::EidStage::Active,
        EidStage::Held => api::EidStage::Held,
        EidStage::Cancelled | EidStage::Revoked => api::EidStage::Revoked,
        EidStage::Expired => api::EidStage::Expired,
    }
}

const fn shown_carrier_stage(stage: CarrierStage) -> api::CarrierStage {
    match stage {
        CarrierStage::Ordered => api::CarrierStage::Ordered,
        CarrierStage::Sent => api::CarrierStage::Sent,
        CarrierStage::Blank => api::CarrierStage::Blank,
        CarrierStage::Activating => api::CarrierStage::Activating,
        CarrierStage::Active => api::CarrierStage::Active,
        CarrierStage::Cancelled => api::CarrierStage::Cancelled,
        CarrierStage::Deregistered => api::CarrierStage::Deregistered,
        CarrierStage::Revoked => api::CarrierStage::Revoked,
        CarrierStage::Expired => api::CarrierStage::Expired,
    }
}

/// One body for what is not there and for what is not the caller's.
pub(super) fn no_such(code: &'static str, what: &str) -> Denied {
    Denied::new(
        Kind::NotFound,
        Refusal::new(
            code,
            "what is asked for is named by its id, and is of the caller's organisations",
            &format!("{what}: not there, or not the caller's"),
            "an id that this deployment gave",
            "`sigill eid list` names eIDs and their carriers",
        ),
    )
    .for_now()
}

fn malformed(field: &str, seen: &str, limit: &str) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new("query-malformed", field, &seen, limit, "correct the question"),
    )
}

//! What the steps of an order have said: kept as it was said, and put together as an order that comes in one call.

use api::order::{OrderApproval, OrderProofing, OrderReceipt};
use ca::identity::{Means, bare_number};
use ca::key_holder::HolderName;
use ca::life::{OrderAct, OrderStage};
use ca::order::{ActorId, Order};
use ca::refusal::Refusal;
use ca::role::Protected;
use ca::routine::{ReceiptRule, Routine, TermKind};
use ca::steps::Taken;
use store::{EidOrder, EidOrderHolder, EidOrderReplaces, OrderId, Subject};
use x509::time::UnixTime;

use super::kept::{Said, Unreadable};
use super::unknown;
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::caller::Caller;

/// An order as far as its steps have come. Personal data.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: OrderId,
    /// `None` before it is made.
    pub(super) stage: Option<OrderStage>,
    /// How many steps were taken.
    pub(super) steps: u32,
    /// The deadline that runs.
    pub(super) due: Option<(TermKind, UnixTime)>,
    /// What it replaces, as far as that has come.
    pub(super) replaces: Option<EidOrderReplaces>,
    pub(super) taken: Vec<Taken>,
    orderer: ActorId,
    pub(super) prepared: api::EidOrderRequest,
    evidence: Option<(api::EidOrderEvidence, ActorId)>,
    pub(super) receipt: Option<api::EidOrderReceipt>,
}

impl Known {
    /// One that is to be made.
    pub(super) const fn new(id: OrderId, prepared: api::EidOrderRequest, by: ActorId) -> Self {
        Self {
            id,
            stage: None,
            steps: 0,
            due: None,
            replaces: None,
            taken: Vec::new(),
            orderer: by,
            prepared,
            evidence: None,
            receipt: None,
        }
    }

    /// One that is kept.
    ///
    /// # Errors
    ///
    /// Its holder has been forgotten: nobody can go on with it.
    pub(super) fn read(order: EidOrder) -> Result<Self, Denied> {
        let (mut taken, mut prepared, mut evidence, mut receipt) = (Vec::new(), None, None, None);
        for step in &order.steps {
            let said = step.said.as_deref().ok_or_else(forgotten)?;
            let said = Said::read(said).map_err(unreadable)?;
            // What the program did has nobody.
            let Some(by) = said.by.as_deref() else { continue };
            let by = ActorId::new(by).ok_or(Unreadable).map_err(unreadable)?;
            taken.push(Taken { act: step.act, by: by.clone(), at: step.at });
            match step.act {
                OrderAct::Order => prepared = Some((said.order().map_err(unreadable)?, by)),
                OrderAct::Identify => evidence = Some((said.evidence().map_err(unreadable)?, by)),
                OrderAct::TakeReceipt => receipt = Some(said.receipt().map_err(unreadable)?),
                _ => {}
            }
        }
        let (prepared, orderer) = prepared.ok_or(Unreadable).map_err(unreadable)?;
        let (id, stage, steps) = (order.row.id, Some(order.row.stage), order.row.steps);
        let (due, replaces) = (order.row.due, order.row.replaces);
        Ok(Self { id, stage, steps, due, replaces, taken, orderer, prepared, evidence, receipt })
    }

    /// Whose data it is: the person's by the number that names him in every order.
    pub(super) fn subject(&self) -> Subject {
        let number = self.prepared.identity.number.as_deref();
        let number = number.map(bare_number);
        let named = number.or_else(|| self.prepared.subject.hsa_id.clone());
        named.filter(|name| !name.is_empty()).map_or(Subject::Order(self.id), Subject::Holder)
    }
}

impl Service {
    pub(super) fn kept_order(&self, id: OrderId) -> Result<Option<EidOrder>, Denied> {
        self.store().eid_order(id).map_err(|e| self.note_storage(&e))
    }

    /// An order that the caller sees.
    pub(super) fn seen_order(&self, caller: &Caller, id: &str) -> Result<EidOrder, Denied> {
        let id: OrderId = id.parse().map_err(|_| unknown())?;
        let order = self.kept_order(id)?.ok_or_else(unknown)?;
        let seen = self.is_of(caller, &order.row.organisation)? && self.may_see(caller, &order)?;
        if seen { Ok(order) } else { Err(unknown()) }
    }

    /// Whether an order is of somebody whom the caller may see: of a protected person it is there for a role alone that has him added (DAT-01).
    pub(super) fn may_see(&self, caller: &Caller, order: &EidOrder) -> Result<bool, Denied> {
        if caller.protected() == Protected::Seen {
            return Ok(true);
        }
        // Of one who has been forgotten nothing is shown that names him.
        let said = order.steps.first().and_then(|step| step.said.as_deref());
        let Some(said) = said else { return Ok(true) };
        let prepared = Said::read(said).and_then(|said| said.order()).map_err(unreadable)?;
        let EidOrderHolder { person, hsa_id } = self.holder_in(&prepared);
        for name in [person, hsa_id].into_iter().flatten() {
            if self.store().is_protected(&name).map_err(|e| self.note_storage(&e))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whose an order is, as it says.
    pub(super) fn holder_in(&self, prepared: &api::EidOrderRequest) -> EidOrderHolder {
        let api::EidOrderRequest { identity, subject, .. } = prepared;
        let number = identity.number.as_deref().map(bare_number);
        let person = self.holder_of(number.as_deref(), identity.passport.as_ref());
        let hsa_id = subject.hsa_id.as_deref().map(|id| HolderName::number(id.trim()));
        EidOrderHolder { person, hsa_id }
    }

    /// The routine of an order, as the book has it today.
    pub(super) fn routine_of(&self, known: &Known) -> Result<&Routine, Denied> {
        let name = &known.prepared.routine;
        self.book.routine(name).ok_or_else(|| {
            Denied::rule(Refusal::new(
                "order-unknown-name",
                "order/routine",
                name,
                "a routine in the book of this deployment",
                "correct the name, or have the operator put the file back",
            ))
            .for_now()
        })
    }

    /// What an order in one call would say. What no step has said yet stands as the routine asks for it, so that what was said can be judged;
    /// an order whose stage allows issuing has said all of it.
    pub(super) fn said_so_far(&self, known: &Known, routine: &Routine) -> api::OrderFields {
        let Known { prepared, .. } = known;
        let now = self.clock().read().now;
        let proofing = match &known.evidence {
            Some((said, by)) => OrderProofing {
                method: said.method.clone(),
                at: said.at.clone(),
                by: by.to_string(),
                eid: said.eid.clone(),
            },
            None => self.awaited_proofing(routine, now),
        };
        let approved = known.taken.iter().filter(|one| one.act == OrderAct::Approve);
        let mut approvals: Vec<OrderApproval> = approved
            .map(|one| OrderApproval { by: one.by.to_string(), at: one.at.to_string() })
            .collect();
        for number in approvals.len()..usize::from(routine.approvals) {
            let by = format!("awaited-approval-{number}");
            approvals.push(OrderApproval { by, at: now.to_string() });
        }
        let taken = known.receipt.as_ref().map(|receipt| OrderReceipt {
            form: receipt.form.clone(),
            sha256: receipt.sha256.clone(),
            at: receipt.at.clone(),
        });
        let awaited = || {
            let form = routine.receipt_forms.first().map(ToString::to_string).unwrap_or_default();
            OrderReceipt { form, sha256: "00".repeat(32), at: now.to_string() }
        };
        let receipt =
            taken.or_else(|| (routine.receipt == ReceiptRule::BeforeIssuing).then(awaited));
        api::OrderFields {
            routine: prepared.routine.clone(),
            orderer: api::order::Orderer {
                role: prepared.role.clone(),
                id: known.orderer.to_string(),
            },
            holder: prepared.holder.clone(),
            identity: prepared.identity.clone(),
            proofing,
            carrier: prepared.carrier.clone(),
            organisations: prepared.organisations.clone(),
            valid_until: prepared.valid_until.clone(),
            approvals,
            receipt,
            evidence: None,
        }
    }

    fn awaited_proofing(&self, routine: &Routine, now: UnixTime) -> OrderProofing {
        let by_document = routine.proofing.iter().find(|id| {
            let method = self.book.proofing_method(id.as_str());
            method.is_some_and(|method| method.means() == Means::Document)
        });
        let method = by_document.or(routine.proofing.first());
        OrderProofing {
            method: method.map(ToString::to_string).unwrap_or_default(),
            at: now.to_string(),
            by: "awaited-proofing".to_owned(),
            eid: None,
        }
    }

    /// Judges an order that is to be made as if all steps had been taken: what could never be issued is not begun.
    pub(super) fn foreseen(
        &self,
        caller: &Caller,
        known: &Known,
        now: UnixTime,
    ) -> Result<(&Routine, Order), Denied> {
        let routine = self.routine_of(known)?;
        let fields = self.said_so_far(known, routine);
        let ordered = self.order_of(&fields)?;
        for name in &known.prepared.profiles {
            caller.must_order(name)?;
            let profile = self.profile(name)?;
            let request = known.request(name, &fields, None);
            self.must_order_for(caller, &request, Some(&ordered))?;
            self.must_see_holder(caller, &request, Some(&ordered))?;
            match self.issuing_authority(profile, None) {
                Ok(authority) => {
                    self.admitted(Some(&ordered), None, profile, &authority.issuer, now)?;
                }
                // The request for the certificate names it.
                Err(denied) if denied.refusal.code == "authority-ambiguous" => {}
                Err(denied) => return Err(denied),
            }
        }
        Ok((routine, ordered))
    }
}

impl Known {
    /// The call that would order a certificate of `profile`.
    pub(super) fn request(
        &self,
        profile: &str,
        fields: &api::OrderFields,
        of: Option<&api::EidOrderCertificateRequest>,
    ) -> api::IssueRequest {
        let evidence = of.and_then(|request| request.evidence.clone());
        api::IssueRequest {
            function: None,
            profile: profile.to_owned(),
            authority: of.and_then(|request| request.authority.clone()),
            csr: of.map(|request| request.csr.clone()).unwrap_or_default(),
            subject: self.prepared.subject.clone(),
            alternative_names: self.prepared.alternative_names.clone(),
            actor: None,
            order: Some(api::OrderFields { evidence, ..fields.clone() }),
        }
    }
}

/// What is kept does not read back, or a later program has kept it.
pub(super) fn unreadable(Unreadable: Unreadable) -> Denied {
    let refusal = Refusal::new(
        "order-unreadable",
        "what is kept of a step is read by the program that wrote it, or a later one",
        &"a step of an order that does not read back",
        "a row that this program or one before it has written",
        "an operator looks at the row; certificates are revoked by their ids meanwhile",
    );
    Denied::new(Kind::Internal, refusal)
}

fn forgotten() -> Denied {
    let refusal = Refusal::new(
        "order-forgotten",
        "DAT-07: of one who has been forgotten nothing is known",
        &"an order whose holder has been forgotten",
        "an order whose holder is known",
        "make a new order",
    );
    Denied::new(Kind::Conflict, refusal)
}

//! Domains as rows. What may be stated and what proves it is for `ca::domain` to say (PRO-20).

use ca::domain::{DomainName, DomainProofMethod, Hold, Proof};
use ca::organisation::Scope;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{DomainId, OrderId, OrganisationId};

/// A domain as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRow {
    /// Its id.
    pub id: DomainId,
    /// Whose it is said to be.
    pub organisation: OrganisationId,
    /// The name.
    pub name: DomainName,
    /// What the next proof by token shows, and when it was given out; `None` where a proof has used it.
    pub token: Option<(String, UnixTime)>,
    /// The newest proof.
    pub proof: Option<Proof>,
    /// When it was withdrawn.
    pub withdrawn: Option<UnixTime>,
    /// When it was stated.
    pub created: UnixTime,
}

impl DomainRow {
    /// As names are judged by it; nothing of one that was withdrawn.
    #[must_use]
    pub fn hold(&self) -> Option<Hold<OrganisationId>> {
        let hold = Hold {
            name: self.name.clone(),
            organisation: self.organisation,
            until: self.proof.as_ref().map(|proof| proof.valid_until),
        };
        self.withdrawn.is_none().then_some(hold)
    }
}

/// A proof as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainProofRow {
    /// What was said of it.
    pub proof: Proof,
    /// When it was recorded.
    pub recorded: UnixTime,
    /// Who saw it and where the evidence is; `None` where that was forgotten.
    pub evidence: Option<Vec<u8>>,
}

/// What is done to a domain.
#[derive(Clone, Debug)]
pub enum DomainStep {
    /// It is stated.
    State {
        /// By which organisation.
        organisation: OrganisationId,
        /// The name.
        name: DomainName,
        /// What a proof by token shows.
        token: String,
    },
    /// A new token is given out.
    Token(String),
    /// Its control was proved.
    Prove {
        /// What is said of it.
        proof: Proof,
        /// Its method, as the list has it.
        method: Option<DomainProofMethod>,
        /// Who saw it and where the evidence is, sealed.
        evidence: Vec<u8>,
    },
    /// It is withdrawn, for ever.
    Withdraw,
}

/// An act about a domain.
#[derive(Clone, Debug)]
pub struct DomainAct {
    /// Which.
    pub domain: DomainId,
    /// What.
    pub step: DomainStep,
    /// The order that asks for it: what it has done already it does not do again.
    pub order: OrderId,
    /// Over what the caller has a role.
    pub scope: Scope<OrganisationId>,
}

/// The part of [`Store`](crate::Store) that knows domains.
pub trait Domains {
    /// Does an act, judged in the transaction that writes it. Returns how the domain stands then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Domain`] or [`StoreError::Organisation`] with the rule that refuses.
    fn act_on_domain(
        &self,
        wanted: &DomainAct,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<DomainRow, StoreError>;

    /// One domain.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn domain(&self, id: DomainId) -> Result<Option<DomainRow>, StoreError>;

    /// All domains, those that were withdrawn too, by their ids.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn domains(&self) -> Result<Vec<DomainRow>, StoreError>;

    /// Domains of these names that are not withdrawn, whosever they are.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn domains_named(&self, names: &[&str]) -> Result<Vec<DomainRow>, StoreError>;

    /// The proofs of a domain, the oldest first.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn domain_proofs(&self, id: DomainId) -> Result<Vec<DomainProofRow>, StoreError>;
}

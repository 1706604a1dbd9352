//! Organisations as rows. What may lie under what, and who may change it, is for `ca::organisation` to say.

use ca::day::Day;
use ca::identity::OrganisationNumber;
use ca::organisation::{Organisation, Scope};
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{OrderId, OrganisationId};

/// An organisation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganisationRow {
    /// What is known of it.
    pub organisation: Organisation<OrganisationId>,
    /// How often it has been written: 1 when it is new.
    pub revision: u32,
    /// When it was added.
    pub created: UnixTime,
    /// When it was last changed.
    pub updated: UnixTime,
}

/// A new organisation, or one as it is to be from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganisationChange {
    /// How it is to be.
    pub organisation: Organisation<OrganisationId>,
    /// The revision that the change rests on; `None` of a new one.
    pub rests_on: Option<u32>,
    /// The order that asks for it: what it has done already it does not do again.
    pub order: OrderId,
    /// Over what the caller has a role.
    pub scope: Scope<OrganisationId>,
    /// The day in Stockholm.
    pub today: Day,
}

/// The part of [`Store`](crate::Store) that knows the tree of organisations.
pub trait Organisations {
    /// Adds or changes an organisation: held against the tree in the act that writes it. A change that this order has
    /// made already changes nothing more. Returns how it stands then.
    ///
    /// # Errors
    ///
    /// [`StoreError::Organisation`] with the rule that refuses.
    fn put_organisation(
        &self,
        change: &OrganisationChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<OrganisationRow, StoreError>;

    /// All organisations, those that have ended too, by their ids.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn organisations(&self) -> Result<Vec<OrganisationRow>, StoreError>;

    /// The organisations of a number, and all that they lie under.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn organisations_of_number(
        &self,
        number: &OrganisationNumber,
    ) -> Result<Vec<OrganisationRow>, StoreError>;

    /// An organisation, and all that it lies under; nothing where it is not there.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn organisation_with_way_up(
        &self,
        organisation: OrganisationId,
    ) -> Result<Vec<OrganisationRow>, StoreError>;
}

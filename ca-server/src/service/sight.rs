//! Which certificates a client sees that is limited to organisations: those of eIDs of holders in these, and those of functions that it
//! ordered itself. Of any other it hears what it hears of one that is not there, and does nothing to it (API-04).
//!
//! Whoever acts in a role on an organisation sees of the client's functions those that name it, or one under it.

use ca::organisation::Scope;
use ca::refusal::Refusal;
use store::{CertificateId, CertificateLookup};
use x509::certificate::Certificate;
use x509::name::AttributeType;
use x509::serial::SerialNumber;

use super::Service;
use super::caller::Caller;
use super::order::{Answered, OrderWork};
use super::show::no_such;
use crate::denied::{Denied, Kind};

impl Service {
    /// One certificate with its PEM and chain, if the caller sees it.
    pub(crate) fn show_to(&self, caller: &Caller, id: &str) -> Result<api::Certificate, Denied> {
        caller.must_read()?;
        self.must_see(caller, id)?;
        self.show(id)
    }

    /// Revokes or holds a certificate that the caller sees.
    pub(crate) fn revoke_for(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        self.must_see(caller, id)?;
        self.revoke(caller.revoker, id, work)
    }

    /// Ends the hold of a certificate that the caller sees.
    pub(crate) fn release_for(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_release()?;
        self.must_see(caller, id)?;
        self.release_hold(id, work)
    }

    /// Signs the receipt of the revocation of a certificate that the caller sees.
    pub(crate) fn receipt_for(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        self.must_see(caller, id)?;
        self.receipt(id, work)
    }

    /// The receipts of a certificate that the caller sees.
    pub(crate) fn receipts_to(&self, caller: &Caller, id: &str) -> Result<api::Receipts, Denied> {
        caller.must_read()?;
        self.must_see(caller, id)?;
        self.receipts(id)
    }

    /// The receipts of a serial; none where the caller does not see its certificate, as of a serial that is not known.
    pub(crate) fn receipts_of_serial_to(
        &self,
        caller: &Caller,
        authority: &str,
        serial: &str,
    ) -> Result<api::Receipts, Denied> {
        caller.must_read()?;
        if caller.limited_to().is_some() {
            let issuer = self.authority_named(authority)?.id;
            let serial: SerialNumber = serial.parse().map_err(|_| no_such(serial))?;
            let lookup = CertificateLookup::Serial(issuer, serial);
            let found = self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
            let certificate = found.map(|record| record.row.id);
            if !self.sees_what_was_found(caller, certificate)? {
                return Ok(api::Receipts { items: Vec::new() });
            }
        }
        self.receipts_of_serial(authority, serial)
    }

    /// Refuses a certificate that the caller does not see as one that is not there.
    fn must_see(&self, caller: &Caller, id: &str) -> Result<(), Denied> {
        if caller.limited_to().is_none() {
            return Ok(());
        }
        let certificate: CertificateId = id.parse().map_err(|_| no_such(id))?;
        if self.sees(caller, certificate)? { Ok(()) } else { Err(no_such(id)) }
    }

    /// Whether the caller sees a certificate that a lookup found; one that is not limited sees that there is none, too.
    pub(super) fn sees_what_was_found(
        &self,
        caller: &Caller,
        certificate: Option<CertificateId>,
    ) -> Result<bool, Denied> {
        match (caller.limited_to(), certificate) {
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
            (Some(_), Some(certificate)) => self.sees(caller, certificate),
        }
    }

    pub(super) fn sees(&self, caller: &Caller, certificate: CertificateId) -> Result<bool, Denied> {
        if caller.limited_to().is_none() {
            return Ok(true);
        }
        let whose = self.store().certificate_side(certificate);
        match whose.map_err(|e| self.note_storage(&e))? {
            Some(side) => match (&side.organisation, &side.function_of) {
                (Some(organisation), _) => self.is_of(caller, organisation),
                (None, Some(client)) if *client == caller.name => {
                    self.acts_for_function(caller, certificate)
                }
                (None, _) => Ok(false),
            },
            None => Ok(false),
        }
    }

    /// Whether a function of the client's is one of the organisation that somebody acts on: the subject names it, as the order had to. Where
    /// nobody acts on one, every function of the client's is.
    fn acts_for_function(
        &self,
        caller: &Caller,
        certificate: CertificateId,
    ) -> Result<bool, Denied> {
        let acting = caller.acting.as_ref();
        let Some(on) = acting.and_then(|acting| acting.organisation) else { return Ok(true) };
        let found = self.store().certificate(&CertificateLookup::Id(certificate));
        let der = found.map_err(|e| self.note_storage(&e))?.and_then(|record| record.der);
        let read = der.and_then(|der| Certificate::from_der(&der).ok());
        let name = read.and_then(|one| one.subject().text_of(AttributeType::Organization.oid()));
        name.map_or(Ok(false), |name| self.sees_named(&Scope::Under(vec![on]), &name))
    }

    /// The organisation that a list is of: a client that is limited to organisations names one of them.
    pub(super) fn listed_organisation(
        &self,
        caller: &Caller,
        number: Option<&str>,
    ) -> Result<Option<String>, Denied> {
        match number {
            Some(number) if !self.is_of(caller, number)? => {
                Err(super::bindings::no_such("organisation-unknown", "organisation"))
            }
            None if caller.limited_to().is_some() => Err(Denied::new(
                Kind::Malformed,
                Refusal::new(
                    "query-malformed",
                    "API-04: a client that is limited to organisations lists one of them",
                    &"no organisation",
                    "`organisation`: the number of one of the client's organisations",
                    "name the organisation",
                ),
            )),
            named => Ok(named.map(str::to_owned)),
        }
    }
}

#[cfg(test)]
mod tests;

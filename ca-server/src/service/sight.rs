//! Which certificates a client sees that is limited to organisations: those of eIDs of holders in these, and those of functions that it
//! ordered itself. Of any other it hears what it hears of one that is not there, and does nothing to it (API-04).
//!
//! Whoever acts in a role on an organisation sees of the client's functions those that name it, or one under it.
//!
//! What is a protected person's is not there for anybody whose role has them not added (DAT-01). Revoking is the exception: what is named by an id
//! or a serial number is revoked for whoever may revoke it.

use ca::organisation::Scope;
use ca::refusal::Refusal;
use ca::role::Protected;
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

    /// Revokes or holds a certificate that is of the caller's side, a protected person's too: nobody's revocation waits for a role. Who does
    /// not see that person is told what became of the certificate, and not shown it.
    pub(crate) fn revoke_for(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let lookup = by_id(id)?;
        self.sees(caller, &lookup, Protected::Seen)?.ok_or_else(|| no_such(id))?;
        match self.sees(caller, &lookup, caller.protected())? {
            Some(_) => self.revoke(caller.revoker, id, work),
            None => self.revoke_unseen(caller.revoker, id, work),
        }
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
        let issuer = self.authority_named(authority)?.id;
        let number: SerialNumber = serial.parse().map_err(|_| no_such(serial))?;
        let sees = match caller.limited_to() {
            None => self.store().sees_serial(issuer, &number, caller.protected()),
            Some(_) => {
                let lookup = CertificateLookup::Serial(issuer, number);
                Ok(self.sees(caller, &lookup, caller.protected())?.is_some())
            }
        };
        // What is not seen costs what nothing costs, and what is not there.
        let receipts = self.receipts_of_serial(authority, serial)?;
        if sees.map_err(|e| self.note_storage(&e))? {
            Ok(receipts)
        } else {
            Ok(api::Receipts { items: Vec::new() })
        }
    }

    /// Refuses a certificate that the caller does not see as one that is not there.
    fn must_see(&self, caller: &Caller, id: &str) -> Result<(), Denied> {
        let seen = self.sees(caller, &by_id(id)?, caller.protected())?;
        seen.map(|_| ()).ok_or_else(|| no_such(id))
    }

    /// The certificate of a lookup, if the caller sees it; of protected persons as far as `protected` says. Whose is a protected person's and
    /// not seen, the store does not find: no more is done for it than for what is not there.
    pub(super) fn sees(
        &self,
        caller: &Caller,
        lookup: &CertificateLookup,
        protected: Protected,
    ) -> Result<Option<CertificateId>, Denied> {
        let side = self.store().certificate_side(lookup, protected);
        let Some(side) = side.map_err(|e| self.note_storage(&e))? else { return Ok(None) };
        let certificate = side.certificate;
        if caller.limited_to().is_none() {
            return Ok(Some(certificate));
        }
        let sees = match (&side.organisation, &side.function_of) {
            (Some(organisation), _) => self.is_of(caller, organisation)?,
            (None, Some(client)) if *client == caller.name => {
                self.acts_for_function(caller, certificate)?
            }
            (None, _) => false,
        };
        Ok(sees.then_some(certificate))
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
                Kind::Rule,
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

fn by_id(id: &str) -> Result<CertificateLookup, Denied> {
    id.parse().map(CertificateLookup::Id).map_err(|_| no_such(id))
}

#[cfg(test)]
mod tests;

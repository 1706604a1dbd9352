//! Why a login or a signature fails: the certificates that the question names, judged by [`ca::diagnosis`].

use ca::diagnosis::{Judged, Use, Wanted, of_all};
use ca::profile::{Profile, TrustLevel};
use ca::refusal::Refusal;
use status::{CertificateStatus, Obstacle};
use store::{BoundTo, CertificateId, CertificateLookup, CertificateRow, EidFilter, EidId};
use x509::extension::CertificatePolicies;
use x509::import::ImportedCertificate;
use x509::name::AttributeType;
use x509::pem::{self, Label};
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::bindings::no_such;
use super::caller::Caller;
use super::show::shown_state;
use crate::denied::{Denied, Kind};

impl Service {
    /// Answers one question.
    ///
    /// # Errors
    ///
    /// A question that names not exactly one thing or is not well formed; what is not there, or not the caller's.
    pub(crate) fn diagnose(
        &self,
        caller: &Caller,
        asked: &api::DiagnosisRequest,
    ) -> Result<api::Diagnosis, Denied> {
        caller.must_read()?;
        let wanted = wanted(asked)?;
        let now = self.clock().read().now;
        match named(asked)? {
            Named::Certificate(id) => {
                let unknown = || no_such("certificate-unknown", "certificate");
                let id: CertificateId = id.parse().map_err(|_| unknown())?;
                let seen = self.certificate_seen(caller, &CertificateLookup::Id(id))?;
                let (row, eid) = seen.ok_or_else(unknown)?;
                Ok(self.of_one(&row, eid, wanted, now))
            }
            Named::Pem(pem) => self.of_bytes(caller, pem, wanted, now),
            Named::Eid(id) => {
                let eid = self.seen_eid(caller, id)?;
                let bound = self.bound(BoundTo::Eid(eid.id))?;
                Ok(self.of_several(None, &bound, wanted, now))
            }
            Named::Carrier(id) => {
                let carrier = self.seen_carrier(caller, id)?;
                let bound = self.bound_and_seen(caller, carrier.id)?;
                Ok(self.of_several(carrier.revoked, &bound, wanted, now))
            }
            Named::Card(number) => {
                let lookup = api::CarrierLookup { card_number: number.to_owned() };
                let carrier = self.card_seen(caller, &lookup)?;
                let bound = self.bound_and_seen(caller, carrier.id)?;
                Ok(self.of_several(carrier.revoked, &bound, wanted, now))
            }
        }
    }

    /// A certificate that the caller sees, with the eID that it is of.
    fn certificate_seen(
        &self,
        caller: &Caller,
        lookup: &CertificateLookup,
    ) -> Result<Option<(CertificateRow, Option<EidId>)>, Denied> {
        let protected = caller.protected();
        let Some(id) = self.sees(caller, lookup, protected)? else { return Ok(None) };
        let found = self.store().certificate(&CertificateLookup::Id(id));
        let found = found.map_err(|e| self.note_storage(&e))?;
        let Some(row) = found.map(|record| record.row) else { return Ok(None) };
        let filter = EidFilter { certificate: Some(row.id), protected, ..EidFilter::default() };
        let eids = self.store().eids(&filter, None, 1).map_err(|e| self.note_storage(&e))?;
        Ok(Some((row, eids.rows.first().map(|eid| eid.id))))
    }

    /// A certificate that was shown, whoever issued it.
    fn of_bytes(
        &self,
        caller: &Caller,
        text: &str,
        wanted: Wanted,
        now: UnixTime,
    ) -> Result<api::Diagnosis, Denied> {
        let certificate = read(text)?;
        let authority = match self.issuer_of(&certificate) {
            Ok(authority) => authority,
            Err(obstacle) => return Ok(only(&obstacle)),
        };
        let serial = CertificateLookup::Serial(authority.id, certificate.serial());
        match self.certificate_seen(caller, &serial)? {
            Some((row, eid)) => Ok(self.of_one(&row, eid, wanted, now)),
            // What is not the caller's is not told apart from what was never issued.
            None if caller.limited_to().is_some() => {
                Err(no_such("certificate-unknown", "certificate"))
            }
            None => self.of_serial(caller, authority, &certificate, wanted, now),
        }
    }

    /// A certificate that the database has not: what the log says of its serial number is said of it. One of a protected person whom the caller
    /// does not see was never issued, as far as he hears.
    fn of_serial(
        &self,
        caller: &Caller,
        authority: &Authority,
        certificate: &ImportedCertificate,
        wanted: Wanted,
        now: UnixTime,
    ) -> Result<api::Diagnosis, Denied> {
        let (store, serial) = (self.store(), certificate.serial());
        let sees = store.sees_serial(authority.id, &serial, caller.protected());
        let known = store.serial_status(authority.id, &serial);
        let (sees, known) =
            sees.and_then(|sees| Ok((sees, known?))).map_err(|e| self.note_storage(&e))?;
        let Some(known) = known.filter(|_| sees) else {
            return Ok(only(&Obstacle::NeverIssued));
        };
        let policies = certificate.extension::<CertificatePolicies>();
        let policies = policies.map(|policies| policies.0).unwrap_or_default();
        let profile = policies.iter().find_map(|one| self.stating(&one.policy.to_string()));
        let obstacles =
            judged(known.status, certificate.not_before(), profile).obstacles(wanted, now);
        Ok(api::Diagnosis {
            works: obstacles.is_empty(),
            obstacles: obstacles.iter().map(shown).collect(),
            certificates: Vec::new(),
        })
    }

    /// The CA whose key has signed it. Several generations may share a name.
    fn issuer_of(&self, certificate: &ImportedCertificate) -> Result<&Authority, Obstacle> {
        let issuer = certificate.issuer();
        let mut named = self
            .authorities
            .values()
            .filter(|one| one.certificate.subject().as_der() == issuer.as_der())
            .peekable();
        if named.peek().is_none() {
            let name = issuer.text_of(AttributeType::CommonName.oid());
            let elsewhere = name.and_then(|name| self.elsewhere.get(&name));
            return Err(elsewhere.map_or(Obstacle::UnknownIssuer, |environment| {
                Obstacle::OtherEnvironment { environment: environment.clone() }
            }));
        }
        named
            .find(|one| certificate.danger_verify_signed_by(one.certificate.public_key()).is_ok())
            .ok_or(Obstacle::Forged)
    }

    fn of_one(
        &self,
        row: &CertificateRow,
        eid: Option<EidId>,
        wanted: Wanted,
        now: UnixTime,
    ) -> api::Diagnosis {
        let certificate = self.diagnosed(row, eid, wanted, now);
        api::Diagnosis {
            works: certificate.works,
            obstacles: certificate.obstacles.clone(),
            certificates: vec![certificate],
        }
    }

    fn of_several(
        &self,
        revoked: Option<UnixTime>,
        bound: &[(EidId, CertificateRow)],
        wanted: Wanted,
        now: UnixTime,
    ) -> api::Diagnosis {
        let judged: Vec<Judged> = bound.iter().map(|(_, row)| self.judged_row(row)).collect();
        let obstacles = of_all(revoked, &judged, wanted, now);
        let fitting = bound.iter().zip(&judged).filter(|(_, one)| one.to == Some(wanted.to));
        api::Diagnosis {
            works: obstacles.is_empty(),
            obstacles: obstacles.iter().map(shown).collect(),
            certificates: fitting
                .map(|((eid, row), _)| self.diagnosed(row, Some(*eid), wanted, now))
                .collect(),
        }
    }

    fn diagnosed(
        &self,
        row: &CertificateRow,
        eid: Option<EidId>,
        wanted: Wanted,
        now: UnixTime,
    ) -> api::DiagnosedCertificate {
        let judged = self.judged_row(row);
        let obstacles = judged.obstacles(wanted, now);
        api::DiagnosedCertificate {
            id: row.id.to_string(),
            eid: eid.map(|eid| eid.to_string()),
            serial: row.serial.to_string(),
            purpose: judged.to.map(|to| match to {
                Use::Login => api::DiagnosisUse::Login,
                Use::Signature => api::DiagnosisUse::Signature,
            }),
            level: judged.level.map(TrustLevel::number),
            state: shown_state(row.status.status.state),
            not_after: row.not_after.to_string(),
            works: obstacles.is_empty(),
            obstacles: obstacles.iter().map(shown).collect(),
        }
    }

    fn judged_row(&self, row: &CertificateRow) -> Judged {
        judged(row.status.status, row.not_before, self.profile_of(row))
    }

    /// The profile that it was issued under; of an imported one, the profile that states its policy.
    fn profile_of(&self, row: &CertificateRow) -> Option<&Profile> {
        let profiles = self.book.profiles();
        if let Some(version) = &row.profile {
            return profiles.by_name(&version.name);
        }
        self.stating(row.policy.as_deref()?)
    }

    /// The profile whose certificates state a policy.
    fn stating(&self, policy: &str) -> Option<&Profile> {
        let profiles = self.book.profiles();
        let mut rows = self.book.table().rows().iter();
        let stated = rows.find(|one| one.policy.to_string() == policy)?;
        profiles.by_name(stated.tuple.profile.as_str())
    }
}

/// The one thing that a question names.
enum Named<'a> {
    Certificate(&'a str),
    Pem(&'a str),
    Eid(&'a str),
    Carrier(&'a str),
    Card(&'a str),
}

fn named(asked: &api::DiagnosisRequest) -> Result<Named<'_>, Denied> {
    let given: Vec<Named<'_>> = [
        asked.certificate.as_deref().map(Named::Certificate),
        asked.certificate_pem.as_deref().map(Named::Pem),
        asked.eid.as_deref().map(Named::Eid),
        asked.carrier.as_deref().map(Named::Carrier),
        asked.card_number.as_deref().map(Named::Card),
    ]
    .into_iter()
    .flatten()
    .collect();
    let count = given.len();
    let mut given = given.into_iter();
    match (given.next(), given.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(malformed(
            "a diagnosis is of one thing",
            &format!("{count} things"),
            "exactly one of certificate, certificate_pem, eid, carrier and card_number",
        )),
    }
}

fn wanted(asked: &api::DiagnosisRequest) -> Result<Wanted, Denied> {
    let level = asked.level.map(|number| {
        TrustLevel::of_number(number)
            .ok_or_else(|| malformed("level", &number.to_string(), "2 or 3"))
    });
    let to = match asked.wanted {
        api::DiagnosisUse::Login => Use::Login,
        api::DiagnosisUse::Signature => Use::Signature,
    };
    Ok(Wanted { to, level: level.transpose()? })
}

/// The first certificate of a text.
fn read(text: &str) -> Result<ImportedCertificate, Denied> {
    // What was sent is not repeated: it names a person.
    let unreadable =
        || malformed("certificate_pem", "another text", "a CERTIFICATE block of PEM, RFC 7468");
    let blocks = pem::decode(text.trim()).map_err(|_| unreadable())?;
    let found = blocks.into_iter().find(|(label, _)| *label == Label::Certificate);
    let (_, der) = found.ok_or_else(unreadable)?;
    ImportedCertificate::from_der(&der).map_err(|_| unreadable())
}

fn judged(status: CertificateStatus, not_before: UnixTime, profile: Option<&Profile>) -> Judged {
    Judged {
        status,
        not_before,
        to: profile.and_then(|one| Use::of(one.kind())),
        level: profile.and_then(Profile::trust_level),
    }
}

fn only(obstacle: &Obstacle) -> api::Diagnosis {
    api::Diagnosis { works: false, obstacles: vec![shown(obstacle)], certificates: Vec::new() }
}

fn shown(obstacle: &Obstacle) -> api::DiagnosisObstacle {
    let (reason, remedy) = (obstacle.reason(), obstacle.remedy());
    api::DiagnosisObstacle {
        code: obstacle.code().to_owned(),
        reason: reason.english,
        reason_sv: reason.swedish,
        remedy: remedy.english,
        remedy_sv: remedy.swedish,
    }
}

fn malformed(rule: &str, seen: &str, limit: &str) -> Denied {
    Denied::new(
        Kind::Rule,
        Refusal::new("diagnosis-malformed", rule, &seen, limit, "correct the question"),
    )
}

#[cfg(test)]
mod tests;

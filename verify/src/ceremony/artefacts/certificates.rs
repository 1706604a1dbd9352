//! Certificates of a ceremony: what the plan has in them, an issuer's own and its delegates'.

use ceremony_core::cross;
use ceremony_core::plan::{
    DELEGATE_AFTER_CRL, InputContent, IssuerUrls, Line, Operation, Step, Word,
};
use lint::IssuerContext;
use x509::certificate::Certificate;
use x509::key::PublicKey;
use x509::oid::attribute;
use x509::request::CertificationRequest;
use x509::time::UnixTime;

use super::{Field, Signed, What, Works};
use crate::ceremony::second::{self, Message};

/// What a plan has a certificate say.
struct Certified<'b> {
    key_of: &'b Word,
    issuer: &'b Word,
    profile: &'b Word,
    common_name: &'b Line,
    organization: &'b Line,
    not_after: UnixTime,
    /// The certificate beside which it stands.
    like: Option<&'b Word>,
    /// Where its issuer publishes; one that signs itself has none.
    urls: Option<&'b IssuerUrls>,
}

impl Works<'_> {
    /// What a certificate is to say. A delegate ends so long after the last CRL of the step that the plan names.
    fn of_plan<'b>(&self, step: &'b Step, read: &[Signed<'_>]) -> Result<Certified<'b>, String> {
        match &step.operation {
            Operation::Certificate {
                key_of,
                issuer,
                profile,
                common_name,
                organization,
                not_after,
                like,
                urls,
                ..
            } => {
                let (not_after, like, urls) = (*not_after, like.as_ref(), urls.as_ref());
                Ok(Certified {
                    key_of,
                    issuer,
                    profile,
                    common_name,
                    organization,
                    not_after,
                    like,
                    urls,
                })
            }
            Operation::Delegate {
                request,
                issuer,
                profile,
                crl,
                common_name,
                organization,
                urls,
                ..
            } => {
                let mut lists = read.iter().filter(|other| other.of.step == crl.as_str());
                let Some(What::Crl(list)) = lists.next_back().map(|last| &last.what) else {
                    return Err(format!("step {crl} signed no CRL"));
                };
                let end = list.next_update()?.checked_add(DELEGATE_AFTER_CRL);
                let not_after = end.ok_or("the CRL ends after the year 9999")?;
                let (key_of, like, urls) = (request, None, Some(urls));
                Ok(Certified {
                    key_of,
                    issuer,
                    profile,
                    common_name,
                    organization,
                    not_after,
                    like,
                    urls,
                })
            }
            _ => Err("nothing is certified in such a step".to_owned()),
        }
    }

    /// A certificate says what the plan has it say, and the linter finds nothing but what its profile excepts.
    pub(super) fn certificate(
        &self,
        signed: &Signed<'_>,
        own: &Certificate,
        read: &[Signed<'_>],
    ) -> Result<Vec<(Field, String)>, String> {
        let Certified { key_of, issuer, profile, common_name, organization, not_after, like, urls } =
            self.of_plan(signed.step, read)?;
        self.certified(key_of, own.public_key())?;
        points_as_planned(own, urls)?;
        if let Some(like) = like {
            let existing = self.issuer(like)?;
            cross::is_like(own, &existing).map_err(|error| error.to_string())?;
        }
        let of = |oid| own.subject().text_of(oid);
        let wanted =
            [(attribute::COMMON_NAME, common_name), (attribute::ORGANIZATION, organization)];
        for (oid, wanted) in wanted {
            if of(oid).as_deref() != Some(wanted.as_str()) {
                let subject = own.subject();
                return Err(format!(
                    "its subject is {subject}; the plan has {:?} in it",
                    wanted.as_str()
                ));
            }
        }
        let ends = own.validity().not_after();
        if ends != not_after {
            return Err(format!("it ends at {ends}; by the plan at {not_after}"));
        }
        let above = if self.is_made_key(issuer) { None } else { Some(self.issuer(issuer)?) };
        let subject_above = above.as_ref().map_or(own.subject(), Certificate::subject);
        if own.issuer().as_der() != subject_above.as_der() {
            return Err(format!("its issuer is {}, not {subject_above}", own.issuer()));
        }
        let context = above
            .as_ref()
            .map_or(IssuerContext::SelfSigned, |above| IssuerContext::Certificate(above.as_der()));
        let profile = self.profile(profile)?;
        let findings = lint::certificate(signed.octets, &context, profile.kind().lint_kind());
        let excepted: Vec<_> = profile.lint_exceptions().iter().map(|one| one.rule).collect();
        let (left, _) = findings.without(&excepted);
        left.into_result().map_err(|findings| findings.to_string())?;
        Ok(vec![
            (Field::Kind, "certificate".to_owned()),
            (Field::Subject, own.subject().to_string()),
            (Field::Issuer, own.issuer().to_string()),
            (Field::Serial, own.serial().to_string()),
            (Field::NotBefore, own.validity().not_before().to_string()),
            (Field::NotAfter, ends.to_string()),
            (
                Field::Key,
                format!(
                    "{}, SHA-256 {}",
                    own.public_key().key_type(),
                    own.public_key().spki_hash()
                ),
            ),
        ])
    }

    /// The key that is certified: one that a step made, or that of a request, whose sender holds it.
    fn certified(&self, name: &Word, key: &PublicKey) -> Result<(), String> {
        if self.is_made_key(name) {
            return self.is_key_of(name, key);
        }
        if let Ok(octets) = self.input(name, InputContent::Certificate) {
            return of_itself(name, octets, key);
        }
        let octets = self.input(name, InputContent::Request)?;
        let request = CertificationRequest::from_der(octets).map_err(|error| error.to_string())?;
        request.verify_possession().map_err(|error| format!("request {name}: {error}"))?;
        second::possession(&request).map_err(|error| format!("request {name}: {error}"))?;
        if request.public_key() == key {
            return Ok(());
        }
        Err(format!(
            "its key is {}; request {name} has {}",
            key.spki_hash(),
            request.public_key().spki_hash()
        ))
    }
}

/// A root's own certificate has this key, and proves by two libraries that somebody holds it.
fn of_itself(name: &Word, octets: &[u8], key: &PublicKey) -> Result<(), String> {
    let own = Certificate::from_der(octets).map_err(|error| format!("input {name}: {error}"))?;
    own.verify_signed_by(key).map_err(|error| format!("input {name}: {error}"))?;
    let message = Message::Octets(own.tbs_der());
    second::verify(key, own.algorithm(), message, own.signature())
        .map_err(|error| format!("input {name}: {error}"))?;
    if own.public_key() == key {
        return Ok(());
    }
    Err(format!("its key is {}; input {name} has another", key.spki_hash()))
}

/// A certificate names where its issuer publishes as the plan has it, and nothing else; its profile decides which of them it names.
pub(super) fn points_as_planned(
    own: &Certificate,
    urls: Option<&IssuerUrls>,
) -> Result<(), String> {
    for (what, named, planned) in [
        ("CRL", own.crl_uris(), urls.map(|urls| &urls.crl)),
        ("OCSP", own.ocsp_uris(), urls.map(|urls| &urls.ocsp)),
        ("issuer's certificate", own.ca_issuers_uris(), urls.map(|urls| &urls.aia)),
    ] {
        let planned = planned.map(|planned| planned.as_str());
        if let Some(other) = named.iter().find(|uri| Some(uri.as_str()) != planned) {
            let planned = planned.unwrap_or("none");
            return Err(format!("it names {other} for {what}; the plan has {planned}"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "../tests/certificates.rs"]
mod tests;

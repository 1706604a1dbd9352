//! A response is taken in: judged whole first, kept, and only then registered and published.

use anyhow::{Context as _, ensure};
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::deployment::Deployment;
use ceremony_core::exchange::{Askers, ExchangeFault, Opened, Request, Response, Wanted};
use ceremony_core::words::Fingerprint;
use serde_json::{Value, json};
use store::{Imported, Store, Subject};
use x509::certificate::Certificate;
use x509::key::PublicKey;
use x509::request::CertificationRequest;
use x509::time::UnixTime;

use super::kept::Kept;
use crate::authorities;
use crate::config::{AuthoritySection, ConfigFile};
use crate::import;
use crate::import_crl::{self, Coming};
use crate::publication::crl_files::CrlFiles;
use crate::publication::files::replace;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::start::Told;

/// What a response is taken in with.
pub(super) struct Taking<'a> {
    pub(super) config: &'a ConfigFile,
    pub(super) deployment: Deployment,
    pub(super) signers: &'a [Fingerprint],
    pub(super) kept: &'a Kept,
    pub(super) store: &'a dyn Store,
    pub(super) files: &'a CrlFiles,
    /// From paper.
    pub(super) plan: Fingerprint,
    /// That a key lies in the token that the section names.
    pub(super) proves: &'a dyn Fn(&AuthoritySection, &PublicKey) -> anyhow::Result<()>,
    pub(super) now: UnixTime,
}

/// A response that is the answer to the newest request.
struct Answer<'a> {
    octets: &'a [u8],
    response: &'a Opened<Response>,
    request: &'a Request,
    issuer: &'a Authority,
    /// What the audit log says of the exchange.
    told: Value,
}

impl Taking<'_> {
    /// Takes it in. One that is kept already is taken in once more, whatever the time.
    ///
    /// # Errors
    ///
    /// Says by its code what is refused; nothing was kept or registered then. A fault of database or disk after that leaves what the same command goes
    /// on with.
    pub(super) fn take(&self, octets: &[u8]) -> anyhow::Result<Imported> {
        let response = Response::open(octets)?;
        let seen = response.said.matter.number;
        let request = self.kept.newest()?.ok_or(ExchangeFault::Number { seen, wanted: 1 })?;
        let askers = Askers {
            deployment: self.deployment,
            signers: self.signers,
            request: &request,
            plan: self.plan,
            now: self.now,
        };
        askers.is_answer(&response)?;
        match self.kept.answer(seen)? {
            None => askers.judge(&response)?,
            Some(taken) if taken == octets => {}
            Some(taken) => {
                let (taken, seen) = (Fingerprint::of(&taken), response.file);
                let number = request.said.matter.number;
                return Err(ExchangeFault::Answered { number, taken, seen }.into());
            }
        }
        let (known, _) = authorities::fit(self.config);
        let asked = request.said.matter.issuer;
        let is_issuer = |one: &&Authority| Fingerprint::of(one.certificate.as_der()) == asked;
        let issuer = known.values().find(is_issuer).with_context(|| {
            Told::config(format!(
                "no authority has the certificate with SHA-256 {asked}, whose key was asked to sign"
            ))
        })?;
        let told = json!({
            "exchange": seen, "plan": response.said.plan.to_string(), "head": response.said.head.to_string(),
            "response": response.file.to_string(),
        });
        let request = &request.said;
        let answer = Answer { octets, response: &response, request, issuer, told };
        match request.matter.wanted {
            Wanted::RootCrl => self.crl(&answer),
            Wanted::IssuingCertificate => self.certificate(&answer),
        }
    }

    fn keep(&self, answer: &Answer<'_>) -> anyhow::Result<()> {
        self.kept.keep_response(answer.request.matter.number, answer.octets)
    }

    fn crl(&self, answer: &Answer<'_>) -> anyhow::Result<Imported> {
        let octets = answer.response.said.payload.clone();
        let signed = import_crl::read_signed(&[answer.issuer], octets, "the CRL of the response")?;
        let coming = Coming { keep: &|| self.keep(answer), told: &answer.told };
        import_crl::take(&signed, self.store, self.files, &coming, self.now)
    }

    fn certificate(&self, answer: &Answer<'_>) -> anyhow::Result<Imported> {
        let der = &answer.response.said.payload;
        let unfit = |what: &str| {
            let next = "keep the file as evidence: the ceremony has certified something else than was asked for";
            Told::new(
                "exchange-certificate",
                format!("the certificate of the response {what}"),
                next,
            )
        };
        let certificate = Certificate::from_der(der).with_context(|| unfit("is none"))?;
        let asked = CertificationRequest::from_der(&answer.request.payload)?;
        ensure!(
            certificate.public_key() == asked.public_key(),
            unfit("is of another key than the request")
        );
        let issuer = &answer.issuer.certificate;
        ensure!(
            certificate.issuer() == issuer.subject()
                && certificate.verify_signed_by(issuer.public_key()).is_ok(),
            unfit("is not signed by the issuer that was asked")
        );
        let sha256 = Fingerprint::of(der).to_string();
        let mut sections = self.config.authorities.iter();
        let section = sections.find(|section| section.sha256 == sha256).with_context(|| {
            let what = format!("no [[authority]] pins the certificate, SHA-256 {sha256}");
            let next = "compare it with the ceremony's paper, write the [[authority]] with it, and take the same file in again";
            Told::new("exchange-certificate-unpinned", what, next)
        })?;
        let new = authorities::of(section, der)?;
        (self.proves)(section, certificate.public_key())?;
        let path = &section.certificate;
        let found = std::fs::read(path).ok();
        ensure!(
            found.is_none_or(|found| found == *der),
            Told::new(
                "authority-certificate-pin",
                format!("another certificate lies at {}", path.display()),
                "name a file of its own in the [[authority]]; no certificate is written over",
            )
        );
        let import = import::issuing(answer.issuer, &new, self.now)?;
        self.keep(answer)?;
        replace(path, der).with_context(|| format!("cannot write {}", path.display()))?;
        let response = ledger::Hash::from_bytes(*answer.response.file.as_bytes());
        let record = Service::record(
            EventCode::ImportCeremony,
            EventResult::Done,
            Actor::System([0; 16]),
            ObjectIds::of_act([Some(ObjectId::Issuer(new.id)), Some(ObjectId::Document(response))]),
            None,
            &answer.told,
            Subject::Deployment,
        );
        let imported =
            self.store.import(&import, &record, self.now).context("nothing was registered")?;
        import::publish_certificate(
            self.config,
            &format!("aia/{}.cer", section.name),
            &certificate,
        )?;
        Ok(imported)
    }
}

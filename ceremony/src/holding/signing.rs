//! What keys sign: each time a trial with a throw-away key before, and two libraries after.

use anyhow::{Context as _, bail};
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Signer};
use ca::profile::Profile;
use ceremony_core::plan::{InputContent, Operation, Step};
use ceremony_core::transcript::{Fact, Kind};
use ceremony_core::words::Fingerprint;

use x509::name::{AttributeType, Name};
use x509::request::CertificationRequestInfo;

use super::{Ceremony, file};
use crate::authority;
use crate::gates;
use crate::lists::{self, List, Previous};
use crate::signed::{self, Planned};
use crate::works::{Work, now};

/// What a finished file has come to.
const FINISHED: &str = "no finding, two libraries verify it, signed is what was compared";
/// What is the same at the rehearsal and on the day, by its hash: see `x509::alike`.
const ALIKE: &str = "to be signed alike in every run";

impl<'a> Ceremony<'a> {
    /// A certificate that signs itself, of a key that was made here; or an issuer's, of a key that a request proves.
    pub(super) fn certificate(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Certificate {
            key_of,
            issuer,
            profile,
            algorithm,
            common_name,
            organization,
            not_after,
            urls,
            out,
            ..
        } = &step.operation
        else {
            bail!("step {} signs no certificate", step.id);
        };
        let profile =
            Profile::parse(gates::given(self.with.inputs, profile, InputContent::Profile)?)?;
        let fields = RequestedFields {
            common_name: Some(common_name.to_string()),
            organization: Some(organization.to_string()),
            ..RequestedFields::default()
        };
        let authority = match urls {
            None => None,
            Some(urls) => {
                let certificate =
                    self.certificates.get(issuer).context("the issuer is not known")?;
                let name = profile.name();
                Some(authority::issuer(issuer, certificate, *algorithm, urls, name)?)
            }
        };
        let made = self.keys.get(key_of).map(|(key, _)| key.clone());
        let (key, request) = match (made, &authority) {
            (Some(key), None) => (key, None),
            (None, Some(_)) => {
                let der = gates::given(self.with.inputs, key_of, InputContent::Request)?;
                let real = self.real_issuer(issuer)?;
                (authority::request(key_of, der, real.public_key())?, Some(der))
            }
            _ => bail!("the key was not made here, or is not the issuer's to sign"),
        };
        let source = request.map_or(KeySource::Proven(&key), KeySource::Request);
        let signer = authority.as_ref().map_or(Signer::Itself(*algorithm), Signer::Issuer);
        let planned = Planned {
            deployment: self.plan.deployment,
            algorithms: self.with.algorithms,
            profile: &profile,
            signer,
            key: source,
            fields: &fields,
            not_after: *not_after,
        };
        let tried = signed::trial(&planned, &key)?;
        self.tried(tried)?;
        let mut compared = self.compared();
        let certificate = self.works(&mut compared).certificate(Work {
            file: file(out.as_str()),
            profile: profile.name().as_str(),
            signer,
            key: source,
            public_key: &key,
            fields: fields.clone(),
            ends_at: Some(*not_after),
        })?;
        signed::finished_certificate(certificate.as_der(), &planned, &compared, tried)?;
        self.checked(out.as_str(), FINISHED)?;
        self.certificates.insert(&step.id, certificate);
        Ok(())
    }

    /// The request of a key that was made here.
    pub(super) fn request(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Request { key_of, common_name, out } = &step.operation else {
            bail!("step {} makes no request", step.id);
        };
        let (public_key, _) = self.keys.get(key_of).context("the key was not made")?.clone();
        let name = Name::builder().with(AttributeType::CommonName, common_name.as_str())?;
        let info = CertificationRequestInfo { subject: name.build(), public_key };
        signed::trial_request(&info)?;
        self.tried(None)?;
        let mut compared = self.compared();
        let request = self.works(&mut compared).request(&info, &file(out.as_str()))?;
        signed::finished_request(&request, &info, &compared)?;
        self.checked(out.as_str(), FINISHED)
    }

    /// A CRL: the first of a root that was made here, or the one after that which the plan names.
    pub(super) fn crl(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Crl {
            issuer,
            algorithm,
            previous,
            number,
            lifetime,
            revoke,
            overdue_since,
            out,
            ..
        } = &step.operation
        else {
            bail!("step {} signs no CRL", step.id);
        };
        let authority = self.certificates.get(issuer).context("the issuer is not known")?.clone();
        let previous = match previous {
            None => None,
            Some(name) => {
                let der = gates::given(self.with.inputs, name, InputContent::Crl)?;
                Some(Previous::read(der, &self.real_issuer(issuer)?)?)
            }
        };
        let now = now()?;
        // What an earlier run announced was found to be in time by it.
        let is_announced = self.transcript.told_before(Kind::Intent).next().is_some();
        if let Some(previous) = previous.as_ref().filter(|_| !is_announced) {
            previous.may_be_followed(now, *overdue_since)?;
        }
        let number = lists::number(previous.as_ref(), *number)?;
        let entries = lists::entries(previous.as_ref(), revoke, now)?;
        let list = List {
            authority: &authority,
            algorithm: *algorithm,
            number: &number,
            lifetime: *lifetime,
            previous: previous.as_ref(),
            entries: &entries,
            file: &file(out.as_str()),
        };
        let tried = list.trial(self.with.home)?;
        // A root that is made here has another key in each run, which its list names.
        self.tried(previous.as_ref().map(|_| tried))?;
        let mut compared = self.compared();
        let der = self.works(&mut compared).crl(&list)?;
        signed::finished_crl(&der, &authority, &compared, tried)?;
        self.checked(out.as_str(), FINISHED)
    }

    /// Tells of a trial, and by a hash what every run of this plan signs alike: it is of the shape that people approve.
    fn tried(&mut self, alike: Option<Fingerprint>) -> anyhow::Result<()> {
        self.checked("trial with a throw-away key", "no finding, two libraries verify it")?;
        let Some(alike) = alike else { return Ok(()) };
        let facts = [("sha256", Fact::from(alike.to_string())), ("what", ALIKE.into())];
        Ok(self.transcript.write(Kind::Check, &facts)?)
    }
}

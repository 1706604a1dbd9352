//! What keys sign: each time a trial with a throw-away key before, and two libraries after.

use anyhow::{Context as _, anyhow, bail};
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Signer};
use ca::profile::{Profile, ProfileKind};
use ceremony_core::plan::{
    DELEGATE_AFTER_CRL, InputContent, IssuerUrls, Line, Operation, RelativeFile, Step, Word,
};
use ceremony_core::transcript::{Fact, Kind};
use ceremony_core::words::Fingerprint;

use x509::key::SignatureAlgorithm;
use x509::name::{AttributeType, Name};
use x509::request::CertificationRequestInfo;
use x509::time::UnixTime;

use super::{Ceremony, file};
use crate::authority;
use crate::gates;
use crate::lists::{self, List, Previous};
use crate::numbers;
use crate::signed::{self, Compared, Planned};
use crate::works::{Work, now};

/// What a finished file has come to.
const FINISHED: &str = "no finding, two libraries verify it, signed is what was compared";
/// What is the same at the rehearsal and on the day, by its hash: see `x509::alike`.
const ALIKE: &str = "to be signed alike in every run";

/// A certificate of a step.
struct Certified<'b> {
    key_of: &'b Word,
    issuer: &'b Word,
    profile: &'b Word,
    algorithm: SignatureAlgorithm,
    common_name: &'b Line,
    organization: &'b Line,
    not_after: UnixTime,
    /// The certificate that it is to stand beside.
    like: Option<&'b Word>,
    /// Where its issuer publishes; one that signs itself has none.
    urls: Option<&'b IssuerUrls>,
    out: &'b RelativeFile,
    /// What its profile is to be for.
    kind: ProfileKind,
}

impl<'a> Ceremony<'a> {
    /// A certificate that signs itself, of a key that was made here; or an issuer's, of a key that a request proves; or one beside a certificate
    /// that is there, of the same key.
    pub(super) fn certificate(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Certificate {
            key_of,
            issuer,
            profile,
            algorithm,
            common_name,
            organization,
            not_after,
            like,
            urls,
            out,
            ..
        } = &step.operation
        else {
            bail!("step {} signs no certificate", step.id);
        };
        let (algorithm, not_after, urls) = (*algorithm, *not_after, urls.as_ref());
        let kind = if urls.is_none() { ProfileKind::RootCa } else { ProfileKind::IssuingCa };
        let certified = Certified {
            key_of,
            issuer,
            profile,
            algorithm,
            common_name,
            organization,
            not_after,
            like: like.as_ref(),
            urls,
            out,
            kind,
        };
        self.certify(step, &certified)
    }

    /// An OCSP delegate, which ends 30 days after the CRL of this ceremony, and is signed in the same way.
    pub(super) fn delegate(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Delegate {
            request,
            issuer,
            profile,
            crl,
            common_name,
            organization,
            urls,
            out,
            ..
        } = &step.operation
        else {
            bail!("step {} signs no delegate", step.id);
        };
        let signed =
            self.plan.steps.iter().find(|step| step.id == *crl).map(|step| &step.operation);
        let Some(signs @ Operation::Crl { algorithm, .. }) = signed else {
            bail!("step {crl} signs no CRL");
        };
        // Of a series the last one.
        let list = signs.outs().pop().context("a CRL has a file")?;
        let path = self.with.home.out(&file(list.as_str()));
        let der = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let key = self.certificates.get(issuer).context("the issuer is not known")?.public_key();
        let (head, _, _) = signed::read_crl(&der, key).map_err(|why| anyhow!("{why}"))?;
        let not_after = head.next_update.and_then(|end| end.checked_add(DELEGATE_AFTER_CRL));
        let certified = Certified {
            key_of: request,
            issuer,
            profile,
            algorithm: *algorithm,
            common_name,
            organization,
            not_after: not_after.context("the CRL has no end")?,
            like: None,
            urls: Some(urls),
            out,
            kind: ProfileKind::OcspResponder,
        };
        self.certify(step, &certified)
    }

    fn certify(&mut self, step: &'a Step, certified: &Certified<'_>) -> anyhow::Result<()> {
        let Certified { key_of, issuer, profile, algorithm, not_after, urls, out, .. } = *certified;
        let profile =
            Profile::parse(gates::given(self.with.inputs, profile, InputContent::Profile)?)?;
        if profile.kind() != certified.kind {
            let why = format!("profile {} is of another kind of certificate", profile.name());
            return Err(signed::before(why).into());
        }
        let fields = RequestedFields {
            common_name: Some(certified.common_name.to_string()),
            organization: Some(certified.organization.to_string()),
            ..RequestedFields::default()
        };
        let authority = match urls {
            None => None,
            Some(urls) => {
                let certificate =
                    self.certificates.get(issuer).context("the issuer is not known")?;
                Some(authority::issuer(issuer, certificate, algorithm, urls, profile.name())?)
            }
        };
        let made = self.keys.get(key_of).map(|(key, _)| key.clone());
        let (key, request) = match (made, &authority) {
            (Some(key), None) => (key, None),
            (None, Some(authority)) => {
                let signs = match self.is_input(issuer) {
                    Some(real) => self.real_issuer(real)?.public_key().clone(),
                    None => authority.public_key().clone(),
                };
                let of = self.plan.input(key_of).map(|input| input.content);
                if of == Some(InputContent::Certificate) {
                    (authority::own_key(key_of, &self.real_issuer(key_of)?, &signs)?, None)
                } else {
                    let der = gates::given(self.with.inputs, key_of, InputContent::Request)?;
                    (authority::request(key_of, der, &signs)?, Some(der))
                }
            }
            _ => bail!("the key was not made here, or is not the issuer's to sign"),
        };
        let source = request.map_or(KeySource::Proven(&key), KeySource::Request);
        let signer = authority.as_ref().map_or(Signer::Itself(algorithm), Signer::Issuer);
        let existing = certified.like.map(|like| self.real_issuer(like)).transpose()?;
        let planned = Planned {
            like: existing.as_ref(),
            deployment: self.plan.deployment,
            algorithms: self.with.algorithms,
            profile: &profile,
            signer,
            key: source,
            fields: &fields,
            not_after,
        };
        let tried = signed::trial(&planned, &key)?;
        // An issuer that is made here has another key in each run, which what it signs names.
        self.tried(tried.filter(|_| self.is_input(issuer).is_some()))?;
        let mut compared = self.compared();
        let certificate = self.works(&mut compared).certificate(Work {
            file: file(out.as_str()),
            profile: profile.name().as_str(),
            signer,
            key: source,
            public_key: &key,
            fields: fields.clone(),
            ends_at: Some(not_after),
        })?;
        signed::finished_certificate(certificate.as_der(), &planned, &compared, tried)?;
        self.checked(out.as_str(), FINISHED)?;
        self.certificates.insert(&step.id, certificate);
        Ok(())
    }

    /// The name of an issuer whose certificate comes from outside.
    fn is_input<'b>(&self, issuer: &'b Word) -> Option<&'b Word> {
        self.plan.input(issuer).map(|_| issuer)
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

    /// A CRL: the first of a root that was made here, or the one after that which the plan names; or all of a series that is signed ahead, each
    /// after the one before it.
    pub(super) fn crl(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Crl {
            issuer,
            algorithm,
            previous,
            number,
            lifetime,
            series,
            revoke,
            overdue_since,
            ..
        } = &step.operation
        else {
            bail!("step {} signs no CRL", step.id);
        };
        let authority = self.certificates.get(issuer).context("the issuer is not known")?.clone();
        let first = match previous {
            None => None,
            Some(name) => {
                let der = gates::given(self.with.inputs, name, InputContent::Crl)?;
                Some(Previous::read(der, &self.real_issuer(issuer)?)?)
            }
        };
        let now = now()?;
        // What an earlier run announced was found to be in time by it.
        let is_announced = self.transcript.told_before(Kind::Intent).next().is_some();
        if let Some(previous) = first.as_ref().filter(|_| !is_announced) {
            let begins = series.first().map_or(now, |ahead| ahead.this_update);
            previous.may_be_followed(now, begins, *overdue_since)?;
        }
        let mut before: Option<Vec<u8>> = None;
        for (place, out) in step.operation.outs().iter().enumerate() {
            let ahead = series.get(place);
            // At a rehearsal a throw-away key signs the series, and what is given is the real issuer's.
            let own = before.as_deref().map(|der| Previous::read(der, &authority)).transpose()?;
            let last = own.as_ref().or(first.as_ref());
            let revoked = if place == 0 { revoke.as_slice() } else { &[] };
            let begins = ahead.map_or(now, |ahead| ahead.this_update);
            let list = List {
                authority: &authority,
                algorithm: *algorithm,
                number: &lists::number_ahead(last, *number, ahead)?,
                lifetime: *lifetime,
                ahead,
                previous: last,
                entries: &lists::entries(last, revoked, begins)?,
                file: &file(out.as_str()),
            };
            // A root that is made here has another key in each run, which its list names.
            before = Some(self.list(&list, first.is_some())?);
        }
        Ok(())
    }

    /// One list: tried, its number used up, compared, signed and looked at.
    fn list(&mut self, list: &List<'_>, is_alike: bool) -> anyhow::Result<Vec<u8>> {
        let tried = list.trial(self.with.home)?;
        self.tried(is_alike.then_some(tried))?;
        let key = list.authority.public_key().spki_hash();
        numbers::use_up(self.with.tokens, key, list.number, self.transcript.ceremony())?;
        let mut compared = self.compared_of(list.file);
        let der = self.works(&mut compared).crl(list)?;
        signed::finished_crl(&der, list.authority, &compared, tried)?;
        self.checked(&format!("out/{}", list.file), FINISHED)?;
        Ok(der)
    }

    /// With what an earlier run had compared of this file, which it kept before it was announced: in a step that signs several there are several.
    fn compared_of(&self, file: &str) -> Compared<'a> {
        let kept = std::fs::read(self.with.home.join(&format!("ceremony/{file}.tbs")));
        let kept = kept.map(|octets| Fingerprint::of(&octets).to_string()).ok();
        let mut before = self.transcript.told_before(Kind::Readback);
        let is_compared =
            before.any(|record| kept.is_some() && record.text("sha256") == kept.as_deref());
        let tbs_sha256 =
            kept.filter(|_| is_compared).and_then(|hash| hash.parse::<Fingerprint>().ok());
        Compared { tbs_sha256: tbs_sha256.map(|hash| *hash.as_bytes()), ..self.compared() }
    }

    /// Tells of a trial, and by a hash what every run of this plan signs alike: it is of the shape that people approve.
    fn tried(&mut self, alike: Option<Fingerprint>) -> anyhow::Result<()> {
        self.checked("trial with a throw-away key", "no finding, two libraries verify it")?;
        let Some(alike) = alike else { return Ok(()) };
        let facts = [("sha256", Fact::from(alike.to_string())), ("what", ALIKE.into())];
        Ok(self.transcript.write(Kind::Check, &facts)?)
    }
}

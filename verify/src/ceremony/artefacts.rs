//! What was made: every key and every signature against what was announced, and every file against the plan.

mod certificates;
mod destroyed;

use std::time::Duration;

use ca::profile::Profile;
use ceremony_core::attendance::{TAKEN_UP_UNREAD, TO_BE_TAKEN_UP};
use ceremony_core::bundle::{Bundle, Made, MadeSignature, OUTPUTS};
use ceremony_core::plan::{InputContent, Operation, Plan, RelativeFile, Step, Word};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Kind, Record};
use ceremony_core::words::Fingerprint;
use sha2::{Digest as _, Sha256};
use x509::alike;
use x509::certificate::Certificate;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::oid::attribute;
use x509::request::CertificationRequest;

use super::check::{Fault, Said};
use super::crls::{self, Crl};
use super::second::{self, Message};
use super::tokens;
use super::told::Told;

/// A file that was made, for people.
#[derive(Clone, Debug)]
pub(super) struct Artefact {
    pub(super) step: String,
    pub(super) file: String,
    pub(super) sha256: String,
    pub(super) algorithm: String,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signed.
    pub(super) key: String,
    /// What it is, field by field.
    pub(super) says: Vec<(Field, String)>,
}

/// What is told of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Kind,
    Subject,
    Issuer,
    Serial,
    NotBefore,
    NotAfter,
    Key,
    Number,
    ThisUpdate,
    NextUpdate,
    Entries,
}

impl Field {
    /// Its stable name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Subject => "subject",
            Self::Issuer => "issuer",
            Self::Serial => "serial",
            Self::NotBefore => "not_before",
            Self::NotAfter => "not_after",
            Self::Key => "public_key",
            Self::Number => "number",
            Self::ThisUpdate => "this_update",
            Self::NextUpdate => "next_update",
            Self::Entries => "entries",
        }
    }
}

/// A file that was read and whose signature holds.
pub(super) struct Signed<'a> {
    of: &'a MadeSignature,
    step: &'a Step,
    file: String,
    octets: &'a [u8],
    what: What,
}

enum What {
    Certificate(Box<Certificate>),
    Request(Box<CertificationRequest>),
    Crl(Box<Crl>),
}

/// The works of a ceremony.
#[derive(Clone, Copy)]
pub(super) struct Works<'a> {
    pub(super) plan: &'a Plan,
    pub(super) bundle: &'a Bundle,
    pub(super) made: &'a Made,
    pub(super) told: Told<'a>,
}

/// Whether a step of the plan makes a file of this name.
pub(super) fn is_of_step(plan: &Plan, step: &str, file: &str) -> bool {
    let step = plan.steps.iter().find(|one| one.id.as_str() == step);
    step.is_some_and(|step| step.operation.outs().iter().any(|out| below_out(out) == file))
}

/// The file of the bundle: the plan's outputs lie below `out/`, whether it says so or not.
pub(super) fn below_out(out: &RelativeFile) -> String {
    let name = out.as_str();
    if name.starts_with(OUTPUTS) { name.to_owned() } else { format!("{OUTPUTS}{name}") }
}

/// How many files of its step were signed before a file.
fn place_in_step(signed: &Signed<'_>, read: &[Signed<'_>]) -> usize {
    let of_step = read.iter().filter(|other| other.of.step == signed.of.step);
    of_step.take_while(|other| other.file != signed.file).count()
}

impl<'a> Works<'a> {
    /// Each key that the plan has was made once, where and as the plan has it.
    pub(super) fn keys(&self) -> Result<((), Said), Fault> {
        for step in &self.plan.steps {
            let Operation::GenerateKey { token, key, .. } = &step.operation else { continue };
            let refused =
                |why: String| Fault::new(Refusal::Key, format!("step {}: {why}", step.id));
            let mut of = self.made.keys.iter().filter(|made| made.step == step.id.as_str());
            let (Some(made), None) = (of.next(), of.next()) else {
                return Err(refused("it made not one key".to_owned()));
            };
            let wanted = self.key_id(step);
            if made.cka_id != wanted {
                return Err(refused(format!(
                    "key id {}; of this plan and step is {wanted}",
                    made.cka_id
                )));
            }
            if made.key_type != key.to_string() {
                return Err(refused(format!(
                    "a key of type {}; the plan has {key}",
                    made.key_type
                )));
            }
            let planned = self.plan.token(token);
            let is_there = planned.is_some_and(|planned| tokens::is_planned(planned, &made.token));
            if !is_there {
                let why = format!("made in token {}; the plan has {token}", made.token);
                return Err(Fault::new(Refusal::Token, format!("step {}: {why}", step.id)));
            }
        }
        for step in &self.plan.steps {
            let Operation::Enrol { key_of, .. } = &step.operation else { continue };
            let made = self.made.keys.iter().find(|made| made.step == key_of.as_str());
            let made = made.map(|made| made.spki_sha256.as_str());
            let of_step = self.told.0.iter().filter(|record| record.step == step.id.as_str());
            let is_it = |record: &&Record| {
                record.kind == Kind::Readback
                    && record
                        .text("what")
                        .is_some_and(|what| [TO_BE_TAKEN_UP, TAKEN_UP_UNREAD].contains(&what))
            };
            let mut read = of_step.filter(is_it).map(|record| record.text("sha256")).peekable();
            if read.peek().is_none() || read.any(|sha256| sha256 != made) {
                let why = format!("step {}: compared was not the key of step {key_of}", step.id);
                return Err(Fault::new(Refusal::Key, why));
            }
        }
        Ok(((), format!("{}, each in its token and of this plan", self.made.keys.len())))
    }

    /// The CKA_ID of the key of a step: the first 20 octets of a hash over plan and step.
    fn key_id(&self, step: &Step) -> String {
        let hash = Sha256::new()
            .chain_update("sigill-key/1")
            .chain_update(self.plan.hash.as_bytes())
            .chain_update(step.id.as_str())
            .finalize();
        hash.iter().take(20).map(|octet| format!("{octet:02x}")).collect()
    }

    /// Each signature is of what was announced, by the key and algorithm that were announced, and holds by two libraries.
    pub(super) fn signatures(&self) -> Result<(Vec<Signed<'a>>, Said), Fault> {
        let mut read = Vec::new();
        for of in &self.made.signatures {
            let signed = self.read(of)?;
            self.holds(&signed)?;
            read.push(signed);
        }
        let said = format!("{}, of what was announced, by two libraries", read.len());
        Ok((read, said))
    }

    fn read(&self, of: &'a MadeSignature) -> Result<Signed<'a>, Fault> {
        let file = format!("{OUTPUTS}{}", of.what);
        let octets = self.bundle.file(&file);
        let refused = |why: &dyn std::fmt::Display| {
            Fault::new(Refusal::Lint, format!("{file} cannot be read: {why}"))
        };
        let step = self.plan.steps.iter().find(|step| step.id.as_str() == of.step);
        let step = step.ok_or_else(|| refused(&"the plan has no such step"))?;
        let what = match &step.operation {
            Operation::Crl { .. } => {
                What::Crl(Box::new(crls::read(octets).map_err(|why| refused(&why))?))
            }
            Operation::Request { .. } => {
                let request = CertificationRequest::from_der(octets);
                What::Request(Box::new(request.map_err(|error| refused(&error))?))
            }
            _ => {
                let certificate = Certificate::from_der(octets);
                What::Certificate(Box::new(certificate.map_err(|error| refused(&error))?))
            }
        };
        Ok(Signed { of, step, file, octets, what })
    }

    fn holds(&self, signed: &Signed<'_>) -> Result<(), Fault> {
        let Signed { of, file, what, .. } = signed;
        let refused = |why: String| Fault::new(Refusal::Lint, format!("{file}: {why}"));
        let of_key = |why: String| Fault::new(Refusal::Key, format!("{file}: {why}"));
        let key = self.signer(signed)?;
        let (tbs_sha256, algorithm) = match what {
            What::Certificate(read) => {
                (Sha256::digest(read.tbs_der()).into(), Some(read.algorithm()))
            }
            What::Request(read) => (Sha256::digest(read.info_der()).into(), read.algorithm()),
            What::Crl(read) => (read.tail.tbs_sha256.unwrap_or_default(), read.tail.algorithm),
        };
        let tbs_sha256: [u8; 32] = tbs_sha256;
        let seen = Fingerprint::from_bytes(tbs_sha256).to_string();
        if seen != of.tbs_sha256 {
            let why = format!("signed is {seen}; announced was {}", of.tbs_sha256);
            return Err(refused(why));
        }
        let algorithm =
            algorithm.ok_or_else(|| refused("its algorithm is not known".to_owned()))?;
        for (whose, wanted) in
            [("announced", Some(of.algorithm.as_str())), ("planned", self.planned(signed.step))]
        {
            if wanted.is_some_and(|wanted| wanted != algorithm.name()) {
                let wanted = wanted.unwrap_or_default();
                return Err(refused(format!(
                    "signed with {}; {whose} was {wanted}",
                    algorithm.name()
                )));
            }
        }
        let seen = key.spki_hash().to_string();
        if seen != of.key {
            return Err(of_key(format!("its signer's key is {seen}; announced was {}", of.key)));
        }
        let (first, second) = match what {
            What::Certificate(read) => (
                read.verify_signed_by(&key).map_err(|error| error.to_string()),
                second::verify(&key, algorithm, Message::Octets(read.tbs_der()), read.signature()),
            ),
            What::Request(read) => (
                read.verify_possession().map_err(|error| error.to_string()),
                second::verify(&key, algorithm, Message::Octets(read.info_der()), read.signature()),
            ),
            What::Crl(read) => {
                (read.tail.verify(&key).map_err(|error| error.to_string()), read.second(&key))
            }
        };
        first.map_err(of_key)?;
        second.map_err(|error| of_key(error.to_string()))
    }

    /// The key that is to have signed a file, by the plan.
    fn signer(&self, signed: &Signed<'_>) -> Result<PublicKey, Fault> {
        let refused = |why: String| Fault::new(Refusal::Key, format!("{}: {why}", signed.file));
        match (&signed.step.operation, &signed.what) {
            (Operation::Certificate { issuer, .. }, What::Certificate(own)) => {
                if self.is_made_key(issuer) {
                    self.is_key_of(issuer, own.public_key()).map_err(refused)?;
                    return Ok(own.public_key().clone());
                }
                self.issuer(issuer).map(|found| found.public_key().clone()).map_err(refused)
            }
            (Operation::Request { key_of, .. }, What::Request(own)) => {
                self.is_key_of(key_of, own.public_key()).map_err(refused)?;
                Ok(own.public_key().clone())
            }
            (Operation::Crl { issuer, .. }, What::Crl(_))
            | (Operation::Delegate { issuer, .. }, What::Certificate(_)) => {
                self.issuer(issuer).map(|found| found.public_key().clone()).map_err(refused)
            }
            _ => Err(refused("nothing is signed in such a step".to_owned())),
        }
    }

    /// The algorithm that the plan has in a step; of a delegate that of its CRL. A request's follows from its key.
    fn planned(&self, step: &Step) -> Option<&'static str> {
        match &step.operation {
            Operation::Certificate { algorithm, .. } | Operation::Crl { algorithm, .. } => {
                Some(SignatureAlgorithm::name(*algorithm))
            }
            Operation::Delegate { crl, .. } => match &self.step(crl)?.operation {
                Operation::Crl { algorithm, .. } => Some(SignatureAlgorithm::name(*algorithm)),
                _ => None,
            },
            _ => None,
        }
    }

    fn step(&self, name: &Word) -> Option<&'a Step> {
        self.plan.steps.iter().find(|step| step.id == *name)
    }

    fn is_made_key(&self, name: &Word) -> bool {
        let step = self.step(name);
        step.is_some_and(|step| matches!(step.operation, Operation::GenerateKey { .. }))
    }

    /// A key is the one that a step made.
    fn is_key_of(&self, step: &Word, key: &PublicKey) -> Result<(), String> {
        let seen = key.spki_hash().to_string();
        let made = self.made.keys.iter().find(|made| made.step == step.as_str());
        match made {
            Some(made) if made.spki_sha256 == seen => Ok(()),
            Some(made) => Err(format!("its key is {seen}; step {step} made {}", made.spki_sha256)),
            None => Err(format!("step {step} made no key")),
        }
    }

    /// The certificate of an issuer: one that a step of this ceremony made, or an input.
    pub(super) fn issuer(&self, name: &Word) -> Result<Certificate, String> {
        let octets = match self.step(name).map(|step| &step.operation) {
            Some(Operation::Certificate { out, .. }) => self.bundle.file(&below_out(out)),
            Some(_) => return Err(format!("step {name} makes no certificate")),
            None => self.input(name, InputContent::Certificate)?,
        };
        Certificate::from_der(octets).map_err(|error| format!("issuer {name}: {error}"))
    }

    pub(super) fn input(&self, name: &Word, content: InputContent) -> Result<&'a [u8], String> {
        let input = self.plan.input(name).filter(|input| input.content == content);
        let input = input.ok_or_else(|| format!("the plan has no such input {name}"))?;
        Ok(self.bundle.file(input.file.as_str()))
    }

    /// Each file says what the plan has it say, and the linter finds nothing.
    pub(super) fn as_planned(&self, read: &[Signed<'_>]) -> Result<(Vec<Artefact>, Said), Fault> {
        let mut found = Vec::new();
        for signed in read {
            let refused =
                |why: String| Fault::new(Refusal::Lint, format!("{}: {why}", signed.file));
            let says = match &signed.what {
                What::Certificate(own) => self.certificate(signed, own, read).map_err(refused)?,
                What::Request(own) => self.request(signed, own).map_err(refused)?,
                What::Crl(own) => self.crl(signed, own, read)?,
            };
            self.alike(signed, place_in_step(signed, read))?;
            self.is_of_its_run(signed)?;
            found.push(Artefact {
                step: signed.of.step.clone(),
                file: signed.file.clone(),
                sha256: signed.of.sha256.clone(),
                algorithm: signed.of.algorithm.clone(),
                key: signed.of.key.clone(),
                says,
            });
        }
        Ok((found, "names, dates, keys and numbers; the linter finds nothing".to_owned()))
    }

    /// Under an issuer that was there before the ceremony every octet is known beforehand but those of a serial number and of times, and people
    /// approved their hash.
    fn alike(&self, signed: &Signed<'_>, place: usize) -> Result<(), Fault> {
        let (Operation::Certificate { issuer, .. }
        | Operation::Delegate { issuer, .. }
        | Operation::Crl { issuer, .. }) = &signed.step.operation
        else {
            return Ok(());
        };
        if self.plan.input(issuer).is_none() {
            return Ok(());
        }
        let of_step = self.made.signatures.iter().filter(|other| other.step == signed.of.step);
        let count = of_step.count();
        let ends_with_a_crl = matches!(signed.step.operation, Operation::Delegate { .. });
        let masked = match &signed.what {
            What::Certificate(own) if ends_with_a_crl => alike::delegate(own.tbs_der()),
            What::Certificate(own) => alike::certificate(own.tbs_der()),
            _ => alike::signed_part(signed.octets).and_then(alike::crl),
        };
        masked
            .map_err(|error| error.to_string())
            .and_then(|masked| self.told.alike(signed.of, (place, count), Fingerprint::of(&masked)))
            .map_err(|why| Fault::new(Refusal::Lint, format!("{}: {why}", signed.file)))
    }

    /// What a file says of its own time is from the run that announced it, but for what its profile dates back.
    fn is_of_its_run(&self, signed: &Signed<'_>) -> Result<(), Fault> {
        let refused = |why: String| Fault::new(Refusal::Clock, format!("{}: {why}", signed.file));
        let (name, begins, backdate) = match (&signed.what, &signed.step.operation) {
            (
                What::Certificate(own),
                Operation::Certificate { profile, .. } | Operation::Delegate { profile, .. },
            ) => {
                let profile = self.profile(profile).map_err(refused)?;
                ("notBefore", own.validity().not_before(), profile.validity().backdate)
            }
            // What is signed ahead has the plan's times.
            (What::Crl(_), Operation::Crl { series, .. }) if !series.is_empty() => return Ok(()),
            (What::Crl(own), _) => ("thisUpdate", own.this_update(), Duration::ZERO),
            _ => return Ok(()),
        };
        let announced = self.told.announced(signed.of);
        let (from, until) = announced.ok_or_else(|| refused("no run announced it".to_owned()))?;
        if begins > until || begins.checked_add(backdate).is_none_or(|made| made < from) {
            return Err(refused(format!(
                "its {name} is {begins}; the run that announced it began at {from} and did so at {until}"
            )));
        }
        Ok(())
    }

    fn profile(&self, name: &Word) -> Result<Profile, String> {
        Profile::parse(self.input(name, InputContent::Profile)?)
            .map_err(|error| format!("profile {name}: {error}"))
    }

    fn request(
        &self,
        signed: &Signed<'_>,
        own: &CertificationRequest,
    ) -> Result<Vec<(Field, String)>, String> {
        let Operation::Request { common_name, .. } = &signed.step.operation else {
            return Err("the plan has no request in this step".to_owned());
        };
        let seen = own.subject().text_of(attribute::COMMON_NAME);
        if seen.as_deref() != Some(common_name.as_str()) {
            return Err(format!(
                "it asks for {}; the plan has {:?}",
                own.subject(),
                common_name.as_str()
            ));
        }
        Ok(vec![
            (Field::Kind, "request".to_owned()),
            (Field::Subject, own.subject().to_string()),
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

    fn crl(
        &self,
        signed: &Signed<'_>,
        own: &Crl,
        read: &[Signed<'_>],
    ) -> Result<Vec<(Field, String)>, Fault> {
        let named = |refusal: Refusal| {
            move |why: String| Fault::new(refusal, format!("{}: {why}", signed.file))
        };
        let Operation::Crl {
            issuer,
            previous,
            number,
            lifetime,
            series,
            revoke,
            overdue_since,
            ..
        } = &signed.step.operation
        else {
            return Err(named(Refusal::Crl)("the plan has no CRL in this step".to_owned()));
        };
        let issuer = self.issuer(issuer).map_err(named(Refusal::Key))?;
        let findings = lint::crl(signed.octets, issuer.as_der());
        let findings = findings.map_err(|error| named(Refusal::Lint)(error.to_string()))?;
        findings.into_result().map_err(|findings| named(Refusal::Lint)(findings.to_string()))?;
        let previous = match previous {
            None => None,
            Some(name) => {
                let octets = self.input(name, InputContent::Crl).map_err(named(Refusal::Crl))?;
                Some(crls::read(octets).map_err(named(Refusal::Crl))?)
            }
        };
        // Of a series the one before it in the same step; each in the file of its place.
        let place = place_in_step(signed, read);
        let file = signed.step.operation.outs().get(place).map(below_out);
        if file.as_ref() != Some(&signed.file) {
            let why = "it was signed out of the order of its series".to_owned();
            return Err(named(Refusal::Crl)(why));
        }
        let of_step = read.iter().filter(|other| other.of.step == signed.of.step);
        let before = of_step.take(place).last();
        let before = before.and_then(|other| match &other.what {
            What::Crl(list) => Some(list.as_ref()),
            _ => None,
        });
        let gates = crls::Gates {
            issuer: &issuer,
            previous: previous.as_ref(),
            before,
            ahead: series.get(place),
            number: *number,
            lifetime: *lifetime,
            revoke,
            overdue_since: *overdue_since,
        };
        gates.judge(own).map_err(named(Refusal::Crl))?;
        Ok(own.says())
    }
}

#[cfg(test)]
#[path = "tests/artefacts.rs"]
mod tests;

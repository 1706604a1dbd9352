//! Making certificates and the CRL: prepare, record, sign, verify, write.

mod request;

use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use ca::algorithms::AlgorithmPolicy;
use ca::deployment::Deployment;
use ca::fields::RequestedFields;
use ca::identity::TestDomains;
use ca::issuer::Issuer;
use ca::key_quality::KeyBook;
use ca::prepare::{KeySource, Preparation, Signer, Way, prepare};
use ca::profile::{ProfileKind, ProfileSet};
use ceremony_core::budget::SIGN;
use ceremony_core::transcript::{Fact, Kind};
use hsm::{Again, KeyOrder, KeyPolicy, SigningService as _, Token, TokenSigner};
use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::serial::SerialNumber;
use x509::signing::{Intent, IntentId, Pending, Signed, SigningKind, ToBeSigned};
use x509::time::UnixTime;

use crate::home::{Home, replace};
use crate::lists::{List, PreparedList};
use crate::transcript::{GENERATE_KEY, Transcript};

/// The end of work that a crash broke off, and of which nothing is found.
const NO_EFFECT: &str = "no effect: the run ended, and nothing of it is found";
/// The end of a signature whose run ended before it was written anywhere.
const NOT_KEPT: &str = "the run ended, and what it may have signed was not kept; it is signed anew";

/// Who compares what is to be signed, before the key signs it.
pub(crate) trait Reader<'p> {
    /// Compares the SHA-256 of the octets that this intent is to sign, which in a ceremony with people lie in this file.
    ///
    /// # Errors
    ///
    /// Why it is not signed.
    fn compare(
        &mut self,
        transcript: &mut Transcript<'p>,
        file: &Path,
        intent: &Intent,
    ) -> anyhow::Result<()>;
}

/// Nobody is asked.
pub(crate) struct Unattended;

impl Reader<'_> for Unattended {
    fn compare(&mut self, _: &mut Transcript<'_>, _: &Path, _: &Intent) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Why the same octets are signed once more.
const AFTER_DEATH: &str = "the run ended before it told what came of it";

/// What all works need.
pub(crate) struct Works<'a, 'p> {
    pub(crate) home: &'a Home,
    pub(crate) deployment: Deployment,
    pub(crate) profiles: &'a ProfileSet,
    pub(crate) algorithms: &'a AlgorithmPolicy,
    pub(crate) signer: &'a TokenSigner,
    pub(crate) transcript: &'a mut Transcript<'p>,
    pub(crate) reader: &'a mut dyn Reader<'p>,
}

/// A certificate to be made.
pub(crate) struct Work<'a> {
    /// File name among the outputs.
    pub(crate) file: String,
    pub(crate) profile: &'a str,
    pub(crate) signer: Signer<'a>,
    pub(crate) key: KeySource<'a>,
    pub(crate) public_key: &'a PublicKey,
    pub(crate) fields: RequestedFields,
    /// Ends then instead of when the profile says.
    pub(crate) ends_at: Option<UnixTime>,
}

impl<'p> Works<'_, 'p> {
    /// Has `signer` sign with `key` from now on, once it has proven itself.
    pub(crate) fn use_key(&self, token: &Token, key: &PublicKey) -> anyhow::Result<()> {
        self.signer.add(token, key, KeyPolicy::issuing())?;
        Ok(())
    }

    /// Makes a certificate, or finds the one that an earlier run made for this key.
    pub(crate) fn certificate(&mut self, work: Work<'_>) -> anyhow::Result<Certificate> {
        let path = self.home.out(&work.file);
        if let Ok(der) = std::fs::read(&path) {
            let found = Certificate::from_der(&der).with_context(|| path.display().to_string())?;
            ensure!(
                found.public_key() == work.public_key,
                "{} is there with another key",
                path.display()
            );
            self.find(&work.file, &Sha256::digest(found.tbs_der()).into(), &der)?;
            return Ok(found);
        }
        let (key, algorithm) = match work.signer {
            Signer::Itself(algorithm) => (work.public_key, algorithm),
            Signer::Issuer(issuer) => (issuer.public_key(), issuer.algorithm()),
        };
        let profile = self
            .profiles
            .by_name(work.profile)
            .with_context(|| format!("profile {} is missing", work.profile))?;
        let kind = match profile.kind() {
            ProfileKind::OcspResponder => SigningKind::OcspDelegate,
            _ => SigningKind::Certificate,
        };
        if let Some(pending) = self.announced(&work.file, kind, key, algorithm)? {
            return self.finish_certificate(pending, &work.file);
        }
        let now = now()?;
        let prepared = prepare(&Preparation {
            deployment: self.deployment,
            algorithms: self.algorithms,
            test_domains: &TestDomains::default(),
            profile,
            signer: work.signer,
            way: Way::Internal,
            fields: &work.fields,
            key: work.key,
            keys: &KeyBook::default(),
            serial: SerialNumber::from_random(random()?),
            id: intent_id(now)?,
            now,
            ends_at: work.ends_at,
            admitted: None,
        })
        .map_err(|error| anyhow::anyhow!("{}", error.refusal()))
        .with_context(|| work.file.clone())?;
        let (pending, _) = prepared.into_parts();
        if self.transcript.held().is_some() {
            // What is announced is signed, after the program's death too: no second certificate comes of it.
            replace(&self.kept_tbs(&work.file), pending.bytes().unwrap_or_default())?;
        }
        self.finish_certificate(pending, &work.file)
    }

    fn finish_certificate(&mut self, pending: Pending, file: &str) -> anyhow::Result<Certificate> {
        let signed = self.sign(pending, file)?;
        let der = signed.to_der().context("certificate is too large")?;
        let certificate = Certificate::from_der(&der)?;
        replace(&self.home.out(file), &der)?;
        self.transcript.end_work(Kind::Result, &made(&der))?;
        Ok(certificate)
    }

    /// What an earlier run of a ceremony announced to sign, and may have signed: the same octets under the same intent.
    fn announced(
        &self,
        file: &str,
        kind: SigningKind,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
    ) -> anyhow::Result<Option<Pending>> {
        let open = self.transcript.held().and_then(|_| self.transcript.unfinished(SIGN, file));
        let Some(open) = open else { return Ok(None) };
        let path = self.kept_tbs(file);
        let octets = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let hash = base16ct::lower::encode_string(&Sha256::digest(&octets));
        ensure!(
            open.record.text("tbs_sha256") == Some(&hash),
            "{} is not what the transcript announces",
            path.display()
        );
        let mut id = [0; 16];
        base16ct::lower::decode(open.id(), &mut id).ok().context("no name of an intent")?;
        let (id, octets) = (IntentId::from_bytes(id), ToBeSigned::Bytes(octets.into()));
        Ok(Some(Pending::new(id, kind, key.clone(), algorithm, octets)?))
    }

    fn kept_tbs(&self, file: &str) -> std::path::PathBuf {
        self.home.join(&format!("ceremony/{file}.tbs"))
    }

    /// Makes a key of a step, or finds the one that an earlier run made: by its CKA_ID, never by its label. It proves
    /// itself.
    pub(crate) fn key(
        &mut self,
        token: &Token,
        order: KeyOrder,
        deadline: Duration,
    ) -> anyhow::Result<PublicKey> {
        let (step, key_type) = (order.label.clone(), order.key_type);
        let found = token.key_by_id(order.id)?;
        let is_unfinished = self.transcript.unfinished(GENERATE_KEY, &step).is_some();
        let is_announced = is_unfinished && found.is_some();
        let key = match found {
            Some(key) => key,
            None => {
                if is_unfinished {
                    self.transcript.end_work(Kind::Exception, &[reason(NO_EFFECT)])?;
                }
                let facts = [
                    ("act", Fact::from(GENERATE_KEY)),
                    ("what", step.as_str().into()),
                    ("intent", intent_id(now()?)?.to_string().into()),
                    ("cka_id", order.id.to_string().into()),
                    ("type", key_type.to_string().into()),
                    ("token", token.name().to_string().into()),
                ];
                self.transcript.write(Kind::Intent, &facts)?;
                let key = token.generate_key(order, deadline);
                let key = key.with_context(|| format!("key {step}"))?;
                self.transcript.end_work(Kind::Result, &[spki(&key)])?;
                key
            }
        };
        ensure!(key.key_type() == key_type, "key {step} is {}, not {key_type}", key.key_type());
        token.prove(&key)?;
        if is_announced {
            self.transcript.end_work(Kind::Result, &[spki(&key), adopted()])?;
        }
        Ok(key)
    }

    /// Makes a CRL, or finds the one that an earlier run made.
    pub(crate) fn crl(&mut self, list: &List<'_>) -> anyhow::Result<Vec<u8>> {
        let file = list.file;
        let path = self.home.out(file);
        if let Ok(der) = std::fs::read(&path) {
            let octets = u64::try_from(der.len()).unwrap_or(u64::MAX);
            let mut reader = CrlReader::start(der.as_slice(), CrlForm::CertificateList, octets)?;
            reader.by_ref().try_for_each(|entry| entry.map(drop))?;
            let hash = reader.finish()?.tbs_sha256.context("nothing was hashed")?;
            self.find(file, &hash, &der)?;
            return Ok(der);
        }
        let key = list.authority.public_key();
        if let Some(pending) = self.announced(file, SigningKind::Crl, key, list.algorithm)? {
            return self.finish_crl(pending, file, &self.kept_tbs(file));
        }
        let PreparedList { pending, spool } = list.prepare(self.home, "crl")?;
        if self.transcript.held().is_some() {
            // As of a certificate; it names nobody, and is short.
            replace(&self.kept_tbs(file), &std::fs::read(&spool)?)?;
        }
        let der = self.finish_crl(pending, file, &spool)?;
        std::fs::remove_file(spool)?;
        Ok(der)
    }

    fn finish_crl(
        &mut self,
        pending: Pending,
        file: &str,
        octets: &Path,
    ) -> anyhow::Result<Vec<u8>> {
        let signed = self.sign(pending, file)?;
        let mut der = Vec::new();
        let octets = BufReader::new(std::fs::File::open(octets)?);
        crl::finish(&signed, octets, &mut der)?;
        replace(&self.home.out(file), &der)?;
        self.transcript.end_work(Kind::Result, &made(&der))?;
        Ok(der)
    }

    /// Tells of the output of a signature that an earlier run announced, and whose end it did not come to tell.
    fn find(&mut self, file: &str, tbs_sha256: &[u8; 32], der: &[u8]) -> anyhow::Result<()> {
        let Some(open) = self.transcript.unfinished(SIGN, file) else { return Ok(()) };
        let hash = base16ct::lower::encode_string(tbs_sha256);
        if open.record.text("tbs_sha256") == Some(&hash) {
            let mut facts = made(der).to_vec();
            facts.push(adopted());
            self.transcript.end_work(Kind::Result, &facts)?;
        } else {
            self.transcript.end_work(Kind::Exception, &[reason(NO_EFFECT)])?;
        }
        Ok(())
    }

    fn sign(&mut self, pending: Pending, what: &str) -> anyhow::Result<Signed> {
        let octets = self.kept_tbs(what);
        self.reader.compare(self.transcript, &octets, pending.intent())?;
        let id = pending.intent().id().to_string();
        let again = match self.transcript.unfinished(SIGN, what) {
            None => None,
            Some(open) if open.id() == id => Some(AFTER_DEATH),
            // What an earlier run may have signed was written nowhere: nobody has it.
            Some(_) => {
                self.transcript.end_work(Kind::Exception, &[reason(NOT_KEPT)])?;
                None
            }
        };
        let recorded = self.transcript.record(what, again, pending.intent())?;
        let input = pending.input(&recorded)?;
        // A session does not always outlive the time that people take between two steps. Both tries are
        // in the transcript.
        let signature = match self.signer.sign(&input) {
            Err(error) if error.again() != Again::Never => {
                let again = Some(error.code());
                let recorded = self.transcript.record(what, again, pending.intent())?;
                self.signer.sign(&pending.input(&recorded)?)
            }
            signed => signed,
        }
        .with_context(|| format!("signing {what}"))?;
        Ok(pending.finish(signature)?)
    }
}

/// What is told of an output.
fn made(der: &[u8]) -> [(&'static str, Fact); 1] {
    [("sha256", base16ct::lower::encode_string(&Sha256::digest(der)).into())]
}

fn reason(text: &str) -> (&'static str, Fact) {
    ("reason", text.into())
}

/// Made by a run that did not come to tell of it, and found by a later one.
pub(crate) fn adopted() -> (&'static str, Fact) {
    ("adopted", "found by a later run".into())
}

fn spki(key: &PublicKey) -> (&'static str, Fact) {
    ("spki_sha256", key.spki_hash().to_string().into())
}

/// An issuer as its certificate and URLs make it.
pub(crate) fn issuer(
    certificate: &Certificate,
    settings: ca::issuer::IssuerSettings,
) -> anyhow::Result<Issuer> {
    Ok(Issuer::new(certificate.clone(), settings)?)
}

/// Wall time.
pub(crate) fn now() -> anyhow::Result<UnixTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("clock is before 1970")?;
    Ok(UnixTime::from_secs(since.as_secs())?)
}

/// Octets of the operating system's generator.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).context("no random numbers")?;
    Ok(octets)
}

/// A UUID version 7 in its 16 octets (RFC 9562 §5.7).
///
/// # Errors
///
/// The generator's.
pub(crate) fn intent_id(now: UnixTime) -> anyhow::Result<IntentId> {
    let mut octets = random::<16>()?;
    let milliseconds = now.secs().saturating_mul(1000).to_be_bytes();
    for (octet, of_time) in octets.iter_mut().zip(milliseconds.into_iter().skip(2)) {
        *octet = of_time;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut octets;
    *version = (*version & 0x0f) | 0x70;
    *variant = (*variant & 0x3f) | 0x80;
    Ok(IntentId::from_bytes(octets))
}

//! Making certificates and the CRL: prepare, record, sign, verify, write.

use std::fs::OpenOptions;
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
use ca::profile::ProfileSet;
use crl::{CrlEntry, CrlFiles, CrlIssuer, CrlNumber, CrlOrder, NewDates, PreviousCrl};
use hsm::{Again, KeyPolicy, SigningService as _, Token, TokenSigner};
use serde_json::json;
use x509::certificate::Certificate;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::serial::SerialNumber;
use x509::signing::{IntentId, Pending, Signed};
use x509::time::UnixTime;

use crate::home::{Home, replace};
use crate::transcript::Transcript;

/// What all works need.
pub(crate) struct Works<'a> {
    pub(crate) home: &'a Home,
    pub(crate) deployment: Deployment,
    pub(crate) profiles: &'a ProfileSet,
    pub(crate) algorithms: &'a AlgorithmPolicy,
    pub(crate) signer: &'a TokenSigner,
    pub(crate) transcript: &'a mut Transcript,
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

impl Works<'_> {
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
            return Ok(found);
        }
        let now = now()?;
        let profile = self
            .profiles
            .by_name(work.profile)
            .with_context(|| format!("profile {} is missing", work.profile))?;
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
        let signed = self.sign(pending, now, &work.file)?;
        let der = signed.to_der().context("certificate is too large")?;
        let certificate = Certificate::from_der(&der)?;
        self.transcript.write(
            now,
            "certificate",
            &json!({
                "file": work.file,
                "serial": certificate.serial().to_string(),
                "sha256": base16ct::lower::encode_string(&certificate.fingerprint()),
            }),
        )?;
        replace(&path, &der)?;
        Ok(certificate)
    }

    /// Makes the first CRL of an offline CA, or finds the one that an earlier run made.
    pub(crate) fn first_crl(
        &mut self,
        authority: &Certificate,
        algorithm: SignatureAlgorithm,
        file: &str,
        lifetime: Duration,
    ) -> anyhow::Result<Vec<u8>> {
        let path = self.home.out(file);
        if let Ok(der) = std::fs::read(&path) {
            return Ok(der);
        }
        let now = now()?;
        let issuer = CrlIssuer::new(authority.clone(), algorithm)?;
        let next_update = now.checked_add(lifetime).context("CRL ends after the year 9999")?;
        let spool = |name: &str| self.home.join(&format!("ceremony/{name}"));
        let (scratch_path, spool_path) = (spool("crl.entries"), spool("crl.tbs"));
        let open = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)
                .with_context(|| format!("cannot write {}", path.display()))
        };
        let mut files = CrlFiles {
            scratch: open(&scratch_path)?,
            spool: open(&spool_path)?,
            spool_path: spool_path.clone(),
        };
        let order = CrlOrder {
            issuer: &issuer,
            intent: intent_id(now)?,
            number: &CrlNumber::first(),
            kind: x509::crl::CrlKind::COMPLETE,
            this_update: now,
            next_update,
            issuing_distribution_point: None,
            expired_certs_on_crl: None,
            new_dates: NewDates::SincePrevious,
        };
        let none: [Result<CrlEntry, std::convert::Infallible>; 0] = [];
        let previous: Option<PreviousCrl<&[u8]>> = None;
        let prepared =
            crl::prepare(&order, none, &mut files, previous, &mut |_| crl::Departure::Unexplained)?;
        let signed = self.sign(prepared.pending, now, file)?;
        let mut der = Vec::new();
        let spooled = BufReader::new(std::fs::File::open(&spool_path)?);
        crl::finish(&signed, spooled, &mut der)?;
        replace(&path, &der)?;
        for path in [scratch_path, spool_path] {
            std::fs::remove_file(path)?;
        }
        Ok(der)
    }

    fn sign(&mut self, pending: Pending, now: UnixTime, what: &str) -> anyhow::Result<Signed> {
        let recorded = self.transcript.record(now, what, pending.intent())?;
        let input = pending.input(&recorded)?;
        // A session does not always outlive the time that people take between two steps. Both tries are
        // in the transcript.
        let signature = match self.signer.sign(&input) {
            Err(error) if error.again() != Again::Never => {
                let again = format!("{what}, once more after {}", error.code());
                let recorded = self.transcript.record(now, &again, pending.intent())?;
                self.signer.sign(&pending.input(&recorded)?)
            }
            signed => signed,
        }
        .with_context(|| format!("signing {what}"))?;
        Ok(pending.finish(signature)?)
    }
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
fn intent_id(now: UnixTime) -> anyhow::Result<IntentId> {
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

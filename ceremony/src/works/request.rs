//! The request of a key of our own (PKCS#10): it names a key and proves it, and nothing else of it is used.

use anyhow::{Context as _, ensure};
use ceremony_core::transcript::Kind;
use sha2::{Digest as _, Sha256};
use x509::key::SignatureAlgorithm;
use x509::request::{CertificationRequest, CertificationRequestInfo};
use x509::signing::{Pending, SigningKind, ToBeSigned};

use super::{Works, intent_id, made, now};
use crate::home::replace;

impl Works<'_, '_> {
    /// Makes a request, or finds the one that an earlier run made for this key.
    pub(crate) fn request(
        &mut self,
        info: &CertificationRequestInfo,
        file: &str,
    ) -> anyhow::Result<CertificationRequest> {
        let path = self.home.out(file);
        let octets = info.to_der();
        if let Ok(der) = std::fs::read(&path) {
            let found =
                CertificationRequest::from_der(&der).with_context(|| path.display().to_string())?;
            let is_it = found.public_key() == &info.public_key && found.subject() == &info.subject;
            ensure!(is_it, "{} is there with another key or name", path.display());
            self.find(file, &Sha256::digest(&octets).into(), &der)?;
            return Ok(found);
        }
        let algorithm = SignatureAlgorithm::default_for(info.public_key.key_type());
        let announced = self.announced(file, SigningKind::Request, &info.public_key, algorithm)?;
        let pending = match announced {
            Some(pending) => pending,
            None => {
                let (id, key) = (intent_id(now()?)?, info.public_key.clone());
                // As of a certificate.
                replace(&self.kept_tbs(file), &octets)?;
                let octets = ToBeSigned::Bytes(octets.into());
                Pending::new(id, SigningKind::Request, key, algorithm, octets)?
            }
        };
        let signed = self.sign(pending, file)?;
        let der = signed.to_der().context("request is too large")?;
        let request = CertificationRequest::from_der(&der)?;
        replace(&path, &der)?;
        self.transcript.end_work(Kind::Result, &made(&der))?;
        Ok(request)
    }
}

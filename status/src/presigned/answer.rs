//! One answer, and the bytes that its signature covers.

use x509::key::{KeyError, PublicKey, SignatureAlgorithm};
use x509::name::Name;
use x509::ocsp::{CertId, CertIdHash, CertStatus, ResponseData, SingleAnswer};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

/// By which hashes an answer names its certificate, in this order: relying parties that look at the first alone are
/// old and know SHA-1 (RFC 9919 §3.2.1).
const HASHES: [CertIdHash; 2] = [CertIdHash::Sha1, CertIdHash::Sha256];

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Of which certificate.
    pub serial: SerialNumber,
    /// Good or revoked; nothing else is said beforehand.
    pub status: CertStatus,
    /// As on the CRL.
    pub invalidity_date: Option<UnixTime>,
    /// Since when expired certificates are answered for, where this one has expired.
    pub archive_cutoff: Option<UnixTime>,
    /// When it was signed.
    pub produced_at: UnixTime,
    /// The time of the checkpoint that it rests on.
    pub this_update: UnixTime,
    /// Until when it may be used.
    pub next_update: UnixTime,
}

impl Said {
    /// The `ResponseData` that is signed: the same status twice, by SHA-1 and by SHA-256, as RFC 9919 §3.2.1 has it for
    /// responses that are made beforehand, so that one signature answers old and new relying parties.
    #[must_use]
    pub fn response_data(&self, name: &Name, key: &PublicKey, responder_key: [u8; 20]) -> Vec<u8> {
        let ids = HASHES.map(|hash| CertId::new(hash, name.as_der(), key, self.serial));
        let answers = ids.each_ref().map(|cert_id| SingleAnswer {
            cert_id,
            status: self.status,
            this_update: self.this_update,
            next_update: self.next_update,
            archive_cutoff: self.archive_cutoff,
            invalidity_date: self.invalidity_date,
        });
        let produced_at = self.produced_at;
        ResponseData { responder_key, produced_at, answers: &answers, nonce: None }.to_der()
    }

    /// Whether a question by this hash is answered by it.
    #[must_use]
    pub fn answers_by(hash: CertIdHash) -> bool {
        HASHES.contains(&hash)
    }
}

/// An answer with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresignedAnswer {
    /// What it says.
    pub said: Said,
    /// Which of the signers of its file signed it.
    pub signer: u8,
    /// The signature in its X.509 form.
    pub signature: Vec<u8>,
}

impl PresignedAnswer {
    /// Verifies the signature by the signer's key over what a CA of this name and key is said to have issued, and
    /// returns the `ResponseData` that it covers.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it does not verify.
    pub fn verified(
        &self,
        name: &Name,
        key: &PublicKey,
        signer: &PublicKey,
    ) -> Result<Vec<u8>, KeyError> {
        let data = self.said.response_data(name, key, signer.key_bits_sha1());
        let algorithm = SignatureAlgorithm::default_for(signer.key_type());
        signer.verify(algorithm, &data, &self.signature)?;
        Ok(data)
    }
}

//! A throw-away key, with which a certificate is signed for trial before the real key signs it.
//!
//! It is of the type of the real key, lies in memory, and is gone with the run, whose trials share it. Its public half is in no certificate that anybody gets.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, bail};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};

/// Those of this run, one of a type: an RSA key of 4096 bits takes a second and more.
static OF_RUN: Mutex<Vec<(KeyType, Arc<TrialKey>)>> = Mutex::new(Vec::new());

/// A key that nothing is kept of.
pub(crate) struct TrialKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl TrialKey {
    /// The key of this type with which this run signs for trial.
    ///
    /// # Errors
    ///
    /// As [`Self::generate`].
    pub(crate) fn of_run(key_type: KeyType) -> anyhow::Result<Arc<Self>> {
        let mut known = OF_RUN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = known.iter().find(|(of, _)| *of == key_type) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(Self::generate(key_type)?);
        known.push((key_type, Arc::clone(&key)));
        Ok(key)
    }

    /// Has the key of this type made beside other work, such as that of the token. What cannot be made is told by whoever asks for it.
    pub(crate) fn ahead(key_type: KeyType) {
        thread::spawn(move || Self::of_run(key_type).map(drop));
    }

    /// Makes a key of this type.
    ///
    /// # Errors
    ///
    /// A type that no CA of ours has, or no random numbers.
    pub(crate) fn generate(key_type: KeyType) -> anyhow::Result<Self> {
        let failed = "no random numbers for a throw-away key";
        let (pair, public) = match key_type {
            KeyType::EcP256 | KeyType::EcP384 => {
                let curve = match key_type {
                    KeyType::EcP256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                    _ => &ECDSA_P384_SHA384_ASN1_SIGNING,
                };
                let pair = EcdsaKeyPair::generate(curve).ok().context(failed)?;
                let public = PublicKey::from_ec_point(pair.public_key().as_ref())?;
                (Pair::Ecdsa(pair), public)
            }
            KeyType::Ed25519 => {
                let pair = Ed25519KeyPair::generate().ok().context(failed)?;
                let public = PublicKey::from_ed25519(pair.public_key().as_ref().try_into()?)?;
                (Pair::Ed25519(pair), public)
            }
            KeyType::Rsa { bits } => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => bail!(
                        "no throw-away RSA key of {bits} bits is made: 2048, 3072 and 4096 are"
                    ),
                };
                let pair = RsaKeyPair::generate(size).ok().context(failed)?;
                let spki =
                    pair.public_key().as_der().ok().context("the throw-away key is unreadable")?;
                let public = PublicKey::from_spki_der(spki.as_ref())?;
                (Pair::Rsa(Box::new(pair)), public)
            }
        };
        Ok(Self { pair, public })
    }

    /// Its public half.
    pub(crate) const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs, in the X.509 form.
    ///
    /// # Errors
    ///
    /// An algorithm that the key does not have.
    pub(crate) fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> anyhow::Result<Vec<u8>> {
        let random = SystemRandom::new();
        let failed = "the throw-away key did not sign";
        match &self.pair {
            Pair::Ecdsa(pair) if algorithm.fits(self.public.key_type()) => {
                Ok(pair.sign(&random, message).ok().context(failed)?.as_ref().to_vec())
            }
            Pair::Ed25519(pair) if algorithm == SignatureAlgorithm::Ed25519 => {
                Ok(pair.sign(message).as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let encoding = encoding(algorithm).context("no such signature by an RSA key")?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).ok().context(failed)?;
                Ok(signature)
            }
            _ => bail!(
                "a key of type {} signs nothing by {}",
                self.public.key_type(),
                algorithm.name()
            ),
        }
    }
}

fn encoding(algorithm: SignatureAlgorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
        SignatureAlgorithm::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
        SignatureAlgorithm::RsaPssSha256 => &RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPssSha384 => &RSA_PSS_SHA384,
        SignatureAlgorithm::RsaPssSha512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_of_a_run_share_a_key_of_each_type() {
        TrialKey::ahead(KeyType::EcP384);
        let of = |key_type: KeyType| TrialKey::of_run(key_type).unwrap();

        let (one, again) = (of(KeyType::EcP384), of(KeyType::EcP384));

        assert_eq!(one.public(), again.public());
        assert_eq!(of(KeyType::EcP256).public().key_type(), KeyType::EcP256);
        assert_ne!(TrialKey::generate(KeyType::EcP384).unwrap().public(), one.public());
    }
}

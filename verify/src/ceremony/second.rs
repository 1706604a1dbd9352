//! The second library's opinion on what a key has signed: certificates, CRLs, requests, and people's statements.
//!
//! ECDSA by `p256` and `p384`, Ed25519 by `ed25519-dalek`, strictly. RSA by its public operation alone, on `num-bigint`, with the encodings of
//! RFC 8017 built and compared whole: nothing is parsed out of what a signature opens to, but for the salt of PSS.

use ed25519_dalek::VerifyingKey;
use num_bigint::BigUint;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::{Digest, Sha256, Sha384, Sha512};
use thiserror::Error;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm as Algorithm};
use x509::request::CertificationRequest;

/// What was signed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    /// The octets.
    Octets(&'a [u8]),
    /// The algorithm's own hash of them.
    Digest(&'a [u8]),
}

impl Message<'_> {
    fn digest<D: Digest>(self) -> Vec<u8> {
        match self {
            Self::Octets(octets) => D::digest(octets).to_vec(),
            Self::Digest(digest) => digest.to_vec(),
        }
    }
}

/// The second library does not verify a signature.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a second library does not verify the signature")]
pub(super) struct NotVerified;

/// Verifies a signature in its X.509 form.
///
/// # Errors
///
/// [`NotVerified`]; for a key of another form too.
pub(super) fn verify(
    key: &PublicKey,
    algorithm: Algorithm,
    message: Message<'_>,
    signature: &[u8],
) -> Result<(), NotVerified> {
    let holds = match algorithm {
        Algorithm::EcdsaP256Sha256 => p256(key, message, signature),
        Algorithm::EcdsaP384Sha384 => p384(key, message, signature),
        Algorithm::Ed25519 => ed25519(key, message, signature),
        Algorithm::RsaPkcs1Sha256 => pkcs1(key, &message.digest::<Sha256>(), 1, signature),
        Algorithm::RsaPkcs1Sha384 => pkcs1(key, &message.digest::<Sha384>(), 2, signature),
        Algorithm::RsaPkcs1Sha512 => pkcs1(key, &message.digest::<Sha512>(), 3, signature),
        Algorithm::RsaPssSha256 => pss::<Sha256>(key, &message.digest::<Sha256>(), signature),
        Algorithm::RsaPssSha384 => pss::<Sha384>(key, &message.digest::<Sha384>(), signature),
        Algorithm::RsaPssSha512 => pss::<Sha512>(key, &message.digest::<Sha512>(), signature),
    };
    holds.ok_or(NotVerified)
}

/// Verifies that whoever made a request has its key. Requests pair curves and hashes as nothing does that is signed here.
///
/// # Errors
///
/// [`NotVerified`]; also where the request names its algorithm in another way than ours.
pub(super) fn possession(request: &CertificationRequest) -> Result<(), NotVerified> {
    let (key, signature) = (request.public_key(), request.signature());
    let message = Message::Octets(request.info_der());
    if !matches!(key.key_type(), KeyType::EcP256 | KeyType::EcP384) {
        let algorithm = request.algorithm().ok_or(NotVerified)?;
        return verify(key, algorithm, message, signature);
    }
    let digest = match request.algorithm() {
        Some(Algorithm::EcdsaP256Sha256) => message.digest::<Sha256>(),
        Some(Algorithm::EcdsaP384Sha384) => message.digest::<Sha384>(),
        // The third that a request may have (x509); of any other hash the signature does not hold.
        None => message.digest::<Sha512>(),
        Some(_) => return Err(NotVerified),
    };
    let holds = match key.key_type() {
        KeyType::EcP256 => of_p256(key, &digest, signature),
        _ => of_p384(key, &digest, signature),
    };
    holds.ok_or(NotVerified)
}

fn p256(key: &PublicKey, message: Message<'_>, signature: &[u8]) -> Option<()> {
    of_p256(key, &message.digest::<Sha256>(), signature)
}

fn of_p256(key: &PublicKey, digest: &[u8], signature: &[u8]) -> Option<()> {
    let point = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.key_bits()).ok()?;
    let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
    point.verify_prehash(digest, &signature).ok()
}

fn p384(key: &PublicKey, message: Message<'_>, signature: &[u8]) -> Option<()> {
    of_p384(key, &message.digest::<Sha384>(), signature)
}

fn of_p384(key: &PublicKey, digest: &[u8], signature: &[u8]) -> Option<()> {
    let point = p384::ecdsa::VerifyingKey::from_sec1_bytes(key.key_bits()).ok()?;
    let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
    point.verify_prehash(digest, &signature).ok()
}

fn ed25519(key: &PublicKey, message: Message<'_>, signature: &[u8]) -> Option<()> {
    let Message::Octets(octets) = message else { return None };
    let point = VerifyingKey::from_bytes(key.key_bits().try_into().ok()?).ok()?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    point.verify_strict(octets, &signature).ok()
}

/// What a signature opens to, as long as the modulus, and how many bits that has (RFC 8017 §5.2.2).
fn opened(key: &PublicKey, signature: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (modulus, exponent) = key.rsa_parts()?;
    let modulus = BigUint::from_bytes_be(&modulus);
    let bits = usize::try_from(modulus.bits()).ok()?;
    let value = BigUint::from_bytes_be(signature);
    if signature.len() != bits.div_ceil(8) || value >= modulus {
        return None;
    }
    let value = value.modpow(&BigUint::from_bytes_be(&exponent), &modulus).to_bytes_be();
    let mut octets = vec![0; signature.len().checked_sub(value.len())?];
    octets.extend(value);
    Some((octets, bits))
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2) with a member of SHA-2, by the last octet of its OID.
fn pkcs1(key: &PublicKey, digest: &[u8], of_sha2: u8, signature: &[u8]) -> Option<()> {
    let (seen, _) = opened(key, signature)?;
    let length = u8::try_from(digest.len()).ok()?;
    // DigestInfo (RFC 8017 §9.2, note 1): 2.16.840.1.101.3.4.2.n, NULL, and the hash.
    let info: Vec<u8> = [0x30, length.checked_add(17)?, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65]
        .into_iter()
        .chain([3, 4, 2, of_sha2, 5, 0, 4, length])
        .chain(digest.iter().copied())
        .collect();
    let padding = seen.len().checked_sub(info.len())?.checked_sub(3).filter(|count| *count >= 8)?;
    let mut wanted = vec![0, 1];
    wanted.resize(padding.checked_add(2)?, 0xff);
    wanted.push(0);
    wanted.extend(info);
    (seen == wanted).then_some(())
}

/// RSASSA-PSS (RFC 8017 §9.1.2) with MGF1 by the same hash and a salt as long as it.
fn pss<D: Digest>(key: &PublicKey, digest: &[u8], signature: &[u8]) -> Option<()> {
    let (octets, bits) = opened(key, signature)?;
    // One bit less than the modulus; where that fills octets, the first one is nothing but zero.
    let bits = bits.checked_sub(1)?;
    let (above, encoded) = octets.split_at_checked(octets.len().checked_sub(bits.div_ceil(8))?)?;
    let (rest, trailer) = encoded.split_at_checked(encoded.len().checked_sub(1)?)?;
    let (masked, hash) = rest.split_at_checked(rest.len().checked_sub(digest.len())?)?;
    let mut block = masked.to_vec();
    for (octet, mask) in block.iter_mut().zip(mgf1::<D>(hash, masked.len())) {
        *octet ^= mask;
    }
    let unused = encoded.len().checked_mul(8)?.checked_sub(bits)?;
    let used = 0xff_u8.checked_shr(u32::try_from(unused).ok()?)?;
    let first = masked.first().copied()?;
    if let Some(octet) = block.first_mut() {
        *octet &= used;
    }
    let (zeros, salted) = block.split_at_checked(block.len().checked_sub(digest.len() + 1)?)?;
    let (one, salt) = salted.split_first()?;
    let again = D::new().chain_update([0; 8]).chain_update(digest).chain_update(salt).finalize();
    let holds = above.iter().all(|octet| *octet == 0)
        && trailer == [0xbc]
        && first & !used == 0
        && zeros.iter().all(|octet| *octet == 0)
        && *one == 1
        && again.as_slice() == hash;
    holds.then_some(())
}

/// MGF1 (RFC 8017 appendix B.2.1).
fn mgf1<D: Digest>(seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::new();
    let mut counter = 0_u32;
    while mask.len() < length {
        mask.extend(D::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize());
        counter = counter.saturating_add(1);
    }
    mask.truncate(length);
    mask
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// What OpenSSL signs is verified, under its own key and hash alone; of a changed signature or text nothing is.
    #[test]
    fn what_openssl_signs_with_rsa_is_verified() {
        let folder = tempfile::tempdir().unwrap();
        let spoken = |words: &[&str]| {
            let run = Command::new("openssl").args(words).current_dir(folder.path()).output();
            run.is_ok_and(|run| run.status.success())
        };
        let octets = |name: &str| std::fs::read(Path::new(folder.path()).join(name)).unwrap();
        // 2049 bits: the encoding of PSS is one octet shorter there.
        for bits in ["2048", "2049"] {
            let size = format!("rsa_keygen_bits:{bits}");
            if !spoken(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &size, "-out", "key"]) {
                return println!("skipped: openssl is not installed");
            }
            assert!(spoken(&["pkey", "-in", "key", "-pubout", "-outform", "DER", "-out", "spki"]));
            let key = PublicKey::from_spki_der(&octets("spki"));
            // Keys of odd sizes are taken by few; the arithmetic must hold where they are.
            let Ok(key) = key else { continue };
            std::fs::write(folder.path().join("text"), "signed").unwrap();
            for (algorithm, hash, padding) in [
                (Algorithm::RsaPkcs1Sha256, "-sha256", "pkcs1"),
                (Algorithm::RsaPkcs1Sha384, "-sha384", "pkcs1"),
                (Algorithm::RsaPkcs1Sha512, "-sha512", "pkcs1"),
                (Algorithm::RsaPssSha256, "-sha256", "pss"),
                (Algorithm::RsaPssSha384, "-sha384", "pss"),
                (Algorithm::RsaPssSha512, "-sha512", "pss"),
            ] {
                let mode = format!("rsa_padding_mode:{padding}");
                let mut words = vec!["dgst", hash, "-sign", "key", "-sigopt", &mode];
                if padding == "pss" {
                    words.extend(["-sigopt", "rsa_pss_saltlen:digest"]);
                }
                assert!(spoken(&[words.as_slice(), &["-out", "signature", "text"]].concat()));
                let signature = octets("signature");
                let judged = |text: &[u8], signature: &[u8]| {
                    verify(&key, algorithm, Message::Octets(text), signature)
                };
                assert_eq!(judged(b"signed", &signature), Ok(()), "{algorithm:?} {bits}");
                assert_eq!(judged(b"signee", &signature), Err(NotVerified), "{algorithm:?}");
                for place in [0, signature.len() / 2, signature.len() - 1] {
                    let mut changed = signature.clone();
                    changed[place] ^= 1;
                    assert_eq!(judged(b"signed", &changed), Err(NotVerified), "{algorithm:?}");
                }
                for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                    let judged = verify(&key, other, Message::Octets(b"signed"), &signature);
                    assert_eq!(judged, Err(NotVerified), "{algorithm:?} as {other:?}");
                }
            }
        }
    }

    /// Requests of each curve with each hash, and RSA; of a changed one the second library says no as the first does.
    #[test]
    fn what_openssl_asks_for_is_proven() {
        let folder = tempfile::tempdir().unwrap();
        let spoken = |words: &[&str]| {
            let run = Command::new("openssl").args(words).current_dir(folder.path()).output();
            run.is_ok_and(|run| run.status.success())
        };
        let keys: [&[&str]; 4] = [
            &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            &["ED25519"],
        ];
        for key in keys {
            let words = [&["genpkey", "-out", "key", "-algorithm"], key].concat();
            if !spoken(&words) {
                return println!("skipped: openssl is not installed");
            }
            for hash in ["-sha256", "-sha384", "-sha512"] {
                let words = ["req", "-new", "-key", "key", hash, "-subj", "/CN=a"];
                assert!(spoken(&[&words[..], &["-outform", "DER", "-out", "csr"]].concat()));
                let der = std::fs::read(folder.path().join("csr")).unwrap();
                let request = CertificationRequest::from_der(&der).unwrap();
                assert_eq!(possession(&request), Ok(()), "{key:?} {hash}");
                // In the subject, which is signed.
                let at = der.windows(3).position(|octets| octets == [0x0c, 1, b'a']).unwrap();
                let mut changed = der.clone();
                changed[at + 2] = b'b';
                let changed = CertificationRequest::from_der(&changed).unwrap();
                assert_eq!(possession(&changed), Err(NotVerified), "{key:?} {hash}");
            }
        }
    }
}

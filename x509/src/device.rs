//! The forms in which key devices take digests and write public keys.
//!
//! A device speaks of keys in pieces of DER (PKCS#11 `CKA_EC_PARAMS`, `CKA_EC_POINT`, the input of
//! `CKM_RSA_PKCS`). They are written and read here, because DER lives in this room.

use der::asn1::{ObjectIdentifier, OctetStringRef, PrintableStringRef};
use der::{Decode as _, Encode as _, Sequence};

use crate::key::{HashAlgorithm, KeyError, KeyType, PublicKey};

/// DigestInfo (RFC 8017 A.2.4).
#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: spki::AlgorithmIdentifierOwned,
    digest: &'a OctetStringRef,
}

/// Wraps a digest as the DigestInfo that RSASSA-PKCS1-v1_5 pads (RFC 8017 §9.2 step 2).
///
/// # Errors
///
/// [`KeyError::Encoding`] when `digest` has not the hash's length.
pub fn digest_info(hash: HashAlgorithm, digest: &[u8]) -> Result<Vec<u8>, KeyError> {
    if digest.len() != hash.implementation().output_len() {
        return Err(KeyError::Encoding);
    }
    let oid = ObjectIdentifier::new_unwrap(match hash {
        HashAlgorithm::Sha256 => "2.16.840.1.101.3.4.2.1",
        HashAlgorithm::Sha384 => "2.16.840.1.101.3.4.2.2",
        HashAlgorithm::Sha512 => "2.16.840.1.101.3.4.2.3",
    });
    let algorithm = spki::AlgorithmIdentifierOwned { oid, parameters: Some(der::Any::null()) };
    OctetStringRef::new(digest)
        .and_then(|digest| DigestInfo { algorithm, digest }.to_der())
        .map_err(|_| KeyError::Encoding)
}

/// The spellings of a key type's curve that devices are known to take, best first (PKCS#11 v3.1
/// §6.3.3: a named curve's OID; for Edwards curves also their name as PrintableString, the only one
/// that SoftHSM 2.6 takes). Empty for keys without a curve.
#[must_use]
pub fn curve_parameters(key_type: KeyType) -> Vec<Vec<u8>> {
    let oid = |text| ObjectIdentifier::new_unwrap(text).to_der();
    let name = PrintableStringRef::new("edwards25519").and_then(|name| name.to_der());
    let spellings = match key_type {
        KeyType::EcP256 => vec![oid("1.2.840.10045.3.1.7")],
        KeyType::EcP384 => vec![oid("1.3.132.0.34")],
        KeyType::Ed25519 => vec![name, oid("1.3.101.112")],
        KeyType::Rsa { .. } => Vec::new(),
    };
    spellings.into_iter().flatten().collect()
}

/// The key type whose curve a device spells so; `None` for a curve that we do not use.
#[must_use]
pub fn curve_key_type(parameters: &[u8]) -> Option<KeyType> {
    [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519]
        .into_iter()
        .find(|key_type| curve_parameters(*key_type).iter().any(|spelling| spelling == parameters))
}

/// Reads the point of an EC public key as a device writes it: as an OCTET STRING, as the standard
/// says, or bare.
///
/// # Errors
///
/// [`KeyError::Point`] for another form or curve.
pub fn ec_public_key(point: &[u8]) -> Result<PublicKey, KeyError> {
    let bare = unwrapped(point, &[65, 97]).ok_or(KeyError::Point { octets: point.len() })?;
    PublicKey::from_ec_point(bare)
}

/// Reads an Ed25519 public key as a device writes it: as an OCTET STRING or bare.
///
/// # Errors
///
/// [`KeyError::Point`] for another length.
pub fn ed25519_public_key(point: &[u8]) -> Result<PublicKey, KeyError> {
    let bare = unwrapped(point, &[32]).ok_or(KeyError::Point { octets: point.len() })?;
    let key = bare.try_into().map_err(|_| KeyError::Point { octets: point.len() })?;
    PublicKey::from_ed25519(key)
}

fn unwrapped<'a>(point: &'a [u8], lengths: &[usize]) -> Option<&'a [u8]> {
    if lengths.contains(&point.len()) {
        return Some(point);
    }
    let bare = <&OctetStringRef>::from_der(point).ok()?.as_bytes();
    lengths.contains(&bare.len()).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prefixes that RFC 8017 §9.2 note 1 prints.
    #[test]
    fn digest_info_is_what_rfc_8017_prints() {
        let info = digest_info(HashAlgorithm::Sha256, &[0xaa; 32]).unwrap();
        let printed = [
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        assert_eq!(info[..19], printed);
        assert_eq!(info[19..], [0xaa; 32]);

        let prefix = |hash, length| digest_info(hash, &vec![0; length]).unwrap()[..19].to_vec();
        assert_eq!(prefix(HashAlgorithm::Sha384, 48)[..2], [0x30, 0x41]);
        assert_eq!(prefix(HashAlgorithm::Sha384, 48)[14], 0x02);
        assert_eq!(prefix(HashAlgorithm::Sha512, 64)[..2], [0x30, 0x51]);
        assert_eq!(prefix(HashAlgorithm::Sha512, 64)[14], 0x03);
    }

    #[test]
    fn refuses_a_digest_of_another_length() {
        for length in [0, 20, 31, 33, 64] {
            let refused = digest_info(HashAlgorithm::Sha256, &vec![0; length]);
            assert_eq!(refused, Err(KeyError::Encoding));
        }
    }

    #[test]
    fn reads_a_point_wrapped_and_bare() {
        let mut bare = vec![0x04; 65];
        let wrapped = [&[0x04, 0x41][..], &bare].concat();

        assert_eq!(ec_public_key(&wrapped).unwrap(), ec_public_key(&bare).unwrap());
        assert_eq!(
            ed25519_public_key(&[&[0x04, 0x20][..], &[7; 32]].concat()).unwrap(),
            ed25519_public_key(&[7; 32]).unwrap()
        );
        bare.pop();
        assert!(ec_public_key(&bare).is_err());
        assert!(ed25519_public_key(&bare).is_err());
    }

    #[test]
    fn every_spelling_of_a_curve_is_read_back_and_no_other() {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519] {
            for spelling in curve_parameters(key_type) {
                assert_eq!(curve_key_type(&spelling), Some(key_type));
            }
        }
        // secp256k1.
        assert_eq!(curve_key_type(b"\x06\x05\x2b\x81\x04\x00\x0a"), None);
        assert_eq!(curve_key_type(&[]), None);
    }

    #[test]
    fn softhsm_is_asked_for_ed25519_by_name_first() {
        assert_eq!(curve_parameters(KeyType::Ed25519)[0], b"\x13\x0cedwards25519");
        assert_eq!(curve_parameters(KeyType::Ed25519)[1], b"\x06\x03\x2b\x65\x70");
    }
}

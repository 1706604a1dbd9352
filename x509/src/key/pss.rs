//! RSASSA-PSS-params (RFC 4055 §3.1), the one place where they are written and read.
//!
//! Of all parameter sets we know three: a hash of SHA-2, MGF1 with the same hash, a salt as long as
//! the hash, and the trailer field at its default, which DER leaves out. Every other one is refused
//! by the field that makes it another.

use thiserror::Error;

use super::HashAlgorithm;
use crate::oid::{self, ObjectIdentifier};
use crate::tlv::{self, Element, NotDer};

/// Salt octets where the field is left out.
const DEFAULT_SALT: u64 = 20;

const HASHES: [(HashAlgorithm, ObjectIdentifier, u64); 3] = [
    (HashAlgorithm::Sha256, oid::hash::SHA256, 32),
    (HashAlgorithm::Sha384, oid::hash::SHA384, 48),
    (HashAlgorithm::Sha512, oid::hash::SHA512, 64),
];

/// The parameters as OpenSSL writes them: the hashes with NULL.
pub(super) fn parameters_der(hash: HashAlgorithm) -> Vec<u8> {
    let Some((_, oid, salt)) = HASHES.into_iter().find(|(known, ..)| *known == hash) else {
        return Vec::new();
    };
    let hash = tlv::sequence(&[&tlv::oid(oid), &[tlv::NULL, 0]]);
    let mask = tlv::sequence(&[&tlv::oid(oid::signature::MGF1), &hash]);
    let explicit = |number, inner: &[u8]| tlv::element(tlv::context_constructed(number), &[inner]);
    tlv::sequence(&[&explicit(0, &hash), &explicit(1, &mask), &explicit(2, &tlv::integer(salt))])
}

/// The hash of an AlgorithmIdentifier of id-RSASSA-PSS. The parameters of a hash may be NULL or
/// absent (RFC 4055 §2.1).
///
/// # Errors
///
/// [`PssError`] names the field for which the parameters are refused.
pub(super) fn read(identifier_der: &[u8]) -> Result<HashAlgorithm, PssError> {
    let mut identifier = Element::only(identifier_der, tlv::SEQUENCE)?.elements();
    if identifier.tagged(tlv::OID)?.oid()? != oid::signature::RSA_PSS {
        return Err(PssError::NotDer);
    }
    if identifier.is_empty() {
        return Err(PssError::Missing);
    }
    let mut fields = identifier.tagged(tlv::SEQUENCE)?.elements();
    identifier.finish()?;
    let hash = fields.optional(tlv::context_constructed(0))?.ok_or(PssError::Sha1)?;
    let hash = hash_oid(hash.content)?;
    let (known, _, wanted) =
        HASHES.into_iter().find(|(_, oid, _)| *oid == hash).ok_or(PssError::Hash { oid: hash })?;

    let mask = fields.optional(tlv::context_constructed(1))?.ok_or(PssError::Sha1)?;
    let mut mask = Element::only(mask.content, tlv::SEQUENCE)?.elements();
    let function = mask.tagged(tlv::OID)?.oid()?;
    if function != oid::signature::MGF1 {
        return Err(PssError::Mask { oid: function });
    }
    let of_mask = hash_oid(mask.tagged(tlv::SEQUENCE)?.whole)?;
    mask.finish()?;
    if of_mask != hash {
        return Err(PssError::MaskHash { oid: of_mask, hash: known });
    }

    let octets = match fields.optional(tlv::context_constructed(2))? {
        None => DEFAULT_SALT,
        Some(salt) => Element::only(salt.content, tlv::INTEGER)?
            .integer_octets()?
            .iter()
            .fold(0, |sum: u64, octet| sum.saturating_mul(256).saturating_add((*octet).into())),
    };
    if octets != wanted {
        return Err(PssError::Salt { octets, wanted });
    }
    if fields.optional(tlv::context_constructed(3))?.is_some() {
        return Err(PssError::Trailer);
    }
    fields.finish()?;
    Ok(known)
}

/// The OID of a hash's AlgorithmIdentifier, whose parameters are NULL or absent.
fn hash_oid(der: &[u8]) -> Result<ObjectIdentifier, PssError> {
    let mut fields = Element::only(der, tlv::SEQUENCE)?.elements();
    let oid = fields.tagged(tlv::OID)?.oid()?;
    if fields.optional(tlv::NULL)?.is_some_and(|null| !null.content.is_empty()) {
        return Err(PssError::NotDer);
    }
    fields.finish()?;
    Ok(oid)
}

/// Why parameters of RSASSA-PSS were refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PssError {
    /// Not one of SHA-2.
    #[error("hash {oid} is none of SHA-256, SHA-384 and SHA-512")]
    Hash {
        /// The hash.
        oid: ObjectIdentifier,
    },
    /// The hash without parameters: legal (RFC 4055 §2.1), and not what is written here.
    #[error("the NULL of its hashes is left out")]
    HashWithoutNull,
    /// Another mask generation function.
    #[error("mask generation function {oid} is not MGF1")]
    Mask {
        /// The function.
        oid: ObjectIdentifier,
    },
    /// MGF1 with another hash than the message's.
    #[error("MGF1 has the hash {oid}, the message has {hash}")]
    MaskHash {
        /// The hash of MGF1.
        oid: ObjectIdentifier,
        /// The hash of the message.
        hash: HashAlgorithm,
    },
    /// RFC 4055 §3.1: they must be there.
    #[error("they are missing")]
    Missing,
    /// Not the structure or not strict DER.
    #[error("they are not the DER of RSASSA-PSS-params")]
    NotDer,
    /// Salts are as long as the hash.
    #[error("salt of {octets} octets; with this hash it has {wanted}")]
    Salt {
        /// Its length.
        octets: u64,
        /// The length of the hash.
        wanted: u64,
    },
    /// A hash that is left out is SHA-1.
    #[error("a hash is left out, which means SHA-1")]
    Sha1,
    /// The default must be left out (X.690 §11.5), and there is no other value.
    #[error("trailerField is written out")]
    Trailer,
}

impl From<NotDer> for PssError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges;
    use crate::key::{AlgorithmError, PublicKey, SignatureAlgorithm};

    /// The fields of a parameter set that a test changes.
    struct Fields {
        hash: Option<ObjectIdentifier>,
        null: &'static [u8],
        function: ObjectIdentifier,
        mask: Option<ObjectIdentifier>,
        salt: Option<u64>,
        trailer: &'static [u8],
    }

    const SHA256: Fields = Fields {
        hash: Some(oid::hash::SHA256),
        null: &[tlv::NULL, 0],
        function: oid::signature::MGF1,
        mask: Some(oid::hash::SHA256),
        salt: Some(32),
        trailer: &[],
    };

    fn identifier(fields: &Fields) -> Vec<u8> {
        let hash = |oid| tlv::sequence(&[&tlv::oid(oid), fields.null]);
        let explicit =
            |number, inner: Vec<u8>| tlv::element(tlv::context_constructed(number), &[&inner]);
        let mask = |oid| tlv::sequence(&[&tlv::oid(fields.function), &hash(oid)]);
        let parts = [
            fields.hash.map(|oid| explicit(0, hash(oid))),
            fields.mask.map(|oid| explicit(1, mask(oid))),
            fields.salt.map(|salt| explicit(2, tlv::integer(salt))),
            Some(fields.trailer.to_vec()),
        ];
        let parameters =
            tlv::sequence(&[&parts.into_iter().flatten().flatten().collect::<Vec<_>>()]);
        tlv::sequence(&[&tlv::oid(oid::signature::RSA_PSS), &parameters])
    }

    /// KEY-11: OpenSSL writes the same octets, and its signature verifies, over the message and over
    /// the digest alone.
    #[test]
    fn openssl_writes_the_same_parameters_and_its_signatures_verify() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (key, der) = (path("key"), path("der"));
        let Some(_) = judges::run(
            "openssl",
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &key],
        ) else {
            return;
        };
        for (hash, algorithm) in [
            ("-sha256", SignatureAlgorithm::RsaPssSha256),
            ("-sha384", SignatureAlgorithm::RsaPssSha384),
            ("-sha512", SignatureAlgorithm::RsaPssSha512),
        ] {
            let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
            let request = ["req", "-x509", "-new", "-key", &key, hash, "-subj", "/CN=pss"];
            let out = ["-outform", "DER", "-out", &der];
            judges::run("openssl", &[&request[..], &pss, &out].concat()).unwrap();
            let octets = judges::read(der.as_ref());
            let mut parts = Element::only(&octets, tlv::SEQUENCE).unwrap().elements();
            let signed = parts.any().unwrap().whole;
            let written = parts.any().unwrap().whole;
            let signature = parts.any().unwrap().octet_bits().unwrap();
            let (_, parsed) = x509_parser::parse_x509_certificate(&octets).unwrap();
            let public_key = PublicKey::from_spki_der(parsed.public_key().raw).unwrap();

            assert_eq!(algorithm.identifier_der(), written);
            assert_eq!(SignatureAlgorithm::read_identifier(written), Ok(algorithm));
            public_key.verify(algorithm, signed, signature).unwrap();
            let hash = algorithm.hash().unwrap().implementation();
            let digest = aws_lc_rs::digest::digest(hash, signed);
            public_key.verify_digest(algorithm, digest.as_ref(), signature).unwrap();
            let pkcs1 = SignatureAlgorithm::RsaPkcs1Sha256;
            assert!(public_key.verify(pkcs1, signed, signature).is_err());
        }
    }

    /// KEY-11: no other parameter set is taken for one of ours, and the refusal names the field.
    #[test]
    fn refuses_every_other_parameter_set_by_name() {
        let sha1 = oid::hash::SHA1;
        let sha384 = oid::hash::SHA384;
        let trailer: &[u8] = &[0xa3, 3, 2, 1, 1];
        let written_mask = oid::signature::RSA_PSS;
        for (fields, refused) in [
            (Fields { hash: None, ..SHA256 }, PssError::Sha1),
            (Fields { mask: None, ..SHA256 }, PssError::Sha1),
            (Fields { hash: Some(sha1), ..SHA256 }, PssError::Hash { oid: sha1 }),
            (
                Fields { mask: Some(sha384), ..SHA256 },
                PssError::MaskHash { oid: sha384, hash: HashAlgorithm::Sha256 },
            ),
            (
                Fields { mask: Some(sha1), ..SHA256 },
                PssError::MaskHash { oid: sha1, hash: HashAlgorithm::Sha256 },
            ),
            (Fields { function: written_mask, ..SHA256 }, PssError::Mask { oid: written_mask }),
            (Fields { salt: None, ..SHA256 }, PssError::Salt { octets: 20, wanted: 32 }),
            (Fields { salt: Some(0), ..SHA256 }, PssError::Salt { octets: 0, wanted: 32 }),
            (Fields { salt: Some(222), ..SHA256 }, PssError::Salt { octets: 222, wanted: 32 }),
            (
                Fields { salt: Some(65_568), ..SHA256 },
                PssError::Salt { octets: 65_568, wanted: 32 },
            ),
            (Fields { trailer, ..SHA256 }, PssError::Trailer),
            (Fields { null: &[tlv::NULL, 1, 0], ..SHA256 }, PssError::NotDer),
            (Fields { null: &[2, 1, 0], ..SHA256 }, PssError::NotDer),
        ] {
            let der = identifier(&fields);

            assert_eq!(
                SignatureAlgorithm::read_identifier(&der),
                Err(AlgorithmError::Pss(refused)),
                "{refused}"
            );
            assert_eq!(SignatureAlgorithm::from_foreign_identifier_der(&der), None, "{refused}");
        }
        let bare = tlv::sequence(&[&tlv::oid(oid::signature::RSA_PSS)]);
        let null = tlv::sequence(&[&tlv::oid(oid::signature::RSA_PSS), &[tlv::NULL, 0]]);
        for (der, refused) in [(bare, PssError::Missing), (null, PssError::NotDer)] {
            let read = SignatureAlgorithm::read_identifier(&der);
            assert_eq!(read, Err(AlgorithmError::Pss(refused)));
        }
        assert_eq!(identifier(&SHA256), SignatureAlgorithm::RsaPssSha256.identifier_der());
    }

    /// RFC 4055 §2.1: legal from others, never written here.
    #[test]
    fn hashes_without_null_are_read_from_others_only() {
        let der = identifier(&Fields { null: &[], ..SHA256 });

        let foreign = SignatureAlgorithm::from_foreign_identifier_der(&der);

        assert_eq!(foreign, Some(SignatureAlgorithm::RsaPssSha256));
        assert_eq!(
            SignatureAlgorithm::read_identifier(&der),
            Err(AlgorithmError::Pss(PssError::HashWithoutNull))
        );
    }
}

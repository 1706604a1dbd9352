//! A cross-certificate: another issuer's word for a CA that is there, under the same name, key and key identifier.

use thiserror::Error;
use x509::certificate::Certificate;
use x509::extension::BasicConstraints;

/// How a cross-certificate differs from the certificate that it is like.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} is {seen}, and {wanted} in the certificate that it is like")]
pub struct NotAlike {
    /// What.
    pub what: &'static str,
    /// In the cross-certificate.
    pub seen: String,
    /// In the one that is there.
    pub wanted: String,
}

/// Whether a certificate may stand beside one that is there. Whoever builds a path takes either for the other: subject, key and subject key identifier
/// are the same octets, what the CA may do is the same, and it says nothing of a time when the CA was not there.
///
/// # Errors
///
/// The first difference.
pub fn is_like(cross: &Certificate, existing: &Certificate) -> Result<(), NotAlike> {
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    let ski = |of: &Certificate| of.ski().map_or_else(|| "none".to_owned(), |ski| hex(&ski.0));
    let purposes = |of: &Certificate| format!("{:?}", of.extended_key_usage());
    let ca = |of: &Certificate| {
        matches!(of.basic_constraints(), BasicConstraints::Ca { .. }).to_string()
    };
    for (what, seen, wanted) in [
        ("its subject", hex(cross.subject().as_der()), hex(existing.subject().as_der())),
        (
            "its key",
            cross.public_key().spki_hash().to_string(),
            existing.public_key().spki_hash().to_string(),
        ),
        ("its subject key identifier", ski(cross), ski(existing)),
        ("its extended key usage", purposes(cross), purposes(existing)),
        ("that it is a CA's", ca(cross), ca(existing)),
    ] {
        if seen != wanted {
            return Err(NotAlike { what, seen, wanted });
        }
    }
    let (seen, wanted) = (cross.validity().not_before(), existing.validity().not_before());
    if seen < wanted {
        let (seen, wanted) = (seen.to_string(), wanted.to_string());
        return Err(NotAlike { what: "its notBefore, which may not be earlier,", seen, wanted });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use x509::certificate::CertificateTemplate;
    use x509::extension::{
        Criticality, ExtendedKeyUsage, ExtensionValue as _, SubjectKeyIdentifier,
    };
    use x509::key::PublicKey;
    use x509::name::{AttributeType, Name};
    use x509::signing::assemble;
    use x509::time::UnixTime;
    use x509::validity::Validity;

    use super::*;
    use crate::bundle::Bundle;

    fn root() -> Certificate {
        let bundle = include_bytes!("../../docs/formats/vectors/ceremony-bundle.tar");
        let bundle = Bundle::from_archive(bundle).unwrap();
        Certificate::from_der(bundle.file("out/training.cer")).unwrap()
    }

    fn changed(root: &Certificate, change: impl Fn(&mut CertificateTemplate)) -> Certificate {
        let mut template = CertificateTemplate {
            serial: root.serial(),
            issuer: root.issuer().clone(),
            subject: root.subject().clone(),
            validity: root.validity(),
            public_key: root.public_key().clone(),
            extensions: root.extensions().to_vec(),
            algorithm: root.algorithm(),
        };
        change(&mut template);
        let tbs = template.to_tbs_der();
        Certificate::from_der(&assemble(&tbs, root.algorithm(), root.signature()).unwrap()).unwrap()
    }

    /// C6: each of the things by which a path is built, and by which a CA is bound.
    #[test]
    fn another_name_key_identifier_purpose_or_beginning_is_no_cross_certificate() {
        let root = root();
        let begins = |at: UnixTime, by: i64| {
            UnixTime::from_secs(at.secs().checked_add_signed(by).unwrap()).unwrap()
        };
        let moved = |template: &mut CertificateTemplate, by: i64| {
            let of = template.validity;
            template.validity =
                Validity::between(begins(of.not_before(), by), of.not_after()).unwrap();
        };
        assert_eq!(is_like(&root, &root), Ok(()));
        assert_eq!(is_like(&changed(&root, |of| moved(of, 1)), &root), Ok(()));
        let replaced = |of: &mut CertificateTemplate, with: x509::extension::Extension| {
            of.extensions.retain(|one| one.oid != with.oid);
            of.extensions.push(with);
        };
        let name = Name::builder().with(AttributeType::CommonName, "Another").unwrap().build();
        let key = PublicKey::from_ed25519(&[9; 32]).unwrap();
        let cases: [(&str, Certificate); 6] = [
            ("its subject", changed(&root, |of| of.subject = name.clone())),
            ("its key", changed(&root, |of| of.public_key = key.clone())),
            (
                "its subject key identifier",
                changed(&root, |of| {
                    replaced(
                        of,
                        SubjectKeyIdentifier(vec![7; 20]).extension(Criticality::NonCritical),
                    );
                }),
            ),
            (
                "its extended key usage",
                changed(&root, |of| {
                    let purposes = ExtendedKeyUsage(vec![x509::oid::usage::OCSP_SIGNING]);
                    replaced(of, purposes.extension(Criticality::NonCritical));
                }),
            ),
            (
                "that it is a CA's",
                changed(&root, |of| {
                    replaced(of, BasicConstraints::EndEntity.extension(Criticality::Critical));
                }),
            ),
            ("its notBefore, which may not be earlier,", changed(&root, |of| moved(of, -1))),
        ];
        for (what, other) in cases {
            assert_eq!(is_like(&other, &root).unwrap_err().what, what);
        }
    }
}

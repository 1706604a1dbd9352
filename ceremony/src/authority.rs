//! Who signs, and what is signed for, where neither key is made in the ceremony: both come from outside, as files that the plan names.

use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::KeyPeriod;
use ca::profile::ProfileName;
use ceremony_core::plan::{IssuerUrls, Word};
use ceremony_core::refusal::Refusal;
use x509::certificate::{Certificate, CertificateTemplate};
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::request::CertificationRequest;
use x509::signing::assemble;

use crate::second_opinion::{self, Message};
use crate::stopped::Stopped;

/// Reads an issuer's certificate that the plan names.
///
/// # Errors
///
/// [`Stopped`] with R09 for what is none.
pub(crate) fn certificate(name: &Word, der: &[u8]) -> Result<Certificate, Stopped> {
    Certificate::from_der(der).map_err(|error| Stopped {
        refusal: Refusal::Input,
        refused: format!("input {name} is no certificate: {error}"),
        next_step: "give the issuer's certificate in DER; the plan then names another hash",
    })
}

/// The same certificate with a throw-away key in the place of its own: name, key identifier and end are the real ones, so that what a
/// rehearsal signs is what the issuer will sign. Its signature is of another text, and nobody is to believe it.
///
/// # Errors
///
/// It cannot be encoded.
pub(crate) fn stand_in(real: &Certificate, key: &PublicKey) -> anyhow::Result<Certificate> {
    let template = CertificateTemplate {
        serial: real.serial(),
        issuer: real.issuer().clone(),
        subject: real.subject().clone(),
        validity: real.validity(),
        public_key: key.clone(),
        extensions: real.extensions().to_vec(),
        algorithm: real.algorithm(),
    };
    let der = assemble(&template.to_tbs_der(), real.algorithm(), real.signature());
    let der = der.ok_or_else(|| anyhow::anyhow!("the issuer's certificate is too large"))?;
    Ok(Certificate::from_der(&der)?)
}

/// An issuer as its certificate and the plan make it.
///
/// # Errors
///
/// [`Stopped`] with R12 for a certificate that is no CA's, or whose key does not sign so.
pub(crate) fn issuer(
    name: &Word,
    certificate: &Certificate,
    algorithm: SignatureAlgorithm,
    urls: &IssuerUrls,
    profile: &ProfileName,
) -> Result<Issuer, Stopped> {
    let settings = IssuerSettings {
        // Names of issuers have no hyphens.
        name: name.as_str().replace('-', ""),
        algorithm,
        crl_url: urls.crl.to_string(),
        ocsp_url: urls.ocsp.to_string(),
        aia_url: urls.aia.to_string(),
        profiles: vec![profile.clone()],
        crl_scope_stated: CrlScopeStated::No,
        period: KeyPeriod::default(),
    };
    Issuer::new(certificate.clone(), settings).map_err(|error| Stopped {
        refusal: Refusal::Key,
        refused: error.to_string(),
        next_step: "give the certificate of the CA that is to sign; nothing was signed",
    })
}

/// Reads a request, of which nothing but its key is taken, and has it prove that its sender holds the private key.
///
/// # Errors
///
/// [`Stopped`] with R09 for what is no request, with R12 for one that proves nothing, or asks for the issuer's own key.
pub(crate) fn request(name: &Word, der: &[u8], issuer: &PublicKey) -> Result<PublicKey, Stopped> {
    let request = CertificationRequest::from_der(der).map_err(|error| Stopped {
        refusal: Refusal::Input,
        refused: format!("input {name} is no request: {error}"),
        next_step: "give the PKCS#10 request in DER; the plan then names another hash",
    })?;
    let refused = |why: String| Stopped {
        refusal: Refusal::Key,
        refused: format!("request {name}: {why}"),
        next_step: "have the request made anew by who holds the key; nothing was signed",
    };
    request.verify_possession().map_err(|error| refused(error.to_string()))?;
    if request.public_key() == issuer {
        return Err(refused("it is of the issuer's own key".to_owned()));
    }
    Ok(request.public_key().clone())
}

/// The key of a root's own certificate, which proves by its signature that somebody holds it. A certificate of another issuer proves nothing of its
/// key; its holder sends a request.
///
/// # Errors
///
/// [`Stopped`] with R12.
pub(crate) fn own_key(
    name: &Word,
    certificate: &Certificate,
    issuer: &PublicKey,
) -> Result<PublicKey, Stopped> {
    let refused = |why: String| Stopped {
        refusal: Refusal::Key,
        refused: format!("certificate {name}: {why}"),
        next_step: "give the root's own certificate, or a request of the CA; nothing was signed",
    };
    let key = certificate.public_key();
    let (octets, algorithm) = (Message::Octets(certificate.tbs_der()), certificate.algorithm());
    certificate
        .verify_signed_by(key)
        .map_err(|error| refused(format!("it does not sign itself: {error}")))?;
    second_opinion::verify(key, algorithm, octets, certificate.signature())
        .map_err(|error| refused(error.to_string()))?;
    if key == issuer {
        return Err(refused("it is of the issuer's own key".to_owned()));
    }
    Ok(key.clone())
}

#[cfg(test)]
mod tests {
    use x509::key::KeyType;
    use x509::name::{AttributeType, Name};
    use x509::request::CertificationRequestInfo;

    use super::*;
    use crate::trial_key::TrialKey;

    const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP384Sha384;

    fn asked(key: &TrialKey) -> Vec<u8> {
        let subject = Name::builder().with(AttributeType::CommonName, "asked").unwrap().build();
        let info = CertificationRequestInfo { subject, public_key: key.public().clone() };
        let signature = key.sign(ALGORITHM, &info.to_der()).unwrap();
        info.with_signature(ALGORITHM, &signature).unwrap().as_der().to_vec()
    }

    /// ISS-13: of a request its key is taken, once it is proven; and it is not the issuer's.
    #[test]
    fn a_request_proves_its_key_which_is_not_the_issuers() {
        let [key, issuer] = [(); 2].map(|()| TrialKey::generate(KeyType::EcP384).unwrap());
        let name: Word = serde_json::from_str("\"person-request\"").unwrap();
        let der = asked(&key);
        assert_eq!(&request(&name, &der, issuer.public()).unwrap(), key.public());

        let mut forged = der.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        for (der, issuer, code, said) in [
            (&der[1..], issuer.public(), "R09", "is no request"),
            (&forged, issuer.public(), "R12", "signature"),
            (&der, key.public(), "R12", "the issuer's own key"),
        ] {
            let stopped = request(&name, der, issuer).unwrap_err();
            assert_eq!(stopped.refusal.code(), code, "{stopped}");
            assert!(stopped.refused.to_lowercase().contains(said), "{stopped}");
        }
        let stopped = certificate(&name, &der).unwrap_err();
        assert_eq!((stopped.refusal.code(), stopped.refusal.exit_code()), ("R09", 13));
    }
}

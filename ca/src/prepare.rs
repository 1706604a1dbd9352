//! From a profile, an issuer and a request to a certificate that may be signed.
//!
//! [`prepare`] decides, builds the to-be-signed bytes and lints the finished structure with a
//! placeholder signature. What it returns can only be recorded and then signed; there is no way to a
//! signature past the linter (promise 1).

mod agreement;
mod extensions;
mod judgement;
mod key;
mod refusal;
mod shape;
mod subject;
mod today;
mod validity;

use status::AnswerClasses;
use x509::certificate::CertificateTemplate;
use x509::key::{PublicKey, SignatureAlgorithm, SpkiHash};
use x509::name::Name;
use x509::oid::ObjectIdentifier;
use x509::serial::SerialNumber;
use x509::signing::{IntentId, Pending, SigningKind, ToBeSigned, assemble};
use x509::time::UnixTime;
use x509::validity::Validity;

use self::agreement::Expected;
pub use self::agreement::{Disagreement, Part};
pub use self::refusal::PrepareError;
pub use self::validity::EndedBy;
use crate::admit::Admitted;
use crate::algorithms::AlgorithmPolicy;
use crate::deployment::{Deployment, Environment};
use crate::fields::{CheckedFields, RequestedFields};
use crate::identity::{AddressRule, TestDomains};
use crate::issuer::Issuer;
use crate::key_holder::KeyReuse;
use crate::key_quality::KeyBook;
use crate::profile::{IssueBy, Profile, ProfileHash, ProfileKind, ProfileName};

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub enum Signer<'a> {
    /// An issuer.
    Issuer(&'a Issuer),
    /// The certificate's own key, with this algorithm.
    Itself(SignatureAlgorithm),
}

/// Where the public key comes from.
#[derive(Clone, Copy, Debug)]
pub enum KeySource<'a> {
    /// A PKCS#10 request, DER. Its signature proves possession; its names and extensions are not
    /// obeyed (ISS-13).
    Request(&'a [u8]),
    /// A key in a token or file of our own, whose possession the caller has proven by a signature.
    Proven(&'a PublicKey),
}

/// By which way a certificate is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A call to the issuance API.
    Direct,
    /// An order whose steps are done.
    Order,
    /// A ceremony, or a program's own renewal.
    Internal,
}

/// Everything that a certificate is decided from.
#[derive(Clone, Copy, Debug)]
pub struct Preparation<'a> {
    /// The deployment; its environment decides which identities may be certified.
    pub deployment: Deployment,
    /// Which algorithms may be used now.
    pub algorithms: &'a AlgorithmPolicy,
    /// Whose mail addresses and user principal names are nobody's (DAT-08).
    pub test_domains: &'a TestDomains,
    /// The profile.
    pub profile: &'a Profile,
    /// Who signs.
    pub signer: Signer<'a>,
    /// By which way it is asked for.
    pub way: Way,
    /// The names that were asked for.
    pub fields: &'a RequestedFields,
    /// The public key.
    pub key: KeySource<'a>,
    /// Keys that are never certified for a subscriber.
    pub keys: &'a KeyBook,
    /// The serial number, drawn by the caller.
    pub serial: SerialNumber,
    /// The intent's id, drawn by the caller.
    pub id: IntentId,
    /// The issuing time.
    pub now: UnixTime,
    /// An end that is earlier than the profile's, if the certificate must end with something else than an order says.
    pub ends_at: Option<UnixTime>,
    /// Leave to issue to a subscriber: a person, a function, a machine, a blank card. None of them goes without; nobody
    /// else has any.
    pub admitted: Option<&'a Admitted>,
}

/// A linted, unsigned certificate and what is to be stored about it.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    pending: Pending,
    facts: Facts,
}

/// What is to be stored about a certificate.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The profile's name.
    pub profile: ProfileName,
    /// The profile's version.
    pub profile_hash: ProfileHash,
    /// What it is for.
    pub kind: ProfileKind,
    /// Short name of the issuer; `None` for a self-signed certificate.
    pub issuer: Option<String>,
    /// The key that signs.
    pub issuer_key: SpkiHash,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Its validity.
    pub validity: Validity,
    /// What says its end.
    pub ended_by: EndedBy,
    /// Its subject.
    pub subject: Name,
    /// Its key.
    pub subject_key: SpkiHash,
    /// Whether the key may have been certified before.
    pub key_reuse: KeyReuse,
    /// What is answered about the certificate before it is activated and after it has expired.
    pub answers: AnswerClasses,
    /// The profile's own policy.
    pub policy: Option<ObjectIdentifier>,
    /// The checked names: personal data where `kind` is a person's.
    pub fields: CheckedFields,
    /// What is allowed and yet worth telling the caller.
    pub warnings: Vec<Warning>,
}

/// Something allowed that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The card number's check digit does not fit (Luhn; see `CardNumber::check_digit_fits`).
    CardNumberCheckDigit,
    /// The card number begins as those of other families do.
    CardNumberPrefix,
    /// The certificate ends with its issuer, before the profile's lifetime.
    EndsWithIssuer,
}

impl Prepared {
    /// What waits for its signature.
    pub const fn pending(&self) -> &Pending {
        &self.pending
    }

    /// What is to be stored.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Both parts.
    pub fn into_parts(self) -> (Pending, Facts) {
        (self.pending, self.facts)
    }
}

/// Decides on a certificate.
///
/// # Errors
///
/// [`PrepareError`] with the first rule that refuses. Nothing has been signed or recorded then.
pub fn prepare(preparation: &Preparation<'_>) -> Result<Prepared, PrepareError> {
    let Preparation { profile, deployment, .. } = *preparation;
    check_way(preparation)?;
    check_admitted(preparation)?;
    today::check_period(preparation)?;
    let public_key = key::of(preparation)?;
    let addresses = AddressRule {
        environment: deployment.environment(),
        test_domains: preparation.test_domains,
    };
    let fields = preparation.fields.check(profile, addresses)?;
    if let Some(admitted) = preparation.admitted {
        admitted.judge_fields(&fields)?;
    }
    let subject = subject::of(profile, &fields)?;
    let (validity, ended_by) = validity::of(preparation)?;
    let (issuer_name, issuer_key, algorithm) = match preparation.signer {
        Signer::Issuer(issuer) => {
            (issuer.subject().clone(), issuer.public_key().clone(), issuer.algorithm())
        }
        Signer::Itself(algorithm) => (subject.clone(), public_key.clone(), algorithm),
    };
    if !algorithm.fits(issuer_key.key_type()) {
        return Err(PrepareError::Algorithm { algorithm, key_type: issuer_key.key_type() });
    }
    today::check_signature(preparation, issuer_key.key_type(), algorithm)?;
    let template = CertificateTemplate {
        serial: preparation.serial,
        issuer: issuer_name.clone(),
        subject: subject.clone(),
        validity,
        extensions: extensions::of(preparation, &public_key, &fields)?,
        public_key: public_key.clone(),
        algorithm,
    };
    let to_be_signed = template.to_tbs_der();
    let placeholder = algorithm.placeholder(issuer_key.key_type());
    let finished =
        assemble(&to_be_signed, algorithm, &placeholder).ok_or(PrepareError::TooLarge)?;
    let expected =
        Expected { preparation, fields: &fields, key: &public_key, issuer: &issuer_name, validity };
    judgement::judge(&finished, &expected)?;
    let kind = match profile.kind() {
        ProfileKind::OcspResponder => SigningKind::OcspDelegate,
        _ => SigningKind::Certificate,
    };
    let issuer_hash = issuer_key.spki_hash();
    let bytes = ToBeSigned::Bytes(to_be_signed.into());
    let pending = Pending::new(preparation.id, kind, issuer_key, algorithm, bytes)?;
    let mut warnings = Vec::new();
    if fields.card_number.as_ref().is_some_and(|card| !card.check_digit_fits()) {
        warnings.push(Warning::CardNumberCheckDigit);
    }
    if preparation.admitted.is_some_and(Admitted::has_foreign_number) {
        warnings.push(Warning::CardNumberPrefix);
    }
    if ended_by == EndedBy::Issuer {
        warnings.push(Warning::EndsWithIssuer);
    }
    let facts = Facts {
        profile: profile.name().clone(),
        profile_hash: profile.hash(),
        kind: profile.kind(),
        issuer: match preparation.signer {
            Signer::Issuer(issuer) => Some(issuer.name().to_owned()),
            Signer::Itself(_) => None,
        },
        issuer_key: issuer_hash,
        serial: preparation.serial,
        validity,
        ended_by,
        subject,
        subject_key: public_key.spki_hash(),
        key_reuse: profile.key_reuse(),
        answers: profile.answers(),
        policy: preparation.admitted.map(Admitted::policy).or_else(|| profile.own_policy()),
        fields,
        warnings,
    };
    Ok(Prepared { pending, facts })
}

/// The profile may be issued this way, and by this issuer.
fn check_way(preparation: &Preparation<'_>) -> Result<(), PrepareError> {
    let Preparation { profile, way, signer, deployment, .. } = preparation;
    let allowed = match (profile.issue_by(), way) {
        (IssueBy::Direct, Way::Direct | Way::Order)
        | (IssueBy::Order, Way::Order)
        | (IssueBy::Internal, Way::Internal) => true,
        (IssueBy::Order, Way::Direct) => deployment.environment() == Environment::Test,
        _ => false,
    };
    if !allowed {
        return Err(PrepareError::Way { profile: profile.name().clone() });
    }
    let fits = match signer {
        Signer::Itself(_) => profile.kind().is_self_signed(),
        Signer::Issuer(issuer) => issuer.profiles().contains(profile.name()),
    };
    if fits {
        return Ok(());
    }
    let issuer = match signer {
        Signer::Itself(_) => "itself".to_owned(),
        Signer::Issuer(issuer) => issuer.name().to_owned(),
    };
    Err(PrepareError::NotIssuedHere { profile: profile.name().clone(), issuer })
}

/// A subscriber has leave for this profile, this issuer and now: what dated rules and table say has been asked. What
/// ceremonies and programs issue for themselves has none.
fn check_admitted(preparation: &Preparation<'_>) -> Result<(), PrepareError> {
    let Preparation { profile, signer, now, admitted, .. } = *preparation;
    let fits = match (admitted, signer) {
        (None, _) => !profile.kind().is_subscriber(),
        (Some(_), Signer::Itself(_)) => false,
        (Some(admitted), Signer::Issuer(issuer)) => {
            admitted.profile() == profile.name()
                && admitted.issuer() == issuer.name()
                && admitted.level() == profile.trust_level()
                && admitted.at() == now
                && profile.own_policy().is_none_or(|own| own == admitted.policy())
        }
    };
    if fits { Ok(()) } else { Err(PrepareError::NotAdmitted { profile: profile.name().clone() }) }
}

#[cfg(test)]
mod tests;

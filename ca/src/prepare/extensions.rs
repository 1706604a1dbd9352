//! The extensions of a certificate, in the profile's order.

use x509::extension::{
    AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CardNumber, CertificatePolicies,
    Criticality, CrlDistributionPoints, ExtendedKeyUsage, Extension, ExtensionValue as _,
    GeneralName, Ia5Text, KeyUsage, OcspNoCheck, PolicyInformation, SmtpUtf8Mailbox,
    SubjectAltName, SubjectKeyIdentifier, UserPrincipalName,
};
use x509::key::PublicKey;
use x509::name::NameError;

use super::{Preparation, PrepareError, Signer};
use crate::deployment::ManagementRole;
use crate::fields::CheckedFields;
use crate::identity::MailForm;
use crate::profile::{ExtensionSlot, Policy, Profile, ProfileKind, Purpose, TablePolicy};

/// Builds the extensions. Criticality is fixed: basicConstraints and keyUsage are critical, the others
/// are not (RFC 5280 §4.2.1; PRO-16), since every subject here is non-empty.
pub(super) fn of(
    preparation: &Preparation<'_>,
    key: &PublicKey,
    fields: &CheckedFields,
) -> Result<Vec<Extension>, PrepareError> {
    let profile = preparation.profile;
    let own = SubjectKeyIdentifier(key.key_bits_sha1().to_vec());
    let mut all = Vec::with_capacity(profile.extensions().len());
    for slot in profile.extensions() {
        let plain = Criticality::NonCritical;
        let extension = match (slot, preparation.signer) {
            (ExtensionSlot::BasicConstraints, _) => {
                Some(basic_constraints(profile).extension(Criticality::Critical))
            }
            (ExtensionSlot::KeyUsage, _) => {
                let usage = KeyUsage::of(profile.key_usage(key.key_type()));
                Some(usage.extension(Criticality::Critical))
            }
            (ExtensionSlot::SubjectKeyIdentifier, _) => Some(own.extension(plain)),
            (ExtensionSlot::AuthorityKeyIdentifier, Signer::Itself(_)) => {
                Some(AuthorityKeyIdentifier::of(&own).extension(plain))
            }
            (ExtensionSlot::AuthorityKeyIdentifier, Signer::Issuer(issuer)) => {
                Some(AuthorityKeyIdentifier::of(issuer.key_identifier()).extension(plain))
            }
            (ExtensionSlot::CrlDistributionPoints, Signer::Issuer(issuer)) => {
                let points = CrlDistributionPoints::at(std::slice::from_ref(issuer.crl_url()));
                Some(points.extension(plain))
            }
            (ExtensionSlot::AuthorityInfoAccess, Signer::Issuer(issuer)) => {
                let ocsp = std::slice::from_ref(issuer.ocsp_url());
                let certificate = std::slice::from_ref(issuer.aia_url());
                Some(AuthorityInfoAccess::of(ocsp, certificate).extension(plain))
            }
            // Self-signed profiles list neither (rule `revocation-pointers`).
            (
                ExtensionSlot::CrlDistributionPoints | ExtensionSlot::AuthorityInfoAccess,
                Signer::Itself(_),
            ) => None,
            (ExtensionSlot::CertificatePolicies, _) => {
                Some(policies(preparation)?.extension(plain))
            }
            (ExtensionSlot::ExtendedKeyUsage, _) => {
                Some(extended_key_usage(profile, fields).extension(plain))
            }
            (ExtensionSlot::OcspNoCheck, _) => Some(OcspNoCheck.extension(plain)),
            (ExtensionSlot::CardNumber, _) => card_number(fields)?.map(|c| c.extension(plain)),
            (ExtensionSlot::SubjectAltName, _) => {
                let names = alternative_names(preparation, fields)?;
                (!names.is_empty()).then(|| SubjectAltName(names).extension(plain))
            }
        };
        all.extend(extension);
    }
    Ok(all)
}

fn basic_constraints(profile: &Profile) -> BasicConstraints {
    if profile.kind().is_ca() {
        BasicConstraints::Ca { path_len: profile.path_length() }
    } else {
        BasicConstraints::EndEntity
    }
}

/// emailProtection stands only beside an e-mail address that it could protect (RFC 5280 §4.2.1.12).
fn extended_key_usage(profile: &Profile, fields: &CheckedFields) -> ExtendedKeyUsage {
    let wanted =
        |purpose: &&Purpose| **purpose != Purpose::EmailProtection || fields.email.is_some();
    ExtendedKeyUsage(
        profile.extended_key_usage().iter().filter(wanted).map(|one| one.oid()).collect(),
    )
}

/// Those of the profile, and behind them the one of the table's row.
fn policies(preparation: &Preparation<'_>) -> Result<CertificatePolicies, PrepareError> {
    let profile = preparation.profile;
    let information = |policy: &Policy| {
        Ok(match &policy.cps {
            Some(cps) => PolicyInformation::with_cps(policy.oid, text(cps)?),
            None => PolicyInformation::plain(policy.oid),
        })
    };
    let of_row = match (profile.table_policy(), preparation.admitted) {
        (Some(TablePolicy { cps }), Some(admitted)) => {
            Some(Policy { oid: admitted.policy(), cps: cps.clone() })
        }
        (Some(_), None) => {
            return Err(PrepareError::NotAdmitted { profile: profile.name().clone() });
        }
        (None, _) => None,
    };
    let policies = profile.policies().iter().chain(&of_row);
    policies.map(information).collect::<Result<_, _>>().map(CertificatePolicies)
}

fn card_number(fields: &CheckedFields) -> Result<Option<CardNumber>, PrepareError> {
    let Some(number) = &fields.card_number else { return Ok(None) };
    CardNumber::new(number.as_str()).map(Some).map_err(|_| unencodable())
}

fn alternative_names(
    preparation: &Preparation<'_>,
    fields: &CheckedFields,
) -> Result<Vec<GeneralName>, PrepareError> {
    let mut names = Vec::new();
    if let Some(upn) = &fields.upn {
        let upn = UserPrincipalName::new(upn.as_str()).map_err(|_| unencodable())?;
        names.push(GeneralName::Upn(upn));
    }
    if let Some(email) = &fields.email {
        names.push(match email.form() {
            MailForm::Rfc822 => GeneralName::Rfc822(text(email.as_str())?),
            MailForm::SmtpUtf8 => {
                let mailbox = SmtpUtf8Mailbox::new(email.as_str()).map_err(|_| unencodable())?;
                GeneralName::SmtpUtf8(mailbox)
            }
        });
    }
    for dns in &fields.dns {
        names.push(GeneralName::Dns(text(dns.as_str())?));
    }
    names.extend(fields.ip.iter().copied().map(GeneralName::Ip));
    if let Some(uri) = management_uri(preparation, fields) {
        names.push(GeneralName::Uri(text(&uri)?));
    }
    Ok(names)
}

/// The URI that names the deployment and the holder, in the management plane.
pub(super) fn management_uri(
    preparation: &Preparation<'_>,
    fields: &CheckedFields,
) -> Option<String> {
    let role = match preparation.profile.kind() {
        ProfileKind::ManagementCa => ManagementRole::Authority,
        ProfileKind::ManagementServer => ManagementRole::Server,
        _ => ManagementRole::Client,
    };
    let name = fields.management_name.as_ref()?;
    Some(preparation.deployment.management_uri(role, name))
}

/// Values were checked to be visible ASCII before; this cannot fail for them.
fn text(value: &str) -> Result<Ia5Text, PrepareError> {
    Ia5Text::new(value).map_err(|_| unencodable())
}

const fn unencodable() -> PrepareError {
    PrepareError::Name(NameError::NotDer)
}

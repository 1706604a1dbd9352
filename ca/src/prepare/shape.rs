//! What the profile and the issuer fix of a certificate, as the linter compares it.

use lint::shape::{
    AttributeShape, ExtensionShape, NameForm, NameShape, PolicyShape, PurposeShape, PurposeStands,
    Shape, Stated, StringShape, ValueShape,
};
use x509::extension::Criticality;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::name::StringRule;
use x509::oid::ObjectIdentifier;

use super::Signer;
use crate::issuer::Issuer;
use crate::profile::{
    AlternativeNameRule, Attribute, ExtensionSlot, Optional, Policy, Presence, Profile, Purpose,
    Source,
};

/// The shape of the certificates of `profile` that `signer` signs, whose policy the table says where
/// the profile leaves it to that.
pub(super) fn of<'a>(
    profile: &'a Profile,
    signer: Signer<'a>,
    of_row: Option<ObjectIdentifier>,
) -> Shape<'a> {
    let slots = profile.extensions().iter();
    Shape {
        signature: algorithm(signer),
        subject: profile.subject().attributes().iter().map(attribute).collect(),
        extensions: slots.filter_map(|slot| extension(*slot, profile, signer, of_row)).collect(),
    }
}

const fn algorithm(signer: Signer<'_>) -> SignatureAlgorithm {
    match signer {
        Signer::Issuer(issuer) => issuer.algorithm(),
        Signer::Itself(algorithm) => algorithm,
    }
}

fn attribute(attribute: &Attribute) -> AttributeShape<'_> {
    AttributeShape {
        kind: attribute.attribute.oid(),
        string: match attribute.string {
            StringRule::Standard => StringShape::Standard,
            StringRule::PrintableOrUtf8 => StringShape::PrintableOrUtf8,
        },
        stated: match attribute.optional {
            Optional::Yes => Stated::Perhaps,
            Optional::No => Stated::Always,
        },
        value: match &attribute.source {
            Source::Fixed(value) => Some(value),
            _ => None,
        },
    }
}

/// An extension in its slot; `None` for pointers of what signs itself, which has none.
fn extension<'a>(
    slot: ExtensionSlot,
    profile: &'a Profile,
    signer: Signer<'a>,
    of_row: Option<ObjectIdentifier>,
) -> Option<ExtensionShape<'a>> {
    let issuer = match signer {
        Signer::Issuer(issuer) => Some(issuer),
        Signer::Itself(_) => None,
    };
    let names = names(profile.alternative_names());
    let stated = match slot {
        ExtensionSlot::CardNumber => stated(profile.card_number()),
        ExtensionSlot::SubjectAltName if names.iter().all(|names| names.fewest == 0) => {
            Stated::Perhaps
        }
        _ => Stated::Always,
    };
    let critical = match slot {
        ExtensionSlot::BasicConstraints | ExtensionSlot::KeyUsage => Criticality::Critical,
        _ => Criticality::NonCritical,
    };
    let value = match slot {
        ExtensionSlot::AuthorityInfoAccess => information(issuer?),
        ExtensionSlot::AuthorityKeyIdentifier => {
            let identifier = issuer.map(|issuer| issuer.key_identifier().0.as_slice());
            ValueShape::AuthorityKeyIdentifier(identifier)
        }
        ExtensionSlot::BasicConstraints if profile.kind().is_ca() => {
            ValueShape::Authority(profile.path_length())
        }
        ExtensionSlot::BasicConstraints => ValueShape::EndEntity,
        ExtensionSlot::CardNumber => ValueShape::CardNumber,
        ExtensionSlot::CertificatePolicies => {
            let of_table = profile.table_policy().zip(of_row);
            let of_table = of_table.map(|(said, id)| PolicyShape { id, cps: said.cps.as_deref() });
            ValueShape::Policies(profile.policies().iter().map(policy).chain(of_table).collect())
        }
        ExtensionSlot::CrlDistributionPoints => {
            ValueShape::DistributionPoint(issuer?.crl_url().as_str())
        }
        ExtensionSlot::ExtendedKeyUsage => {
            ValueShape::Purposes(profile.extended_key_usage().iter().map(purpose).collect())
        }
        ExtensionSlot::KeyUsage => ValueShape::KeyUsage {
            rsa: profile.key_usage(KeyType::Rsa { bits: 0 }),
            curve: profile.key_usage(KeyType::EcP256),
        },
        ExtensionSlot::OcspNoCheck => ValueShape::NoCheck,
        ExtensionSlot::SubjectAltName => ValueShape::AlternativeNames(names.to_vec()),
        ExtensionSlot::SubjectKeyIdentifier => ValueShape::SubjectKeyIdentifier,
    };
    Some(ExtensionShape { value, critical, stated })
}

fn information(issuer: &Issuer) -> ValueShape<'_> {
    ValueShape::AuthorityInformation {
        ocsp: issuer.ocsp_url().as_str(),
        issuer: issuer.aia_url().as_str(),
    }
}

fn policy(policy: &Policy) -> PolicyShape<'_> {
    PolicyShape { id: policy.oid, cps: policy.cps.as_deref() }
}

const fn purpose(purpose: &Purpose) -> PurposeShape {
    let stands = match purpose {
        Purpose::EmailProtection => PurposeStands::BesideMail,
        _ => PurposeStands::Always,
    };
    PurposeShape { id: purpose.oid(), stands }
}

const fn stated(presence: Presence) -> Stated {
    match presence {
        Presence::Required => Stated::Always,
        Presence::Optional | Presence::Refused => Stated::Perhaps,
    }
}

/// The forms in the order in which they are written.
const fn names(rule: &AlternativeNameRule) -> [NameShape; 5] {
    const fn one(form: NameForm, presence: Presence) -> NameShape {
        let (fewest, most) = match presence {
            Presence::Refused => (0, 0),
            Presence::Optional => (0, 1),
            Presence::Required => (1, 1),
        };
        NameShape { form, fewest, most }
    }
    let (fewest, most) = rule.dns_count;
    let addresses = match rule.ip {
        Presence::Refused => 0,
        Presence::Optional | Presence::Required => usize::MAX,
    };
    [
        one(NameForm::Upn, rule.upn),
        one(NameForm::Mail, rule.email),
        NameShape { form: NameForm::Dns, fewest, most },
        NameShape { form: NameForm::Ip, fewest: 0, most: addresses },
        one(NameForm::Uri, rule.management_uri),
    ]
}

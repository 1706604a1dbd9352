//! What a profile may not ask for, one rule an entry.
//!
//! These are rules for profiles, checked when a program starts; what comes out is linted again as
//! bytes before every signature.

use std::collections::BTreeSet;
use std::time::Duration;

use status::AfterExpiry;
use x509::extension::KeyUsageBit;
use x509::key::KeyType;
use x509::name::{AttributeType, StringKind, StringRule};
use x509::oid;

use super::subject::{Optional, RequestField, Source};
use super::validity::{EndOf, Round};
use super::{ExtensionSlot, IssueBy, Presence, Profile, ProfileError, ProfileKind, Purpose};

/// notBefore lies at most this far before issuing (ISS-08).
const MOST_BACKDATE: Duration = Duration::from_secs(3_600);
/// The delegates of an offline CA live as long as its CRL and 30 days (ARCHITECTURE.md).
const LONGEST_RESPONDER: Duration = Duration::from_secs(397 * 86_400);

/// A rule that every profile keeps.
#[derive(Debug)]
pub struct ProfileRule {
    /// Its stable name.
    pub id: &'static str,
    /// Where it is written.
    pub clause: &'static str,
    /// What it says.
    pub says: &'static str,
    kept: fn(&Profile) -> bool,
}

/// All rules.
const RULES: &[ProfileRule] = &[
    ProfileRule {
        id: "backdate",
        clause: "ISS-08",
        says: "validity.backdate is at most an hour",
        kept: |p| p.validity.backdate <= MOST_BACKDATE,
    },
    ProfileRule {
        id: "lifetime-beyond-backdate",
        clause: "RFC 5280 §4.1.2.5",
        says: "validity.lifetime is longer than validity.backdate, by a day more where round = \"down\"",
        kept: |p| p.validity.shortest() > p.validity.backdate,
    },
    ProfileRule {
        id: "eid-five-years",
        clause: "ISS-09",
        says: "an eID is valid for at most five years (5y or 1826d)",
        kept: |p| !p.kind.is_person() || p.validity.is_within_five_years(),
    },
    ProfileRule {
        id: "eid-rounded-down",
        clause: "ISS-09: an eID ends with its carrier or before",
        says: "round = \"up\" is not for persons",
        kept: |p| !(p.kind.is_person() && matches!(p.validity.ends_at, Some((_, Round::Up)))),
    },
    ProfileRule {
        id: "end-by-order",
        clause: "domain: the order of a reserve card names its end; orders are for persons",
        says: "end = \"order\" is for persons, without ends-at",
        kept: |p| {
            let validity = p.validity;
            validity.end_of == EndOf::Lifetime || (p.kind.is_person() && validity.ends_at.is_none())
        },
    },
    ProfileRule {
        id: "carrier-of-a-person",
        clause: "domain: carriers hold the keys of persons",
        says: "past-carrier is for persons",
        kept: |p| p.validity.past_carrier.is_none() || p.kind.is_person(),
    },
    ProfileRule {
        id: "status-of-signatures",
        clause: "OCSP-13: a signature is judged years after its certificate has expired",
        says: "after-expiry = \"unknown\" is not for certificates with content-commitment",
        kept: |p| {
            let mut usage = p.key_usage.iter().chain(p.key_usage_ec.iter().flatten());
            p.after_expiry == AfterExpiry::Kept
                || !usage.any(|bit| *bit == KeyUsageBit::NonRepudiation)
        },
    },
    ProfileRule {
        id: "order-organization",
        clause: "orders, which name two organisations, are for persons",
        says: "user-organization and issuing-organization are sources of person profiles",
        kept: |p| {
            let of_order = |source: &Source| {
                matches!(source, Source::UserOrganization | Source::IssuingOrganization)
            };
            p.kind.is_person() || !p.subject.attributes().iter().any(|a| of_order(&a.source))
        },
    },
    ProfileRule {
        id: "signature",
        clause: "KEY-11",
        says: "signature.allow, where it stands, names at least one algorithm, each once",
        kept: |p| {
            let given = p.signatures.as_ref();
            given.is_none_or(|list| !list.is_empty() && each_once(list))
        },
    },
    ProfileRule {
        id: "keys",
        clause: "ISS-11",
        says: "key.allow names at least one of ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096, for root \
               and issuing CAs also ed25519, each once",
        kept: keys_are_allowed,
    },
    ProfileRule {
        id: "issue-by",
        clause: "management, CA and responder certificates are never issued by an API call",
        says: "issue-by is direct or order for subscribers, internal for the others",
        kept: |p| p.kind.is_subscriber() != (p.issue_by == IssueBy::Internal),
    },
    ProfileRule {
        id: "person-by-order",
        clause: "ISS-01",
        says: "person profiles have issue-by = \"order\"",
        kept: |p| !p.kind.is_person() || p.issue_by == IssueBy::Order,
    },
    ProfileRule {
        id: "trust-level",
        clause: "PRO-10",
        says: "person profiles state a trust level, the others none",
        kept: |p| p.kind.is_person() == p.trust_level.is_some(),
    },
    ProfileRule {
        id: "extension-once",
        clause: "RFC 5280 §4.2",
        says: "extensions.order names each extension once",
        kept: |p| all_different(&p.extensions),
    },
    ProfileRule {
        id: "key-identifiers",
        clause: "PRO-14",
        says: "every certificate has subjectKeyIdentifier, authorityKeyIdentifier and keyUsage",
        kept: |p| {
            [
                ExtensionSlot::SubjectKeyIdentifier,
                ExtensionSlot::AuthorityKeyIdentifier,
                ExtensionSlot::KeyUsage,
            ]
            .iter()
            .all(|slot| p.has(*slot))
        },
    },
    ProfileRule {
        id: "extension-content",
        clause: "what is listed has content, and what has content is listed",
        says: "extensions.order lists exactly the extensions whose content the profile gives",
        kept: listed_is_given,
    },
    ProfileRule {
        id: "ca-constraints",
        clause: "PRO-14; RFC 5280 §4.2.1.9",
        says: "CA profiles, and no others, have basicConstraints; an issuing CA has path-length 0, a \
               successor of a root 1",
        kept: |p| {
            p.kind.is_ca() == p.has(ExtensionSlot::BasicConstraints)
                && match p.kind {
                    ProfileKind::IssuingCa | ProfileKind::ManagementCa => p.path_length == Some(0),
                    ProfileKind::CrossCa => p.path_length == Some(1),
                    _ => p.path_length.is_none(),
                }
        },
    },
    ProfileRule {
        id: "ca-key-usage",
        clause: "PRO-14; KEY-05",
        says: "CA profiles, and no others, have exactly key-cert-sign and crl-sign",
        kept: |p| {
            let ca = [KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign];
            let mut lists = [Some(&p.key_usage), p.key_usage_ec.as_ref()].into_iter().flatten();
            lists.all(|usage| {
                if p.kind.is_ca() { usage[..] == ca } else { !usage.iter().any(|u| ca.contains(u)) }
            })
        },
    },
    ProfileRule {
        id: "key-usage-once",
        clause: "RFC 5280 §4.2.1.3",
        says: "key-usage is not empty and names each usage once",
        kept: |p| {
            [Some(&p.key_usage), p.key_usage_ec.as_ref()]
                .into_iter()
                .flatten()
                .all(|usage| !usage.is_empty() && all_different(usage))
        },
    },
    ProfileRule {
        id: "ec-key-usage",
        clause: "RFC 8813 §3",
        says: "EC keys have no key-encipherment: give key-usage-ec",
        kept: |p| {
            let ec = p.keys.iter().find(|k| matches!(k, KeyType::EcP256 | KeyType::EcP384));
            ec.is_none_or(|&ec| !p.key_usage(ec).contains(&KeyUsageBit::KeyEncipherment))
        },
    },
    ProfileRule {
        id: "signature-alone",
        clause: "PRO-09; EN 319 412-2 NAT-4.3.2",
        says: "content-commitment stands alone and only in signature profiles, which have nothing else",
        kept: |p| {
            let alone = [KeyUsageBit::NonRepudiation];
            [Some(&p.key_usage), p.key_usage_ec.as_ref()].into_iter().flatten().all(|usage| {
                if p.kind == ProfileKind::PersonSignature {
                    usage[..] == alone
                } else {
                    !usage.contains(&KeyUsageBit::NonRepudiation)
                }
            })
        },
    },
    ProfileRule {
        id: "authentication-usage",
        clause: "PRO-09; EN 319 412-2 NAT-4.3.2",
        says: "profiles of persons' authentication, machines, cards and responders have \
               digital-signature and nothing else",
        kept: |p| {
            !matches!(
                p.kind,
                ProfileKind::PersonAuthentication
                    | ProfileKind::Machine
                    | ProfileKind::CardTransport
                    | ProfileKind::OcspResponder
            ) || (p.key_usage[..] == [KeyUsageBit::DigitalSignature] && p.key_usage_ec.is_none())
        },
    },
    ProfileRule {
        id: "signature-purposes",
        clause: "PRO-09",
        says: "signature profiles have no purpose that authenticates",
        kept: |p| p.kind != ProfileKind::PersonSignature || p.extended_key_usage.is_empty(),
    },
    ProfileRule {
        id: "subscriber-purposes",
        clause: "RFC 5280 §4.2.1.12; PRO-09",
        says: "person authentication has client-auth and not server-auth; a function has client-auth \
               or server-auth and nothing else; machines and cards have client-auth alone",
        kept: |p| {
            let has = |purpose| p.extended_key_usage.contains(&purpose);
            let tls = [Purpose::ClientAuth, Purpose::ServerAuth];
            match p.kind {
                ProfileKind::PersonAuthentication => {
                    has(Purpose::ClientAuth) && !has(Purpose::ServerAuth)
                }
                ProfileKind::Function => {
                    let mut all = p.extended_key_usage.iter();
                    tls.into_iter().any(has) && all.all(|purpose| tls.contains(purpose))
                }
                ProfileKind::Machine | ProfileKind::CardTransport => {
                    p.extended_key_usage[..] == [Purpose::ClientAuth]
                }
                _ => true,
            }
        },
    },
    ProfileRule {
        id: "purpose-once",
        clause: "RFC 5280 §4.2.1.12",
        says: "extended-key-usage names each purpose once",
        kept: |p| all_different(&p.extended_key_usage),
    },
    ProfileRule {
        id: "ca-purposes",
        clause: "PRO-12; CSS-6.6.3-01B",
        says: "CA profiles have no extended-key-usage, ocsp-signing least of all",
        kept: |p| !p.kind.is_ca() || p.extended_key_usage.is_empty(),
    },
    ProfileRule {
        id: "responder",
        clause: "PRO-12; RFC 6960 §4.2.2.2",
        says: "responder profiles, and no others, have ocsp-signing (alone) and ocsp-no-check, and \
               they have no authority-info-access and no crl-distribution-points",
        kept: responder_is_marked,
    },
    ProfileRule {
        id: "responder-life",
        clause: "RFC 6960 §4.2.2.2.1; ISS-08",
        says: "responder certificates, which nobody checks for revocation, live at most 397d: a CRL of \
               12 months, 30 days and a day; or they end with their CA, whatever its life: lifetime = \
               \"99y\" and past-issuer = \"cap\", for its final answers",
        kept: |p| {
            p.kind != ProfileKind::OcspResponder
                || p.validity.longest() <= LONGEST_RESPONDER
                || p.validity.ends_with_issuer()
        },
    },
    ProfileRule {
        id: "revocation-pointers",
        clause: "PRO-13",
        says: "profiles of subscribers and of CAs under others have crl-distribution-points and \
               authority-info-access; self-signed ones have neither",
        kept: |p| {
            let has = [ExtensionSlot::CrlDistributionPoints, ExtensionSlot::AuthorityInfoAccess]
                .map(|slot| p.has(slot));
            match p.kind {
                kind if kind.is_subscriber() => has == [true, true],
                ProfileKind::IssuingCa | ProfileKind::CrossCa => has == [true, true],
                kind if kind.is_self_signed() => has == [false, false],
                _ => true,
            }
        },
    },
    ProfileRule {
        id: "policies",
        clause: "PRO-10; RFC 5280 §4.2.1.4",
        says: "subscriber profiles state policies, each once, and never anyPolicy",
        kept: |p| {
            let oids: Vec<_> = p.policies.iter().map(|policy| policy.oid).collect();
            let any = oids.contains(&oid::policy::ANY);
            let none = oids.is_empty() && p.table_policy.is_none();
            all_different(&oids) && !(p.kind.is_subscriber() && (none || any))
        },
    },
    ProfileRule {
        id: "table-policy",
        clause: "PRO-10; decision 0012",
        says: "subscriber profiles alone take a policy from the table, those of persons no other",
        kept: |p| {
            p.table_policy.is_none()
                || (p.kind.is_subscriber() && (!p.kind.is_person() || p.policies.is_empty()))
        },
    },
    ProfileRule {
        id: "practice-statement",
        clause: "RFC 5280 §4.2.1.4",
        says: "cps is an http or https URI of at most 200 visible ASCII characters",
        kept: |p| {
            let of_table = p.table_policy.iter().filter_map(|policy| policy.cps.as_deref());
            let named = p.policies.iter().filter_map(|policy| policy.cps.as_deref());
            named.chain(of_table).all(is_web_uri)
        },
    },
    ProfileRule {
        id: "subject-once",
        clause: "PRO-02: relying parties read one serialNumber",
        says: "subject.attributes names each attribute type once, serial-number too",
        kept: |p| p.subject.attributes().iter().all(|a| p.subject.count(a.attribute) == 1),
    },
    ProfileRule {
        id: "subject-source",
        clause: "each attribute from a field of its own kind",
        says: "subject attributes come from a field that can give them; only country and \
               organization may have a fixed value",
        kept: |p| p.subject.attributes().iter().all(|a| a.source.fits(a.attribute)),
    },
    ProfileRule {
        id: "subject-string",
        clause: "PRO-02; RFC 5280 appendix A.1",
        says: "string stands at attributes that may be UTF8String: not at country and serial-number, \
               which are PrintableString",
        kept: |p| {
            p.subject
                .attributes()
                .iter()
                .all(|a| a.string == StringRule::Standard || a.attribute.kind() == StringKind::Utf8)
        },
    },
    ProfileRule {
        id: "subject-fixed",
        clause: "PRO-02",
        says: "fixed values are legal for their attribute and not optional",
        kept: fixed_values_are_legal,
    },
    ProfileRule {
        id: "subject-name",
        clause: "PRO-07; ISS-16",
        says: "the subject has country and common-name; persons also surname, given-name and \
               serial-number, functions, machines and cards also organization and serial-number, none \
               optional",
        kept: |p| {
            let required: &[AttributeType] = match p.kind {
                kind if kind.is_person() => &[
                    AttributeType::Country,
                    AttributeType::CommonName,
                    AttributeType::Surname,
                    AttributeType::GivenName,
                    AttributeType::SerialNumber,
                ],
                ProfileKind::Function | ProfileKind::Machine | ProfileKind::CardTransport => &[
                    AttributeType::Country,
                    AttributeType::Organization,
                    AttributeType::CommonName,
                    AttributeType::SerialNumber,
                ],
                _ => &[AttributeType::Country, AttributeType::CommonName],
            };
            required.iter().all(|wanted| {
                let mut all = p.subject.attributes().iter();
                all.any(|a| a.attribute == *wanted && a.optional == Optional::No)
            })
        },
    },
    ProfileRule {
        id: "person-fields",
        clause: "only persons have personal names and numbers",
        says: "given-name, surname and personal-identity-number are fields of person profiles, \
               hsa-id of persons, functions and machines",
        kept: |p| {
            let taken = |field| {
                p.subject.presence(field) != Presence::Refused
                    || p.recorded.iter().any(|(recorded, _)| *recorded == field)
            };
            let personal = [
                RequestField::GivenName,
                RequestField::Surname,
                RequestField::PersonalIdentityNumber,
            ];
            (p.kind.is_person() || !personal.into_iter().any(taken))
                && (p.kind.is_person()
                    || matches!(p.kind, ProfileKind::Function | ProfileKind::Machine)
                    || !taken(RequestField::HsaId))
        },
    },
    ProfileRule {
        id: "card-subject",
        clause: "a blank card is named by its number, and nobody else is",
        says: "card profiles, and no others, have card-number as serial-number, and require it",
        kept: |p| {
            let named = p.subject.attributes().iter().filter(|a| a.source == Source::CardNumber);
            let serial = named.clone().any(|a| a.attribute == AttributeType::SerialNumber);
            if p.kind == ProfileKind::CardTransport {
                serial && p.card_number == Presence::Required
            } else {
                named.count() == 0
            }
        },
    },
    ProfileRule {
        id: "person-alternative-names",
        clause: "PRO-16: names of persons stand in certificates of persons",
        says: "upn and email are for persons, card numbers for persons and cards, dns for functions \
               and servers",
        kept: |p| {
            let names = &p.alternative_names;
            let personal = [names.upn, names.email];
            let named = personal.iter().any(|presence| *presence != Presence::Refused);
            let card = p.kind.is_person() || p.kind == ProfileKind::CardTransport;
            let dns = names.dns_count != (0, 0);
            (p.kind.is_person() || !named)
                && (card || p.card_number == Presence::Refused)
                && (!dns || matches!(p.kind, ProfileKind::Function | ProfileKind::ManagementServer))
        },
    },
    ProfileRule {
        id: "function-names",
        clause: "PRO-20",
        says: "function profiles take at least one DNS name, at most 100",
        kept: |p| {
            let (fewest, most) = p.alternative_names.dns_count;
            fewest <= most && most <= 100 && (p.kind != ProfileKind::Function || fewest >= 1)
        },
    },
    ProfileRule {
        id: "management-names",
        clause: "promise 8; ARCHITECTURE.md, who may call",
        says: "management profiles, and no others, require management-uri; ip and local-names are \
               for management servers",
        kept: |p| {
            let names = &p.alternative_names;
            let wanted =
                if p.kind.is_management() { Presence::Required } else { Presence::Refused };
            let server = p.kind == ProfileKind::ManagementServer;
            names.management_uri == wanted
                && (server || [names.ip, names.local_names] == [Presence::Refused; 2])
        },
    },
    ProfileRule {
        id: "management-purpose",
        clause: "a client cannot pose as the server, nor the server as a client",
        says: "management servers have server-auth alone, management clients client-auth alone",
        kept: |p| match p.kind {
            ProfileKind::ManagementServer => p.extended_key_usage[..] == [Purpose::ServerAuth],
            ProfileKind::ManagementClient => p.extended_key_usage[..] == [Purpose::ClientAuth],
            _ => true,
        },
    },
];

/// The rules that a profile breaks.
pub(super) fn broken(profile: &Profile) -> impl Iterator<Item = &'static ProfileRule> {
    RULES.iter().filter(|rule| !(rule.kept)(profile))
}

/// Checks a profile against every rule; the first that is broken refuses it.
pub(super) fn check(profile: &Profile) -> Result<(), ProfileError> {
    match broken(profile).next() {
        Some(rule) => Err(ProfileError::Rule { profile: profile.name.clone(), rule }),
        None => Ok(()),
    }
}

impl Profile {
    fn has(&self, slot: ExtensionSlot) -> bool {
        self.extensions.contains(&slot)
    }
}

fn all_different<T: Ord>(list: &[T]) -> bool {
    list.iter().collect::<BTreeSet<_>>().len() == list.len()
}

/// The same for what has no order.
fn each_once<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().all(|(place, one)| !list.iter().take(place).any(|it| it == one))
}

fn keys_are_allowed(profile: &Profile) -> bool {
    let fine = |key: &KeyType| match key {
        KeyType::EcP256 | KeyType::EcP384 => true,
        KeyType::Rsa { bits } => matches!(bits, 2048 | 3072 | 4096),
        // Cards and relying parties' programs do without it; a CA's key is its operator's choice.
        KeyType::Ed25519 => {
            let kinds = [ProfileKind::RootCa, ProfileKind::IssuingCa, ProfileKind::CrossCa];
            kinds.contains(&profile.kind)
        }
    };
    !profile.keys.is_empty() && all_different(&profile.keys) && profile.keys.iter().all(fine)
}

fn listed_is_given(profile: &Profile) -> bool {
    let names = &profile.alternative_names;
    let alternative = names.dns_count != (0, 0)
        || [names.upn, names.email, names.ip, names.management_uri]
            .iter()
            .any(|presence| *presence != Presence::Refused);
    let pairs = [
        (ExtensionSlot::CardNumber, profile.card_number != Presence::Refused),
        (
            ExtensionSlot::CertificatePolicies,
            !profile.policies.is_empty() || profile.table_policy.is_some(),
        ),
        (ExtensionSlot::ExtendedKeyUsage, !profile.extended_key_usage.is_empty()),
        (ExtensionSlot::SubjectAltName, alternative),
    ];
    pairs.into_iter().all(|(slot, given)| profile.has(slot) == given)
}

fn responder_is_marked(profile: &Profile) -> bool {
    let signing = profile.extended_key_usage.contains(&Purpose::OcspSigning);
    if profile.kind != ProfileKind::OcspResponder {
        return !signing && !profile.has(ExtensionSlot::OcspNoCheck);
    }
    profile.extended_key_usage[..] == [Purpose::OcspSigning]
        && profile.has(ExtensionSlot::OcspNoCheck)
        && !profile.has(ExtensionSlot::AuthorityInfoAccess)
        && !profile.has(ExtensionSlot::CrlDistributionPoints)
}

fn fixed_values_are_legal(profile: &Profile) -> bool {
    profile.subject.attributes().iter().all(|attribute| match &attribute.source {
        Source::Fixed(value) => {
            attribute.optional == Optional::No
                && x509::name::Name::builder()
                    .with_string(attribute.attribute, attribute.string, value)
                    .is_ok()
        }
        _ => true,
    })
}

fn is_web_uri(uri: &str) -> bool {
    let host = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty())
        && uri.len() <= 200
        && uri.bytes().all(|octet| octet.is_ascii_graphic())
}

#[cfg(test)]
mod tests;

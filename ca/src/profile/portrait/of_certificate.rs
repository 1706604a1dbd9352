//! The portrait of a certificate, also of another operator's with its faults.

use x509::extension::{
    AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CardNumber, CertificatePolicies,
    CrlDistributionPoints, ExtendedKeyUsage, Extension, GeneralName, OcspNoCheck,
    PolicyInformation, PolicyQualifier, SubjectAltName, SubjectKeyIdentifier,
};
use x509::import::ImportedCertificate;
use x509::key::{KeyType, SignatureAlgorithm};
use x509::name::{NameAttribute, attribute_name};
use x509::oid::{ObjectIdentifier, access, attribute, extension};

use super::{Alphabet, DRAWN, Portrait, PortraitField, Seen, Sitter, words};

/// What stands for a value that is not the DER of its type.
const UNREADABLE: &str = "unreadable";

impl Portrait {
    /// Draws a certificate. What cannot be read is said to be so, and stands beside it in octets.
    #[must_use]
    pub fn of_certificate(certificate: &ImportedCertificate) -> Self {
        let mut portrait = Self { sitter: Sitter::Certificate, lines: Vec::new() };
        let version = format!("{}", certificate.version());
        portrait.draw(PortraitField::Version, Seen::Exactly(version));
        let algorithm = certificate.algorithm().map(SignatureAlgorithm::name);
        let algorithm = algorithm
            .map_or_else(|| words::foreign_algorithm(certificate.algorithm_oid()), str::to_owned);
        portrait.draw(PortraitField::Signature, Seen::Exactly(algorithm));
        let period = Seen::Period(certificate.not_before(), certificate.not_after());
        portrait.draw(PortraitField::Validity, period);
        portrait.draw_subject(certificate);
        let key = certificate
            .public_key()
            .map_or_else(|| "of an unknown kind".to_owned(), |key| key.key_type().to_string());
        portrait.draw(PortraitField::Key, Seen::Exactly(key));
        let all = certificate.extensions().iter();
        let order = Seen::sequence(all.clone().map(|one| words::extension(one.oid)));
        portrait.draw(PortraitField::ExtensionOrder, order);
        for oid in DRAWN {
            portrait.draw_extension(certificate, oid);
        }
        for foreign in all.filter(|one| !DRAWN.contains(&one.oid)) {
            let value = Seen::Exactly(octets(&foreign.value_der));
            portrait.draw(PortraitField::Extension(foreign.oid), value);
        }
        portrait
    }

    fn draw_subject(&mut self, certificate: &ImportedCertificate) {
        let rdns: Vec<_> = certificate.subject().rdns().collect();
        let types = |rdn: &Vec<NameAttribute<'_>>| {
            rdn.iter().map(|one| attribute_name(one.oid())).collect::<Vec<_>>().join("+")
        };
        self.draw(PortraitField::SubjectOrder, Seen::sequence(rdns.iter().map(types)));
        let dns = dns_names(certificate);
        for one in rdns.iter().flatten() {
            let (name, text) = (attribute_name(one.oid()), one.text());
            let seen = Seen::String(one.kind(), alphabet(&text));
            self.draw(PortraitField::SubjectString(name.clone()), seen);
            let value = if one.oid() != attribute::COMMON_NAME || dns.is_empty() {
                text
            } else if dns.contains(&text) {
                words::ONE_OF_DNS.to_owned()
            } else {
                "none of the DNS names".to_owned()
            };
            self.draw(PortraitField::SubjectValue(name), Seen::Exactly(value));
        }
    }

    fn draw_extension(&mut self, certificate: &ImportedCertificate, oid: ObjectIdentifier) {
        let field = match (oid, certificate.public_key().map(x509::key::PublicKey::key_type)) {
            (extension::KEY_USAGE, Some(KeyType::Rsa { .. })) => PortraitField::UsageOfRsa,
            (extension::KEY_USAGE, Some(_)) => PortraitField::UsageOfEc,
            _ => PortraitField::Extension(oid),
        };
        let Some(found) = certificate.extensions().iter().find(|one| one.oid == oid) else {
            self.draw(field, Seen::Absent);
            return;
        };
        let seen = value(certificate, found).unwrap_or_else(|| {
            Seen::Exactly(format!("{UNREADABLE}: {}", octets(&found.value_der)))
        });
        self.draw(field, seen);
        if oid == extension::CERTIFICATE_POLICIES
            && let Some(CertificatePolicies(policies)) = certificate.extension()
        {
            let each = policies.iter().map(qualifiers);
            self.draw(PortraitField::Qualifiers, Seen::sequence(each));
        }
        let critical = Seen::exactly(words::yes_no(found.critical));
        self.draw(PortraitField::Critical(oid), critical);
    }
}

/// What an extension says. `None` when it is not the DER of its type.
fn value(certificate: &ImportedCertificate, found: &Extension) -> Option<Seen> {
    Some(match found.oid {
        extension::BASIC_CONSTRAINTS => match read::<BasicConstraints>(found)? {
            BasicConstraints::EndEntity => Seen::exactly(words::END_ENTITY),
            BasicConstraints::Ca { path_len } => Seen::Exactly(words::authority(path_len)),
        },
        extension::KEY_USAGE => {
            let usage = certificate.key_usage()?;
            Seen::sequence(usage.iter().map(|bit| bit.name().to_owned()))
        }
        extension::EXTENDED_KEY_USAGE => {
            let ExtendedKeyUsage(purposes) = read(found)?;
            Seen::sequence(purposes.into_iter().map(words::purpose))
        }
        extension::SUBJECT_ALT_NAME => {
            let SubjectAltName(names) = read(found)?;
            Seen::sequence(names.iter().map(|name| words::general_name(name).to_owned()))
        }
        extension::CERTIFICATE_POLICIES => {
            let CertificatePolicies(policies) = read(found)?;
            Seen::sequence(policies.iter().map(|one| one.policy.to_string()))
        }
        extension::CARD_NUMBER => card_number(found),
        extension::SUBJECT_KEY_IDENTIFIER => {
            let SubjectKeyIdentifier(identifier) = read(found)?;
            let own = certificate.public_key().map(x509::key::PublicKey::key_bits_sha1);
            if own.is_some_and(|own| own[..] == identifier[..]) {
                Seen::exactly(words::METHOD_1)
            } else {
                Seen::Exactly(format!("{} other octets", identifier.len()))
            }
        }
        extension::AUTHORITY_KEY_IDENTIFIER => {
            let identifier = read::<AuthorityKeyIdentifier>(found)?;
            Seen::exactly(match (identifier.key_identifier(), identifier.names_certificate()) {
                (Some(_), false) => words::KEY_ID_ALONE,
                (Some(_), true) => "keyIdentifier, issuer and serial number",
                (None, true) => "issuer and serial number alone",
                (None, false) => "empty",
            })
        }
        extension::CRL_DISTRIBUTION_POINTS => {
            let CrlDistributionPoints(points) = read(found)?;
            Seen::sequence(points.iter().map(|point| {
                let names: Vec<_> = point.full_name().iter().map(location).collect();
                let restricted = if point.is_restricted() { " (restricted)" } else { "" };
                format!("{}{restricted}", names.join(" + "))
            }))
        }
        extension::AUTHORITY_INFO_ACCESS => {
            let AuthorityInfoAccess(descriptions) = read(found)?;
            Seen::sequence(descriptions.iter().map(|one| {
                let method = match one.method {
                    access::OCSP => "OCSP".to_owned(),
                    access::CA_ISSUERS => "caIssuers".to_owned(),
                    other => other.to_string(),
                };
                format!("{method} {}", location(&one.location))
            }))
        }
        extension::OCSP_NO_CHECK => {
            read::<OcspNoCheck>(found)?;
            Seen::exactly("present")
        }
        _ => return None,
    })
}

fn read<T: x509::extension::ExtensionValue>(found: &Extension) -> Option<T> {
    found.value().ok().flatten()
}

fn card_number(found: &Extension) -> Seen {
    match read::<CardNumber>(found) {
        Some(number) if is_card_digits(number.as_str()) => Seen::exactly(words::CARD_DIGITS),
        Some(number) => Seen::Exactly(format!("PrintableString {number}")),
        None => Seen::Exactly(format!("{UNREADABLE}: {}", octets(&found.value_der))),
    }
}

fn is_card_digits(text: &str) -> bool {
    text.len() == 19 && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn qualifiers(policy: &PolicyInformation) -> String {
    let each = policy.qualifiers.iter().map(|qualifier| match qualifier {
        PolicyQualifier::Cps(uri) => format!("CPS {}", words::without_host(uri.as_str())),
        PolicyQualifier::Other { oid, .. } => oid.to_string(),
    });
    let each: Vec<_> = each.collect();
    if each.is_empty() { "none".to_owned() } else { each.join(" + ") }
}

fn location(name: &GeneralName) -> String {
    match name {
        GeneralName::Uri(uri) => words::scheme(uri.as_str()),
        other => words::general_name(other).to_owned(),
    }
}

fn dns_names(certificate: &ImportedCertificate) -> Vec<String> {
    let names = certificate.extension::<SubjectAltName>().map(|SubjectAltName(names)| names);
    names
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| match name {
            GeneralName::Dns(text) => Some(text.as_str().to_owned()),
            _ => None,
        })
        .collect()
}

/// PrintableString's alphabet (X.680 §41.4).
fn alphabet(text: &str) -> Alphabet {
    let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    if text.chars().all(printable) { Alphabet::Printable } else { Alphabet::Wider }
}

fn octets(bytes: &[u8]) -> String {
    bytes.iter().map(|octet| format!("{octet:02x}")).collect()
}

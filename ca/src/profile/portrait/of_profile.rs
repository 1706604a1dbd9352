//! The portrait of a profile: what may be seen in certificates of it.

use status::AfterExpiry;
use x509::key::KeyType;
use x509::name::{StringRule, attribute_name};
use x509::oid::{attribute, extension};

use super::super::{
    Attribute, ExtensionSlot, IssueBy, Lifetime, Optional, PastEnd, Presence, Profile, ProfileKind,
    Purpose, RequestedExtensions, Source, TrustLevel,
};
use super::{DRAWN, OF_TABLE, Part, Portrait, PortraitField, Seen, Sitter, StringType, words};
use crate::identity::Wildcard;
use crate::key_holder::KeyReuse;

impl Portrait {
    /// Draws a profile: what certificates of it show, and what only its file says.
    #[must_use]
    pub fn of_profile(profile: &Profile) -> Self {
        let mut portrait = Self { sitter: Sitter::Profile, lines: Vec::new() };
        portrait.draw_file(profile);
        portrait.draw(PortraitField::Version, Seen::exactly("3"));
        let signatures = profile.signatures().map_or(Seen::AsTheIssuer, |allowed| {
            Seen::OneOf(allowed.iter().map(|one| one.name().to_owned()).collect())
        });
        portrait.draw(PortraitField::Signature, signatures);
        portrait.draw(PortraitField::Validity, Seen::Lifetime(profile.validity()));
        portrait.draw_template(profile);
        let keys = profile.keys().iter().map(ToString::to_string).collect();
        portrait.draw(PortraitField::Key, Seen::OneOf(keys));
        let order = profile.extensions().iter().map(|slot| {
            let name = words::extension(slot.oid());
            if may_be_absent(profile, *slot) { Part::perhaps(name) } else { Part::once(name) }
        });
        portrait.draw(PortraitField::ExtensionOrder, Seen::Sequence(order.collect()));
        for oid in DRAWN {
            match profile.extensions().iter().find(|slot| slot.oid() == oid) {
                Some(slot) => portrait.draw_slot(profile, *slot),
                None => portrait.draw(PortraitField::Extension(oid), Seen::Absent),
            }
        }
        portrait
    }

    /// What stands in no certificate.
    fn draw_file(&mut self, profile: &Profile) {
        let mut key = |name, word: String| {
            self.draw(PortraitField::Profile(name), Seen::Exactly(word));
        };
        key("kind", profile.kind().to_string());
        key(
            "issue-by",
            match profile.issue_by() {
                IssueBy::Direct => "direct",
                IssueBy::Order => "order",
                IssueBy::Internal => "internal",
            }
            .to_owned(),
        );
        let level = profile.trust_level().map_or("none", |level| match level {
            TrustLevel::Loa2 => "loa2",
            TrustLevel::Loa3 => "loa3",
        });
        key("trust-level", level.to_owned());
        key("validity.backdate", Lifetime::Seconds(profile.validity().backdate).to_string());
        let past = |what| match what {
            PastEnd::Refuse => "refuse".to_owned(),
            PastEnd::Cap => "cap".to_owned(),
        };
        key("validity.past-issuer", past(profile.validity().past_issuer));
        if let Some(past_carrier) = profile.validity().past_carrier {
            key("validity.past-carrier", past(past_carrier));
        }
        let asked = match profile.requested_extensions() {
            RequestedExtensions::Ignore => "ignore",
            RequestedExtensions::Refuse => "refuse",
        };
        key("request.requested-extensions", asked.to_owned());
        let recorded = profile.recorded().iter();
        let recorded: Vec<_> = recorded
            .map(|(field, presence)| format!("{} {}", field.name(), presence_word(*presence)))
            .collect();
        key("request.recorded", recorded.join(", "));
        let sources = profile.subject().attributes().iter().map(source).collect::<Vec<_>>();
        key("subject.from", sources.join(", "));
        let reuse = match profile.key_reuse() {
            KeyReuse::Never => "never",
            KeyReuse::SameHolder => "same-holder",
        };
        key("key.reuse", reuse.to_owned());
        let after_expiry = match profile.answers().after_expiry {
            AfterExpiry::Kept => "kept",
            AfterExpiry::Unknown => "unknown",
        };
        key("status.after-expiry", after_expiry.to_owned());
        let mut scripts = profile.scripts().to_vec();
        scripts.sort_unstable();
        let scripts: Vec<_> = scripts.iter().map(ToString::to_string).collect();
        key("names.scripts", scripts.join(", "));
        let mut ignored: Vec<_> = profile
            .lint_exceptions()
            .iter()
            .map(|one| format!("{} ({})", one.rule.as_str(), one.reason))
            .collect();
        ignored.sort_unstable();
        key("lint.ignore", if ignored.is_empty() { "none".to_owned() } else { ignored.join(", ") });
        let names = profile.alternative_names();
        let wildcard = match names.wildcard {
            Wildcard::Refused => "refused",
            Wildcard::Allowed => "allowed",
        };
        key("alternative-names.wildcards", wildcard.to_owned());
        key("alternative-names.local-names", presence_word(names.local_names).to_owned());
    }

    fn draw_template(&mut self, profile: &Profile) {
        let attributes = profile.subject().attributes();
        let order = attributes.iter().map(|one| {
            let name = attribute_name(one.attribute.oid());
            match one.optional {
                Optional::Yes => Part::perhaps(name),
                Optional::No => Part::once(name),
            }
        });
        self.draw(PortraitField::SubjectOrder, Seen::Sequence(order.collect()));
        for one in attributes {
            let name = attribute_name(one.attribute.oid());
            let string = Seen::StringType(match one.string {
                StringRule::Standard => StringType::Always(one.attribute.kind()),
                StringRule::PrintableOrUtf8 => StringType::PrintableOrUtf8,
            });
            self.draw(PortraitField::SubjectString(name.clone()), string);
            if let Source::Fixed(value) = &one.source {
                self.draw(PortraitField::SubjectValue(name), Seen::exactly(value));
            }
        }
        if profile.kind() == ProfileKind::Function {
            let field = PortraitField::SubjectValue(attribute_name(attribute::COMMON_NAME));
            self.draw(field, Seen::exactly(words::ONE_OF_DNS));
        }
    }

    fn draw_slot(&mut self, profile: &Profile, slot: ExtensionSlot) {
        let oid = slot.oid();
        if slot == ExtensionSlot::KeyUsage {
            self.draw_key_usage(profile);
        } else {
            let seen = value(profile, slot);
            let seen =
                if may_be_absent(profile, slot) { Seen::Perhaps(Box::new(seen)) } else { seen };
            self.draw(PortraitField::Extension(oid), seen);
        }
        if slot == ExtensionSlot::CertificatePolicies {
            let of_table = profile.table_policy().map(|policy| &policy.cps);
            let named = profile.policies().iter().map(|policy| &policy.cps);
            let each = named.chain(of_table).map(|cps| {
                cps.as_deref().map_or_else(
                    || "none".to_owned(),
                    |cps| format!("CPS {}", words::without_host(cps)),
                )
            });
            self.draw(PortraitField::Qualifiers, Seen::sequence(each));
        }
        let critical = oid == extension::BASIC_CONSTRAINTS || oid == extension::KEY_USAGE;
        let critical = Seen::exactly(words::yes_no(critical));
        self.draw(PortraitField::Critical(oid), critical);
    }

    /// One line for each sort of key that the profile allows.
    fn draw_key_usage(&mut self, profile: &Profile) {
        let is_rsa = |key: &&KeyType| matches!(key, KeyType::Rsa { .. });
        let mut keys = profile.keys().iter();
        let rsa = keys.clone().find(is_rsa).map(|key| (PortraitField::UsageOfRsa, key));
        let ec = keys.find(|key| !is_rsa(key)).map(|key| (PortraitField::UsageOfEc, key));
        for (field, key) in [rsa, ec].into_iter().flatten() {
            // The order of a bit string is that of its bits, whatever the file's.
            let usage = x509::extension::KeyUsage::of(profile.key_usage(*key));
            self.draw(field, Seen::sequence(usage.iter().map(|bit| bit.name().to_owned())));
        }
    }
}

fn value(profile: &Profile, slot: ExtensionSlot) -> Seen {
    match slot {
        ExtensionSlot::BasicConstraints => Seen::Exactly(words::authority(profile.path_length())),
        ExtensionSlot::KeyUsage | ExtensionSlot::OcspNoCheck => Seen::exactly("present"),
        ExtensionSlot::ExtendedKeyUsage => {
            let parts = profile.extended_key_usage().iter().map(|purpose| {
                let name = words::purpose(purpose.oid());
                // It stands only beside an e-mail address.
                if *purpose == Purpose::EmailProtection {
                    Part::perhaps(name)
                } else {
                    Part::once(name)
                }
            });
            Seen::Sequence(parts.collect())
        }
        ExtensionSlot::SubjectAltName => Seen::Sequence(alternative_names(profile)),
        ExtensionSlot::CertificatePolicies => {
            let of_table = profile.table_policy().map(|_| OF_TABLE.to_owned());
            let named = profile.policies().iter().map(|policy| policy.oid.to_string());
            Seen::sequence(named.chain(of_table))
        }
        ExtensionSlot::CardNumber => Seen::exactly(words::CARD_DIGITS),
        ExtensionSlot::SubjectKeyIdentifier => Seen::exactly(words::METHOD_1),
        ExtensionSlot::AuthorityKeyIdentifier => Seen::exactly(words::KEY_ID_ALONE),
        ExtensionSlot::CrlDistributionPoints => Seen::sequence(["http://*".to_owned()]),
        ExtensionSlot::AuthorityInfoAccess => {
            Seen::sequence(["OCSP http://*".to_owned(), "caIssuers http://*".to_owned()])
        }
    }
}

/// In the order in which they are written (`prepare::extensions`).
fn alternative_names(profile: &Profile) -> Vec<Part> {
    let rule = profile.alternative_names();
    let of = |presence, text: &str, most: usize| match presence {
        Presence::Refused => None,
        Presence::Optional => Some(Part { text: text.to_owned(), fewest: 0, most }),
        Presence::Required => Some(Part { text: text.to_owned(), fewest: 1, most }),
    };
    let (fewest, most) = rule.dns_count;
    let dns = (most > 0).then(|| Part { text: words::DNS.to_owned(), fewest, most });
    [
        of(rule.upn, words::UPN, 1),
        of(rule.email, words::MAIL, 1),
        dns,
        of(rule.ip, words::IP, usize::MAX),
        of(rule.management_uri, words::URI, 1),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether certificates of the profile may lack an extension that it lists.
fn may_be_absent(profile: &Profile, slot: ExtensionSlot) -> bool {
    match slot {
        ExtensionSlot::CardNumber => profile.card_number() == Presence::Optional,
        ExtensionSlot::SubjectAltName => {
            alternative_names(profile).iter().all(|part| part.fewest == 0)
        }
        _ => false,
    }
}

fn source(attribute: &Attribute) -> String {
    let name = attribute_name(attribute.attribute.oid());
    match &attribute.source {
        Source::Fixed(_) => format!("{name} fixed"),
        Source::Field(field) => format!("{name} {}", field.name()),
        Source::PersonName => format!("{name} person-name"),
        Source::CardNumber => format!("{name} card-number"),
        Source::UserOrganization => format!("{name} user-organization"),
        Source::IssuingOrganization => format!("{name} issuing-organization"),
    }
}

const fn presence_word(presence: Presence) -> &'static str {
    match presence {
        Presence::Refused => "refused",
        Presence::Optional => "optional",
        Presence::Required => "required",
    }
}

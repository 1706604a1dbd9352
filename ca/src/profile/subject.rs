//! How a profile makes a subject: attributes in encoded order, each from one source.

use x509::name::{AttributeType, StringRule};

/// A field that a request can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestField {
    /// Name of a function, server or CA.
    CommonName,
    /// Given name.
    GivenName,
    /// Surname.
    Surname,
    /// HSA-id.
    HsaId,
    /// Personnummer or samordningsnummer.
    PersonalIdentityNumber,
    /// Organisation.
    Organization,
    /// Place or county.
    Locality,
}

impl RequestField {
    /// All fields.
    pub const ALL: [Self; 7] = [
        Self::CommonName,
        Self::GivenName,
        Self::Surname,
        Self::HsaId,
        Self::PersonalIdentityNumber,
        Self::Organization,
        Self::Locality,
    ];

    /// The word in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommonName => "common-name",
            Self::GivenName => "given-name",
            Self::Surname => "surname",
            Self::HsaId => "hsa-id",
            Self::PersonalIdentityNumber => "personal-identity-number",
            Self::Organization => "organization",
            Self::Locality => "locality",
        }
    }
}

/// Where an attribute's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The profile itself.
    Fixed(String),
    /// A field of the request.
    Field(RequestField),
    /// Given name, space, surname.
    PersonName,
    /// The number of the card that the key lives in.
    CardNumber,
    /// The organisation that the holder works for.
    UserOrganization,
    /// The organisation that issues, where it is another than the holder's.
    IssuingOrganization,
}

impl Source {
    /// The fields of the request that it needs.
    #[must_use]
    pub const fn fields(&self) -> &'static [RequestField] {
        match self {
            // A card number has a rule of its own: `Profile::card_number`.
            Self::Fixed(_) | Self::CardNumber => &[],
            Self::Field(RequestField::CommonName) => &[RequestField::CommonName],
            Self::Field(RequestField::GivenName) => &[RequestField::GivenName],
            Self::Field(RequestField::Surname) => &[RequestField::Surname],
            Self::Field(RequestField::HsaId) => &[RequestField::HsaId],
            Self::Field(RequestField::PersonalIdentityNumber) => {
                &[RequestField::PersonalIdentityNumber]
            }
            Self::Field(RequestField::Organization)
            | Self::UserOrganization
            | Self::IssuingOrganization => &[RequestField::Organization],
            Self::Field(RequestField::Locality) => &[RequestField::Locality],
            Self::PersonName => &[RequestField::GivenName, RequestField::Surname],
        }
    }

    /// Whether this source can give a value of `attribute`.
    #[must_use]
    pub const fn fits(&self, attribute: AttributeType) -> bool {
        match self {
            Self::Fixed(_) => {
                matches!(attribute, AttributeType::Country | AttributeType::Organization)
            }
            Self::PersonName => matches!(attribute, AttributeType::CommonName),
            Self::UserOrganization | Self::IssuingOrganization => {
                matches!(attribute, AttributeType::Organization)
            }
            Self::CardNumber => {
                matches!(attribute, AttributeType::CommonName | AttributeType::SerialNumber)
            }
            Self::Field(field) => matches!(
                (field, attribute),
                (RequestField::CommonName, AttributeType::CommonName)
                    | (RequestField::GivenName, AttributeType::GivenName)
                    | (RequestField::Surname, AttributeType::Surname)
                    | (
                        RequestField::HsaId | RequestField::PersonalIdentityNumber,
                        AttributeType::SerialNumber
                    )
                    | (RequestField::Organization, AttributeType::Organization)
                    | (RequestField::Locality, AttributeType::Locality)
            ),
        }
    }
}

/// One attribute of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its type.
    pub attribute: AttributeType,
    /// Its string type, where the attribute's type leaves a choice.
    pub string: StringRule,
    /// Where its value comes from.
    pub source: Source,
    /// Left out when the request does not give it.
    pub optional: Optional,
}

/// Whether an attribute may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optional {
    /// It may.
    Yes,
    /// It may not.
    No,
}

/// The subject's attributes in encoded order, one RDN each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectTemplate {
    attributes: Vec<Attribute>,
}

impl SubjectTemplate {
    pub(super) const fn new(attributes: Vec<Attribute>) -> Self {
        Self { attributes }
    }

    /// The attributes in encoded order.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// How often an attribute type stands in it.
    #[must_use]
    pub fn count(&self, attribute: AttributeType) -> usize {
        self.attributes.iter().filter(|a| a.attribute == attribute).count()
    }

    /// Whether the request must or may give `field`, or is refused when it does.
    #[must_use]
    pub fn presence(&self, field: RequestField) -> super::Presence {
        let users = || self.attributes.iter().filter(|a| a.source.fields().contains(&field));
        if users().any(|a| a.optional == Optional::No) {
            super::Presence::Required
        } else if users().next().is_some() {
            super::Presence::Optional
        } else {
            super::Presence::Refused
        }
    }
}

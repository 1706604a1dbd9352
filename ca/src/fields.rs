//! The names in a request, from strings to checked values.
//!
//! A profile says which fields it takes. What it does not take is refused, not dropped, so that
//! nobody believes that a certificate says something it does not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use thiserror::Error;

use crate::deployment::RoleName;
use crate::identity::{
    AddressRule, CardNumber, CommonName, DnsName, EmailAddress, Field, GivenName, HsaId,
    IdentityError, Locality, Organization, PersonNumber, Script, Surname, UserPrincipalName,
};
use crate::profile::{Presence, Profile, ProfileKind, RequestField};
use crate::refusal::Refusal;

/// What a caller says, unchecked.
#[derive(Clone, Debug, Default)]
pub struct RequestedFields {
    /// commonName of a function, server or CA.
    pub common_name: Option<String>,
    /// Given name.
    pub given_name: Option<String>,
    /// Surname.
    pub surname: Option<String>,
    /// HSA-id.
    pub hsa_id: Option<String>,
    /// Personnummer or samordningsnummer, 12 digits.
    pub personal_identity_number: Option<String>,
    /// Organisation.
    pub organization: Option<String>,
    /// Place or county.
    pub locality: Option<String>,
    /// Card serial number, 19 digits.
    pub card_number: Option<String>,
    /// User principal name.
    pub upn: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses, of management servers.
    pub ip: Vec<IpAddr>,
    /// The name in the management URI, of management servers and clients.
    pub management_name: Option<RoleName>,
}

/// The same, checked against a profile. Personal data: for the certificate and sealed columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedFields {
    /// commonName of a function, server or CA; of a person: given name, space, surname.
    pub common_name: Option<CommonName>,
    /// Given name.
    pub given_name: Option<GivenName>,
    /// Surname.
    pub surname: Option<Surname>,
    /// HSA-id.
    pub hsa_id: Option<HsaId>,
    /// Personnummer or samordningsnummer; in the subject only where the profile says so.
    pub personal_identity_number: Option<PersonNumber>,
    /// Organisation.
    pub organization: Option<Organization>,
    /// Place or county.
    pub locality: Option<Locality>,
    /// Card serial number.
    pub card_number: Option<CardNumber>,
    /// User principal name.
    pub upn: Option<UserPrincipalName>,
    /// E-mail address.
    pub email: Option<EmailAddress>,
    /// DNS names, in the order of the request, none twice.
    pub dns: Vec<DnsSubject>,
    /// IP addresses.
    pub ip: Vec<IpAddr>,
    /// The name in the management URI.
    pub management_name: Option<RoleName>,
}

/// A DNS name of a function, or the one-label name of a management server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsSubject {
    /// A name of two or more labels.
    Full(DnsName),
    /// `localhost`.
    Localhost,
}

impl DnsSubject {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Full(name) => name.as_str(),
            Self::Localhost => "localhost",
        }
    }
}

impl RequestedFields {
    /// Checks every field against `profile` and the rules of the environment (PRO-02, DAT-08).
    ///
    /// # Errors
    ///
    /// [`FieldError`]: the first field that is missing, not taken or not what it should be.
    pub fn check(
        &self,
        profile: &Profile,
        addresses: AddressRule<'_>,
    ) -> Result<CheckedFields, FieldError> {
        let environment = addresses.environment;
        let names = profile.alternative_names();
        let of = |field| presence(profile, field);
        let given_name = taken(
            of(RequestField::GivenName),
            Field::GivenName,
            self.given_name.as_deref(),
            GivenName::parse,
        )?;
        let surname = taken(
            of(RequestField::Surname),
            Field::Surname,
            self.surname.as_deref(),
            Surname::parse,
        )?;
        let own_name = taken(
            of(RequestField::CommonName),
            Field::CommonName,
            self.common_name.as_deref(),
            CommonName::parse,
        )?;
        let common_name = match (own_name, &given_name, &surname) {
            (None, Some(given), Some(surname)) => Some(CommonName::of_person(given, surname)?),
            (own_name, ..) => own_name,
        };
        let checked = CheckedFields {
            common_name,
            given_name,
            surname,
            hsa_id: taken(of(RequestField::HsaId), Field::HsaId, self.hsa_id.as_deref(), |text| {
                HsaId::parse(text, environment)
            })?,
            personal_identity_number: taken(
                of(RequestField::PersonalIdentityNumber),
                Field::PersonNumber,
                self.personal_identity_number.as_deref(),
                |text| PersonNumber::parse(text, environment),
            )?,
            organization: taken(
                of(RequestField::Organization),
                Field::Organization,
                self.organization.as_deref(),
                Organization::parse,
            )?,
            locality: taken(
                of(RequestField::Locality),
                Field::Locality,
                self.locality.as_deref(),
                Locality::parse,
            )?,
            card_number: taken(
                profile.card_number(),
                Field::CardNumber,
                self.card_number.as_deref(),
                CardNumber::parse,
            )?,
            upn: taken(names.upn, Field::Upn, self.upn.as_deref(), |text| {
                UserPrincipalName::parse(text, addresses)
            })?,
            email: taken(names.email, Field::Email, self.email.as_deref(), |text| {
                EmailAddress::parse(text, addresses)
            })?,
            dns: self.check_dns(profile)?,
            ip: self.ip.clone(),
            management_name: self.management_name.clone(),
        };
        self.check_management(profile)?;
        checked.scripts_are_taken(profile)?;
        checked.common_name_is_listed(profile)?;
        Ok(checked)
    }

    fn check_dns(&self, profile: &Profile) -> Result<Vec<DnsSubject>, FieldError> {
        let rule = profile.alternative_names();
        let (fewest, most) = rule.dns_count;
        let found = self.dns.len();
        if most == 0 && found > 0 {
            return Err(FieldError::NotTaken { field: Field::Dns });
        }
        if !(fewest..=most).contains(&found) {
            return Err(FieldError::DnsCount { found, fewest, most });
        }
        let mut seen = BTreeSet::new();
        self.dns
            .iter()
            .map(|text| {
                let name = match (rule.local_names, text.as_str()) {
                    (Presence::Optional | Presence::Required, "localhost") => DnsSubject::Localhost,
                    _ => DnsSubject::Full(DnsName::parse(text, rule.wildcard)?),
                };
                if seen.insert(name.clone()) { Ok(name) } else { Err(FieldError::DnsTwice) }
            })
            .collect()
    }

    fn check_management(&self, profile: &Profile) -> Result<(), FieldError> {
        let rule = profile.alternative_names();
        if rule.ip == Presence::Refused && !self.ip.is_empty() {
            return Err(FieldError::ManagementOnly);
        }
        match (rule.management_uri, &self.management_name) {
            (Presence::Refused, Some(_)) => Err(FieldError::ManagementOnly),
            (Presence::Required, None) => Err(FieldError::NoManagementName),
            _ => Ok(()),
        }
    }
}

impl CheckedFields {
    /// The text of a field that a subject can be made from.
    #[must_use]
    pub fn text_of(&self, field: RequestField) -> Option<&str> {
        match field {
            RequestField::CommonName => self.common_name.as_ref().map(CommonName::as_str),
            RequestField::GivenName => self.given_name.as_ref().map(GivenName::as_str),
            RequestField::Surname => self.surname.as_ref().map(Surname::as_str),
            RequestField::HsaId => self.hsa_id.as_ref().map(HsaId::as_str),
            RequestField::PersonalIdentityNumber => {
                self.personal_identity_number.as_ref().map(PersonNumber::as_str)
            }
            RequestField::Organization => self.organization.as_ref().map(Organization::as_str),
            RequestField::Locality => self.locality.as_ref().map(Locality::as_str),
        }
    }

    /// Names in scripts that the profile does not take are refused (PRO-07).
    fn scripts_are_taken(&self, profile: &Profile) -> Result<(), FieldError> {
        let scripts = [
            (Field::GivenName, self.given_name.as_ref().and_then(GivenName::script)),
            (Field::Surname, self.surname.as_ref().and_then(Surname::script)),
            (Field::CommonName, self.common_name.as_ref().and_then(CommonName::script)),
            (Field::Organization, self.organization.as_ref().and_then(Organization::script)),
            (Field::Locality, self.locality.as_ref().and_then(Locality::script)),
        ];
        for (field, script) in scripts {
            if let Some(found) = script.filter(|script| !profile.scripts().contains(script)) {
                let taken = profile.scripts().to_vec();
                return Err(FieldError::Script { field, found, taken });
            }
        }
        Ok(())
    }

    /// A function is named by one of its DNS names (PRO-20).
    fn common_name_is_listed(&self, profile: &Profile) -> Result<(), FieldError> {
        let listed = |name: &CommonName| self.dns.iter().any(|dns| dns.as_str() == name.as_str());
        if profile.kind() == ProfileKind::Function && !self.common_name.as_ref().is_some_and(listed)
        {
            return Err(FieldError::CommonNameNotListed);
        }
        Ok(())
    }
}

/// The stronger of what the subject and the record want of a field.
pub(crate) fn presence(profile: &Profile, field: RequestField) -> Presence {
    let recorded = profile.recorded().iter().find(|(recorded, _)| *recorded == field);
    match (profile.subject().presence(field), recorded) {
        (Presence::Refused, Some((_, presence))) => *presence,
        (presence, _) => presence,
    }
}

fn taken<T>(
    presence: Presence,
    field: Field,
    value: Option<&str>,
    parse: impl Fn(&str) -> Result<T, IdentityError>,
) -> Result<Option<T>, FieldError> {
    match (presence, value) {
        (Presence::Refused, Some(_)) => Err(FieldError::NotTaken { field }),
        (Presence::Required, None) => Err(FieldError::Missing { field }),
        (_, None) => Ok(None),
        (_, Some(text)) => Ok(Some(parse(text)?)),
    }
}

/// Why the names in a request were refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// PRO-20.
    #[error("common_name is none of the DNS names")]
    CommonNameNotListed,
    /// Too few or too many DNS names.
    #[error("request has {found} DNS names; the profile takes {fewest} to {most}")]
    DnsCount {
        /// How many were given.
        found: usize,
        /// Fewest.
        fewest: usize,
        /// Most.
        most: usize,
    },
    /// The same DNS name twice.
    #[error("a DNS name is given twice")]
    DnsTwice,
    /// A value is not the identifier that it was meant to be.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// IP addresses and management names are not for this profile.
    #[error("IP addresses and management names are for the management plane only")]
    ManagementOnly,
    /// A required field is not there.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: Field,
    },
    /// A management certificate without a name.
    #[error("management certificate has no name")]
    NoManagementName,
    /// The profile takes names of other scripts.
    #[error("{field} has {found} letters")]
    Script {
        /// The field.
        field: Field,
        /// The script of its letters.
        found: Script,
        /// The scripts that the profile takes.
        taken: Vec<Script>,
    },
    /// The profile has no use for it.
    #[error("{field} is not taken by this profile")]
    NotTaken {
        /// The field.
        field: Field,
    },
}

impl FieldError {
    /// The same in the words of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (code, rule, limit, next) = match self {
            Self::Identity(error) => return error.refusal(),
            Self::CommonNameNotListed => (
                "common-name-not-listed",
                "a function is named by one of its DNS names (PRO-20)",
                "one of alternative_names.dns".to_owned(),
                "put the common name among the DNS names",
            ),
            Self::DnsCount { fewest, most, .. } => (
                "dns-count",
                "number of DNS names of the profile",
                format!("{fewest} to {most} names"),
                "send that many DNS names, or use another profile",
            ),
            Self::DnsTwice => (
                "dns-twice",
                "each DNS name once",
                "different names".to_owned(),
                "leave the copy out",
            ),
            Self::ManagementOnly | Self::NoManagementName => (
                "management-field",
                "fields of the management plane (promise 8)",
                "management profiles have a management name, others have none".to_owned(),
                "use the ceremony or the renewal call for management certificates",
            ),
            Self::Missing { .. } => (
                "field-missing",
                "fields that the profile requires",
                "all required fields".to_owned(),
                "add the field",
            ),
            Self::Script { taken, .. } => (
                "field-script",
                "scripts of names that the profile takes (PRO-07)",
                taken.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                "send the name as the register transliterates it, or use a profile that takes it",
            ),
            Self::NotTaken { .. } => (
                "field-not-taken",
                "fields that the profile takes",
                "no other field".to_owned(),
                "leave the field out, or use a profile that takes it",
            ),
        };
        Refusal::new(code, rule, self, limit, next)
    }
}

//! The subject, in the profile's order.

use x509::name::Name;

use super::PrepareError;
use crate::fields::CheckedFields;
use crate::profile::{Attribute, Profile, RequestField, Source};

/// Builds the subject.
pub(super) fn of(profile: &Profile, fields: &CheckedFields) -> Result<Name, PrepareError> {
    let mut builder = Name::builder();
    for (attribute, text) in texts(profile, fields) {
        builder = builder.with_string(attribute.attribute, attribute.string, text)?;
    }
    Ok(builder.build())
}

/// The attributes that the subject has, and their texts. What a profile requires was checked to be there; what is
/// missing here is optional.
pub(super) fn texts<'a>(
    profile: &'a Profile,
    fields: &'a CheckedFields,
) -> impl Iterator<Item = (&'a Attribute, &'a str)> {
    profile.subject().attributes().iter().filter_map(|attribute| {
        let text = match &attribute.source {
            Source::Fixed(value) => Some(value.as_str()),
            Source::PersonName => fields.common_name.as_ref().map(|name| name.as_str()),
            Source::CardNumber => fields.card_number.as_ref().map(|number| number.as_str()),
            // Which of an order's organisations it is, the order has decided.
            Source::UserOrganization | Source::IssuingOrganization => {
                fields.text_of(RequestField::Organization)
            }
            Source::Field(field) => fields.text_of(*field),
        };
        Some((attribute, text?))
    })
}

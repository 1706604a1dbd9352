//! `[[client]]`: who may call, and what for.

use serde::{Deserialize, Deserializer};
use store::OrganisationId;

use crate::statements::ClientStatements;

/// One client of the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ClientSection {
    /// The name in its certificate's SAN URI.
    pub(crate) name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(crate) spki_sha256: String,
    /// Profiles that it may order.
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
    /// Whether it may revoke subscribers' certificates and put persons' on hold.
    #[serde(default)]
    pub(crate) revoke: bool,
    /// Whether it may end holds.
    #[serde(default)]
    pub(crate) release: bool,
    /// Whether an operator of the PKI stands behind it: with `revoke` it may also revoke what
    /// belongs to the PKI itself, responders' delegates and management certificates. It may replay
    /// stored issuances under another version of their profile.
    #[serde(default)]
    pub(crate) operator: bool,
    /// Whether it may read certificates and lists.
    #[serde(default)]
    pub(crate) read: bool,
    /// How much of persons it is shown in an hour of UTC; left out, as `[reading]` says.
    pub(crate) reads_per_hour: Option<u64>,
    /// The vantage point that it is: it may ask what to look at there, and say what was seen there.
    pub(crate) vantage: Option<String>,
    /// Organisations that it has a role over, by their ids, and over what lies under them: it sees these of the tree, and orders for
    /// these alone. Left out, it sees none, and what it orders is not limited to any.
    #[serde(default, deserialize_with = "organisations")]
    pub(crate) organisations: Option<Vec<OrganisationId>>,
    /// Which of its calls must come with the statement of an administrator; left out, as `[actor-statements]` says.
    pub(crate) statements: Option<ClientStatements>,
    /// Whether it may add, change and end what lies under its organisations.
    #[serde(default)]
    pub(crate) organise: bool,
}

fn organisations<'de, D: Deserializer<'de>>(
    read: D,
) -> Result<Option<Vec<OrganisationId>>, D::Error> {
    let ids = Vec::<String>::deserialize(read)?.into_iter().map(|text| {
        text.parse()
            .map_err(|error| serde::de::Error::custom(format!("organisation {text:?}: {error}")))
    });
    ids.collect::<Result<_, _>>().map(Some)
}

//! Who is calling: from the certificate of the TLS connection to a configured client.
//!
//! The TLS layer let in any certificate of the management CA. A caller is known only when the SAN
//! URI of that certificate names a client of this deployment and the key is the one configured for
//! that name, or was renewed from it (architecture §2.6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ca::actor::Demand;
use ca::client::Standing;
use ca::deployment::{Deployment, ManagementRole};
use ca::refusal::Refusal;
use ca::revocation::Revoker;
use status::VantageName;
use store::OrganisationId;
use x509::certificate::{Certificate, CertificateError};
use x509::extension::GeneralName;
use x509::key::SpkiHash;
use x509::time::UnixTime;

use crate::config::ClientSection;
use crate::denied::{Denied, Kind};
use crate::management::clients::ClientKeys;
use crate::service::caller::Caller;

/// The client certificate of a connection, as TLS verified it: read once, for all calls that come over it.
#[derive(Clone, Debug)]
pub(crate) struct PeerCertificate(Result<Arc<Certificate>, CertificateError>);

impl PeerCertificate {
    /// Reads it. One that cannot be read is nobody's, which each call is told.
    pub(crate) fn from_der(der: &[u8]) -> Self {
        Self(Certificate::from_der(der).map(Arc::new))
    }

    /// The URI that the management CA gave it; none of what cannot be read.
    pub(crate) fn uri(&self) -> Option<String> {
        let names = self.0.as_ref().ok()?.subject_alt_names();
        names.iter().find_map(GeneralName::uri).map(str::to_owned)
    }
}

/// The configured clients.
#[derive(Debug)]
pub(crate) struct Clients {
    deployment: Deployment,
    by_name: BTreeMap<String, Known>,
    keys: Arc<ClientKeys>,
}

/// A client of the configuration.
#[derive(Debug)]
struct Known {
    pinned: SpkiHash,
    profiles: Arc<[String]>,
    revoke: bool,
    release: bool,
    revoker: Revoker,
    read: bool,
    vantage: Option<VantageName>,
    organisations: Option<Arc<[OrganisationId]>>,
    organise: bool,
    statements: Demand,
}

impl Clients {
    /// Takes the configured clients; `demand` says which calls of one need a statement.
    ///
    /// # Errors
    ///
    /// The name of the client whose key hash cannot be read, or whose name or key stands there twice.
    pub(crate) fn new(
        deployment: Deployment,
        sections: &[ClientSection],
        demand: impl Fn(&ClientSection) -> Demand,
    ) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for section in sections {
            let known = Known {
                pinned: section.spki_sha256.parse().map_err(|_| section.name.clone())?,
                profiles: section.profiles.clone().into(),
                revoke: section.revoke,
                release: section.release,
                revoker: if section.operator { Revoker::Operator } else { Revoker::Client },
                read: section.read,
                vantage: section
                    .vantage
                    .as_deref()
                    .map(str::parse)
                    .transpose()
                    .map_err(|_| section.name.clone())?,
                organisations: section.organisations.clone().map(Into::into),
                organise: section.organise,
                statements: demand(section),
            };
            // One key names one client: the audit log could not tell them apart.
            if !keys.insert(known.pinned) || by_name.insert(section.name.clone(), known).is_some() {
                return Err(section.name.clone());
            }
        }
        let pins = by_name.iter().map(|(name, known)| (name.clone(), known.pinned)).collect();
        Ok(Self { deployment, by_name, keys: Arc::new(ClientKeys::new(pins)) })
    }

    /// Their keys.
    pub(crate) fn keys(&self) -> Arc<ClientKeys> {
        Arc::clone(&self.keys)
    }

    /// Who this certificate is.
    pub(crate) fn identify(&self, peer: &PeerCertificate, now: UnixTime) -> Result<Caller, Denied> {
        let certificate = peer
            .0
            .as_ref()
            .map_err(|error| unknown(&error.to_string(), "a certificate of the management CA"))?;
        let names = certificate.subject_alt_names();
        let uri = names
            .iter()
            .find_map(GeneralName::uri)
            .ok_or_else(|| unknown("no SAN URI", "one SAN URI urn:sigill:…:client:<name>"))?;
        let name = self
            .deployment
            .management_name(ManagementRole::Client, uri)
            .map_err(|error| unknown(uri, &error.to_string()))?;
        let Some(known) = self.by_name.get(name.as_str()) else {
            return Err(unknown(&format!("client {name}"), "a client of the configuration"));
        };
        let found = certificate.public_key().spki_hash();
        match self.keys.standing(name.as_str(), found, now) {
            Standing::Accepted => {}
            Standing::Superseded { since } => return Err(superseded(name.as_str(), found, since)),
            Standing::Unknown => {
                return Err(unknown(
                    &format!("client {name} with key {found}"),
                    &format!(
                        "key {}, as configured for this client, or one that was renewed from it",
                        known.pinned
                    ),
                ));
            }
        }
        self.keys.note_use(found);
        self.keys.note_end(name.as_str(), certificate.validity().not_after());
        Ok(Caller {
            name: name.as_str().to_owned(),
            profiles: Arc::clone(&known.profiles),
            revoke: known.revoke,
            release: known.release,
            revoker: known.revoker,
            read: known.read,
            vantage: known.vantage.clone(),
            organisations: known.organisations.clone(),
            organise: known.organise,
            statements: known.statements,
            acting: None,
            pinned: known.pinned,
            certificate: Arc::clone(certificate),
        })
    }
}

fn superseded(name: &str, found: SpkiHash, since: UnixTime) -> Denied {
    Denied::new(
        Kind::Unauthenticated,
        Refusal::new(
            "client-key-superseded",
            "architecture §2.6: a client's key ends 7 days after its successor was certified",
            &format!("client {name} with key {found}, which ended {since}"),
            "the key that was certified last for this client",
            "use the renewed pair; if it is lost, have an operator run `sigill-ca tls recover`",
        ),
    )
}

fn unknown(seen: &str, limit: &str) -> Denied {
    Denied::new(
        Kind::Unauthenticated,
        Refusal::new(
            "client-unknown",
            "API-01: callers are clients that are configured by name and key",
            &seen,
            limit,
            "have an operator add the client, or use the certificate that was issued for it",
        ),
    )
}

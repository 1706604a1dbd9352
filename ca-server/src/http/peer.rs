//! Who is calling: from the certificate of the TLS connection to a configured client.
//!
//! The TLS layer let in any certificate of the management CA. A caller is known only when the SAN
//! URI of that certificate names a client of this deployment and the key is the one configured for
//! that name (architecture §2.6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ca::deployment::{Deployment, ManagementRole};
use ca::refusal::Refusal;
use x509::certificate::Certificate;
use x509::extension::GeneralName;
use x509::key::SpkiHash;

use crate::config::ClientSection;
use crate::denied::{Denied, Kind};
use crate::service::caller::Caller;

/// The client certificate of a connection, DER, as TLS verified it.
#[derive(Clone, Debug)]
pub(crate) struct PeerCertificate(pub(crate) Arc<[u8]>);

/// The configured clients.
#[derive(Debug)]
pub(crate) struct Clients {
    deployment: Deployment,
    by_name: BTreeMap<String, (SpkiHash, Caller)>,
}

impl Clients {
    /// Takes the configured clients.
    ///
    /// # Errors
    ///
    /// The name of the client whose key hash cannot be read, or whose name or key stands there twice.
    pub(crate) fn new(deployment: Deployment, sections: &[ClientSection]) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for section in sections {
            let spki = section.spki_sha256.parse().map_err(|_| section.name.clone())?;
            let caller = Caller {
                name: section.name.clone(),
                profiles: section.profiles.clone().into(),
                revoke: section.revoke,
                read: section.read,
            };
            // One key names one client: the audit log could not tell them apart.
            if !keys.insert(spki) || by_name.insert(section.name.clone(), (spki, caller)).is_some()
            {
                return Err(section.name.clone());
            }
        }
        Ok(Self { deployment, by_name })
    }

    /// Who this certificate is.
    pub(crate) fn identify(&self, peer: &PeerCertificate) -> Result<Caller, Denied> {
        let certificate = Certificate::from_der(&peer.0)
            .map_err(|error| unknown(&error.to_string(), "a certificate of the management CA"))?;
        let names = certificate.subject_alt_names();
        let uri = names
            .iter()
            .find_map(|name| match name {
                GeneralName::Uri(uri) => Some(uri.as_str()),
                _ => None,
            })
            .ok_or_else(|| unknown("no SAN URI", "one SAN URI urn:sigill:…:client:<name>"))?;
        let name = self
            .deployment
            .management_name(ManagementRole::Client, uri)
            .map_err(|error| unknown(uri, &error.to_string()))?;
        let found = certificate.public_key().spki_hash();
        match self.by_name.get(name.as_str()) {
            Some((spki, caller)) if *spki == found => Ok(caller.clone()),
            Some((spki, _)) => Err(unknown(
                &format!("client {name} with key {found}"),
                &format!("key {spki}, as configured for this client"),
            )),
            None => Err(unknown(&format!("client {name}"), "a client of the configuration")),
        }
    }
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

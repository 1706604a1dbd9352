//! The CAs that are answered for: their certificates, and how questions name them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use host::durable;
use sha2::{Digest as _, Sha256};
use status::IssuerId;
use thiserror::Error;
use x509::certificate::{Certificate, CertificateError};
use x509::ocsp::{CertId, CertIdHash};
use x509::time::UnixTime;

use crate::config::PinnedAuthority;

/// A CA whose certificate has been read and is the pinned one.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) name: String,
    pub(crate) certificate: Certificate,
    pub(crate) issuer: IssuerId,
}

impl Authority {
    pub(crate) fn new(name: String, certificate: Certificate) -> Self {
        let issuer =
            IssuerId::of(certificate.subject().as_der(), certificate.public_key().spki_der());
        Self { name, certificate, issuer }
    }

    /// Reads `aia/<name>.cer`; `None` while it has not been pushed.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`] when it is another certificate than the pinned one.
    pub(crate) fn read(
        publication: &Path,
        pinned: &PinnedAuthority,
    ) -> Result<Option<Self>, AuthorityError> {
        let path = publication.join("aia").join(format!("{}.cer", pinned.name));
        let max = u64::try_from(Certificate::MAX_OCTETS).unwrap_or(u64::MAX);
        let bytes = durable::read(&path, max)
            .map_err(|source| AuthorityError::Io { name: pinned.name.clone(), source })?;
        let Some(bytes) = bytes else { return Ok(None) };
        let found: [u8; 32] = Sha256::digest(&bytes).into();
        if found != pinned.sha256 {
            return Err(AuthorityError::Pin {
                name: pinned.name.clone(),
                found: hex(&found),
                pinned: hex(&pinned.sha256),
            });
        }
        let certificate = Certificate::from_der(&bytes)
            .map_err(|source| AuthorityError::Certificate { name: pinned.name.clone(), source })?;
        Ok(Some(Self::new(pinned.name.clone(), certificate)))
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// An issuer as CertIDs and the log know it: a name and a key, of which a CA may have several
/// certificates (renewed with the same key, cross-certified).
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) id: IssuerId,
    /// Its authorities, whose delegates answer for each other.
    pub(crate) names: Vec<String>,
    /// The beginning of its oldest certificate: since then expired certificates are answered for.
    pub(crate) since: UnixTime,
}

/// An issuer under one of its key hashes.
#[derive(Debug)]
struct Named {
    issuer: Arc<Issuer>,
    name_hash: Vec<u8>,
}

/// Finds the issuer that a CertID names.
#[derive(Debug, Default)]
pub(crate) struct Authorities {
    list: Vec<Arc<Authority>>,
    issuers: Vec<Arc<Issuer>>,
    /// By hash algorithm and issuerKeyHash. Several generations of a CA may share a name, and two
    /// names may share a key.
    by_key: HashMap<CertIdHash, HashMap<Vec<u8>, Vec<Named>>>,
    /// Whether all that are configured have been read.
    complete: bool,
}

impl Authorities {
    pub(crate) fn new(list: Vec<Arc<Authority>>, configured: usize) -> Self {
        let mut by_key: HashMap<_, HashMap<_, Vec<Named>>> = HashMap::new();
        let mut issuers: Vec<Arc<Issuer>> = Vec::new();
        for authority in &list {
            if issuers.iter().any(|issuer| issuer.id == authority.issuer) {
                continue;
            }
            let issuer = Arc::new(Issuer::of(authority.issuer, &list));
            let name = authority.certificate.subject().as_der();
            let key = authority.certificate.public_key().key_bits();
            for hash in CertIdHash::ALL {
                let named = Named { issuer: Arc::clone(&issuer), name_hash: hash.of(name) };
                let keys = by_key.entry(hash).or_default();
                keys.entry(hash.of(key)).or_default().push(named);
            }
            issuers.push(issuer);
        }
        Self { complete: list.len() == configured, list, issuers, by_key }
    }

    /// The issuer that the question is about.
    pub(crate) fn named(&self, id: &CertId) -> Option<&Arc<Issuer>> {
        let same_key = self.by_key.get(&id.hash())?.get(id.issuer_key_hash())?;
        let found = same_key.iter().find(|one| one.name_hash == id.issuer_name_hash())?;
        Some(&found.issuer)
    }

    /// The issuer that an authority is a certificate of.
    pub(crate) fn issuer_of(&self, authority: &str) -> Option<&Arc<Issuer>> {
        self.issuers.iter().find(|issuer| issuer.names.iter().any(|name| name == authority))
    }

    pub(crate) fn list(&self) -> &[Arc<Authority>] {
        &self.list
    }

    pub(crate) const fn complete(&self) -> bool {
        self.complete
    }
}

impl Issuer {
    /// The issuer of this id, by those of the authorities that are it.
    fn of(id: IssuerId, authorities: &[Arc<Authority>]) -> Self {
        let own = || authorities.iter().filter(|authority| authority.issuer == id);
        let begins = own().map(|authority| authority.certificate.validity().not_before());
        Self {
            id,
            names: own().map(|authority| authority.name.clone()).collect(),
            since: begins.min().unwrap_or(UnixTime::EPOCH),
        }
    }
}

/// Why a CA cannot be answered for.
#[derive(Debug, Error)]
pub(crate) enum AuthorityError {
    #[error("certificate of authority {name} is refused")]
    Certificate {
        name: String,
        #[source]
        source: CertificateError,
    },
    #[error("certificate of authority {name} cannot be read")]
    Io {
        name: String,
        #[source]
        source: std::io::Error,
    },
    #[error("certificate of authority {name} has SHA-256 {found}, pinned is {pinned}")]
    Pin { name: String, found: String, pinned: String },
}

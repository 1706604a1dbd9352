//! Reading: certificates and authorities as the API shows them.

use api::{CertificateQuery, CertificateState as Shown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::refusal::Refusal;
use sha2::{Digest as _, Sha256};
use status::{CertificateState, RevocationReason};
use store::{
    CertificateFilter, CertificateId, CertificateIntent, CertificateLookup, CertificateRecord,
    CertificateRow, CrlScope, EidWanted, IssuedCertificate, ListCursor, OrderId, Origin, StatusRow,
};
use x509::serial::SerialNumber;

use super::Service;
use super::authority::Authority;
use super::caller::Caller;
use crate::denied::{Denied, Kind};
use crate::publication::crl_files::CrlFiles;

/// Rows of a page unless the caller asks for fewer.
const PAGE: u32 = 100;
/// Most rows of a page.
const LARGEST_PAGE: u32 = 1000;

impl Service {
    /// One certificate with its PEM and chain.
    pub(crate) fn show(&self, id: &str) -> Result<api::Certificate, Denied> {
        let id: CertificateId = id.parse().map_err(|_| no_such(id))?;
        let record = self
            .store()
            .certificate(&CertificateLookup::Id(id))
            .map_err(|e| self.note_storage(&e))?
            .ok_or_else(|| no_such(&id.to_string()))?;
        self.shown(&record)
    }

    /// A page of certificates, or the one that a lookup names: of those that the caller sees.
    pub(crate) fn list(
        &self,
        caller: &Caller,
        query: &CertificateQuery,
    ) -> Result<api::Page<api::Certificate>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(malformed("limit", &limit, "1 to 1000"));
        }
        let cursor = query
            .cursor
            .as_deref()
            .map(|text| {
                text.parse().map(ListCursor).map_err(|_| {
                    malformed("cursor", &text, "the `next` of an earlier page, unchanged")
                })
            })
            .transpose()?;
        let named = Named::read(query)?;
        if let Some(lookup) = self.lookup(query)? {
            let found = match self.sees(caller, &lookup, caller.protected())? {
                Some(id) => self.store().certificate(&CertificateLookup::Id(id)),
                None => Ok(None),
            };
            let found = found.map_err(|e| self.note_storage(&e))?;
            let items = found.iter().map(|record| self.shown(record)).collect::<Result<_, _>>()?;
            return Ok(api::Page { items, next: None });
        }
        let page = self
            .store()
            .list_certificates(&self.filter(caller, query, named)?, cursor, limit)
            .map_err(|e| self.note_storage(&e))?;
        Ok(api::Page {
            items: page.rows.iter().map(|row| self.shown_row(row)).collect(),
            next: page.next.map(|ListCursor(cursor)| cursor.to_string()),
        })
    }

    fn lookup(&self, query: &CertificateQuery) -> Result<Option<CertificateLookup>, Denied> {
        if let Some(text) = &query.sha256 {
            let mut sha256 = [0; 32];
            let decoded = base16ct::mixed::decode(text, &mut sha256).map(<[u8]>::len);
            return match decoded {
                Ok(32) => Ok(Some(CertificateLookup::Fingerprint(sha256))),
                _ => Err(malformed("sha256", text, "64 hexadecimal digits")),
            };
        }
        let Some(text) = &query.serial else { return Ok(None) };
        let serial: SerialNumber =
            text.parse().map_err(|_| malformed("serial", text, "1 to 20 octets in hexadecimal"))?;
        let Some(authority) = &query.authority else {
            // No schema says that one parameter needs another.
            let limit = "a serial together with its authority";
            return Err(Denied { kind: Kind::Rule, ..malformed("serial", text, limit) });
        };
        let authority = self.authority_named(authority)?;
        Ok(Some(CertificateLookup::Serial(authority.id, serial)))
    }

    fn filter(
        &self,
        caller: &Caller,
        query: &CertificateQuery,
        named: Named,
    ) -> Result<CertificateFilter, Denied> {
        let issuer = query
            .authority
            .as_deref()
            .map(|name| self.authority_named(name).map(|authority| authority.id))
            .transpose()?;
        Ok(CertificateFilter {
            issuer,
            state: named.state,
            profile: query.profile.clone(),
            order: named.order,
            organisation: self.listed_organisation(caller, query.organisation.as_deref())?,
            eid: named.eid,
            protected: caller.protected(),
            ..Default::default()
        })
    }

    /// The row as the API shows it, without the certificate.
    pub(crate) fn shown_row(&self, row: &CertificateRow) -> api::Certificate {
        let authority = self.authority_of(row.issuer).map(Authority::name).unwrap_or_default();
        let revoked = matches!(
            row.status.status.state,
            CertificateState::Revoked | CertificateState::Held(_) | CertificateState::Voided
        );
        api::Certificate {
            id: row.id.to_string(),
            order: row.order.map(|order| order.to_string()),
            origin: match row.origin {
                Origin::Ceremony => api::Origin::Ceremony,
                Origin::Imported => api::Origin::Imported,
                Origin::Issued => api::Origin::Issued,
            },
            authority: authority.to_owned(),
            serial: row.serial.to_string(),
            profile: row.profile.as_ref().map(|p| p.name.clone()).unwrap_or_default(),
            state: shown_state(row.status.status.state),
            not_before: row.not_before.to_string(),
            not_after: row.not_after.to_string(),
            ended_by: row.ended_by.clone(),
            sha256: base16ct::lower::encode_string(&row.sha256),
            reason: shown_reason(row.status.status.state, row.status.status.reason),
            revoked_at: revoked.then(|| row.status.status.effective_time.to_string()),
            requested_at: row.status.requested_at.map(|time| time.to_string()),
            outcome: None,
            reach: None,
            position: row.status.position.to_string(),
            receipts: self.receipts_path(row),
            certificate: None,
            chain: Vec::new(),
        }
    }

    /// The record as the API shows it, with certificate and chain.
    pub(crate) fn shown(&self, record: &CertificateRecord) -> Result<api::Certificate, Denied> {
        let mut shown = self.shown_row(&record.row);
        shown.certificate =
            record.der.as_deref().map(|der| x509::pem::encode(x509::pem::Label::Certificate, der));
        shown.chain = self.chain_of(self.authority_of(record.row.issuer)?);
        Ok(shown)
    }

    /// A certificate that is about to be recorded as the API shows it then; without its position, which
    /// is given while it is recorded.
    pub(super) fn shown_soon(
        &self,
        authority: &Authority,
        intent: &CertificateIntent,
        facts: &IssuedCertificate,
        der: &[u8],
    ) -> api::Certificate {
        api::Certificate {
            id: intent.certificate.to_string(),
            order: Some(intent.order.to_string()),
            origin: api::Origin::Issued,
            authority: authority.name().to_owned(),
            serial: intent.serial.to_string(),
            profile: facts.profile.name.clone(),
            state: Shown::Issued,
            not_before: facts.not_before.to_string(),
            not_after: intent.not_after.to_string(),
            ended_by: facts.ended_by.clone(),
            sha256: base16ct::lower::encode_string(&Sha256::digest(der)),
            reason: None,
            revoked_at: None,
            requested_at: None,
            outcome: None,
            reach: None,
            position: String::new(),
            receipts: None,
            certificate: Some(x509::pem::encode(x509::pem::Label::Certificate, der)),
            chain: self.chain_of(authority),
        }
    }

    /// All authorities.
    pub(crate) fn authorities(&self) -> Result<api::Page<api::Authority>, Denied> {
        let items =
            self.authorities.values().map(|a| self.shown_authority(a)).collect::<Result<_, _>>()?;
        Ok(api::Page { items, next: None })
    }

    /// One authority, with its CRL itself.
    pub(crate) fn authority(&self, name: &str) -> Result<api::Authority, Denied> {
        let authority = self.authority_named(name)?;
        let mut shown = self.shown_authority(authority)?;
        let published = self.files.published(&CrlFiles::full_path(name));
        if let (Some(crl), Some((file, _))) = (&mut shown.crl, published) {
            crl.der = std::fs::read(file).ok().map(|der| STANDARD.encode(der));
        }
        Ok(shown)
    }

    fn shown_authority(&self, authority: &Authority) -> Result<api::Authority, Denied> {
        let crl = self
            .store()
            .current_crl(authority.id, &CrlScope::full())
            .map_err(|e| self.note_storage(&e))?
            .map(|row| list(&row));
        let certificate = &authority.certificate;
        Ok(api::Authority {
            name: authority.name().to_owned(),
            subject: certificate.subject().to_string(),
            spki_sha256: certificate.public_key().spki_hash().to_string(),
            sha256: base16ct::lower::encode_string(&certificate.fingerprint()),
            key_type: certificate.public_key().key_type().to_string(),
            not_after: certificate.validity().not_after().to_string(),
            signs_here: authority.signs_here(),
            certificate: x509::pem::encode(x509::pem::Label::Certificate, certificate.as_der()),
            crl,
        })
    }
}

/// A CRL as the API shows it.
pub(super) fn list(row: &store::CrlRow) -> api::AuthorityCrl {
    api::AuthorityCrl {
        number: row.number.to_string(),
        this_update: row.this_update.to_string(),
        next_update: row.next_update.to_string(),
        sha256: base16ct::lower::encode_string(&row.sha256),
        length: row.length,
        position: row.position.map(|p| p.to_string()).unwrap_or_default(),
        der: None,
    }
}

/// A serial as the API shows it when there is nothing more to show.
pub(crate) fn serial(authority: &str, serial: SerialNumber, row: &StatusRow) -> api::SerialStatus {
    api::SerialStatus {
        authority: authority.to_owned(),
        serial: serial.to_string(),
        state: shown_state(row.status.state),
        reason: shown_reason(row.status.state, row.status.reason),
        revoked_at: row.status.effective_time.to_string(),
        requested_at: row.requested_at.map(|time| time.to_string()),
        outcome: None,
        reach: None,
        position: row.position.to_string(),
        receipts: None,
    }
}

/// A reason as the API shows it, none as unspecified.
pub(crate) fn reason(reason: Option<RevocationReason>) -> api::ReasonCode {
    shown_reason(CertificateState::Revoked, reason).unwrap_or(api::ReasonCode::Unspecified)
}

pub(super) const fn shown_state(state: CertificateState) -> Shown {
    match state {
        CertificateState::Issued => Shown::Issued,
        CertificateState::Activated => Shown::Activated,
        CertificateState::Held(_) => Shown::Held,
        // A voided serial has no certificate; whoever asks is told what OCSP tells.
        CertificateState::Revoked | CertificateState::Voided => Shown::Revoked,
    }
}

/// What a list's parameters name, read; also where one certificate is looked up and they change nothing.
struct Named {
    order: Option<OrderId>,
    state: Option<CertificateState>,
    eid: Option<EidWanted>,
}

impl Named {
    fn read(query: &CertificateQuery) -> Result<Self, Denied> {
        let order = query.order.as_deref().map(|text| {
            text.parse::<OrderId>().map_err(|_| malformed("order", &text, "`ord_` and a UUID"))
        });
        let state = query.state.as_deref().map(store_state);
        let eid = query.eid.as_deref().map(|text| match text {
            "none" => Ok(EidWanted::None),
            id => id
                .parse()
                .map(EidWanted::This)
                .map_err(|_| malformed("eid", &id, "`eid_` and a UUID, or none")),
        });
        Ok(Self { order: order.transpose()?, state: state.transpose()?, eid: eid.transpose()? })
    }
}

fn store_state(text: &str) -> Result<CertificateState, Denied> {
    match text {
        "issued" => Ok(CertificateState::Issued),
        "activated" => Ok(CertificateState::Activated),
        "held" => Ok(CertificateState::Held(status::HeldFrom::Issued)),
        "revoked" => Ok(CertificateState::Revoked),
        _ => Err(malformed("state", &text, "issued, activated, held or revoked")),
    }
}

fn shown_reason(
    state: CertificateState,
    reason: Option<RevocationReason>,
) -> Option<api::ReasonCode> {
    if matches!(state, CertificateState::Held(_)) {
        return Some(api::ReasonCode::CertificateHold);
    }
    reason.map(|reason| match reason {
        RevocationReason::KeyCompromise => api::ReasonCode::KeyCompromise,
        RevocationReason::CaCompromise | RevocationReason::AaCompromise => {
            api::ReasonCode::CaCompromise
        }
        RevocationReason::AffiliationChanged => api::ReasonCode::AffiliationChanged,
        RevocationReason::Superseded => api::ReasonCode::Superseded,
        RevocationReason::CessationOfOperation => api::ReasonCode::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => api::ReasonCode::PrivilegeWithdrawn,
    })
}

pub(crate) fn no_such(id: &str) -> Denied {
    Denied::new(
        Kind::NotFound,
        Refusal::new(
            "certificate-unknown",
            "a certificate is named by its id",
            &id,
            "`crt_` and a UUID that this deployment gave",
            "look it up: GET /v1/certificates?sha256=… or ?authority=…&serial=…",
        ),
    )
}

pub(super) fn malformed(
    parameter: &'static str,
    seen: &dyn std::fmt::Display,
    limit: &str,
) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "query-malformed",
            "a listing takes the parameters that /openapi.json lists",
            &format!("{parameter}={seen}"),
            limit,
            "correct the query",
        ),
    )
}

//! Issuers as rows, and what is taken over with them: certificates, states, CRLs.

use ::crl::CrlNumber;
use ca::key_holder::HolderName;
use status::{AnswerClasses, IssuerId, IssuerRef, Position, RevocationReason};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::certificate::{Origin, Privacy};
use crate::crl::CrlScope;
use crate::id::CertificateId;
use crate::sealing::IndexTerm;

/// An issuer to be declared in the status log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewIssuer {
    /// SHA-256(Name DER || SPKI DER): what the log declares.
    pub id: IssuerId,
    /// Its configured name, also in URLs and metrics.
    pub name: String,
    /// Its certificate, byte for byte.
    pub certificate_der: Vec<u8>,
    /// Its subject Name, byte for byte.
    pub subject_der: Vec<u8>,
    /// Its SubjectPublicKeyInfo, byte for byte.
    pub spki_der: Vec<u8>,
    /// Its subjectKeyIdentifier, byte for byte.
    pub ski: Option<Vec<u8>>,
    /// First second of its certificate.
    pub not_before: UnixTime,
    /// Last second of its certificate.
    pub not_after: UnixTime,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether this program signs for it.
    pub keeping: IssuerKeeping,
    /// The highest CRL number already used elsewhere; ours are above it (CRL-02).
    pub crl_number_floor: Option<CrlNumber>,
    /// How its CRLs are made, in the words of the configuration that declared it.
    pub crl_settings: String,
}

/// Who signs for an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKeeping {
    /// Its key is used only at ceremonies: its certificates change status only with an imported CRL.
    Offline,
    /// This program holds its key.
    Online,
}

/// An issuer as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRow {
    /// What was declared.
    pub declared: NewIssuer,
    /// Its key.
    pub spki: SpkiHash,
    /// What entries of the current epoch call it.
    pub reference: IssuerRef,
}

/// Everything that one import brings, all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Issuers. One that is known with the same bytes is left as it is.
    pub issuers: Vec<NewIssuer>,
    /// Certificates. One that is known with the same bytes is left as it is.
    pub certificates: Vec<ImportedCertificate>,
    /// Serials known only by a state, such as those of a CRL without their certificates, and states
    /// of certificates that are known already.
    pub states: Vec<ImportedState>,
    /// CRLs that others signed: an offline CA's new one with the states that it brings.
    pub crls: Vec<ImportedCrl>,
}

/// A certificate made elsewhere.
#[derive(Clone, Debug)]
pub struct ImportedCertificate {
    /// The id it gets.
    pub id: CertificateId,
    /// Who issued it: known, or in the same import.
    pub issuer: IssuerId,
    /// The serial as received.
    pub serial: SerialNumber,
    /// The certificate, byte for byte.
    pub der: Vec<u8>,
    /// Ceremony or another operator.
    pub origin: Origin,
    /// What it was issued under, where known.
    pub policy: Option<String>,
    /// First second.
    pub not_before: UnixTime,
    /// Last second.
    pub not_after: UnixTime,
    /// Its public key.
    pub spki: SpkiHash,
    /// Whose it is, where the other operator says: its subject may name an employment alone (ISS-12).
    pub person: Option<HolderName>,
    /// What is wrong with it, by code.
    pub defects: Vec<String>,
    /// How it is answered before activation and after expiry.
    pub answers: AnswerClasses,
    /// Whether its DER is sealed.
    pub privacy: Privacy,
    /// What it is found by.
    pub index: Vec<IndexTerm>,
    /// What has happened to it since it was issued, where anything has.
    pub change: Option<ImportedChange>,
}

/// A revocation or hold that another operator or an offline CA recorded. Its time stays what
/// revocationDate shows (§2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedChange {
    /// On hold.
    Held {
        /// The time of the other record.
        effective: UnixTime,
    },
    /// Revoked for good.
    Revoked {
        /// Why; `None` for unspecified.
        reason: Option<RevocationReason>,
        /// The time of the other record.
        effective: UnixTime,
        /// Its invalidity date.
        invalidity: Option<UnixTime>,
    },
}

/// A state of a serial.
#[derive(Clone, Debug)]
pub struct ImportedState {
    /// The issuer.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: SerialNumber,
    /// Until when it is listed, where the certificate is not known.
    pub not_after: UnixTime,
    /// How it is answered, where the certificate is not known.
    pub answers: AnswerClasses,
    /// What happened to it.
    pub change: ImportedChange,
}

/// A CRL that was signed elsewhere.
#[derive(Clone, Debug)]
pub struct ImportedCrl {
    /// Whose.
    pub issuer: IssuerId,
    /// Which of its CRLs.
    pub scope: CrlScope,
    /// Its number.
    pub number: CrlNumber,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// nextUpdate.
    pub next_update: UnixTime,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// Length of the file in octets.
    pub length: u64,
}

/// What an import wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Issuers that were new.
    pub issuers: u64,
    /// Certificates that were new.
    pub certificates: u64,
    /// Status entries that were written, revocations included.
    pub entries: u64,
    /// The position of the last one; `None` when everything was known.
    pub last: Option<Position>,
}

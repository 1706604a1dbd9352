//! Certificates as rows: what is recorded before and after a signature, and what is shown later.

use ca::role::Protected;
use crl::ShardNumber;
use status::{
    AnswerClasses, CertificateState, CertificateStatus, IssuerId, Position, RevocationReason,
};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::bound::Binding;
use crate::id::{CertificateId, EidId, Node, OrderId};
use crate::job::Alone;
use crate::key::SubjectKey;
use crate::limit::Volume;
use crate::sealing::{IndexTerm, Subject};

/// What is recorded with an intent to sign a certificate, before a key is touched (ISS-05).
#[derive(Clone, Debug)]
pub struct CertificateIntent {
    /// The order that it serves (ISS-01). What the program orders itself has an order too.
    pub order: OrderId,
    /// The id that the certificate gets.
    pub certificate: CertificateId,
    /// Who issues it.
    pub issuer: IssuerId,
    /// Its serial number, never used before under this issuer.
    pub serial: SerialNumber,
    /// Its key, and for whom it is certified.
    pub key: SubjectKey,
    /// Its last second: until then it stays on the CRL if it is voided.
    pub not_after: UnixTime,
    /// How it is answered before activation and after expiry.
    pub answers: AnswerClasses,
    /// Who is about to sign it.
    pub node: Node,
    /// Under whose data key the to-be-signed bytes are sealed.
    pub subject: Subject,
    /// The eID that proved its holder: it must be active, or nothing is recorded
    /// ([`StoreError::EidNotActive`](crate::StoreError::EidNotActive)).
    pub proven_by: Option<CertificateId>,
    /// As whose it is counted; `None` for what the program orders itself.
    pub volume: Option<Volume>,
    /// The shard that its distribution point names; `None`: the full CRL.
    pub shard: Option<ShardNumber>,
    /// Whether its issuer must go on or must have ended.
    pub issued: IssuedWhen,
}

/// When an issuer signs a certificate. The database has the last word: an intent at the wrong time is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IssuedWhen {
    /// Before its last CRL ([`StoreError::IssuerEnded`](crate::StoreError::IssuerEnded)): all but one.
    #[default]
    BeforeItsEnd,
    /// After it ([`StoreError::IssuerUnfinished`](crate::StoreError::IssuerUnfinished)): the signer of its final OCSP answers (OCSP-13).
    AfterItsEnd,
}

/// What is recorded with a signed certificate, before it is released.
#[derive(Clone, Debug)]
pub struct IssuedCertificate {
    /// Profile and version (PRO-19).
    pub profile: ProfileVersion,
    /// The policy it was issued under, dotted.
    pub policy: Option<String>,
    /// What says its last second, in a word or by the name of a rule.
    pub ended_by: Option<String>,
    /// Its first second.
    pub not_before: UnixTime,
    /// The eID that proved its holder: it must be active still, or nothing is recorded.
    pub proven_by: Option<CertificateId>,
    /// Its public key.
    pub spki: SpkiHash,
    /// The eID that it is of, and the carrier; `None` where no order says it.
    pub binding: Option<Binding>,
    /// Whether its DER is sealed.
    pub privacy: Privacy,
    /// What it is found by without being readable.
    pub index: Vec<IndexTerm>,
}

/// A certificate that has been recorded and may be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its id.
    pub certificate: CertificateId,
    /// The certificate.
    pub der: Vec<u8>,
    /// Where the status log says `issued`.
    pub position: Position,
    /// The log time of that entry.
    pub time: UnixTime,
}

/// A profile's name and the SHA-256 of the version that was used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProfileVersion {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
}

/// Whether a certificate shows a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// It does: DER and holder fields are sealed under the subject's data key (DAT-06).
    Person {
        /// Whose data it is.
        subject: Subject,
        /// The holder's fields as the caller keeps them (bytes, never re-serialised).
        holder: Vec<u8>,
    },
    /// A CA or function certificate: its DER lies open.
    Public,
}

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Made at a ceremony and imported from its outputs.
    Ceremony,
    /// Taken over from another operator.
    Imported,
    /// Issued by this program.
    Issued,
}

/// A certificate without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Its id.
    pub id: CertificateId,
    /// Who issued it.
    pub issuer: IssuerId,
    /// Its serial number.
    pub serial: SerialNumber,
    /// The order that it fulfils; none for imported ones.
    pub order: Option<OrderId>,
    /// Where it comes from.
    pub origin: Origin,
    /// Profile and version; none for imported ones.
    pub profile: Option<ProfileVersion>,
    /// The policy, dotted.
    pub policy: Option<String>,
    /// First second.
    pub not_before: UnixTime,
    /// Last second.
    pub not_after: UnixTime,
    /// What says that, in a word or by the name of a rule; none where nobody noted it.
    pub ended_by: Option<String>,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: SpkiHash,
    /// What import found wrong with it, by code.
    pub defects: Vec<String>,
    /// How it stands.
    pub status: StatusRow,
}

/// How a serial number of an issuer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// What the log says.
    pub status: CertificateStatus,
    /// When the caller says revocation was asked for.
    pub requested_at: Option<UnixTime>,
    /// The position of the last entry about it.
    pub position: Position,
}

/// A certificate with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Everything but the bytes.
    pub row: CertificateRow,
    /// The certificate; `None` once its subject's data key has been deleted.
    pub der: Option<Vec<u8>>,
    /// The holder's fields, as they were given.
    pub holder: Option<Vec<u8>>,
}

/// How a certificate is named in a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateLookup {
    /// By SHA-256 of its DER.
    Fingerprint([u8; 32]),
    /// By id.
    Id(CertificateId),
    /// By issuer and serial.
    Serial(IssuerId, SerialNumber),
}

/// Which certificates a list shows. Every given part must hold.
#[derive(Clone, Debug, Default)]
pub struct CertificateFilter {
    /// Only of this issuer.
    pub issuer: Option<IssuerId>,
    /// Only in this state.
    pub state: Option<CertificateState>,
    /// Only of this profile.
    pub profile: Option<String>,
    /// Only of this order.
    pub order: Option<OrderId>,
    /// Only with this public key.
    pub spki: Option<SpkiHash>,
    /// Only those found by this term.
    pub term: Option<IndexTerm>,
    /// Only those whose last second is at or after this.
    pub valid_until: Option<UnixTime>,
    /// Only of eIDs of holders in the organisation of this number.
    pub organisation: Option<String>,
    /// Only of this eID, or of none.
    pub eid: Option<EidWanted>,
    /// Whether those of protected persons, too: not, unless it is said.
    pub protected: Protected,
}

/// Of which eID the certificates of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EidWanted {
    /// Of this one.
    This(EidId),
    /// Of none: issued before eIDs were kept, imported, or without an order.
    None,
}

/// On whose side a certificate is, for who sees a part of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSide {
    /// Its id.
    pub certificate: CertificateId,
    /// Number of the organisation that the holder of its eID is in; `None` where it belongs to no eID.
    pub organisation: Option<String>,
    /// The client that ordered it, of what shows no person.
    pub function_of: Option<String>,
}

/// Where a list goes on. Opaque: comes from [`CertificatePage::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor(pub u64);

/// A part of a list, oldest first.
#[derive(Clone, Debug)]
pub struct CertificatePage {
    /// At most as many as were asked for.
    pub rows: Vec<CertificateRow>,
    /// Where it goes on; `None` at the end.
    pub next: Option<ListCursor>,
}

/// What a revocation names: a certificate, or a serial known from the log or a CRL alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusTarget {
    /// A certificate.
    Certificate(CertificateId),
    /// A serial number.
    Serial(IssuerId, SerialNumber),
}

/// A change of a certificate's status: activation, hold, release or revocation.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// Of what.
    pub target: StatusTarget,
    /// What is to happen.
    pub act: StatusAct,
    /// When the change was asked for, as the caller says. Never the revocationDate (§2.5).
    pub requested_at: Option<UnixTime>,
    /// Who revokes or holds by its own word, and how much of that an hour takes; `None` for what no client asks for.
    pub alone: Option<Alone>,
}

/// A change that a caller may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusAct {
    /// The holder has taken it into use.
    Activate,
    /// The reason of a revocation was wrong; its time and `requested_at` stay (REV-06).
    CorrectReason {
        /// The reason that is to be replaced. Where another one stands by now, nothing changes.
        from: Option<RevocationReason>,
        /// The right reason; `None` for unspecified.
        reason: Option<RevocationReason>,
        /// Since when the key may have been in other hands.
        invalidity: Option<UnixTime>,
    },
    /// Suspend it.
    Hold,
    /// End the suspension.
    Release,
    /// Revoke it for good.
    Revoke {
        /// Why; `None` for unspecified.
        reason: Option<RevocationReason>,
        /// Since when the key may have been in other hands.
        invalidity: Option<UnixTime>,
    },
}

/// What a status change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusChanged {
    /// Whether something changed.
    pub outcome: ChangeOutcome,
    /// How it stands now, with the position that says so.
    pub status: StatusRow,
    /// Whether the clock could be believed (§2.5).
    pub clock: ClockMark,
}

/// Whether a change was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It stood so already, or a correction met another reason than it was to replace: no entry, no
    /// audit leaf.
    Already,
    /// An entry was written.
    Changed,
}

/// How the clock stood against the log when an act was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMark {
    /// At most 2 s behind the log's last time.
    Steady,
    /// Further behind: the log time is the log's, not the clock's.
    Behind(std::time::Duration),
}

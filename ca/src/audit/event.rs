//! What can happen: the closed list of audit event codes.
//!
//! Numbers and names are for ever; new events get new numbers. The upper octet groups them by what
//! they are about. docs/formats/audit-leaf.md has the same table, compared by a test.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

macro_rules! event_codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal;)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventCode {
            $($(#[$doc])* $variant,)*
        }

        impl EventCode {
            /// Every event, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the number that leaves carry.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// Returns the name that reports and logs show.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_codes! {
    /// A certificate is about to be signed.
    CertificateIntent = 0x0101 "certificate.intent";
    /// A certificate was signed and recorded.
    CertificateIssued = 0x0102 "certificate.issued";
    /// A certificate was refused.
    CertificateRefused = 0x0103 "certificate.refused";
    /// A holder took a certificate into use.
    CertificateActivated = 0x0104 "certificate.activated";
    /// A certificate was put on hold.
    CertificateHeld = 0x0105 "certificate.held";
    /// A certificate was released from hold.
    CertificateReleased = 0x0106 "certificate.released";
    /// A certificate was revoked, or its revocation was corrected.
    CertificateRevoked = 0x0107 "certificate.revoked";
    /// An intent was given up; its serial number is never used again.
    CertificateVoided = 0x0108 "certificate.voided";
    /// A change of a certificate's status was refused.
    RevocationRefused = 0x0109 "revocation.refused";
    /// A revocation was seen at every publication point.
    RevocationConfirmed = 0x010a "revocation.confirmed";
    /// A revocation or hold was asked for again; nothing changed.
    RevocationRepeated = 0x010b "revocation.repeated";
    /// What was seen from outside is not what the status log says.
    StatusDifference = 0x010c "status.difference";
    /// A revocation was asked for with a time of the future.
    RevocationScheduled = 0x010d "revocation.scheduled";
    /// Such a revocation was taken back before its time.
    RevocationUnscheduled = 0x010e "revocation.unscheduled";
    /// A request that was taken on paper or by telephone was carried out.
    RevocationRegistered = 0x010f "revocation.registered";

    /// A CRL is about to be signed.
    CrlIntent = 0x0201 "crl.intent";
    /// A CRL was signed and recorded.
    CrlIssued = 0x0202 "crl.issued";
    /// A CRL was given up.
    CrlVoided = 0x0203 "crl.voided";
    /// A CRL made by an offline CA was taken in.
    CrlImported = 0x0204 "crl.imported";
    /// Making a CRL began; what is logged later is not in it.
    CrlBegun = 0x0205 "crl.begun";

    /// A CA was declared in the status log.
    IssuerDeclared = 0x0301 "issuer.declared";

    /// A responder's identity key was enrolled.
    OcspDelegateEnrolled = 0x0401 "ocsp-delegate.enrolled";
    /// A delegate certificate is about to be signed.
    OcspDelegateIntent = 0x0402 "ocsp-delegate.intent";
    /// A delegate certificate was signed and recorded.
    OcspDelegateIssued = 0x0403 "ocsp-delegate.issued";
    /// A request for a delegate certificate was refused.
    OcspDelegateRefused = 0x0404 "ocsp-delegate.refused";
    /// Final OCSP answers of a CA that has ended are about to be signed.
    FinalAnswers = 0x0405 "ocsp-answers.final";

    /// A client of the API was configured.
    ClientConfigured = 0x0501 "client.configured";
    /// A client of the API was removed.
    ClientRemoved = 0x0502 "client.removed";
    /// A management certificate is about to be signed.
    ManagementIntent = 0x0503 "management.intent";
    /// A management certificate was signed and recorded.
    ManagementIssued = 0x0504 "management.issued";
    /// A management certificate was refused.
    ManagementRefused = 0x0505 "management.refused";
    /// Expired management credentials were replaced locally.
    TlsRecovered = 0x0506 "tls.recovered";

    /// A call of an authenticated client was refused.
    CallRefused = 0x0601 "call.refused";
    /// Refusals of one client beyond the limit, as a count.
    RefusalGrouped = 0x0602 "refusal.grouped";
    /// A client was paused under a profile after a sudden change.
    LimitPaused = 0x0603 "limit.paused";
    /// An operator let a paused client go on.
    LimitResumed = 0x0604 "limit.resumed";
    /// A client has revoked in this hour what it may revoke alone.
    LimitRevocations = 0x0605 "limit.revocations";
    /// An administrator's statement about a call was taken.
    ActorStated = 0x0606 "actor.stated";

    /// A program started.
    ServerStarted = 0x0701 "server.started";
    /// A program stopped in good order.
    ServerStopped = 0x0702 "server.stopped";
    /// Issuing and CRLs stopped because the clock cannot be trusted.
    ClockDistrusted = 0x0703 "clock.distrusted";
    /// The clock can be trusted again.
    ClockTrusted = 0x0704 "clock.trusted";
    /// An operator waived a rule that stopped issuing.
    RuleWaived = 0x0705 "rule.waived";

    /// A new epoch of a log was opened.
    EpochOpened = 0x0801 "epoch.opened";
    /// Entries of a published log were taken back into a restored database.
    LogRecovered = 0x0802 "log.recovered";

    /// A certificate of another operator was taken in.
    ImportCertificate = 0x0901 "import.certificate";
    /// A revocation by another operator was taken in.
    ImportRevocation = 0x0902 "import.revocation";
    /// A CA was taken in.
    ImportAuthority = 0x0903 "import.authority";
    /// The outputs of a ceremony were taken in.
    ImportCeremony = 0x0904 "import.ceremony";
    /// Something was not taken in.
    ImportRefused = 0x0905 "import.refused";
    /// A ceremony was asked for something, by an exchange file.
    ExchangeRequested = 0x0906 "exchange.requested";

    /// An order was received.
    OrderReceived = 0x0a01 "order.received";
    /// An order was closed.
    OrderClosed = 0x0a02 "order.closed";
    /// A step of an order was taken.
    OrderStep = 0x0a03 "order.step";
    /// Cards were taken into the register, before there is a certificate on them.
    CarriersRegistered = 0x0a04 "carriers.registered";
    /// Such a card was sent, or given up.
    CarrierMoved = 0x0a05 "carrier.moved";

    /// A key was asked for a signature; one leaf for every try.
    SignatureTried = 0x0b01 "signature.tried";
    /// A key was found by its public key and proven.
    KeyProven = 0x0b02 "key.proven";
    /// A key's signatures and the recorded intents do not agree.
    KeyUseUnexplained = 0x0b03 "key.use-unexplained";
    /// Certified keys share a prime factor.
    KeySharedFactor = 0x0b04 "key.shared-factor";

    /// Something of a person was shown, or sealed fields were opened for a replay.
    SealedRead = 0x0c01 "sealed.read";
    /// A subject's data key was deleted, and with it the subject's payloads.
    SubjectErased = 0x0c02 "subject.erased";
    /// A person became protected, or is so no more.
    ProtectionChanged = 0x0c03 "protection.changed";

    /// Versions of profiles were taken into use.
    ProfileVersion = 0x0d01 "profile.version";
    /// What profiles make of their samples was recorded, or differs from what is on record.
    ProfileCanary = 0x0d02 "profile.canary";

    /// A job was planned.
    JobPlanned = 0x0e01 "job.planned";
    /// The certificates of a job are being looked for.
    JobSelecting = 0x0e02 "job.selecting";
    /// The certificates of a job were counted and frozen under a hash.
    JobForecast = 0x0e03 "job.forecast";
    /// A job was started by the client that planned it.
    JobStarted = 0x0e04 "job.started";
    /// Another client agreed to a job.
    JobApproved = 0x0e05 "job.approved";
    /// A job was paused.
    JobPaused = 0x0e06 "job.paused";
    /// A paused job goes on.
    JobResumed = 0x0e07 "job.resumed";
    /// A job was cancelled.
    JobCancelled = 0x0e08 "job.cancelled";
    /// Certificates of a job were revoked.
    JobRevoked = 0x0e09 "job.revoked";

    /// An organisation was added to the tree.
    OrganisationAdded = 0x0f01 "organisation.added";
    /// An organisation was changed: its name, number, last day, or what it lies under.
    OrganisationChanged = 0x0f02 "organisation.changed";
    /// An organisation got its last day.
    OrganisationEnded = 0x0f03 "organisation.ended";

    /// An organisation stated a domain, or a new token was given out for one.
    DomainStated = 0x1001 "domain.stated";
    /// Control of a domain was proved.
    DomainProved = 0x1002 "domain.proved";
    /// A domain was withdrawn.
    DomainWithdrawn = 0x1003 "domain.withdrawn";

    /// Somebody asked for another person's approval of a call.
    ApprovalAsked = 0x1101 "approval.asked";
    /// Another person approved a call.
    ApprovalGiven = 0x1102 "approval.given";
    /// Another person said no to a call.
    ApprovalRejected = 0x1103 "approval.rejected";
    /// Who asked for an approval took that back.
    ApprovalWithdrawn = 0x1104 "approval.withdrawn";
    /// An approved call came.
    ApprovalUsed = 0x1105 "approval.used";

    /// Two persons activated a configuration.
    ConfigurationActivated = 0x1201 "configuration.activated";
    /// A start found a configuration that nobody has activated: it issues nothing.
    ConfigurationNotActivated = 0x1202 "configuration.not-activated";
}

impl EventCode {
    /// Reads a leaf's number; `None` if there is no such event.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }
}

impl fmt::Display for EventCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventCode {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.iter().copied().find(|code| code.name() == text).ok_or(UnknownEvent)
    }
}

/// The text is not the name of an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not the name of an audit event")]
pub struct UnknownEvent;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_read_back() {
        let numbers: Vec<u16> = EventCode::ALL.iter().map(|code| code.number()).collect();
        let names: BTreeSet<&str> = EventCode::ALL.iter().map(|code| code.name()).collect();

        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:04x?}");
        assert_eq!(names.len(), EventCode::ALL.len());
        for code in EventCode::ALL {
            assert_eq!(EventCode::from_number(code.number()), Some(*code));
            assert_eq!(code.name().parse(), Ok(*code));
        }
    }

    #[test]
    fn refuses_numbers_and_names_that_are_none() {
        for number in [0, 0x0100, 0x0100 + 255, u16::MAX] {
            assert_eq!(EventCode::from_number(number), None, "{number:04x}");
        }
        assert_eq!("certificate.deleted".parse::<EventCode>(), Err(UnknownEvent));
    }
}

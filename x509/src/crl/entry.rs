//! One entry of revokedCertificates (RFC 5280 §5.1.2.6, §5.3).

use thiserror::Error;

use crate::oid;
use crate::serial::SerialNumber;
use crate::stream;
use crate::time::UnixTime;
use crate::time_der::{self, TimeForm};
use crate::tlv::{self, Element, Elements};

/// Why a certificate was revoked, as CRLs and OCSP answers write it (RFC 5280 §5.3.1).
///
/// `unspecified` has no value here because it is written by leaving the reason out, and 7 is not
/// used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// The private key is or may be known to others.
    KeyCompromise,
    /// The same for a CA's key; for CA certificates only.
    CaCompromise,
    /// A name or other fact in the certificate has changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// No longer needed.
    CessationOfOperation,
    /// Suspended, or not yet activated.
    CertificateHold,
    /// Released from hold or expired; in delta CRLs only.
    RemoveFromCrl,
    /// A privilege in the certificate was withdrawn.
    PrivilegeWithdrawn,
    /// The same as caCompromise for attribute authorities.
    AaCompromise,
}

impl ReasonCode {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 9] = [
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::RemoveFromCrl,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The value of the CRLReason ENUMERATED.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::RemoveFromCrl => 8,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// The reason of a CRLReason value; `None` for 0 (unspecified), 7 and what lies above 10.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedEntry {
    /// The certificate's serial number, octets as received.
    pub serial: SerialNumber,
    /// When the CA revoked it (RFC 5280 §5.1.2.6).
    pub revocation_date: UnixTime,
    /// Absent for unspecified (RFC 5280 §5.3.1).
    pub reason: Option<ReasonCode>,
    /// Since when the key may have been in other hands (RFC 5280 §5.3.2).
    pub invalidity_date: Option<UnixTime>,
}

const ENUMERATED: u8 = 0x0a;
const REASON_OID: &[u8] = oid::extension::REASON_CODE.as_bytes();
const INVALIDITY_OID: &[u8] = oid::extension::INVALIDITY_DATE.as_bytes();
/// `Extension { 2.5.29.21, OCTET STRING { ENUMERATED } }` without the code at its end.
const REASON_HEAD: &[u8] = &[0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01];
const REASON_LENGTH: u64 = 12;
/// `Extension { 2.5.29.24, OCTET STRING { GeneralizedTime } }` without the 15 digits at its end.
const INVALIDITY_HEAD: &[u8] = &[0x30, 0x18, 0x06, 0x03, 0x55, 0x1d, 0x18, 0x04, 0x11, 0x18, 0x0f];
const INVALIDITY_LENGTH: u64 = 26;

impl RevokedEntry {
    /// Octets that [`Self::encode_into`] appends.
    #[must_use]
    pub fn encoded_length(&self) -> u64 {
        let content = self.content_length();
        stream::header_length(content).saturating_add(content)
    }

    fn content_length(&self) -> u64 {
        let date = match TimeForm::of(self.revocation_date) {
            TimeForm::Utc => 15,
            TimeForm::Generalized => 17,
        };
        let extensions = match self.extensions_length() {
            0 => 0,
            length => length.saturating_add(2),
        };
        stream::octets(self.serial.as_octets())
            .saturating_add(2)
            .saturating_add(date)
            .saturating_add(extensions)
    }

    const fn extensions_length(&self) -> u64 {
        let reason = if self.reason.is_some() { REASON_LENGTH } else { 0 };
        let invalidity = if self.invalidity_date.is_some() { INVALIDITY_LENGTH } else { 0 };
        reason.saturating_add(invalidity)
    }

    /// Appends the entry's DER. The date is UTCTime until 2049 and GeneralizedTime from 2050
    /// (RFC 5280 §5.1.2.6); the invalidity date is always GeneralizedTime (§5.3.2).
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        stream::push_header(out, tlv::SEQUENCE, self.content_length());
        stream::push(out, tlv::INTEGER, self.serial.as_octets());
        time_der::push_time(out, self.revocation_date);
        let extensions = self.extensions_length();
        if extensions == 0 {
            return;
        }
        stream::push_header(out, tlv::SEQUENCE, extensions);
        if let Some(reason) = self.reason {
            out.extend_from_slice(REASON_HEAD);
            out.push(reason.code());
        }
        if let Some(date) = self.invalidity_date {
            out.extend_from_slice(INVALIDITY_HEAD);
            time_der::push_generalized_digits(out, date);
        }
    }

    /// Reads the content of one entry's SEQUENCE.
    ///
    /// Unspecified written as 0 reads as absent; extensions that we do not know are passed over
    /// unless they are critical.
    ///
    /// # Errors
    ///
    /// [`EntryError`], which names the field.
    pub fn from_content(content: &[u8]) -> Result<Self, EntryError> {
        let mut fields = Elements::of(content);
        let field = |name| move |_| EntryError::Field(name);
        let serial = fields.tagged(tlv::INTEGER).map_err(field("userCertificate"))?;
        let serial = SerialNumber::from_content_octets(serial.content)
            .map_err(|_| EntryError::SerialLength { octets: serial.content.len() })?;
        let date = fields.any().map_err(field("revocationDate"))?;
        let revocation_date = time_der::parse_time(date.tag, date.content)
            .ok_or(EntryError::Field("revocationDate"))?;
        let mut entry = Self { serial, revocation_date, reason: None, invalidity_date: None };
        let extensions = field("crlEntryExtensions");
        if let Some(list) = fields.optional(tlv::SEQUENCE).map_err(extensions)? {
            match list.content.strip_prefix(REASON_HEAD) {
                // By far the most entries have a reason and nothing else.
                Some(&[code]) => entry.reason = stated(code)?,
                _ => entry.read_extensions(list.elements())?,
            }
        }
        fields.finish().map_err(field("crlEntryExtensions"))?;
        Ok(entry)
    }

    fn read_extensions(&mut self, mut list: Elements<'_>) -> Result<(), EntryError> {
        while !list.is_empty() {
            let parts = list
                .tagged(tlv::SEQUENCE)
                .ok()
                .and_then(|extension| super::extension::split(extension.elements()))
                .ok_or(EntryError::Field("crlEntryExtensions"))?;
            match parts.oid {
                REASON_OID => {
                    let code = Element::only(parts.value, ENUMERATED)
                        .map_err(|_| EntryError::Field("reasonCode"))?
                        .content;
                    let [code] = *code else { return Err(EntryError::Field("reasonCode")) };
                    self.reason = stated(code)?;
                }
                INVALIDITY_OID => {
                    let date = Element::only(parts.value, tlv::GENERALIZED_TIME)
                        .ok()
                        .and_then(|date| time_der::parse_time(date.tag, date.content))
                        .ok_or(EntryError::Field("invalidityDate"))?;
                    self.invalidity_date = Some(date);
                }
                _ if parts.critical => return Err(EntryError::Critical),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The reason of a code; unspecified (0) reads as absent.
fn stated(code: u8) -> Result<Option<ReasonCode>, EntryError> {
    match code {
        0 => Ok(None),
        code => ReasonCode::from_code(code).map(Some).ok_or(EntryError::ReasonCode { code }),
    }
}

/// Why the octets of an entry were refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryError {
    /// A critical extension that we do not know, certificateIssuer of indirect CRLs among them.
    #[error("entry has a critical extension that is not known")]
    Critical,
    /// The named field is missing or not strict DER.
    #[error("entry field {0} is missing or not strict DER")]
    Field(&'static str),
    /// Not one of the reasons of RFC 5280 §5.3.1.
    #[error("entry has reason code {code}; known are 0 to 6 and 8 to 10")]
    ReasonCode {
        /// The value that was found.
        code: u8,
    },
    /// RFC 5280 §4.1.2.2.
    #[error("entry has a serial number of {octets} octets; allowed are 1 to 20")]
    SerialLength {
        /// Its length.
        octets: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: &[u8], secs: u64) -> RevokedEntry {
        RevokedEntry {
            serial: SerialNumber::from_content_octets(serial).unwrap(),
            revocation_date: UnixTime::from_secs(secs).unwrap(),
            reason: None,
            invalidity_date: None,
        }
    }

    fn encoded(entry: &RevokedEntry) -> Vec<u8> {
        let mut out = Vec::new();
        entry.encode_into(&mut out);
        assert_eq!(stream::octets(&out), entry.encoded_length());
        out
    }

    fn read_back(der: &[u8]) -> Result<RevokedEntry, EntryError> {
        RevokedEntry::from_content(Element::only(der, tlv::SEQUENCE).unwrap().content)
    }

    /// RFC 5280 §5.1.2.6: the last second of 2049 is UTCTime, the next GeneralizedTime.
    #[test]
    fn dates_switch_to_generalized_time_in_2050() {
        let before = encoded(&entry(&[1], 2_524_607_999));
        let after = encoded(&entry(&[1], 2_524_608_000));

        assert_eq!(before, b"\x30\x12\x02\x01\x01\x17\x0d491231235959Z");
        assert_eq!(after, b"\x30\x14\x02\x01\x01\x18\x0f20500101000000Z");
    }

    /// REV-04, REV-06: unspecified is written by absence, the invalidity date as GeneralizedTime.
    #[test]
    fn every_reason_and_date_reads_back() {
        for reason in [None].into_iter().chain(ReasonCode::ALL.map(Some)) {
            for invalidity in [None, Some(UnixTime::from_secs(1_000_000_000).unwrap())] {
                let entry = RevokedEntry {
                    reason,
                    invalidity_date: invalidity,
                    ..entry(&[0, 0x90, 1], 1_700_000_000)
                };

                assert_eq!(read_back(&encoded(&entry)), Ok(entry));
            }
        }
        assert!(!encoded(&entry(&[1], 0)).windows(3).any(|w| w == REASON_OID));
    }

    #[test]
    fn refuses_reason_seven_critical_strangers_and_long_serials() {
        let mut with_reason =
            encoded(&RevokedEntry { reason: Some(ReasonCode::Superseded), ..entry(&[1], 0) });
        *with_reason.last_mut().unwrap() = 7;
        assert_eq!(read_back(&with_reason), Err(EntryError::ReasonCode { code: 7 }));

        let critical =
            b"\x30\x20\x02\x01\x01\x17\x0d491231235959Z\x30\x0c\x30\x0a\x06\x02\x2a\x03\x01\x01\xff\x04\x01\x05";
        assert_eq!(read_back(critical), Err(EntryError::Critical));

        let mut long = vec![0x30, 0x26, 0x02, 21];
        long.extend_from_slice(&[1; 21]);
        long.extend_from_slice(b"\x17\x0d491231235959Z");
        assert_eq!(read_back(&long), Err(EntryError::SerialLength { octets: 21 }));
    }
}

//! Extensions of CRLs and of their entries.

use std::fmt;

use thiserror::Error;

use super::ExtensionValue;
use crate::oid::{ObjectIdentifier, extension};
use crate::time::UnixTime;
use crate::time_der;
use crate::tlv::{self, Element, NotDer};

/// cRLNumber (RFC 5280 §5.2.3): a non-negative number of at most 20 content octets that only grows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrlNumber([u8; 20]);

impl CrlNumber {
    /// Takes a number.
    #[must_use]
    pub fn from_u64(number: u64) -> Self {
        let mut octets = [0; 20];
        octets.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
        Self(octets)
    }

    /// The number where 64 bits hold it; another operator's may be larger.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        let (high, low) = self.0.split_last_chunk::<8>()?;
        high.iter().all(|octet| *octet == 0).then(|| u64::from_be_bytes(*low))
    }

    /// The number after this one.
    ///
    /// # Errors
    ///
    /// [`CrlNumberError::Exhausted`] after the largest that 20 content octets can write.
    pub fn next(self) -> Result<Self, CrlNumberError> {
        let mut octets = self.0;
        for octet in octets.iter_mut().rev() {
            let (sum, carried) = octet.overflowing_add(1);
            *octet = sum;
            if !carried {
                break;
            }
        }
        // A set sign bit would need a 21st octet.
        if octets.first().is_some_and(|first| first & 0x80 != 0) {
            return Err(CrlNumberError::Exhausted);
        }
        Ok(Self(octets))
    }

    /// The octets without leading zeros; one zero octet for zero.
    #[must_use]
    pub fn significant_octets(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|octet| **octet == 0).count().min(19);
        self.0.get(zeros..).unwrap_or_default()
    }
}

impl fmt::Display for CrlNumber {
    /// Decimal where 64 bits hold it, else hexadecimal with `0x`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_u64() {
            Some(number) => write!(f, "{number}"),
            None => {
                f.write_str("0x")?;
                self.significant_octets().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlNumber({self})")
    }
}

impl ExtensionValue for CrlNumber {
    const OID: ObjectIdentifier = extension::CRL_NUMBER;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let content = Element::only(der, tlv::INTEGER)?.integer_octets()?;
        let negative = content.first().is_some_and(|first| first & 0x80 != 0);
        let mut octets = [0; 20];
        if negative || content.len() > octets.len() {
            return Err(NotDer);
        }
        octets.iter_mut().rev().zip(content.iter().rev()).for_each(|(to, from)| *to = *from);
        Ok(Self(octets))
    }

    fn to_value_der(&self) -> Vec<u8> {
        tlv::unsigned_integer(self.significant_octets())
    }
}

/// Why there is no next CRL number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrlNumberError {
    /// RFC 5280 §5.2.3: not longer than 20 octets.
    #[error("CRL number has reached the largest that 20 octets can write")]
    Exhausted,
}

/// deltaCRLIndicator (RFC 5280 §5.2.4): the number of the complete CRL that the delta builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeltaCrlIndicator(pub CrlNumber);

impl ExtensionValue for DeltaCrlIndicator {
    const OID: ObjectIdentifier = extension::DELTA_CRL_INDICATOR;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        CrlNumber::from_value_der(der).map(Self)
    }

    fn to_value_der(&self) -> Vec<u8> {
        self.0.to_value_der()
    }
}

/// reasonCode of a CRL entry (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// unspecified (0): RFC 5280 §5.3.1 wants the extension left away instead.
    Unspecified,
    /// keyCompromise (1).
    KeyCompromise,
    /// cACompromise (2).
    CaCompromise,
    /// affiliationChanged (3).
    AffiliationChanged,
    /// superseded (4).
    Superseded,
    /// cessationOfOperation (5).
    CessationOfOperation,
    /// certificateHold (6).
    CertificateHold,
    /// removeFromCRL (8): in delta CRLs only.
    RemoveFromCrl,
    /// privilegeWithdrawn (9).
    PrivilegeWithdrawn,
    /// aACompromise (10).
    AaCompromise,
}

impl ReasonCode {
    /// All reasons in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Unspecified,
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

    /// The number in CRLs and OCSP answers.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
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

    /// The reason of this number; 7 and those above 10 are none.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl ExtensionValue for ReasonCode {
    const OID: ObjectIdentifier = extension::REASON_CODE;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        let code = Element::only(der, tlv::ENUMERATED)?.small_integer()?;
        Self::from_code(code).ok_or(NotDer)
    }

    fn to_value_der(&self) -> Vec<u8> {
        vec![tlv::ENUMERATED, 1, self.code()]
    }
}

fn generalized_from_der(der: &[u8]) -> Result<UnixTime, NotDer> {
    let element = Element::only(der, tlv::GENERALIZED_TIME)?;
    time_der::parse_time(element.tag, element.content).ok_or(NotDer)
}

fn generalized_to_der(time: UnixTime) -> Vec<u8> {
    let mut der = Vec::new();
    time_der::push_generalized(&mut der, time);
    der
}

/// invalidityDate of a CRL entry (RFC 5280 §5.3.2): GeneralizedTime whatever the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidityDate(pub UnixTime);

impl ExtensionValue for InvalidityDate {
    const OID: ObjectIdentifier = extension::INVALIDITY_DATE;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        generalized_from_der(der).map(Self)
    }

    fn to_value_der(&self) -> Vec<u8> {
        generalized_to_der(self.0)
    }
}

/// expiredCertsOnCRL (X.509 (10/2019) §9.5.2.8): the CRL keeps certificates that expired since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpiredCertsOnCrl(pub UnixTime);

impl ExtensionValue for ExpiredCertsOnCrl {
    const OID: ObjectIdentifier = extension::EXPIRED_CERTS_ON_CRL;

    fn from_value_der(der: &[u8]) -> Result<Self, NotDer> {
        generalized_from_der(der).map(Self)
    }

    fn to_value_der(&self) -> Vec<u8> {
        generalized_to_der(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRO-01: minimal INTEGER at every boundary.
    #[test]
    fn writes_crl_numbers_minimally() {
        for (number, der) in [
            (0, &[2, 1, 0][..]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (256, &[2, 2, 1, 0]),
            (u64::MAX, &[2, 9, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            let value = CrlNumber::from_u64(number);

            assert_eq!(value.to_value_der(), der);
            assert_eq!(CrlNumber::from_value_der(der), Ok(value));
            assert_eq!(value.to_u64(), Some(number));
        }
    }

    #[test]
    fn counts_past_64_bits_and_stops_at_20_octets() {
        let beyond = CrlNumber::from_u64(u64::MAX).next().unwrap();
        let mut largest = [0xff; 20];
        largest[0] = 0x7f;

        assert_eq!(beyond.to_u64(), None);
        assert_eq!(beyond.to_string(), "0x010000000000000000");
        assert!(beyond > CrlNumber::from_u64(u64::MAX));
        assert_eq!(CrlNumber(largest).next(), Err(CrlNumberError::Exhausted));
    }

    #[test]
    fn refuses_negative_numbers_and_21_octets() {
        let long = [&[2, 21, 1][..], &[0; 20]].concat();

        assert_eq!(CrlNumber::from_value_der(&[2, 1, 0xff]), Err(NotDer));
        assert_eq!(CrlNumber::from_value_der(&long), Err(NotDer));
    }

    #[test]
    fn reads_every_reason_and_refuses_the_unused_codes() {
        for reason in ReasonCode::ALL {
            assert_eq!(ReasonCode::from_value_der(&reason.to_value_der()), Ok(reason));
        }
        for code in [7, 11, 127] {
            assert_eq!(ReasonCode::from_value_der(&[10, 1, code]), Err(NotDer));
        }
    }

    /// RFC 5280 §5.3.2: GeneralizedTime before 2050 too, without a fraction.
    #[test]
    fn writes_invalidity_dates_as_generalized_time() {
        let date = InvalidityDate(UnixTime::from_secs(1_800_000_000).unwrap());

        let der = date.to_value_der();

        assert_eq!(der, b"\x18\x0f20270115080000Z");
        assert_eq!(InvalidityDate::from_value_der(&der), Ok(date));
        assert_eq!(InvalidityDate::from_value_der(b"\x17\x0d270115080000Z"), Err(NotDer));
        assert_eq!(InvalidityDate::from_value_der(b"\x18\x1120270115080000.0Z"), Err(NotDer));
    }
}

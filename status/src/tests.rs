//! Tests of entries and of the index that is made from them.

mod entries;
mod projection;

use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::issuer::IssuerRef;
use crate::shown::{AfterExpiry, AnswerClasses, BeforeActivation};

const CLASSES: AnswerClasses =
    AnswerClasses { before_activation: BeforeActivation::Good, after_expiry: AfterExpiry::Kept };

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn serial(octets: &[u8]) -> SerialNumber {
    SerialNumber::from_content_octets(octets).unwrap()
}

const ISSUER: IssuerRef = IssuerRef::from_index(0);

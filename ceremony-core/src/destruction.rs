//! How a key is destroyed: what its lines are called, and when no certificate of its CA needs it any more.

use x509::time::UnixTime;

/// What an ATTEST about one other copy of a key is called. Two people who are there give it, one of them a witness.
pub const OTHER_COPY: &str = "other copy of the key";
/// What the CHECK after it is called.
pub const AFTERWARDS: &str = "the destroyed key";
/// What that has come to.
pub const GONE: &str = "no object in its token, and no signature by it";

/// Whether a CA's last CRL answers for every certificate of the CA until they have all ended: it is in force as long as the CA's own, or
/// says that there is none after it (99991231235959Z, ETSI EN 319 411-2 CSS-6.3.9-06).
#[must_use]
pub fn is_final(next_update: UnixTime, end_of_ca: UnixTime) -> bool {
    next_update >= end_of_ca
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KEY-08: nobody is left without an answer.
    #[test]
    fn a_last_crl_lasts_as_long_as_its_ca() {
        let at = |secs: u64| UnixTime::from_secs(secs).unwrap();
        assert!(is_final(at(5), at(5)) && is_final(at(6), at(5)));
        assert!(!is_final(at(4), at(5)));
    }
}

//! Public keys that must not be certified whatever their type (ISS-11).
//!
//! [`check`] judges a key by its own numbers, [`KeyBook`] by what else is known of it: the CA's own keys
//! and lists of keys whose private halves others have. What a key shares with keys certified earlier is
//! the store's matter, and a factor that two moduli share is looked for at night.

mod book;
mod fermat;
mod list;
pub mod shared_factor;

use thiserror::Error;
use x509::key::{KeyError, PublicKey};

pub use book::{KeyBook, KeyRefused};
pub use list::{KeyList, ListClass, ListError, ListedKey};

/// The smallest public exponent (FIPS 186-5 §A.1.1; e = 3 stands in real old certificates).
const SMALLEST_EXPONENT: u64 = 65_537;
/// Moduli are divided by every prime below this (TLS Baseline Requirements §6.1.6, after NIST SP
/// 800-89 §5.3.3).
const TRIAL_LIMIT: u32 = 752;

/// Judges a public key that is to be certified by its own numbers.
///
/// EC: a point of its curve, and none of small order. RSA: exponent odd, at least 65537 and below 2^64;
/// modulus odd, without a prime factor below 752, without the fingerprint of the generator that made
/// predictable primes in 2012-2017 (ROCA, CVE-2017-15361), and not of two primes so close that Fermat's
/// method finds them in 100 rounds (CVE-2022-26320).
///
/// # Errors
///
/// [`WeakKey`] names what is wrong.
pub fn check(key: &PublicKey) -> Result<(), WeakKey> {
    weaknesses(key).next().map_or(Ok(()), Err)
}

/// Judges a public key that another operator, or a ceremony, has certified already.
///
/// What is there is taken in as it is and each weakness is named, so that status can be answered for
/// it. Of an authority's key only a small exponent is tolerated, with which real old roots live: what
/// anybody can sign with is no authority.
///
/// # Errors
///
/// [`WeakKey::Point`] of every key; of an authority's also what lets anybody have its private key.
pub fn of_import(key: &PublicKey, of: ImportedKey) -> Result<Vec<WeakKey>, WeakKey> {
    let found: Vec<WeakKey> = weaknesses(key).collect();
    let refused = found.iter().find(|weak| match weak {
        WeakKey::Point(_) => true,
        WeakKey::SmallExponent { .. } => false,
        _ => of == ImportedKey::Authority,
    });
    refused.map_or(Ok(()), |weak| Err(*weak))?;
    Ok(found)
}

/// Whose key is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedKey {
    /// One that signs certificates, CRLs or OCSP responses.
    Authority,
    /// A subscriber's.
    Subscriber,
}

/// Sees one fault of a modulus and an exponent.
type RsaJudge = fn(&[u8], &[u8]) -> Option<WeakKey>;

/// What is wrong with a key, the cheapest to find first; looked for as it is asked for.
fn weaknesses(key: &PublicKey) -> impl Iterator<Item = WeakKey> {
    let parts = key.rsa_parts();
    let judges: [RsaJudge; 4] = [
        |_, exponent| of_exponent(exponent),
        |modulus, _| small_factor(modulus),
        |modulus, _| has_roca_fingerprint(modulus).then_some(WeakKey::Roca),
        |modulus, _| fermat::has_close_primes(modulus).then_some(WeakKey::ClosePrimes),
    ];
    let of_point = key.check_point().err().map(WeakKey::Point);
    let of_rsa = parts.into_iter().flat_map(move |(modulus, exponent)| {
        judges.into_iter().filter_map(move |judge| judge(&modulus, &exponent))
    });
    of_point.into_iter().chain(of_rsa)
}

fn of_exponent(exponent: &[u8]) -> Option<WeakKey> {
    let value = exponent
        .iter()
        .try_fold(0_u64, |sum, octet| sum.checked_mul(256)?.checked_add(u64::from(*octet)));
    match value {
        Some(value) if value < 3 || value % 2 == 0 => Some(WeakKey::Exponent),
        Some(value) if value < SMALLEST_EXPONENT => Some(WeakKey::SmallExponent { value }),
        Some(_) => None,
        None => Some(WeakKey::Exponent),
    }
}

fn small_factor(modulus: &[u8]) -> Option<WeakKey> {
    primes_below(TRIAL_LIMIT)
        .find(|&prime| remainder(modulus, prime) == 0)
        .map(|factor| WeakKey::SmallFactor { factor })
}

/// The remainder of a big-endian number, four octets at a time.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    let divisor = u64::from(divisor);
    let limb = |octets: &[u8]| octets.iter().fold(0, |sum, octet| (sum << 8) | u64::from(*octet));
    // The first chunk may be short; every other one has 32 bits.
    let chunks = number.rchunks(4).rev();
    let rest = chunks.fold(0_u64, |rest, octets| ((rest << 32) | limb(octets)) % divisor);
    u32::try_from(rest).unwrap_or_default()
}

fn primes_below(limit: u32) -> impl Iterator<Item = u32> {
    let is_prime = |n: &u32| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..limit).filter(is_prime)
}

/// The weak generator made primes that are powers of 65537 modulo a product of small primes, so the
/// modulus is one too (Nemec and others, 2017, §2.2). A modulus of another generator has all these
/// properties with a chance below 2^-27.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    primes_below(168).filter(|prime| *prime > 2).all(|prime| {
        let wanted = remainder(modulus, prime);
        let generator = 65_537 % prime;
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * generator % prime;
            power == wanted
        })
    })
}

/// Why a key must not be certified.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeakKey {
    /// The two primes lie so close together that the modulus is factored at once.
    #[error("RSA modulus is the product of two primes close together")]
    ClosePrimes,
    /// Even, 1 or above 64 bits: no exponent that RSA works with, or none that anybody uses.
    #[error("RSA exponent is not an odd number from 65537 to 2^64")]
    Exponent,
    /// Not a point of its curve, or one of small order.
    #[error(transparent)]
    Point(KeyError),
    /// Made by a generator whose keys can be factored.
    #[error("RSA modulus has the fingerprint of CVE-2017-15361")]
    Roca,
    /// Odd and below 65537, mostly 3.
    #[error("RSA exponent is {value}, below 65537")]
    SmallExponent {
        /// The exponent.
        value: u64,
    },
    /// The modulus has a small prime factor.
    #[error("RSA modulus is divisible by {factor}")]
    SmallFactor {
        /// The factor.
        factor: u32,
    },
}

impl WeakKey {
    /// The name under which it stands among the defects of a certificate that was taken in.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::ClosePrimes => "key-close-primes",
            Self::Exponent => "key-exponent",
            Self::Point(_) => "key-point",
            Self::Roca => "key-roca",
            Self::SmallExponent { .. } => "key-small-exponent",
            Self::SmallFactor { .. } => "key-small-factor",
        }
    }
}

#[cfg(test)]
mod tests;

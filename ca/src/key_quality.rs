//! Public keys that must not be certified whatever their type (ISS-11).
//!
//! EC points are judged where the key first verifies something: the library refuses a point that is
//! not on its curve, and every key here has signed its own request.

mod fermat;

use thiserror::Error;
use x509::key::PublicKey;

/// The smallest public exponent (FIPS 186-5 §A.1.1; e = 3 stands in real old certificates).
const SMALLEST_EXPONENT: u64 = 65_537;
/// Moduli are divided by every prime below this (TLS Baseline Requirements §6.1.6, after NIST SP
/// 800-89 §5.3.3).
const TRIAL_LIMIT: u32 = 752;

/// Judges a public key by its own numbers.
///
/// RSA: exponent odd, at least 65537 and below 2^64; modulus odd, without a prime factor below 752,
/// without the fingerprint of the generator that made predictable primes in 2012-2017 (ROCA,
/// CVE-2017-15361), and not of two primes so close that Fermat's method finds them in 100 rounds
/// (CVE-2022-26320).
///
/// # Errors
///
/// [`WeakKey`] names what is wrong.
pub fn check(key: &PublicKey) -> Result<(), WeakKey> {
    let Some((modulus, exponent)) = key.rsa_parts() else { return Ok(()) };
    let exponent = exponent
        .iter()
        .try_fold(0_u64, |sum, octet| sum.checked_mul(256)?.checked_add(u64::from(*octet)));
    match exponent {
        Some(e) if e >= SMALLEST_EXPONENT && e % 2 == 1 => {}
        _ => return Err(WeakKey::Exponent),
    }
    if let Some(factor) = primes_below(TRIAL_LIMIT).find(|&prime| remainder(&modulus, prime) == 0) {
        return Err(WeakKey::SmallFactor { factor });
    }
    if has_roca_fingerprint(&modulus) {
        return Err(WeakKey::Roca);
    }
    if fermat::has_close_primes(&modulus) {
        return Err(WeakKey::ClosePrimes);
    }
    Ok(())
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
    /// Even, below 65537 or above 64 bits.
    #[error("RSA exponent is not an odd number from 65537 to 2^64")]
    Exponent,
    /// Made by a generator whose keys can be factored.
    #[error("RSA modulus has the fingerprint of CVE-2017-15361")]
    Roca,
    /// The modulus has a small prime factor.
    #[error("RSA modulus is divisible by {factor}")]
    SmallFactor {
        /// The factor.
        factor: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number just below 2^2048, found by search.
    fn modulus_without_small_factors() -> Vec<u8> {
        let mut modulus = vec![0xff; 256];
        for low in (1..=0xffff_u16).rev().filter(|low| low % 2 == 1) {
            modulus[254..].copy_from_slice(&low.to_be_bytes());
            if primes_below(TRIAL_LIMIT).all(|prime| remainder(&modulus, prime) != 0) {
                return modulus;
            }
        }
        panic!("no such number")
    }

    fn judge(modulus: &[u8], exponent: &[u8]) -> Result<(), WeakKey> {
        check(&PublicKey::from_rsa_parts(modulus, exponent).unwrap())
    }

    /// ISS-11: one vector per class.
    #[test]
    fn refuses_even_small_and_oversized_exponents() {
        let modulus = modulus_without_small_factors();

        assert_eq!(judge(&modulus, &[1, 0, 1]), Ok(()));
        for exponent in [&[3][..], &[1], &[0xff, 0xff], &[1, 0, 2], &[1; 9]] {
            assert_eq!(judge(&modulus, exponent), Err(WeakKey::Exponent), "{exponent:?}");
        }
    }

    #[test]
    fn refuses_moduli_with_small_factors() {
        let mut even = modulus_without_small_factors();
        even[255] ^= 1;

        assert_eq!(judge(&even, &[1, 0, 1]), Err(WeakKey::SmallFactor { factor: 2 }));

        // 751, the largest prime below the limit, times 2^2048 + 1.
        let mut product = vec![0; 258];
        product[0..2].copy_from_slice(&751_u16.to_be_bytes());
        product[256..].copy_from_slice(&751_u16.to_be_bytes());
        assert!(matches!(judge(&product, &[1, 0, 1]), Err(WeakKey::SmallFactor { .. })));
    }

    /// ISS-11: keys made as weak generators made them, and their neighbours that are sound.
    #[test]
    fn judges_keys_as_weak_generators_made_them() {
        let table = include_str!("key_quality/weak-keys.tsv");
        for line in table.lines() {
            let [name, verdict, digits] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let modulus: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();

            let wanted = match verdict {
                "good" => Ok(()),
                "close" => Err(WeakKey::ClosePrimes),
                "roca" => Err(WeakKey::Roca),
                other => panic!("{other}"),
            };
            assert_eq!(judge(&modulus, &[1, 0, 1]), wanted, "{name}");
        }
        assert_eq!(table.lines().count(), 7);
    }

    /// A number that is 65537^k modulo every small prime: 65537 itself has the fingerprint.
    #[test]
    fn knows_the_fingerprint_of_predictable_primes() {
        assert!(has_roca_fingerprint(&[1, 0, 1]));
        assert!(has_roca_fingerprint(&65_537_u64.pow(3).to_be_bytes()));
        assert!(!has_roca_fingerprint(&modulus_without_small_factors()));
    }
}

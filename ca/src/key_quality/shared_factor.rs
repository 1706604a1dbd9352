//! RSA keys that share a prime with another one: both are factored by a greatest common divisor (ISS-11).
//!
//! Whoever has many public keys finds such pairs in an hour (Heninger and others, 2012), so the one who
//! certifies them looks first. A block of moduli is compared with all others at once: with their
//! products, by a scaled remainder tree (Bernstein, 2004), whose cost rises little faster than the
//! number of keys.

use num_bigint::BigUint;
use num_integer::Integer as _;
use num_traits::{One as _, Zero as _};

/// How many moduli a block has at most: its product has a megabyte at 2048 bits.
pub const BLOCK: usize = 4096;
/// Fraction bits beyond a modulus's own: each of the at most 13 levels of a tree costs two.
const GUARD: u64 = 64;
/// Factors below this are looked for as well; a key that is to be certified is divided by far fewer.
const SMALL_PRIMES: u32 = 65_536;

/// A block of moduli that is compared with others.
pub struct Survey {
    /// The moduli, then products of pairs, up to the product of all.
    levels: Vec<Vec<BigUint>>,
    /// 2^(2n + [`GUARD`]) divided by the product of all, which has n bits.
    reciprocal: BigUint,
    /// For each modulus the product of what it has met, modulo itself.
    met: Vec<BigUint>,
}

impl Survey {
    /// Begins with the moduli of at most [`BLOCK`] keys (big-endian, above 1), compared with each other
    /// and with the primes below 65536.
    #[must_use]
    pub fn of(moduli: &[Vec<u8>]) -> Self {
        let leaves: Vec<BigUint> = moduli.iter().map(|one| BigUint::from_bytes_be(one)).collect();
        let met = vec![BigUint::one(); leaves.len()];
        let levels = tree(leaves);
        let bits = levels.last().and_then(|top| top.first()).map_or(0, BigUint::bits);
        let reciprocal = root(&levels).map_or_else(BigUint::zero, |root| {
            reciprocal(root, bits.saturating_mul(2).saturating_add(GUARD))
        });
        let mut survey = Self { levels, reciprocal, met };
        survey.meet_number(&others_product(&survey.levels));
        survey.meet_number(&small_primes());
        survey
    }

    /// Compares with the moduli of other keys.
    pub fn meet(&mut self, moduli: &[Vec<u8>]) {
        let leaves = moduli.iter().map(|one| BigUint::from_bytes_be(one)).collect();
        if let Some(product) = root(&tree(leaves)).cloned() {
            self.meet_number(&product);
        }
    }

    /// The places of the moduli that have a factor in common with one that was met, or a small one.
    #[must_use]
    pub fn suspects(&self) -> Vec<usize> {
        let Some(moduli) = self.levels.first() else { return Vec::new() };
        let pairs = moduli.iter().zip(&self.met).enumerate();
        let shared = pairs.filter(|(_, (modulus, met))| !modulus.gcd(met).is_one());
        shared.map(|(place, _)| place).collect()
    }

    fn meet_number(&mut self, number: &BigUint) {
        let Some(root) = root(&self.levels) else { return };
        let bits = root.bits();
        // The fraction number / root, without its whole part.
        let fraction = ((number % root) * &self.reciprocal) >> bits;
        let top = self.levels.len().saturating_sub(1);
        let mut open = vec![(top, 0_usize, fraction)];
        while let Some((level, place, fraction)) = open.pop() {
            let Some(node) = self.node(level, place) else { continue };
            let bits = node.bits().saturating_add(GUARD);
            let Some(below) = level.checked_sub(1) else {
                let rest = remainder(&fraction, node, bits);
                if let Some(met) = self.met.get_mut(place) {
                    *met = &*met * rest % node_of(&self.levels, place);
                }
                continue;
            };
            let left = place.saturating_mul(2);
            let right = left.saturating_add(1);
            for (child, sibling) in [(left, right), (right, left)] {
                let Some(modulus) = self.node(below, child) else { continue };
                let fraction = match self.node(below, sibling) {
                    Some(sibling) => {
                        let own = modulus.bits().saturating_add(GUARD);
                        low_bits(&fraction * sibling, bits) >> bits.saturating_sub(own)
                    }
                    // The last of an odd row is its own parent.
                    None => fraction.clone(),
                };
                open.push((below, child, fraction));
            }
        }
    }

    fn node(&self, level: usize, place: usize) -> Option<&BigUint> {
        self.levels.get(level)?.get(place)
    }
}

/// Whether two moduli (big-endian) have a factor in common.
#[must_use]
pub fn have_common_factor(one: &[u8], other: &[u8]) -> bool {
    !BigUint::from_bytes_be(one).gcd(&BigUint::from_bytes_be(other)).is_one()
}

/// Whether a modulus (big-endian) has a prime factor below 65536.
#[must_use]
pub fn has_small_factor(modulus: &[u8]) -> bool {
    let modulus = BigUint::from_bytes_be(modulus);
    !modulus.gcd(&(small_primes() % &modulus)).is_one()
}

fn node_of(levels: &[Vec<BigUint>], place: usize) -> BigUint {
    levels.first().and_then(|row| row.get(place)).cloned().unwrap_or_else(BigUint::one)
}

fn root(levels: &[Vec<BigUint>]) -> Option<&BigUint> {
    levels.last()?.first()
}

/// Products of pairs of products, up to one. Empty for no numbers.
fn tree(leaves: Vec<BigUint>) -> Vec<Vec<BigUint>> {
    let mut levels = Vec::new();
    let mut row = leaves;
    while row.len() > 1 {
        let above = row.chunks(2).map(|pair| pair.iter().product()).collect();
        levels.push(std::mem::replace(&mut row, above));
    }
    levels.push(row);
    levels
}

/// The sum over all leaves of the product of the others: modulo a leaf it is the product of the others.
fn others_product(levels: &[Vec<BigUint>]) -> BigUint {
    let mut sums: Vec<BigUint> =
        levels.first().map_or_else(Vec::new, |row| row.iter().map(|_| BigUint::one()).collect());
    for row in levels {
        if sums.len() < 2 {
            break;
        }
        let pairs = sums.chunks(2).zip(row.chunks(2));
        sums = pairs
            .map(|(sums, products)| match (sums, products) {
                ([left, right], [of_left, of_right]) => left * of_right + right * of_left,
                (sums, _) => sums.first().cloned().unwrap_or_default(),
            })
            .collect();
    }
    sums.into_iter().next().unwrap_or_default()
}

/// 2^`power` / `divisor`, rounded down or one off: its error is far below [`GUARD`].
fn reciprocal(divisor: &BigUint, power: u64) -> BigUint {
    let bits = divisor.bits();
    let precision = power.saturating_sub(bits);
    if precision <= 4096 {
        return (BigUint::one() << power) / divisor;
    }
    // Newton's step from half the precision, with that much of the divisor.
    let half = precision / 2 + 32;
    let cut = bits.saturating_sub(half.saturating_add(32));
    let rough = reciprocal(&(divisor >> cut), bits.saturating_sub(cut).saturating_add(half));
    let twice = &rough << precision.saturating_sub(half).saturating_add(1);
    let square = (divisor * (&rough * &rough))
        >> bits.saturating_add(half.saturating_mul(2)).saturating_sub(precision);
    if twice > square { twice - square } else { (BigUint::one() << power) / divisor }
}

/// What a fraction of `bits` bits is of `modulus`, rounded to the next whole number.
fn remainder(fraction: &BigUint, modulus: &BigUint, bits: u64) -> BigUint {
    let half = BigUint::one() << bits.saturating_sub(1);
    let whole = (fraction * modulus + half) >> bits;
    if whole < *modulus { whole } else { BigUint::zero() }
}

fn low_bits(number: BigUint, bits: u64) -> BigUint {
    let high = (&number >> bits) << bits;
    number - high
}

fn small_primes() -> BigUint {
    super::primes_below(SMALL_PRIMES).map(BigUint::from).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_quality::tests::vectors_of;

    fn modulus(key: &x509::key::PublicKey) -> Vec<u8> {
        key.rsa_parts().unwrap().0
    }

    /// Odd numbers of 2048 bits from a fixed seed; primes do not matter to the arithmetic.
    fn numbers(count: u64, seed: u64) -> Vec<Vec<u8>> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).to_le_bytes()[0]
        };
        (0..count)
            .map(|_| {
                let mut octets: Vec<u8> = (0..256).map(|_| next()).collect();
                octets[0] |= 0x80;
                octets[255] |= 1;
                octets
            })
            .collect()
    }

    /// ISS-11: two public keys with one prime between them, in one block and in two.
    #[test]
    fn finds_the_public_vectors_that_share_a_prime() {
        let (refused, sound) = vectors_of("shared-factor");
        let [one, other] = [modulus(&refused[0]), modulus(&refused[1])];
        let sound = modulus(&sound[0]);

        let within = Survey::of(&[sound.clone(), one.clone(), other.clone()]);
        assert_eq!(within.suspects(), [1, 2]);

        let mut between = Survey::of(&[sound.clone(), one.clone()]);
        assert_eq!(between.suspects(), Vec::<usize>::new());
        between.meet(std::slice::from_ref(&sound));
        assert_eq!(between.suspects(), [0], "the same modulus twice is one factor in common");
        between.meet(std::slice::from_ref(&other));
        assert_eq!(between.suspects(), [0, 1]);
        assert!(have_common_factor(&one, &other));
        assert!(!have_common_factor(&one, &sound));
    }

    /// ISS-11: a factor that is too large to be looked for when a key is certified.
    #[test]
    fn finds_factors_above_those_that_every_key_is_divided_by() {
        let (refused, sound) = vectors_of("factor-above-751");
        let moduli = [modulus(&sound[0]), modulus(&refused[0])];

        assert!(crate::key_quality::check(&refused[0]).is_ok());
        assert_eq!(Survey::of(&moduli).suspects(), [1]);
        assert!(has_small_factor(&moduli[1]) && !has_small_factor(&moduli[0]));
    }

    /// The remainders of the tree are those of plain division, for rows of every length.
    #[test]
    fn the_tree_agrees_with_plain_division() {
        let number = numbers(9, 7).iter().map(|one| BigUint::from_bytes_be(one)).product();
        for count in [1, 2, 3, 4, 5, 7, 8, 33] {
            let mut moduli = numbers(count, 3 + count);
            // Sizes differ, too.
            moduli[0].truncate(130);
            let mut survey = Survey::of(&moduli);
            survey.met.fill(BigUint::one());
            survey.meet_number(&number);
            for (place, modulus) in moduli.iter().enumerate() {
                let plain = &number % BigUint::from_bytes_be(modulus);
                assert_eq!(survey.met[place], plain, "{place} of {count}");
            }
        }
    }

    #[test]
    fn a_survey_of_nothing_suspects_nothing() {
        let mut survey = Survey::of(&[]);
        survey.meet(&[vec![3]]);

        assert!(survey.suspects().is_empty());
    }

    /// Measured by hand: `cargo test --release -p ca --lib ten_thousand -- --ignored --nocapture`.
    #[test]
    #[ignore = "takes minutes without optimisation"]
    fn ten_thousand_keys_are_compared_with_each_other() {
        let (refused, _) = vectors_of("shared-factor");
        let mut moduli = numbers(10_000, 5);
        moduli[17] = modulus(&refused[0]);
        moduli[9_999] = modulus(&refused[1]);
        let blocks: Vec<&[Vec<u8>]> = moduli.chunks(BLOCK).collect();
        for (place, block) in blocks.iter().enumerate() {
            let mut survey = Survey::of(block);
            blocks[..place].iter().for_each(|earlier| survey.meet(earlier));
            println!("block {place}: {} suspects", survey.suspects().len());
        }
    }
}

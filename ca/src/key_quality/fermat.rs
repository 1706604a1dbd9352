//! Fermat's method: a modulus whose two primes lie close together is factored in moments.
//!
//! With a = ceil(sqrt(n)), a+1, a+2 and so on: where a^2 - n is a square b^2, n is (a - b)(a + b). Keys
//! of printers were made so (CVE-2022-26320).

use std::cmp::Ordering;

/// As many rounds as the requirement names; primes drawn apart need more than there are atoms.
const ROUNDS: u32 = 100;

/// Whether the method factors a modulus, big-endian, within [`ROUNDS`] rounds.
pub(super) fn has_close_primes(modulus: &[u8]) -> bool {
    let (mut root, above) = Natural::from_be_octets(modulus).square_root();
    if above.is_zero() {
        return true;
    }
    // n = r^2 + m, so with a = r + 1: a^2 - n = 2r + 1 - m; and for the next a it is 2a + 1 more.
    let mut difference = root.twice_and_one();
    difference.subtract(&above);
    for _ in 0..ROUNDS {
        if difference.is_square() {
            return true;
        }
        root.add(&Natural::one());
        difference.add(&root.twice_and_one());
    }
    false
}

/// A natural number of any length: 32 bits a limb, the lowest first, no zero at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Natural(Vec<u32>);

impl Natural {
    fn one() -> Self {
        Self(vec![1])
    }

    fn from_be_octets(octets: &[u8]) -> Self {
        let limb = |octets: &[u8]| octets.iter().fold(0, |sum, one| (sum << 8) | u32::from(*one));
        Self(octets.rchunks(4).map(limb).collect()).trimmed()
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    const fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn limb(&self, place: usize) -> u32 {
        self.0.get(place).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        let mut carry = false;
        for (place, limb) in self.0.iter_mut().enumerate() {
            let (sum, over) = limb.overflowing_add(other.limb(place));
            let (sum, again) = sum.overflowing_add(u32::from(carry));
            (*limb, carry) = (sum, over || again);
        }
        if carry {
            self.0.push(1);
        }
    }

    /// Takes away a number that is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (place, limb) in self.0.iter_mut().enumerate() {
            let (rest, under) = limb.overflowing_sub(other.limb(place));
            let (rest, again) = rest.overflowing_sub(u32::from(borrow));
            (*limb, borrow) = (rest, under || again);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Appends one or two bits at the low end.
    fn append(&mut self, bits: u32, low: u32) {
        let mut carry = low;
        for limb in &mut self.0 {
            let over = *limb >> 32_u32.saturating_sub(bits);
            *limb = (*limb << bits) | carry;
            carry = over;
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    fn twice_and_one(&self) -> Self {
        let mut twice = self.clone();
        twice.append(1, 1);
        twice
    }

    fn is_below(&self, other: &Self) -> bool {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())) == Ordering::Less
    }

    /// The root, rounded down, and what is left: two bits of the number give one of the root, as
    /// on paper.
    fn square_root(&self) -> (Self, Self) {
        let (mut root, mut left) = (Self(Vec::new()), Self(Vec::new()));
        for limb in self.0.iter().rev() {
            for pair in (0..16).rev() {
                left.append(2, (limb >> (2 * pair)) & 3);
                let mut trial = root.clone();
                trial.append(2, 1);
                let fits = !left.is_below(&trial);
                if fits {
                    left.subtract(&trial);
                }
                root.append(1, u32::from(fits));
            }
        }
        (root, left)
    }

    /// Whether it is a square. Hardly any other number comes past the remainders.
    fn is_square(&self) -> bool {
        const DIVISORS: [u64; 5] = [64, 63, 65, 11, 17];
        let may_be = DIVISORS.iter().all(|&divisor| {
            let by = |rest, limb: &u32| ((rest << 32) | u64::from(*limb)) % divisor;
            let rest = self.0.iter().rev().fold(0, by);
            (0..divisor).any(|one| one * one % divisor == rest)
        });
        may_be && self.square_root().1.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn natural(number: u128) -> Natural {
        Natural::from_be_octets(&number.to_be_bytes())
    }

    proptest! {
        #[test]
        fn roots_and_sums_are_those_of_the_machine(number: u128, other: u64) {
            let (root, left) = natural(number).square_root();
            prop_assert_eq!(&root, &natural(number.isqrt()));
            prop_assert_eq!(left, natural(number - number.isqrt().pow(2)));
            prop_assert_eq!(natural(number).is_square(), number.isqrt().pow(2) == number);
            prop_assert!(natural(u128::from(other).pow(2)).is_square());

            let mut sum = natural(number >> 1);
            sum.add(&natural(u128::from(other)));
            prop_assert_eq!(&sum, &natural((number >> 1) + u128::from(other)));
            sum.subtract(&natural(number >> 1));
            prop_assert_eq!(sum, natural(u128::from(other)));
        }
    }

    #[test]
    fn small_products_of_neighbours_are_found() {
        assert!(has_close_primes(&(1009_u64 * 1013).to_be_bytes()));
        assert!(has_close_primes(&(65_537_u64 * 65_537).to_be_bytes()));
        assert!(!has_close_primes(&(1_000_003_u64 * 4_294_967_291).to_be_bytes()));
    }
}

//! Octets of the operating system's generator, for serial numbers and ids. Where it fails or repeats
//! itself nothing is issued (KEY-13).

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ca::refusal::Refusal;

use crate::denied::{Denied, Kind};

/// A source of random octets, watched.
pub(crate) struct Randomness {
    fill: Fill,
    /// How the last draw began. At first zeros, so that a source of zeros is refused at once.
    last: Mutex<[u8; WATCHED]>,
}

type Fill = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// Octets at the beginning of each draw that must differ from those of the one before. A good
/// generator repeats itself so once in 2^64 draws.
const WATCHED: usize = 8;

impl Default for Randomness {
    fn default() -> Self {
        Self::of(getrandom::fill)
    }
}

impl Randomness {
    fn of(fill: Fill) -> Self {
        Self { fill, last: Mutex::new([0; WATCHED]) }
    }

    /// Draws `N` octets, 8 at least.
    ///
    /// # Errors
    ///
    /// `randomness-unavailable` when there are none or they begin as the last ones.
    pub(crate) fn draw<const N: usize>(&self) -> Result<[u8; N], Denied> {
        const { assert!(N >= WATCHED, "what is watched must be drawn") }
        let mut octets = [0; N];
        (self.fill)(&mut octets).map_err(|error| refused(&error))?;
        let begins = *octets.first_chunk::<WATCHED>().unwrap_or(&[0; WATCHED]);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == begins {
            return Err(refused(&"the octets of the last draw again"));
        }
        *last = begins;
        Ok(octets)
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness")
    }
}

fn refused(seen: &dyn fmt::Display) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "randomness-unavailable",
            "KEY-13: serial numbers and ids come from the operating system's generator",
            &seen,
            "a generator that answers, and never twice the same",
            "restart the machine; nothing has been issued",
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::service::testing::World;

    fn code<T: fmt::Debug>(result: Result<T, Denied>) -> &'static str {
        result.unwrap_err().refusal.code
    }

    #[test]
    fn two_draws_differ() {
        let randomness = Randomness::default();

        assert_ne!(randomness.draw::<16>().unwrap(), randomness.draw::<16>().unwrap());
    }

    #[test]
    fn refuses_zeros_and_repetitions() {
        let zeros = Randomness::of(|octets| {
            octets.fill(0);
            Ok(())
        });
        assert_eq!(code(zeros.draw::<8>()), "randomness-unavailable");

        let stuck = Randomness::of(|octets| {
            octets.fill(7);
            Ok(())
        });
        stuck.draw::<20>().unwrap();
        assert_eq!(code(stuck.draw::<20>()), "randomness-unavailable");
        assert_eq!(code(stuck.draw::<10>()), "randomness-unavailable");
    }

    /// KEY-13: without randomness nothing is recorded, signed or issued; with it all goes on.
    #[test]
    fn nothing_is_issued_without_randomness() {
        let broken: [Fill; 2] = [
            |_| Err(getrandom::Error::UNSUPPORTED),
            |octets| {
                octets.fill(7);
                Ok(())
            },
        ];
        for fill in broken {
            let mut world = World::new();
            world.service.randomness = Randomness::of(fill);
            let (status, _) = world.counts();

            assert_eq!(code(world.issue("one")), "randomness-unavailable");

            assert_eq!(world.counts().0, status, "nothing entered the status log");
            assert_eq!(world.signer.signatures.load(Ordering::Relaxed), 0);
            world.service.randomness = Randomness::default();
            world.issue("one").unwrap();
            assert_eq!(world.signer.signatures.load(Ordering::Relaxed), 1);
        }
    }
}

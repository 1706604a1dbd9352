//! Octets of the operating system's generator, for serial numbers and ids. Where it fails or repeats
//! itself nothing is issued (KEY-13).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ca::refusal::Refusal;

use crate::denied::{Denied, Kind};

/// A source of random octets, watched.
pub(crate) struct Randomness {
    fill: Fill,
    /// How the last draw began. At first zeros, so that a source of zeros is refused at once.
    last: Mutex<[u8; WATCHED]>,
    /// Draws that are not watched.
    unwatched: AtomicU64,
}

/// When a caller is told to come back: a generator mends itself seldom.
const COME_BACK: Duration = Duration::from_secs(30);

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
        Self { fill, last: Mutex::new([0; WATCHED]), unwatched: AtomicU64::new(0) }
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

impl Randomness {
    /// Octets that differ from draw to draw and may be told from others' by the generator, where it
    /// works: 16 of it, or zeros, and a count. For what must not wait for it and keeps no secret.
    pub(crate) fn draw_whatever(&self) -> [u8; 24] {
        let mut octets = [0; 24];
        let (drawn, count) = octets.split_at_mut(16);
        // Zeros will do.
        let _drawn = (self.fill)(drawn);
        count.copy_from_slice(&self.unwatched.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        octets
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
    .retry_after(COME_BACK)
}

#[cfg(test)]
mod tests {
    use ca::revocation::Revoker;
    use serde_json::{Value, json};

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

    /// KEY-13: revoking draws nothing that must be secret, and waits for no generator.
    #[test]
    fn revoking_goes_on_without_randomness() {
        let broken: [Fill; 2] = [
            |_| Err(getrandom::Error::UNSUPPORTED),
            |octets| {
                octets.fill(7);
                Ok(())
            },
        ];
        let mut world = World::new();
        for fill in broken {
            world.service.randomness = Randomness::default();
            let ids = ["one", "two"].map(|key| {
                let issued = world.issue(&format!("{key} {fill:p}")).unwrap();
                let shown: Value = serde_json::from_slice(&issued.response.body).unwrap();
                shown["id"].as_str().unwrap().to_owned()
            });
            world.service.randomness = Randomness::of(fill);
            let refused = world.issue("refused").unwrap_err();
            assert!(refused.retry_after.is_some(), "{refused}");

            for id in ids {
                let path = format!("/v1/certificates/{id}/revocation");
                let call = world.call(&path, &id, &json!({ "reason": "keyCompromise" }));
                let revoked =
                    world.run(&call, |service, work| service.revoke(Revoker::Client, &id, work));
                assert_eq!(revoked.unwrap().response.content_type, "done");
            }
        }
    }
}

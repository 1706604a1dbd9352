//! Numbers of lists: above every one that is known, and never below those of their time (CRL-02).
//!
//! Database, publication tree and outer hosts can be lost together, and be put back from one night. Nothing here tells then how far
//! the numbers had come, and all that is left agrees. The time tells: whoever makes a list after all that were lost gives it a
//! higher number, since the numbers of a second begin above those of the seconds before (decision 0038).

use crl::CrlNumber;
use store::CrlScope;
use x509::time::UnixTime;

use super::broken;
use crate::denied::Denied;
use crate::service::Service;
use crate::service::authority::Authority;

impl Service {
    /// Above every number that the store knows, above those that are published here or at an outer host, which a database that
    /// was put back from a backup may not know, and not below those of `now`.
    pub(super) fn next_number(
        &self,
        authority: &Authority,
        now: UnixTime,
    ) -> Result<CrlNumber, Denied> {
        let next = self
            .store()
            .next_crl_number(authority.id, &CrlScope::full())
            .map_err(|e| self.note_storage(&e))?
            .max(CrlNumber::lowest_at(now));
        // All lists of an issuer share their numbers (CRL-08).
        let published = self.files.highest(authority.name()).map_err(|e| broken(authority, &e))?;
        let Some(published) = published else { return Ok(next) };
        let above = published
            .next()
            .ok_or_else(|| broken(authority, &"the published CRL number is the last"))?;
        Ok(next.max(above))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::publication::crl_files::number_of;
    use crate::service::crl::List;
    use crate::service::testing::World;

    /// The number of a list that is made now.
    fn made(world: &World) -> CrlNumber {
        world.service.make_list(world.authority(), List::Full).unwrap();
        let (_, row) = world.service.files.published(&List::Full.path(world.authority())).unwrap();
        number_of(&row).unwrap()
    }

    fn next(world: &World, now: UnixTime) -> CrlNumber {
        world.service.next_number(world.authority(), now).unwrap()
    }

    /// CRL-02: database, publication tree and hosts are put back from a night on which no list had been made yet; nothing that is
    /// left knows of the lists since, and none of their numbers is given again.
    #[test]
    fn numbers_that_nothing_knows_any_more_are_not_given_again() {
        let lost = World::new();
        let numbers = [made(&lost), made(&lost), made(&lost)];
        assert!(numbers.is_sorted() && numbers[0] < numbers[1] && numbers[1] < numbers[2]);

        let put_back = World::new();
        let later = lost.now().checked_add(Duration::from_secs(1)).unwrap();
        assert!(next(&put_back, later) > numbers[2]);
    }

    /// CRL-02: a tree without its manifest, or with an older one, takes no number back; neither does a clock.
    #[test]
    fn numbers_rise_whatever_is_lost_and_whatever_the_clock_says() {
        let mut world = World::new();
        let first = made(&world);
        let manifest = world.service.files.path("crl/manifest");
        let older = fs::read(&manifest).unwrap();
        let mut last = made(&world);
        assert!(last > first);

        fs::write(&manifest, &older).unwrap();
        world.open_files_anew();
        assert!(next(&world, UnixTime::EPOCH) > last);
        last = made(&world);
        fs::remove_file(&manifest).unwrap();
        world.open_files_anew();
        assert!(next(&world, UnixTime::EPOCH) > last);
        last = made(&world);

        // What a host serves that was there when the clock was ahead.
        let served = last.above_by(1 << 40).unwrap();
        world.service.files.keep_above(world.authority().name(), served.clone());
        assert_eq!(made(&world), served.next().unwrap());
    }
}

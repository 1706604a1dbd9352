//! Numbers of lists that are published and that nothing here knows (CRL-02): a database that was put back from a backup, beside
//! a publication tree that is lost.
//!
//! What is listed here and at the outer hosts is known, and numbers go on above it. Where something that should be there cannot be
//! read, nobody can tell how far the numbers have come since; but no more than so many lists can have been made in that time.

use crl::CrlNumber;
use store::{CrlScope, StoreError};
use x509::time::UnixTime;

use super::{List, broken};
use crate::denied::Denied;
use crate::publication::crl_files::number_of;
use crate::service::Service;
use crate::service::authority::Authority;

/// More lists than the schedule makes in a second: one of the full and delta ones every two seconds, eight of shards every two.
const MOST_IN_A_SECOND: u64 = 16;
/// And more than are made beside it in one go: the last one of each shard.
const MOST_AT_ONCE: u64 = 1 << 20;

impl Service {
    /// Leaps over the numbers that may have been given since the last list that is known, where the manifest here is lost or
    /// older than the database, or an outer host has not said what it serves. Called at the start, before a list is made.
    pub(crate) fn leap_over_unknown_numbers(&self) -> Result<(), Denied> {
        for authority in self.authorities.values().filter(|authority| authority.signs_here()) {
            self.leap(authority)?;
        }
        Ok(())
    }

    fn leap(&self, authority: &Authority) -> Result<(), Denied> {
        let last = match self.store().current_crl(authority.id, &CrlScope::full()) {
            // Not imported yet: it has made nothing.
            Err(StoreError::UnknownIssuer) => return Ok(()),
            last => last.map_err(|e| self.note_storage(&e))?,
        };
        let listed = self.files.published(&List::Full.path(authority));
        let listed = listed.and_then(|(_, row)| number_of(&row));
        let is_lost = last
            .as_ref()
            .is_some_and(|row| row.published.is_some() && listed < Some(row.number.clone()));
        let silent = self.outer_hosts.silent();
        if !is_lost && silent.is_empty() {
            return Ok(());
        }
        let since = last
            .map_or_else(|| authority.certificate.validity().not_before(), |row| row.this_update);
        let next = self.next_number(authority)?;
        let leapt = leapt(&next, since, self.clock().read().now);
        let leapt = leapt.ok_or_else(|| broken(authority, &"no CRL number is left to leap to"))?;
        tracing::warn!(
            authority.name = authority.name(),
            crl.number = %leapt,
            hosts = silent.join(", "),
            "CRLs that are published may have numbers that are not known here: the next one leaps over them"
        );
        self.files.keep_above(authority.name(), leapt);
        Ok(())
    }
}

/// A number that no list has that was made since, where `next` was free then.
fn leapt(next: &CrlNumber, since: UnixTime, now: UnixTime) -> Option<CrlNumber> {
    let seconds = now.since(since).as_secs();
    next.above_by(seconds.saturating_mul(MOST_IN_A_SECOND).saturating_add(MOST_AT_ONCE))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::push::OuterHosts;
    use crate::service::testing::World;

    fn number(world: &World) -> CrlNumber {
        world.service.next_number(world.authority()).unwrap()
    }

    /// What a start finds: the tree as it is, and nothing in memory.
    fn started(mut world: World) -> World {
        world.open_files_anew();
        world.service.leap_over_unknown_numbers().unwrap();
        world
    }

    /// CRL-02: with a manifest that is whole numbers go on by one; without it, and with one from before the last list, they
    /// leap by more than can have been made meanwhile.
    #[test]
    fn a_lost_manifest_costs_a_leap_and_no_number_twice() {
        let world = World::new();
        let make = |world: &World| {
            world.service.make_list(world.authority(), List::Full).unwrap();
            number(world)
        };
        assert_eq!(number(&started(World::new())), CrlNumber::first());
        make(&world);
        let manifest = world.service.files.path("crl/manifest");
        let first = fs::read(&manifest).unwrap();
        let second = make(&world);
        let world = started(world);
        assert_eq!(number(&world), second);

        fs::write(&manifest, &first).unwrap();
        let world = started(world);
        let leapt = number(&world);
        assert!(leapt > second.above_by(MOST_AT_ONCE).unwrap(), "{leapt}");

        fs::remove_file(&manifest).unwrap();
        let world = started(world);
        assert!(number(&world) >= leapt);
        let made = make(&world);
        let world = started(world);
        assert_eq!(number(&world), made, "what is listed is known again");
    }

    /// CRL-02: as long as an outer host has not said what it serves, numbers are above all that it can serve.
    #[test]
    fn a_silent_host_costs_a_leap() {
        let mut world = World::new();
        world.service.make_list(world.authority(), List::Full).unwrap();
        let next = number(&world);
        let section = "name = \"o1\"\naddress = \"[::1]:1\"\nkeys = [\"00\"]";
        let hosts = OuterHosts::of(&[toml::from_str(section).unwrap()]);
        hosts.has_told_numbers("o1");
        world.service.outer_hosts = hosts.into();
        world.service.leap_over_unknown_numbers().unwrap();
        assert_eq!(number(&world), next);

        world.service.outer_hosts = OuterHosts::of(&[toml::from_str(section).unwrap()]).into();
        world.service.leap_over_unknown_numbers().unwrap();
        assert!(number(&world) > next.above_by(MOST_AT_ONCE).unwrap());
    }

    /// CRL-02: the leap is larger than what a CA can have made that makes lists without a pause.
    #[test]
    fn the_leap_grows_with_the_time() {
        let (since, day) = (UnixTime::of_day(2026, 11, 23).unwrap(), Duration::from_secs(86_400));
        let next = CrlNumber::from(7);
        let after = |now: UnixTime| leapt(&next, since, now).unwrap();
        let floor = next.above_by(MOST_AT_ONCE).unwrap();
        assert_eq!(after(since), floor);
        assert_eq!(after(since.saturating_sub(day)), floor, "a clock that is behind");
        let later = after(since.checked_add(day).unwrap());
        assert_eq!(later, floor.above_by(86_400 * MOST_IN_A_SECOND).unwrap());
    }
}

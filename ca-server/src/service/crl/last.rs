//! The last CRL of a CA that ends (CRL-05): when it may be made, and what is no more after it.
//!
//! It says 99991231235959Z as its nextUpdate, and so stands for ever. Nothing follows it but the last lists of its shards: no
//! other list, no certificate, no delegate of a responder, no change of a status. That it has been made is read from the record of the list itself; and
//! no list is signed that is compared with a last one, whatever the database knows. Delegates of responders that live
//! then go on to their ends, two weeks at most: nobody asks after them (ocsp-nocheck, RFC 6960 §4.2.2.2.1), so that they
//! are in the scope of no list.

use std::{fs, io};

use ca::key_period::KeyState;
use ca::refusal::Refusal;
use serde_json::{Value, json};
use store::{CrlRow, CrlScope};
use x509::time::UnixTime;

use super::spool::{SpoolNames, create};
use super::{List, hex, unspooled};
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::authority::Authority;
use crate::service::previous::believed_file;

/// What comes after a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Term<'a> {
    /// The next one, by the schedule.
    Next,
    /// Nothing: it is the last one.
    Last {
        /// Opaque ids of the two persons who decided so.
        actors: &'a [String; 2],
    },
    /// Nothing: every certificate of the shard has ended.
    AllExpired,
    /// Nothing: the authority of the shard has ended.
    WithFull,
}

impl Term<'_> {
    /// What the audit log is told of it.
    pub(super) fn told(self, mut payload: Value) -> Value {
        let last = match self {
            Self::Next => None,
            Self::Last { actors } => Some(json!({ "actors": actors })),
            Self::AllExpired => Some(json!({ "expired": true })),
            Self::WithFull => Some(json!({ "full": true })),
        };
        if let (Some(last), Some(payload)) = (last, payload.as_object_mut()) {
            payload.insert("last".to_owned(), last);
        }
        payload
    }
}

impl Service {
    /// Makes the last CRL of an authority, as two persons decided.
    ///
    /// # Errors
    ///
    /// `last-crl-refused` while the authority may issue, or one of its certificates is neither expired nor revoked;
    /// nothing was made then.
    pub(crate) fn make_last_crl(
        &self,
        authority: &Authority,
        actors: &[String; 2],
    ) -> Result<CrlRow, Denied> {
        self.may_end(authority)?;
        // First the full one, which ends the authority: as long as that is refused or cannot be signed, its shards go on. Those
        // that get no last list here get it from the next round that tends them.
        self.make_of_term(authority, List::Full, Term::Last { actors })?;
        self.make_last_of_shards(authority, actors)?;
        self.last_crl(authority)?.ok_or_else(|| refused(authority, "no last CRL is recorded", ""))
    }

    /// Judges whether the last CRL of an authority may be made now.
    ///
    /// # Errors
    ///
    /// As [`Self::make_last_crl`].
    pub(crate) fn may_end(&self, authority: &Authority) -> Result<(), Denied> {
        if !authority.signs_here() {
            let next = "hold the ceremony that makes it, then `sigill-ca import --crl`";
            return Err(refused(authority, "its key is not here", next));
        }
        // One that was signed and never published may be lost; then it is made again, under the next number.
        if let Some(last) = self.last_crl(authority)?.filter(|row| row.published.is_some()) {
            return Err(ended(authority, last.this_update));
        }
        if authority.issuer.period().state() != KeyState::Retired {
            let next = "write `state = \"retired\"` into its section, so that it issues no more";
            return Err(refused(authority, "it may issue", next));
        }
        let now = self.signing_time()?;
        let left = self.store().unended(authority.id, now).map_err(|e| self.note_storage(&e))?;
        let Some(serial) = left.first else { return Ok(()) };
        let seen =
            format!("{} certificates are neither expired nor revoked, {serial} is one", left.count);
        Err(refused(authority, &seen, "wait for their ends, or revoke them"))
    }

    /// The last CRL of an authority, if it has been made.
    pub(crate) fn last_crl(&self, authority: &Authority) -> Result<Option<CrlRow>, Denied> {
        let current = self
            .store()
            .current_crl(authority.id, &CrlScope::full())
            .map_err(|e| self.note_storage(&e))?;
        Ok(current.filter(|row| row.next_update == UnixTime::LAST))
    }

    /// Refuses what is no more once the last CRL has been made.
    ///
    /// # Errors
    ///
    /// `authority-ended`.
    pub(crate) fn must_go_on(&self, authority: &Authority) -> Result<(), Denied> {
        if !authority.signs_here() {
            return Ok(());
        }
        match self.last_crl(authority)? {
            Some(last) => Err(ended(authority, last.this_update)),
            None => Ok(()),
        }
    }

    /// Keeps the last CRL where it is to be had: from our own copy, should the published file be lost.
    pub(super) fn keep_last_crl(&self, authority: &Authority, row: &CrlRow) -> Result<(), Denied> {
        let left = row.next_update.since(self.clock().read().now);
        metrics::gauge!("sigill_crl_seconds_left", "authority" => authority.name().to_owned())
            .set(left.as_secs_f64());
        self.keep_last(authority, List::Full, row)
    }

    /// As [`Self::keep_last_crl`], of one of its lists.
    pub(super) fn keep_last(
        &self,
        authority: &Authority,
        list: List,
        row: &CrlRow,
    ) -> Result<(), Denied> {
        let path = list.path(authority);
        let there = fs::metadata(self.files.path(&path)).is_ok_and(|file| file.len() == row.length);
        let listed = self.files.published(&path).is_some_and(|(_, listed)| {
            listed.sha256 == row.sha256 && listed.number == hex(&row.number)
        });
        if there && listed && row.published.is_some() {
            return Ok(());
        }
        let copy = self.own_copy(authority, list);
        let names = SpoolNames::new(&self.files, authority.name());
        let known = [Some(row.sha256), None];
        // Where the program was killed between signature and publication, it lies where it was put together. A node that has not
        // made it finds it in the publication folder, where an operator or the start has put what an outer host serves.
        if believed_file(&names.finished, known).is_err() {
            let mut file = believed_file(&copy, known).or_else(|error| {
                let found = believed_file(&self.files.path(&path), known);
                found.map_err(|_| lost(authority, &error))
            })?;
            create(&names.finished)
                .and_then(|mut made| io::copy(&mut file, &mut made))
                .map_err(|error| unspooled(authority, &error))?;
        }
        self.publish_crl(authority, list, row, &names.finished)?;
        tracing::warn!(
            authority.name = authority.name(),
            "last CRL was lost and is published again from our own copy"
        );
        Ok(())
    }
}

fn refused(authority: &Authority, seen: &str, next: &'static str) -> Denied {
    Denied::rule(Refusal::new(
        "last-crl-refused",
        "CRL-05: a CA's last CRL is made when it issues no more and each of its certificates has expired or is revoked",
        &format!("{}: {seen}", authority.name()),
        "a retired authority without a certificate that is good or on hold",
        next,
    ))
}

fn lost(authority: &Authority, error: &str) -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "last-crl-lost",
            "CRL-05: a CA's last CRL stays published",
            &format!("{}: the published file and our own copy: {error}", authority.name()),
            "the file as it was signed",
            "put the file into the publication folder, from an outer host, another node or a backup; one that was never published is made again by `sigill-ca last-crl`",
        ),
    )
}

fn ended(authority: &Authority, since: UnixTime) -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "authority-ended",
            "CRL-05: after a CA's last CRL it signs nothing, and no status of its certificates changes",
            &format!("{}: its last CRL was made at {since}", authority.name()),
            "an authority that has not ended",
            "nothing: its last CRL stands for ever",
        ),
    )
}

#[cfg(test)]
mod tests {
    use ca::audit::EventCode;
    use ca::revocation::Revoker;
    use x509::crl::{CrlForm, CrlReader};

    use super::*;
    use crate::service::testing::World;

    fn both() -> [String; 2] {
        ["op-7".to_owned(), "op-9".to_owned()]
    }

    fn end(world: &World) -> Result<CrlRow, (&'static str, String)> {
        let made = world.service.make_last_crl(world.authority(), &both());
        made.map_err(|denied| (denied.refusal.code, denied.refusal.seen))
    }

    fn retire(world: &mut World) {
        for authority in world.service.authorities.values_mut() {
            authority.issuer = authority.issuer.clone().retired();
        }
    }

    fn revoke(world: &World, id: &str, key: &str) -> u16 {
        let path = format!("/v1/certificates/{id}/revocation");
        let call = world.call(&path, key, &json!({ "reason": "superseded" }));
        let answer = world.run(&call, |service, work| service.revoke(Revoker::Client, id, work));
        answer.map_or_else(|denied| panic!("{}", denied.refusal.code), |it| it.response.status)
    }

    fn issued(world: &World, key: &str) -> String {
        let shown: Value =
            serde_json::from_slice(&world.issue(key).unwrap().response.body).unwrap();
        shown["id"].as_str().unwrap().to_owned()
    }

    /// CRL-05, KEY-12: not while it may issue, not while a certificate is good; then once, and nothing after it.
    #[test]
    fn a_ca_ends_with_its_last_list() {
        let mut world = World::new();
        let id = issued(&world, "one");
        let refused = |world: &World| {
            let (code, seen) = end(world).unwrap_err();
            assert_eq!(code, "last-crl-refused");
            assert_eq!(world.leaves(EventCode::CrlIssued), 0, "{seen}");
            seen
        };
        assert!(refused(&world).contains("it may issue"));
        retire(&mut world);
        assert!(refused(&world).contains("1 certificates are neither expired nor revoked"));
        revoke(&world, &id, "rev");

        let last = end(&world).unwrap();

        assert_eq!(last.next_update, UnixTime::LAST);
        let payload = world.last_payload(EventCode::CrlIssued);
        assert_eq!(payload["last"]["actors"], json!(both()));
        let path = world.service.files.path(&List::Full.path(world.authority()));
        let octets = fs::read(&path).unwrap();
        let form = CrlForm::CertificateList;
        let mut list = CrlReader::start(octets.as_slice(), form, crl::MAX_OCTETS).unwrap();
        assert_eq!(list.head().next_update, Some(UnixTime::LAST));
        assert_eq!(list.by_ref().count(), 1);

        world.authority().ask_for_crl();
        assert_eq!(world.service.wanted_crl(world.authority()).unwrap(), None);
        let again = world.service.make_list(world.authority(), List::Full).unwrap_err();
        assert_eq!(again.refusal.code, "authority-ended");
        assert_eq!(end(&world).unwrap_err().0, "authority-ended");
        let call = world.call(
            &format!("/v1/certificates/{id}/revocation"),
            "graver",
            &json!({ "reason": "keyCompromise" }),
        );
        let kept = world
            .run(&call, |service, work| service.revoke(Revoker::Client, &id, work))
            .map(|answer| String::from_utf8(answer.response.body).unwrap());
        assert!(
            matches!(&kept, Ok(body) if body.contains("authority-ended"))
                || matches!(&kept, Err(denied) if denied.refusal.code == "authority-ended"),
            "a status changed after the last CRL"
        );
        assert_eq!(world.leaves(EventCode::CrlIssued), 1);
        assert_eq!(fs::read(&path).unwrap(), octets);

        // It stays to be had: a file that was lost or cut short comes back from our own copy.
        for cut in [None, Some(b"x")] {
            match cut {
                None => fs::remove_file(&path).unwrap(),
                Some(rest) => fs::write(&path, rest).unwrap(),
            }
            assert_eq!(world.service.wanted_crl(world.authority()).unwrap(), None);
            assert_eq!(fs::read(&path).unwrap(), octets);
        }
    }

    /// CRL-05: a last list that was signed and not published is published later, or made again where it is lost.
    #[test]
    fn a_last_list_that_was_not_published_is_not_the_end_of_it() {
        for is_lost in [false, true] {
            let mut world = World::new();
            retire(&mut world);
            let path = world.service.files.path(&List::Full.path(world.authority()));
            fs::create_dir_all(path.join("in the way")).unwrap();
            assert_eq!(end(&world).unwrap_err().0, "crl-unwritable");
            fs::remove_dir_all(&path).unwrap();
            let signed = world.service.last_crl(world.authority()).unwrap().unwrap();
            if is_lost {
                fs::remove_file(world.folder("issuing.last.crl")).unwrap();
                let denied = world.service.wanted_crl(world.authority()).unwrap_err();
                assert_eq!(denied.refusal.code, "last-crl-lost");
                assert!(end(&world).unwrap().number > signed.number);
            }

            assert_eq!(world.service.wanted_crl(world.authority()).unwrap(), None);

            let octets = fs::read(&path).unwrap();
            let form = CrlForm::CertificateList;
            let list = CrlReader::start(octets.as_slice(), form, crl::MAX_OCTETS).unwrap();
            assert_eq!(list.head().next_update, Some(UnixTime::LAST));
            assert_eq!(end(&world).unwrap_err().0, "authority-ended");
        }
    }

    /// CRL-05: a node with a publication folder of its own, that has not made the last list, knows of it and publishes it once it lies
    /// there: the file that was signed, and no other.
    #[test]
    fn a_node_with_another_folder_publishes_the_last_list_that_is_put_there() {
        let mut world = World::new();
        retire(&mut world);
        let last = end(&world).unwrap();
        let path = world.service.files.path(&List::Full.path(world.authority()));
        let octets = fs::read(&path).unwrap();
        fs::remove_dir_all(world.service.folders.folder.join("crl")).unwrap();
        fs::remove_file(world.folder("issuing.last.crl")).unwrap();
        world.open_files_anew();
        let lost = |world: &World| world.service.wanted_crl(world.authority()).unwrap_err();
        assert_eq!(lost(&world).refusal.code, "last-crl-lost");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"another list").unwrap();
        assert_eq!(lost(&world).refusal.code, "last-crl-lost");

        fs::write(&path, &octets).unwrap();

        assert_eq!(world.service.wanted_crl(world.authority()).unwrap(), None);
        let (_, row) = world.service.files.published(&List::Full.path(world.authority())).unwrap();
        assert_eq!((row.sha256, row.number), (last.sha256, hex(&last.number)));
        assert_eq!(fs::read(&path).unwrap(), octets);
        fs::remove_file(&path).unwrap();
        assert_eq!(world.service.wanted_crl(world.authority()).unwrap(), None, "our own copy");
    }

    /// CRL-05: what another node records between a look and the act is refused by the database itself.
    #[test]
    fn the_end_is_seen_in_the_act_that_comes_too_late() {
        let world = World::new();
        let id = issued(&world, "one");
        // As a node that has looked and found nothing in the way.
        let ended = world.service.make_of_term(
            world.authority(),
            List::Full,
            Term::Last { actors: &both() },
        );
        assert_eq!(ended.unwrap_err().refusal.code, "last-crl-refused");
        revoke(&world, &id, "rev");
        let last = Term::Last { actors: &both() };
        world.service.make_of_term(world.authority(), List::Full, last).unwrap();
        let before = world.counts();

        let late = world.issue("two").map(|answer| answer.response.status);

        assert_ne!(late.unwrap_or(0), 201, "a node that has not seen the end issues");
        let certificates = |(status, _)| status;
        assert_eq!(certificates(world.counts()), certificates(before));
    }

    /// CRL-05, CRL-08: with deltas the last list names none, and none is made to it.
    #[test]
    fn no_delta_is_made_to_the_last_list() {
        let mut world = World::new();
        let url = "http://crl.example.org/issuing.delta.crl";
        for authority in world.service.authorities.values_mut() {
            authority.section.delta_crl_period = Some(600);
            authority.section.delta_crl_url = Some(url.to_owned());
        }
        let path = world.service.files.path(&List::Full.path(world.authority()));
        let names_it = || {
            let octets = fs::read(&path).unwrap();
            octets.windows(url.len()).any(|window| window == url.as_bytes())
        };
        world.service.make_list(world.authority(), List::Full).unwrap();
        assert!(names_it());
        retire(&mut world);

        end(&world).unwrap();

        assert!(!names_it());
        assert_eq!(world.service.wanted_crl(world.authority()).unwrap(), None);
        let delta = world.service.make_list(world.authority(), List::Delta).unwrap_err();
        assert_eq!(delta.refusal.code, "authority-ended");
    }
}

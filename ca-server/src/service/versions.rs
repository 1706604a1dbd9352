//! Which version of which profile issuing is decided by: name, number and file are one thing for ever (PRO-19).

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::profile::Profile;
use ca::refusal::Refusal;
use ledger::Hash;
use serde_json::{Value, json};
use store::{
    AuditRecord, NumberedProfile, ProfileFile, ProfileVersion, StoreError, Subject, new_profiles,
};

use super::Service;
use crate::denied::Denied;

impl Service {
    /// Records the versions that are new, with one leaf that names them all, and closes the profiles whose
    /// file was changed and not counted up. Called once, at a start.
    pub(crate) fn register_profiles(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let recorded = self.store().profile_versions().map_err(|e| self.note_storage(&e))?;
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for profile in self.book.profiles().iter() {
            match new_profiles(&[numbered(profile)], &recorded) {
                Ok(found) if found.is_empty() => {}
                Ok(_) => new.push(with_file(profile)),
                Err(error) => {
                    self.close(profile.name().as_str(), profile.kind(), closed_by(&error));
                    changed.push(with_file(profile));
                }
            }
        }
        if !new.is_empty() {
            let record = self.leaf(EventResult::Done, &new);
            let done = self.store().register_profiles(&new, &record, now);
            done.map_err(|e| self.note_storage(&e))?;
        }
        if !changed.is_empty() {
            let record = self.leaf(EventResult::Refused, &changed);
            self.note_closed(&record);
        }
        Ok(())
    }

    fn leaf(&self, result: EventResult, profiles: &[ProfileFile]) -> AuditRecord {
        let numbered = profiles.iter().map(|one| &one.profile);
        let hash = |one: &NumberedProfile| Hash::from_bytes(one.profile.sha256);
        let files = numbered.clone().map(|one| ObjectId::Document(hash(one)));
        let shown: Vec<Value> = numbered.map(shown).collect();
        Self::record(
            EventCode::ProfileVersion,
            result,
            self.system(),
            ObjectIds::first_of(files),
            None,
            &json!({ "profiles": shown }),
            Subject::Deployment,
        )
    }
}

/// What is told to whoever orders under a profile that was changed under its version.
fn closed_by(error: &StoreError) -> Refusal {
    Refusal::new(
        error.code(),
        "PRO-19: name, version and file of a profile are one thing for ever",
        error,
        "the file that was used under this version, or a version above all that were used",
        "have an operator count `version` up in the file, or put the one that was used back, and start sigill-ca again",
    )
}

pub(crate) fn numbered(profile: &Profile) -> NumberedProfile {
    NumberedProfile {
        profile: ProfileVersion {
            name: profile.name().to_string(),
            sha256: *profile.hash().as_bytes(),
        },
        version: profile.version(),
    }
}

fn with_file(profile: &Profile) -> ProfileFile {
    ProfileFile { profile: numbered(profile), file: profile.file().as_bytes().to_vec() }
}

fn shown(one: &NumberedProfile) -> Value {
    json!({
        "name": one.profile.name,
        "version": one.version,
        "sha256": base16ct::lower::encode_string(&one.profile.sha256),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denied::Kind;
    use crate::service::crl::List;
    use crate::service::testing::World;

    /// PRO-19: under a profile that was used and then changed nothing is issued after the next start, until
    /// its version is counted up; revocation goes on, and so do the others.
    #[test]
    fn a_profile_changed_under_its_version_is_closed_at_the_start() {
        let mut world = World::new();
        let store = std::sync::Arc::clone(&world.service.store);
        world.service.register_profiles().unwrap();
        world.service.register_profiles().unwrap();
        assert_eq!(world.leaves(EventCode::ProfileVersion), 1, "once for all of a start");
        let leaf = world.last_payload(EventCode::ProfileVersion);
        let named = leaf["profiles"].as_array().unwrap();
        assert_eq!(named.len(), world.service.book.profiles().iter().count());
        let used = world.service.book.profiles().by_name("function-ec").unwrap();
        let kept = store.profile_file(used.hash().as_bytes()).unwrap();
        assert_eq!(kept.as_deref(), Some(used.file().as_bytes()));
        let before = std::mem::replace(&mut world.service.book, ca::book::Book::parse([]).unwrap());

        world.edit_profile("function-ec", "backdate    = \"5m\"", "backdate    = \"6m\"");
        world.service.register_profiles().unwrap();

        let denied = world.issue_again("one").unwrap_err();
        let code = "profile-changed-under-version";
        assert_eq!((denied.kind, denied.refusal.code), (Kind::Unavailable, code));
        assert!(denied.refusal.seen.contains("profile function-ec version 1"), "{denied}");
        let told = world.service.readiness.answer().1.0;
        assert_eq!(told["closed-profiles"], json!(["function-ec"]));
        let leaf = world.leaf(EventCode::ProfileVersion);
        assert_eq!(leaf.event.result, EventResult::Refused);
        assert_eq!(store.profile_versions().unwrap().len(), named.len(), "it is not recorded");
        world.service.make_list(world.authority(), List::Full).unwrap();

        // Another number is another version, and the file that was used is what it was.
        let mut world = world.restarted();
        world.edit_profile("function-ec", "version     = 1", "version     = 2");
        world.service.register_profiles().unwrap();
        world.issue_again("one").unwrap();
        assert_eq!(store.profile_versions().unwrap().len(), named.len() + 1);
        let mut world = world.restarted();
        world.service.book = before;
        world.service.register_profiles().unwrap();
        world.issue_again("two").unwrap();
        assert_eq!(world.service.readiness.answer().1.0.get("closed-profiles"), None);
    }

    /// Without delegates nobody hears of a revocation, so a changed profile of theirs is told and not closed.
    #[test]
    fn delegates_are_issued_under_a_changed_profile() {
        let mut world = World::new();
        world.service.register_profiles().unwrap();
        world.edit_profile("ocsp", "version     = ", "# changed\nversion     = ");

        world.service.register_profiles().unwrap();

        assert!(world.service.closed.must_be_open("ocsp").is_ok());
        assert_eq!(world.leaf(EventCode::ProfileVersion).event.result, EventResult::Refused);
    }
}

//! Canaries: at every start each profile makes a certificate of a fixed sample, without a key and without a record. A
//! program that makes something else of a profile that is what it was issues nothing under it until an operator
//! has looked and accepted that.

use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::book::Book;
use ca::profile::{ExampleError, Profile, example};
use ca::refusal::Refusal;
use ledger::Hash;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{AuditRecord, Canary, ProfileVersion, Store, Subject};
use x509::key::KeyType;
use x509::time::UnixTime;

use super::Service;
use crate::denied::Denied;
use crate::publication::chain;

/// When all samples are made: 2026-11-21, one time for ever, so that no day changes what comes of them.
const SAMPLE_TIME: u64 = 1_795_298_400;

/// What is told to whoever orders under a profile whose sample has come to something else.
fn closed_by(before: &Canary, made: &Canary) -> Refusal {
    Refusal::new(
        "profile-canary",
        "an unchanged profile makes of its sample what it made before",
        &format!(
            "profile {}: {} by {}, now {}",
            made.profile.name, before.result, before.engine, made.result
        ),
        "the certificate that is on record",
        "have an operator compare `sigill profile example` of both versions, then run `sigill-ca accept-canary`",
    )
}

/// What a profile makes of its sample now.
fn canary(profile: &Profile) -> Canary {
    let result = UnixTime::from_secs(SAMPLE_TIME)
        .map_err(|_| "sample-time")
        .and_then(|at| example(profile, key_type(profile), at).map_err(|error| code(&error)))
        .map_or_else(str::to_owned, |made| {
            base16ct::lower::encode_string(&Sha256::digest(made.as_der()))
        });
    Canary {
        profile: ProfileVersion {
            name: profile.name().to_string(),
            sha256: *profile.hash().as_bytes(),
        },
        result,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The quickest of the keys that it allows.
fn key_type(profile: &Profile) -> KeyType {
    let keys = profile.keys();
    let first = keys.first().copied().unwrap_or(KeyType::EcP256);
    if keys.contains(&KeyType::EcP256) { KeyType::EcP256 } else { first }
}

fn code(error: &ExampleError) -> &'static str {
    match error {
        ExampleError::Prepare(error) => error.refusal().code,
        _ => "sample-not-made",
    }
}

impl Service {
    /// Compares what the profiles make of their samples with what is on record: those that are new are recorded,
    /// those that differ are closed (not those of responders and of the API's own certificates: they are told of). Called once,
    /// at a start.
    pub(crate) fn compare_canaries(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let known = self.store().canaries().map_err(|e| self.note_storage(&e))?;
        let (mut new, mut differing) = (Vec::new(), Vec::new());
        for made in self.book.profiles().iter().map(canary) {
            match known.iter().find(|one| one.profile == made.profile) {
                None => new.push(made),
                Some(before) if before.result != made.result => differing.push((before, made)),
                Some(_) => {}
            }
        }
        if !new.is_empty() {
            let record = record(EventResult::Done, self.system(), &new, &[]);
            let recorded = self.store().record_canaries(&new, &record, now);
            recorded.map_err(|e| self.note_storage(&e))?;
        }
        for (before, made) in &differing {
            let name = made.profile.name.as_str();
            if let Some(profile) = self.book.profiles().by_name(name) {
                self.close(name, profile.kind(), closed_by(before, made));
            }
        }
        if !differing.is_empty() {
            let before: Vec<Canary> =
                differing.iter().map(|(before, _)| (*before).clone()).collect();
            let made: Vec<Canary> = differing.iter().map(|(_, made)| made.clone()).collect();
            let leaf = record(EventResult::Refused, self.system(), &made, &before);
            // The alarm stands without its leaf.
            if let Err(error) = self.store().record_audit(&leaf, now) {
                tracing::warn!(error = %chain(&error), "closed profiles are not in the audit log");
            }
        }
        Ok(())
    }
}

/// Takes what a profile makes of its sample now for what is right; the result. Done while nothing serves.
///
/// # Errors
///
/// No profile has this name; the store's own.
pub(crate) fn accept(
    store: &dyn Store,
    book: &Book,
    name: &str,
    now: UnixTime,
) -> anyhow::Result<Canary> {
    let profile = book
        .profiles()
        .by_name(name)
        .ok_or_else(|| crate::start::Told::config(format!("no profile is called {name}")))?;
    let made = canary(profile);
    let before: Vec<Canary> =
        store.canaries()?.into_iter().filter(|one| one.profile == made.profile).collect();
    let accepted = [made];
    let record = record(EventResult::Done, Actor::System([0; 16]), &accepted, &before);
    store.record_canaries(&accepted, &record, now)?;
    let [made] = accepted;
    Ok(made)
}

fn record(result: EventResult, actor: Actor, made: &[Canary], before: &[Canary]) -> AuditRecord {
    let shown = |canaries: &[Canary]| -> Vec<Value> { canaries.iter().map(shown).collect() };
    let files = made.iter().map(|one| ObjectId::Document(Hash::from_bytes(one.profile.sha256)));
    Service::record(
        EventCode::ProfileCanary,
        result,
        actor,
        ObjectIds::first_of(files),
        None,
        &json!({ "made": shown(made), "before": shown(before) }),
        Subject::Deployment,
    )
}

fn shown(one: &Canary) -> Value {
    json!({
        "profile": one.profile.name,
        "sha256": base16ct::lower::encode_string(&one.profile.sha256),
        "result": one.result,
        "engine": one.engine,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denied::Kind;
    use crate::service::testing::World;

    /// Every file of the book has a sample, none is refused, and all are quick to make.
    #[test]
    fn every_shipped_profile_sings_the_same_twice() {
        let world = World::new();
        let sung = |world: &World| -> Vec<Canary> {
            world.service.book.profiles().iter().map(canary).collect()
        };

        let first = sung(&world);

        assert_eq!(first, sung(&world));
        assert!(first.len() > 25);
        for one in &first {
            assert_eq!(one.result.len(), 64, "{one:?}");
        }
    }

    #[test]
    fn a_program_that_issues_otherwise_issues_nothing_under_that_profile() {
        let world = World::new();
        world.service.compare_canaries().unwrap();
        assert_eq!(world.leaves(EventCode::ProfileCanary), 1, "all in one leaf");
        world.service.compare_canaries().unwrap();
        assert_eq!(world.leaves(EventCode::ProfileCanary), 1, "nothing is new");
        world.issue("one").unwrap();
        let store = world.service.store();
        let on_record = store.canaries().unwrap();
        let before = on_record.iter().find(|one| one.profile.name == "function-ec").unwrap();

        // As if an older program had made something else of the same file.
        let older = Canary { result: "00".repeat(32), ..before.clone() };
        let older = [older];
        let leaf = record(EventResult::Done, world.service.system(), &older, &[]);
        store.record_canaries(&older, &leaf, world.now()).unwrap();
        let world = world.restarted();
        world.service.compare_canaries().unwrap();

        let denied = world.issue_again("two").unwrap_err();
        assert_eq!((denied.kind, denied.refusal.code), (Kind::Unavailable, "profile-canary"));
        let told = world.service.readiness.answer().1.0;
        assert_eq!(told["closed-profiles"], json!(["function-ec"]));
        let leaf = world.leaf(EventCode::ProfileCanary);
        assert_eq!(leaf.event.result, EventResult::Refused);
        assert!(world.service.closed.must_be_open("function").is_ok(), "the others issue");

        let store = world.service.store();
        let accepted = accept(store, &world.service.book, "function-ec", world.now()).unwrap();
        assert_eq!(accepted, *before);
        let world = world.restarted();
        world.service.compare_canaries().unwrap();
        world.issue_again("two").unwrap();
        assert_eq!(world.service.readiness.answer().1.0.get("closed-profiles"), None);
    }

    /// PRO-19: another file is another version, and has a sample of its own.
    #[test]
    fn a_changed_profile_is_recorded_and_not_closed() {
        let mut world = World::new();
        world.service.compare_canaries().unwrap();
        let rows = world.service.store().canaries().unwrap().len();
        world.edit_profile("function-ec", "backdate    = \"5m\"", "backdate    = \"6m\"");

        world.service.compare_canaries().unwrap();

        assert_eq!(world.service.store().canaries().unwrap().len(), rows + 1);
        assert!(world.service.closed.must_be_open("function-ec").is_ok());
    }

    #[test]
    fn refuses_to_accept_what_no_profile_is_called() {
        let world = World::new();
        let (store, book) = (world.service.store(), &world.service.book);

        let refused = accept(store, book, "function-x", world.now()).unwrap_err();

        assert!(refused.to_string().contains("no profile is called function-x"), "{refused}");
    }
}

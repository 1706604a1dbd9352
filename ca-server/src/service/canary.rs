//! Canaries: at every start each profile makes its samples, one for each kind of identity that the table leads to it by,
//! the way of an order, without a key and without a record. A program that makes something else of them than another
//! one did, or than it did of the same book, issues nothing under that profile until an operator has looked and accepted that.

use std::collections::BTreeSet;

use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::book::Book;
use ca::profile::{Profile, SampleKind, Samples};
use ca::refusal::Refusal;
use ledger::Hash;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{AuditRecord, Canary, ProfileVersion, Store, Subject};
use x509::time::UnixTime;

use super::Service;
use crate::denied::Denied;
use crate::start::Told;

/// When all samples are made: 2026-11-21, one time for ever, so that no day changes what comes of them.
const SAMPLE_TIME: u64 = 1_795_298_400;
/// The most characters of who accepts and why, as of whoever ends a pause.
const ACTOR_LIMIT: usize = 128;
const NOTE_LIMIT: usize = 500;

/// What is told to whoever orders under a profile of which a sample has come to something else.
fn closed_by(before: &Canary, made: &Canary) -> Refusal {
    Refusal::new(
        "profile-canary",
        "an unchanged book makes of a profile's samples what it made before",
        &format!("{}: {} by {}, now {}", named(made), before.result, before.engine, made.result),
        "the certificate that is on record",
        "have an operator compare `sigill profile example` of both versions, then run `sigill-ca accept-canary`",
    )
}

/// The sample's name: profile and kind.
fn named(one: &Canary) -> String {
    format!("{}/{}", one.profile.name, one.kind)
}

/// What the profiles of a book make of their samples now, sample by sample.
fn canaries(book: &Book) -> Vec<Canary> {
    let samples = Samples::of(book);
    let of_profile = |profile: &Profile| {
        let kinds = samples.kinds(profile).into_iter();
        kinds.map(|kind| canary(&samples, book, profile, &kind)).collect::<Vec<_>>()
    };
    book.profiles().iter().flat_map(of_profile).collect()
}

fn canary(samples: &Samples, book: &Book, profile: &Profile, kind: &SampleKind) -> Canary {
    let made = UnixTime::from_secs(SAMPLE_TIME).map(|at| samples.make(profile, kind, at));
    let result = match made {
        Ok(Ok(made)) => base16ct::lower::encode_string(&Sha256::digest(made.as_der())),
        Ok(Err(error)) => error.code().to_owned(),
        Err(_) => "sample-time".to_owned(),
    };
    Canary {
        profile: ProfileVersion {
            name: profile.name().to_string(),
            sha256: *profile.hash().as_bytes(),
        },
        kind: kind.to_string(),
        book: *book.sha256(),
        result,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The earlier sample of the same version and kind.
fn earlier<'a>(known: &'a [Canary], made: &Canary) -> Option<&'a Canary> {
    known.iter().find(|one| one.profile == made.profile && one.kind == made.kind)
}

impl Service {
    /// Compares what the profiles make of their samples with what is on record. New samples are recorded, and by which
    /// book and program the others came to the same. One that differs closes its profile (not those of responders and of
    /// the API's own certificates: they are told of), unless the book alone is another one: then what was reviewed is what
    /// differs, and the new sample is told of and recorded. Called once, at a start.
    pub(crate) fn compare_canaries(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let known = self.store().canaries().map_err(|e| self.note_storage(&e))?;
        let (mut new, mut replaced, mut closing) = (Vec::new(), Vec::new(), Vec::new());
        for made in canaries(&self.book) {
            match earlier(&known, &made) {
                None => new.push(made),
                Some(before) if *before == made => {}
                Some(before) if before.result == made.result => new.push(made),
                // Where the program is another one, too, nobody can tell which of them it is.
                Some(before) if before.book == made.book || before.engine != made.engine => {
                    closing.push((before.clone(), made));
                }
                Some(before) => {
                    tracing::warn!(
                        sample = named(&made),
                        "another book makes another certificate: {} by {}, now {}",
                        before.result,
                        before.engine,
                        made.result
                    );
                    replaced.push(before.clone());
                    new.push(made);
                }
            }
        }
        if !new.is_empty() {
            let record = record(EventResult::Done, self.system(), &new, &replaced, None);
            let recorded = self.store().record_canaries(&new, &record, now);
            recorded.map_err(|e| self.note_storage(&e))?;
        }
        for (before, made) in &closing {
            let name = made.profile.name.as_str();
            if let Some(profile) = self.book.profiles().by_name(name) {
                self.close(name, profile.kind(), closed_by(before, made));
            }
        }
        if !closing.is_empty() {
            let (before, made): (Vec<_>, Vec<_>) = closing.into_iter().unzip();
            let leaf = record(EventResult::Refused, self.system(), &made, &before, None);
            self.note_closed(&leaf);
        }
        Ok(())
    }
}

/// Who accepts samples, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acceptance<'a> {
    pub(crate) actor: &'a str,
    pub(crate) note: &'a str,
}

/// Takes what the named samples come to now for what is right: all of them, in one act with one leaf, or none. A
/// name is that of a profile, for all its samples, or `profile/kind`. Done while nothing serves.
///
/// # Errors
///
/// Nothing has a name, or nobody says who accepts or why; the store's own.
pub(crate) fn accept(
    store: &dyn Store,
    book: &Book,
    names: &[String],
    by: Acceptance<'_>,
    now: UnixTime,
) -> anyhow::Result<Vec<Canary>> {
    for (what, text, most) in [("actor", by.actor, ACTOR_LIMIT), ("note", by.note, NOTE_LIMIT)] {
        let length = text.chars().count();
        if text.trim().is_empty() || length > most {
            let told = format!("--{what} has {length} characters, and 1 to {most} are needed");
            return Err(Told::config(told).into());
        }
    }
    let all = canaries(book);
    let is_of = |one: &Canary, name: &str| one.profile.name == name || named(one) == name;
    if let Some(name) = names.iter().find(|name| !all.iter().any(|one| is_of(one, name))) {
        let told = format!("no profile or sample is called {name}: nothing is accepted");
        return Err(Told::config(told).into());
    }
    let wanted = |one: &Canary| names.iter().any(|name| is_of(one, name));
    let accepted: Vec<Canary> = all.into_iter().filter(wanted).collect();
    let known = store.canaries()?;
    let before: Vec<Canary> =
        accepted.iter().filter_map(|made| earlier(&known, made).cloned()).collect();
    let actor = Actor::System([0; 16]);
    let record = record(EventResult::Done, actor, &accepted, &before, Some(by));
    store.record_canaries(&accepted, &record, now)?;
    Ok(accepted)
}

fn record(
    result: EventResult,
    actor: Actor,
    made: &[Canary],
    before: &[Canary],
    by: Option<Acceptance<'_>>,
) -> AuditRecord {
    let shown = |canaries: &[Canary]| -> Vec<Value> { canaries.iter().map(shown).collect() };
    // Several samples of one file are one document.
    let files: BTreeSet<[u8; 32]> = made.iter().map(|one| one.profile.sha256).collect();
    let files = files.into_iter().map(|sha256| ObjectId::Document(Hash::from_bytes(sha256)));
    let mut payload = json!({ "made": shown(made), "before": shown(before) });
    if let (Some(by), Some(object)) = (by, payload.as_object_mut()) {
        object.insert("actor".to_owned(), json!(by.actor));
        object.insert("note".to_owned(), json!(by.note));
    }
    Service::record(
        EventCode::ProfileCanary,
        result,
        actor,
        ObjectIds::first_of(files),
        None,
        &payload,
        Subject::Deployment,
    )
}

fn shown(one: &Canary) -> Value {
    json!({
        "profile": one.profile.name,
        "kind": one.kind,
        "sha256": base16ct::lower::encode_string(&one.profile.sha256),
        "book_sha256": base16ct::lower::encode_string(&one.book),
        "result": one.result,
        "engine": one.engine,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denied::Kind;
    use crate::service::testing::World;

    const BY: Acceptance<'static> = Acceptance { actor: "operator-1", note: "read in CHANGELOG" };

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// As if an older program had made something else of this sample, of the same book or of another.
    fn make_older(world: &World, name: &str, book: Option<[u8; 32]>) -> Canary {
        let store = world.service.store();
        let before = store.canaries().unwrap().into_iter().find(|one| named(one) == name).unwrap();
        let result = "00".repeat(32);
        let older = Canary { result, book: book.unwrap_or(before.book), ..before.clone() };
        let leaf = record(EventResult::Done, world.service.system(), &[], &[], None);
        store.record_canaries(&[older], &leaf, world.now()).unwrap();
        before
    }

    /// Every file of the book has its samples, and those of the shipped table are all made, twice the same.
    #[test]
    fn every_shipped_profile_sings_the_same_twice() {
        let world = World::new();
        let sung = |world: &World| canaries(&world.service.book);

        let first = sung(&world);

        assert_eq!(first, sung(&world));
        assert!(first.len() > 40, "{}", first.len());
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

        let before = make_older(&world, "function-ec/direct", None);
        let world = world.restarted();
        world.service.compare_canaries().unwrap();

        let denied = world.issue_again("two").unwrap_err();
        assert_eq!((denied.kind, denied.refusal.code), (Kind::Unavailable, "profile-canary"));
        let told = world.service.readiness.answer().1.0;
        assert_eq!(told["closed-profiles"], json!(["function-ec"]));
        let leaf = world.leaf(EventCode::ProfileCanary);
        assert_eq!(leaf.event.result, EventResult::Refused);
        assert!(world.service.closed.must_be_open("function").is_ok(), "the others issue");

        let (store, book) = (world.service.store(), &world.service.book);
        let accepted = accept(store, book, &names(&["function-ec"]), BY, world.now()).unwrap();
        assert_eq!(accepted, [before]);
        let world = world.restarted();
        world.service.compare_canaries().unwrap();
        world.issue_again("two").unwrap();
        assert_eq!(world.service.readiness.answer().1.0.get("closed-profiles"), None);
    }

    /// A sample of one kind of identity closes its profile, and is accepted by its own name.
    #[test]
    fn each_kind_of_identity_has_a_sample_that_closes_its_profile() {
        let world = World::new();
        world.service.compare_canaries().unwrap();
        make_older(&world, "mobile-authentication/personnummer", None);
        let world = world.restarted();

        world.service.compare_canaries().unwrap();

        assert_eq!(world.service.closed.names(), ["mobile-authentication"]);
        let (store, book) = (world.service.store(), &world.service.book);
        let name = names(&["mobile-authentication/personnummer"]);
        assert_eq!(accept(store, book, &name, BY, world.now()).unwrap().len(), 1);
        let world = world.restarted();
        world.service.compare_canaries().unwrap();
        assert!(world.service.closed.names().is_empty());
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

    /// Where the book is another one, what was reviewed is what differs: it is on record, and nothing is closed.
    #[test]
    fn a_sample_of_another_book_is_recorded_and_not_closed() {
        let world = World::new();
        world.service.compare_canaries().unwrap();
        let before = make_older(&world, "function-ec/direct", Some([9; 32]));
        let leaves = world.leaves(EventCode::ProfileCanary);

        world.service.compare_canaries().unwrap();

        assert!(world.service.closed.must_be_open("function-ec").is_ok());
        assert_eq!(world.leaves(EventCode::ProfileCanary), leaves + 1);
        assert!(world.service.store().canaries().unwrap().contains(&before));
    }

    /// An edit of the book that changes nothing of a sample does not let the next program issue otherwise.
    #[test]
    fn an_edited_book_keeps_the_samples_that_it_did_not_change() {
        let world = World::new();
        world.service.compare_canaries().unwrap();
        let store = world.service.store();
        let sung = store.canaries().unwrap();
        let of_another_book: Vec<_> =
            sung.iter().map(|one| Canary { book: [9; 32], ..one.clone() }).collect();
        let leaf = record(EventResult::Done, world.service.system(), &[], &[], None);
        store.record_canaries(&of_another_book, &leaf, world.now()).unwrap();

        world.service.compare_canaries().unwrap();
        assert_eq!(store.canaries().unwrap(), sung, "the present book is on record");

        make_older(&world, "function-ec/direct", None);
        let world = world.restarted();
        world.service.compare_canaries().unwrap();
        assert_eq!(world.service.closed.names(), ["function-ec"]);
    }

    /// Where book and program are other ones, nobody reviewed what differs; and a closed profile does not open because a
    /// file of the book was touched.
    #[test]
    fn another_program_with_another_book_closes_what_comes_out_otherwise() {
        let world = World::new();
        world.service.compare_canaries().unwrap();
        let store = world.service.store();
        let found = store.canaries().unwrap().into_iter();
        let before = found.into_iter().find(|one| named(one) == "function-ec/direct").unwrap();
        let result = "00".repeat(32);
        let older = Canary { result, book: [9; 32], engine: "0.0.9".to_owned(), ..before };
        let leaf = record(EventResult::Done, world.service.system(), &[], &[], None);
        store.record_canaries(std::slice::from_ref(&older), &leaf, world.now()).unwrap();

        world.service.compare_canaries().unwrap();

        assert_eq!(world.service.closed.names(), ["function-ec"]);
        assert!(store.canaries().unwrap().contains(&older), "until somebody accepts");
    }

    /// All or nothing, and by somebody who says why.
    #[test]
    fn accepts_all_that_is_named_or_nothing() {
        let world = World::new();
        world.service.compare_canaries().unwrap();
        make_older(&world, "function-ec/direct", None);
        let (store, book) = (world.service.store(), &world.service.book);
        let before = (store.canaries().unwrap(), world.leaves(EventCode::ProfileCanary));
        let try_to = |called: &[&str], by| {
            let refused = accept(store, book, &names(called), by, world.now()).unwrap_err();
            assert_eq!((store.canaries().unwrap(), world.leaves(EventCode::ProfileCanary)), before);
            refused.to_string()
        };

        let misspelt = try_to(&["function-ec", "function-x"], BY);
        assert!(misspelt.contains("no profile or sample is called function-x"), "{misspelt}");
        let kind = try_to(&["function-ec/personnummer"], BY);
        assert!(kind.contains("function-ec/personnummer"), "{kind}");
        let nobody = try_to(&["function-ec"], Acceptance { actor: " ", ..BY });
        assert!(nobody.contains("--actor"), "{nobody}");
        let for_nothing = try_to(&["function-ec"], Acceptance { note: "", ..BY });
        assert!(for_nothing.contains("--note"), "{for_nothing}");
    }
}

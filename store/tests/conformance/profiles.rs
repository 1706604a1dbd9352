//! Versions of profiles: name, number and file are one thing for ever.

use ca::audit::EventCode;
use ca::role::Protected;
use store::{NumberedProfile, ProfileFile, ProfileVersion, StoreError};

use super::Backend;
use super::world::{World, at, audit, sizes};

fn version(name: &str, version: u32, file: u8) -> NumberedProfile {
    let profile = ProfileVersion { name: name.to_owned(), sha256: [file; 32] };
    NumberedProfile { profile, version }
}

/// With a file of its own.
fn with_file(profile: NumberedProfile) -> ProfileFile {
    let file = profile.profile.sha256[..3].to_vec();
    ProfileFile { profile, file }
}

/// PRO-19: a version is recorded once with its file and an audit leaf.
pub(crate) fn a_version_is_recorded_once_with_a_leaf(backend: &dyn Backend) {
    let world = World::new(backend);
    let leaf = audit(EventCode::ProfileVersion);
    let first = [version("function", 1, 1), version("root", 1, 2)].map(with_file);
    let third = [with_file(version("function", 3, 3))];
    let (_, before) = sizes(&*world.store);

    assert!(world.store.register_profiles(&first, &leaf, at(10)).unwrap());
    assert!(!world.store.register_profiles(&first, &leaf, at(20)).unwrap(), "nothing is new");
    assert!(world.store.register_profiles(&third, &leaf, at(30)).unwrap());
    // One version back, as it was recorded.
    assert!(!world.store.register_profiles(&first, &leaf, at(40)).unwrap());

    assert_eq!(sizes(&*world.store).1, before + 2);
    let found = world.store.profile_versions().unwrap();
    let found: Vec<_> = found.into_iter().map(|one| (one.profile, one.first_used)).collect();
    let expected = [
        (version("function", 1, 1), at(10)),
        (version("function", 3, 3), at(30)),
        (version("root", 1, 2), at(10)),
    ];
    assert_eq!(found, expected);
    assert_eq!(world.store.profile_file(&[3; 32]).unwrap(), Some(vec![3; 3]));
    assert_eq!(world.store.profile_file(&[4; 32]).unwrap(), None);
}

/// PRO-19: another file under a number that was used is refused, and so is a number that was passed over;
/// nothing of the same call is recorded.
pub(crate) fn a_changed_file_under_an_old_version_is_refused(backend: &dyn Backend) {
    let world = World::new(backend);
    let leaf = audit(EventCode::ProfileVersion);
    let used = [with_file(version("function", 2, 1))];
    world.store.register_profiles(&used, &leaf, at(10)).unwrap();
    let before = sizes(&*world.store);

    for (number, file) in [(2, 9), (1, 9)] {
        let brought = [version("root", 1, 2), version("function", number, file)].map(with_file);
        let refused = world.store.register_profiles(&brought, &leaf, at(20)).unwrap_err();

        assert!(
            matches!(&refused, StoreError::ProfileChanged { name, version, newest: 2 }
                if name == "function" && *version == number),
            "{refused}"
        );
        assert_eq!(refused.code(), "profile-changed-under-version");
    }
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.profile_versions().unwrap().len(), 1);
}

/// PRO-19: what a certificate was made from is read with it, page by page; DAT-06: and not once the
/// data key of its holder has been deleted.
pub(crate) fn issuances_are_read_newest_first_until_they_are_forgotten(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..5).map(|number| world.issue(at(number))).collect();
    let profile = world.facts().profile;
    let page =
        |after, limit| world.store.issuances(&profile.name, after, limit, Protected::Seen).unwrap();

    let (first, mut seen) = (page(None, 2), Vec::new());
    let mut next = Some(first);
    while let Some(page) = next.take() {
        assert!(page.issuances.len() <= 2);
        next = page.next.map(|cursor| self::page(&world, &profile.name, cursor));
        seen.extend(page.issuances);
    }

    let newest_first: Vec<_> = issued.iter().rev().map(|one| one.certificate).collect();
    assert_eq!(seen.iter().map(|one| one.certificate).collect::<Vec<_>>(), newest_first);
    for (found, issued) in seen.iter().zip(issued.iter().rev()) {
        let kept = found.kept.as_ref().unwrap();
        assert_eq!((&kept.der, &found.profile), (&issued.der, &profile));
        assert!(!kept.body.is_empty() && found.issuer == world.issuer.id());
    }
    assert!(
        world.store.issuances("another", None, 9, Protected::Seen).unwrap().issuances.is_empty()
    );

    world.store.forget(&world.subject(), &audit(EventCode::SubjectErased), at(9)).unwrap();
    let forgotten = page(None, 9).issuances;
    assert_eq!(forgotten.len(), 5);
    assert!(forgotten.iter().all(|one| one.kept.is_none()));
}

fn page(world: &World, profile: &str, after: store::ListCursor) -> store::IssuancePage {
    world.store.issuances(profile, Some(after), 2, Protected::Seen).unwrap()
}

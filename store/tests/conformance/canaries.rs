//! What profiles make of their samples is kept, version by version.

use ca::audit::EventCode;
use store::{Canary, ProfileVersion};

use super::Backend;
use super::world::{World, at, audit, sizes};

fn canary(name: &str, file: u8, kind: &str, result: &str) -> Canary {
    Canary {
        profile: ProfileVersion { name: name.to_owned(), sha256: [file; 32] },
        kind: kind.to_owned(),
        book: [file + 1; 32],
        result: result.to_owned(),
        engine: "0.1.0".to_owned(),
    }
}

pub(crate) fn the_last_sample_of_a_version_and_kind_is_kept(backend: &dyn Backend) {
    let world = World::new(backend);
    let record = |canaries: &[Canary], now| {
        world.store.record_canaries(canaries, &audit(EventCode::ProfileCanary), now).unwrap();
    };
    let (_, leaves) = sizes(&*world.store);
    let direct = |name, file, result| canary(name, file, "direct", result);
    record(&[direct("server", 1, "aa"), direct("function", 2, "bb")], at(1));
    record(&[direct("function", 3, "cc"), canary("function", 3, "personnummer", "dd")], at(2));
    record(&[direct("function", 2, "lint")], at(3));

    let expected = [
        direct("function", 2, "lint"),
        direct("function", 3, "cc"),
        canary("function", 3, "personnummer", "dd"),
        direct("server", 1, "aa"),
    ];
    assert_eq!(world.store.canaries().unwrap(), expected);
    assert_eq!(sizes(&*world.store).1, leaves + 3, "a leaf each time");
    drop(world);
    assert_eq!(backend.open().canaries().unwrap(), expected);
}

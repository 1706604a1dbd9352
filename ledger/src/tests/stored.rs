//! Trees that are written, lost in part, rebuilt and read.

use proptest::prelude::*;

use super::{Files, Log, entry};
use crate::bundle::MAX_ENTRY_LENGTH;
use crate::edge::{AppendError, Edge, EdgeLoadError};
use crate::frontier::Frontier;
use crate::hash::leaf_hash;
use crate::tile::{
    TileKind, TilePath, TileReadError, TileSource as _, Width, paths, paths_between,
};
use crate::tree::{ReplayError, TreeError, replay, verify};

#[test]
fn an_edge_is_rebuilt_from_the_files_at_every_size() {
    let mut log = Log::of_size(0);
    let mut frontier = Frontier::new();
    for size in 0..600 {
        log.grow_to(size);

        assert_eq!(log.edge.frontier(), frontier, "{size}");
        assert_eq!(log.root(), frontier.root());
        assert_eq!(Edge::load(size, log.root(), &log.files).unwrap(), log.edge);
        frontier.append(leaf_hash(&entry(size))).unwrap();
    }
}

#[test]
fn exactly_the_files_that_a_larger_tree_adds_are_made() {
    let mut edge = Edge::new();
    for batch in [0u64, 1, 254, 1, 1, 300, 0, 65_000, 1_000] {
        let old = edge.size();
        let entries: Vec<Vec<u8>> = (old..old + batch).map(entry).collect();
        let files = edge.append(&entries).unwrap();

        let mut made: Vec<TilePath> = files.iter().map(|file| file.path).collect();
        let mut needed: Vec<TilePath> = paths_between(old, old + batch).collect();
        made.sort_unstable();
        needed.sort_unstable();
        assert_eq!(made, needed, "{old} + {batch}");
    }
}

/// tlog-tiles: partial files may go once the full one is there.
#[test]
fn a_full_file_stands_in_for_a_partial_one() {
    let mut log = Log::of_size(300);
    let (root, frontier) = (log.root(), log.edge.frontier());
    log.grow_to(700);
    let full: Vec<TilePath> =
        log.files.0.keys().copied().filter(|path| path.width == Width::Full).collect();
    log.files.0.retain(|path, _| path.width == Width::Full || !full.contains(&path.full()));
    assert!(log.files.read(&"tile/0/001.p/44".parse().unwrap()).is_err());

    let edge = Edge::load(300, root, &log.files).unwrap();
    assert_eq!(edge.frontier(), frontier);
    verify(300, root, &log.files, |_, _| ()).unwrap();
}

#[test]
fn an_auditor_sees_every_entry_once() {
    let log = Log::of_size(70_000);
    let mut next = 0;

    verify(70_000, log.root(), &log.files, |index, octets| {
        assert_eq!((index, octets), (next, entry(next).as_slice()));
        next += 1;
    })
    .unwrap();

    assert_eq!(next, 70_000);
}

/// AUD-03: what is changed, cut, added or removed is detected from files and a root alone.
#[test]
fn refuses_a_tree_with_any_octet_changed_or_file_missing() {
    let log = Log::of_size(600);
    for path in paths(600) {
        let length = log.files.0[&path].len();
        for at in (0..length).step_by(97).chain([length - 1]) {
            let mut files = log.files.clone();
            files.0.get_mut(&path).unwrap()[at] ^= 1;
            assert!(verify(600, log.root(), &files, |_, _| ()).is_err(), "{path} {at}");
        }
        for other in [&log.files.0[&path][..length - 1], &[&log.files.0[&path][..], &[0]].concat()]
        {
            let mut files = log.files.clone();
            files.0.insert(path, other.to_vec());
            assert!(verify(600, log.root(), &files, |_, _| ()).is_err(), "{path}");
        }
        let mut files = log.files.clone();
        files.0.remove(&path);
        let refused = verify(600, log.root(), &files, |_, _| ()).unwrap_err();
        assert!(
            matches!(refused, TreeError::Read(TileReadError::Missing { path: p }) if p == path),
            "{path}"
        );
    }
}

#[test]
fn refuses_a_tree_of_another_root_or_size() {
    let log = Log::of_size(300);
    let other = leaf_hash(b"");

    assert!(matches!(
        verify(300, other, &log.files, |_, _| ()),
        Err(TreeError::RootDiffers { size: 300, .. })
    ));
    assert!(verify(301, log.root(), &log.files, |_, _| ()).is_err());
    assert!(verify(0, other, &log.files, |_, _| ()).is_err());
    assert!(matches!(
        Edge::load(300, other, &log.files),
        Err(EdgeLoadError::RootDiffers { size: 300, .. })
    ));
}

#[test]
fn refuses_an_edge_whose_files_do_not_fit() {
    let log = Log::of_size(300);
    let load = |change: &dyn Fn(&TilePath, &mut Vec<u8>)| {
        let mut files = log.files.clone();
        files.0.iter_mut().for_each(|(path, bytes)| change(path, bytes));
        Edge::load(300, log.root(), &files).unwrap_err()
    };
    let entries = |path: &TilePath| path.kind == TileKind::Entries;

    let refused = load(&|path, bytes| bytes.truncate(if entries(path) { 50 } else { 8192 }));
    assert!(matches!(refused, EdgeLoadError::Bundle { .. }), "{refused}");

    let refused = load(&|path, bytes| {
        if entries(path) {
            bytes[20] ^= 1;
        }
    });
    assert!(matches!(refused, EdgeLoadError::EntriesDiffer { .. }), "{refused}");

    let refused = load(&|path, bytes| bytes.truncate(if entries(path) { 8192 } else { 31 }));
    assert!(matches!(refused, EdgeLoadError::Read(TileReadError::WrongLength { .. })), "{refused}");

    let refused = Edge::load(300, log.root(), &Files::default()).unwrap_err();
    assert!(matches!(refused, EdgeLoadError::Read(TileReadError::Missing { .. })), "{refused}");
}

#[test]
fn an_entry_too_long_leaves_the_edge_as_it_was() {
    let mut log = Log::of_size(255);
    let before = log.edge.clone();

    let refused = log.edge.append(&[vec![0; 10], vec![0; MAX_ENTRY_LENGTH + 1]]);

    assert!(matches!(refused, Err(AppendError::EntryTooLong(_))));
    assert_eq!(log.edge, before);
    assert!(log.edge.append(&[vec![0; MAX_ENTRY_LENGTH]]).is_ok());
}

#[test]
fn a_replay_refuses_to_go_back_and_stops_at_a_hole() {
    let mut log = Log::of_size(600);
    let frontier = log.edge.frontier();

    let refused = replay(&frontier, 599, &log.files, |_, _| ()).unwrap_err();
    assert!(matches!(refused, ReplayError::Smaller { have: 600, size: 599 }));

    log.files.0.retain(|path, _| path.index != 1);
    let mut seen = 0;
    let refused = replay(&Frontier::new(), 600, &log.files, |_, _| seen += 1).unwrap_err();
    assert!(matches!(refused, ReplayError::Read(TileReadError::Missing { .. })));
    assert_eq!(seen, 256);
}

proptest! {
    /// Whatever the steps, the files of the last size and all full ones are the same.
    #[test]
    fn the_steps_of_growth_leave_no_trace(
        steps in proptest::collection::vec(0..700u64, 1..8),
        known in 0..2000u64,
    ) {
        let mut log = Log::of_size(0);
        for step in &steps {
            log.grow_to(log.edge.size() + step);
        }
        let size = log.edge.size();
        let at_once = Log::of_size(size);

        prop_assert_eq!(&log.edge, &at_once.edge);
        for (path, bytes) in &at_once.files.0 {
            prop_assert_eq!(log.files.0.get(path), Some(bytes));
        }
        verify(size, log.root(), &log.files, |_, _| ()).unwrap();

        let frontier = Log::of_size(known.min(size)).edge.frontier();
        let mut next = frontier.size();
        let reached = replay(&frontier, size, &log.files, |index, octets| {
            assert_eq!((index, octets), (next, entry(next).as_slice()));
            next += 1;
        });
        prop_assert_eq!(reached.unwrap().root(), log.root());
        prop_assert_eq!(next, size);
    }
}

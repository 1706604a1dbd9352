//! ISS-07, recovery of faults: typed errors, nothing half done, and work goes on without a restart.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use store::{FileKeySource, Log, SqliteStore, Store, StoreError};

use crate::conformance::Backend;
use crate::conformance::world::{World, at, followed, verified};
use crate::sqlite;

/// Does acts until one meets the fault; returns it and how many certificates there are.
fn until_fault(world: &World) -> (StoreError, usize) {
    let mut issued = 0;
    loop {
        let order = world.new_order(&format!("{:?}", crate::conformance::world::fresh()));
        if let Err(error) = world.store.begin_order(&order, at(1)) {
            return (error, issued);
        }
        let serial = crate::conformance::world::serial();
        let pending = world.pending(serial);
        let recorded = match world.record(order.id, serial, &pending, at(1)) {
            Ok(recorded) => recorded,
            Err(error) => return (error, issued),
        };
        match world.record_issued(pending, &recorded, at(1)) {
            Ok(_) => issued += 1,
            Err(error) => return (error, issued),
        }
        assert!(issued < 5000, "the fault never came");
    }
}

fn check_whole(world: &World, issued: usize) {
    let index = followed(&*world.store);
    assert_eq!(index.len(), issued);
    verified(&*world.store, Log::Audit);
    assert_eq!(world.store.counts().unwrap().issued, u64::try_from(issued).unwrap());
}

#[test]
fn a_database_that_another_process_holds_is_busy_until_it_is_not() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    world.issue(at(1));
    let other = sqlite.raw();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let (error, issued) = until_fault(&world);

    assert!(matches!(error, StoreError::Busy) && error.is_passing(), "{error:?}");
    assert_eq!(issued, 0);
    check_whole(&world, 1);
    other.execute_batch("ROLLBACK").unwrap();
    world.issue(at(2));
    check_whole(&world, 2);
}

/// The device refuses every write, as when a file system has failed under us.
struct Unwritable(PathBuf);

impl Unwritable {
    fn make(file: &Path) -> Option<Self> {
        let made = Command::new("chattr").arg("+i").arg(file).output();
        made.is_ok_and(|output| output.status.success()).then(|| Self(file.to_owned()))
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[test]
fn a_device_that_refuses_writes_is_a_fault_until_it_is_mended() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    world.issue(at(1));
    let Some(fault) = Unwritable::make(&sqlite.database.with_extension("db-wal")) else {
        println!("skipped: this user or file system cannot make a file unwritable");
        return;
    };

    let (error, issued) = until_fault(&world);

    let refused = matches!(error, StoreError::Device(_) | StoreError::ReadOnly);
    assert!(refused && error.is_passing(), "{error:?}");
    check_whole(&world, 1 + issued);
    drop(fault);
    world.issue(at(2));
    check_whole(&world, 2 + issued);
}

#[test]
fn a_read_only_file_system_is_told_at_opening() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let keys = FileKeySource::create(&elsewhere.path().join("keys")).unwrap();
    let database = disk.0.join("sigill.db");
    let deployment = "test/demo/ab12".parse().unwrap();
    drop(SqliteStore::open_or_create(&database, deployment, &keys, at(0)).unwrap());
    let open = || SqliteStore::open(&database, deployment, &keys, at(1));

    disk.remount("ro");
    assert!(matches!(open(), Err(StoreError::Open { .. } | StoreError::ReadOnly)));
    disk.remount("rw");
    open().unwrap();
}

/// A small file system of its own, where the machine lets us make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(folder)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }

    fn remount(&self, mode: &str) {
        let options = format!("remount,{mode}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

struct OnDisk {
    disk: Arc<SmallDisk>,
    keys: FileKeySource,
}

impl Backend for OnDisk {
    fn open(&self) -> Arc<dyn Store> {
        let database = self.disk.0.join("sigill.db");
        let deployment = "test/demo/ab12".parse().unwrap();
        Arc::new(SqliteStore::open_or_create(&database, deployment, &self.keys, at(0)).unwrap())
    }

    fn backup(&self) -> Box<dyn Backend> {
        Box::new(Self { disk: Arc::clone(&self.disk), keys: self.keys.clone() })
    }
}

fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [65_536, 4096] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_refuses_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let disk = Arc::new(disk);
    let elsewhere = tempfile::tempdir().unwrap();
    let keys = FileKeySource::create(&elsewhere.path().join("keys")).unwrap();
    let world = World::new(&OnDisk { disk: Arc::clone(&disk), keys });
    world.issue(at(1));
    let ballast = disk.0.join("ballast");
    fill(&ballast);

    // More than one fault in a row, with callers that wait together.
    let mut issued = 1;
    for _ in 0..3 {
        let faults: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| until_fault(&world))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        for (error, more) in faults {
            assert!(matches!(error, StoreError::Full) && error.is_passing(), "{error:?}");
            issued += more;
        }
        check_whole(&world, issued);
    }

    fs::remove_file(&ballast).unwrap();
    world.issue(at(2));
    check_whole(&world, issued + 1);
}

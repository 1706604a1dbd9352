//! A small file system of its own under one folder of a home: it can be filled, and it can be made to
//! take no writes from anybody, root included.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::spoken;

/// A tmpfs over a folder; unmounted when dropped. No program may use it by then.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts one of `size` (such as `4m`) over `folder`, which keeps its files and its mode.
    ///
    /// Where nobody may mount (in a container, or without root) this prints a `skipped:` line.
    pub fn over(folder: &Path, size: &str) -> Option<Self> {
        let kept = folder.with_extension("kept");
        fs::rename(folder, &kept).expect("a folder can be renamed");
        fs::create_dir(folder).expect("a folder can be made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]).arg(folder);
        let said = spoken::run(&mut mount, &[]);
        if said.code != 0 {
            println!("skipped: no tmpfs can be mounted here: {}", said.text.trim());
            return None;
        }
        let mounted = Self(folder.to_owned());
        let files = kept.join(".");
        let said = spoken::run(Command::new("cp").arg("-a").arg(files).arg(folder), &[]);
        assert_eq!(said.code, 0, "{}", said.text);
        Some(mounted)
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file can be made");
        for size in [64 * 1024, 4096, 1] {
            while ballast.write_all(&vec![0x5a; size]).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("the ballast can be removed");
    }

    /// Lets nobody write, or everybody again (`ro`, `rw`).
    pub fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(&self.0);
        // While a program has a file open for writing the kernel refuses; it is moments only.
        for _ in 0..50 {
            if spoken::run(&mut mount, &[]).code == 0 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{:?} cannot be mounted {how}", self.0);
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let said = spoken::run(Command::new("umount").arg("--lazy").arg(&self.0), &[]);
        if said.code != 0 {
            eprintln!("{:?} stays mounted: {}", self.0, said.text);
        }
    }
}

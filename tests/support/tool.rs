//! Programs that we did not write and that judge ours: OpenSSL, GnuTLS, nginx, Java, Kerberos, pkilint.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::workspace;

/// Finds `program` in the virtual environment of `./check`, in PATH, or where Debian keeps servers.
///
/// A missing one prints a `skipped:` line, which `./check` counts.
///
/// # Panics
///
/// If it is missing and `SIGILL_REQUIRE_TOOLS` is set, as it is in CI, where every tool is
/// installed and skipping would hide a failure.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = [workspace::root().join("tests/python/.venv/bin")]
        .into_iter()
        .chain(postgresql())
        .chain(env::split_paths(&path))
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        assert!(
            env::var_os("SIGILL_REQUIRE_TOOLS").is_none(),
            "{program} is missing and SIGILL_REQUIRE_TOOLS is set"
        );
        println!("skipped: {program} is not installed");
    }
    found
}

/// Debian keeps each version of PostgreSQL in a folder of its own; the newest comes first.
fn postgresql() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    versions.into_iter().map(|version| version.join("bin")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_program_that_every_machine_has() {
        assert!(find("sh").unwrap().is_absolute());
    }
}

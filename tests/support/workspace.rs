//! Where the checkout lies, and the data that stands beside it.

use std::path::{Path, PathBuf};

/// The root of the checkout.
///
/// # Panics
///
/// Never: the manifest of this package lies one folder below it.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent")
}

/// A file or folder of the data that stands beside the checkout (`../shared/NAME`).
///
/// It is never part of the project, so where it is absent this prints a `skipped:` line, which
/// `./check` counts, and the test returns.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = root().parent()?.join("shared").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared/{name} is not beside this checkout");
    None
}

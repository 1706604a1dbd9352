//! Two tokens with the same keys, as after a vendor's cloning.
//!
//! A module sees tokens when it is initialised, so they are made by one child and used by another.

use std::fs;
use std::path::PathBuf;

use crate::softhsm::{Side, SoftHsm, clone_token, side};

/// Label of the token that the keys are made in.
pub const PREFERRED: &str = "sg-td-ab12-issuing";
/// Label of its clone.
pub const STAND_BY: &str = "sg-td-ab12-issuing-b";
/// Serial number of its clone.
pub const STAND_BY_SERIAL: &str = "00000000000000b2";

/// The token labelled [`PREFERRED`] as it was made.
pub struct Made {
    /// Its serial number.
    pub serial: String,
    /// The public keys of its private ones, as SubjectPublicKeyInfo.
    pub keys: Vec<Vec<u8>>,
}

impl Made {
    fn keep(&self, softhsm: &SoftHsm) {
        let state = softhsm.state();
        fs::write(state.join("serial"), &self.serial).expect("a serial number is kept");
        for (number, key) in self.keys.iter().enumerate() {
            fs::write(state.join(format!("key-{number}.spki")), key).expect("a key is kept");
        }
    }

    fn kept(softhsm: &SoftHsm) -> Self {
        let state = softhsm.state();
        let serial = fs::read_to_string(state.join("serial")).expect("a serial number was kept");
        let read = |number: usize| fs::read(state.join(format!("key-{number}.spki"))).ok();
        Self { serial, keys: (0..).map_while(read).collect() }
    }
}

/// Runs `body` in a process of its own, that finds both tokens there. `make` makes the preferred one in
/// another process; the other lies in the folder that `place` names. `test` is the test's full name.
///
/// # Panics
///
/// If `make` or `body` does.
pub fn with_two_tokens(
    test: &str,
    place: impl FnOnce(&SoftHsm) -> PathBuf,
    make: impl FnOnce(&SoftHsm) -> Made,
    body: impl FnOnce(SoftHsm, Made),
) {
    match side() {
        None => {}
        Some(Side::Parent(softhsm)) => {
            softhsm.succeeds(test, "make");
            let to = place(&softhsm);
            let new = (STAND_BY, STAND_BY_SERIAL);
            let _folder = clone_token(&softhsm.tokens(), PREFERRED, &to, new);
            softhsm.succeeds(test, "use");
        }
        Some(Side::Child { softhsm, phase }) if phase == "make" => make(&softhsm).keep(&softhsm),
        Some(Side::Child { softhsm, .. }) => {
            let made = Made::kept(&softhsm);
            body(softhsm, made);
        }
    }
}

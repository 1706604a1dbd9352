//! The same journey on each kind of token: SoftHSM, SoftHSM behind `p11-kit server`, Kryoptic, and a TPM by tpm2-pkcs11.
//!
//! Keys are made, read back by our code and by other people's tools, used, and found again by a process that was not
//! there before; then a whole CA with its responder lives on the token. What a token cannot do is written down in
//! `kind`, with the call and its result, and anything else than that fails. The results stand in
//! docs/operations/hsm.md; the lines that begin with `measured:` are what it was made from.
//!
//! A token that is not installed is skipped; `SIGILL_TOKENS=all` builds Kryoptic and skips nothing.

#[allow(dead_code, reason = "shared with the journeys, which use more of it")]
#[path = "../journeys/accounts.rs"]
mod accounts;
#[allow(dead_code, reason = "shared with the journeys, which use more of it")]
#[path = "../journeys/api.rs"]
mod api;
mod authority;
#[allow(dead_code, reason = "shared with the journeys, which use more of it")]
#[path = "../journeys/deployment.rs"]
mod deployment;
mod keys;
mod kind;
mod loss;
#[allow(dead_code, reason = "shared with the journeys, which use more of it")]
#[path = "../journeys/orders.rs"]
mod orders;
mod place;

use std::process::ExitCode;

use support::suite::{self, Check};

const CHECKS: &[Check<()>] = &[
    ("softhsm::keys_are_made_and_found_again", keys::on_softhsm),
    ("softhsm::a_whole_ca_lives_on_it", authority::on_softhsm),
    ("p11_kit::keys_are_made_and_found_again", keys::on_p11_kit),
    ("p11_kit::a_whole_ca_lives_on_it", authority::on_p11_kit),
    ("p11_kit::the_loss_of_its_server_loses_nothing_else", loss::of_the_p11_kit_server),
    ("kryoptic::keys_are_made_and_found_again", keys::on_kryoptic),
    ("kryoptic::a_whole_ca_lives_on_it", authority::on_kryoptic),
    ("tpm::keys_are_not_made_and_why_is_known", keys::on_tpm),
];

fn main() -> ExitCode {
    match keys::phase() {
        Some(phase) => phase.run(),
        None => suite::run(CHECKS, || ()),
    }
}

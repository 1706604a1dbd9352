//! The room against real SoftHSM tokens, each test in a process and a token folder of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "clippy's allowances for tests cover only test functions, not the helpers beside them"
)]

mod doors;
mod drift;
mod find;
mod fixture;
mod healing;
mod holdings;
mod judged;
mod keys;
mod measured;
mod modules;
mod pins;
mod probe;
mod profiled;
mod signing;
mod standby;
mod standby_types;
mod tokens;

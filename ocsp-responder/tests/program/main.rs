//! `sigill-ocsp` as a program: a publication folder made here, a SoftHSM token, OpenSSL as client.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code throughout; clippy's allowances cover only test functions"
)]

mod answers;
mod client;
mod faults;
mod figures;
mod fixture;
mod generations;
mod keys;
mod memory_keys;
mod protocol;
mod receive;
mod served_files;
mod shapes;
mod status_page;
mod tampered;

//! What the programs ask of the machine that they run on: files that are whole after a crash, and threads whose end is theirs.

pub mod durable;
pub mod vital;

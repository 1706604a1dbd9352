//! What a key ceremony is, in bytes: its plan, who approves it, the script that people read, the transcript
//! that is written ahead of every act, who is in the room at each line of it, the shape that it has in common with its rehearsal, what
//! stops it, and the files that go into it and come back.
//!
//! `sigill-ceremony` holds ceremonies by these rules and an auditor's program judges them by the same ones, so they stand
//! here and know no device. The room reads no clock, draws no randomness and does no I/O: files and times are arguments.

pub mod approval;
pub mod attendance;
pub mod budget;
pub mod bundle;
pub mod cross;
pub mod destruction;
pub mod exchange;
pub mod held;
pub mod plan;
pub mod presence;
pub mod refusal;
pub mod script;
pub mod shape;
pub mod share;
pub mod transcript;
pub mod words;

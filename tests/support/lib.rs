//! The harness of the test suites: what several of them need and none of them is about.
//!
//! [`budget`] says how often a counting test works, [`workspace`] where the checkout and the data
//! beside it lie, [`softhsm`] makes throwaway tokens, [`tool`] finds other people's programs and says so when one is missing.

pub mod budget;
pub mod softhsm;
pub mod tool;
pub mod workspace;

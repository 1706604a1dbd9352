//! The harness of the test suites: what several of them need and none of them is about.
//!
//! [`budget`] says how often a counting test works, [`workspace`] where the checkout and the data
//! beside it lie, [`tool`] finds other people's programs and says so when one is missing, [`spoken`]
//! runs them, [`program`] runs ours on [`ports`] that stay free, [`pin_marker`] reads what is kept of a refused PIN, [`softhsm`] makes throwaway tokens,
//! [`postgresql`] throwaway servers, [`line`](mod@line) lines to them that are cut,
//! [`two_tokens`] two with the same keys, [`laboratory`] disturbs them,
//! [`stop`] ends threads, [`demo`] is a whole Sigill that runs, and [`suite`] runs checks that share one.

pub mod budget;
pub mod demo;
pub mod laboratory;
pub mod line;
pub mod pin_marker;
pub mod ports;
pub mod postgresql;
pub mod program;
pub mod softhsm;
pub mod spoken;
pub mod stop;
pub mod suite;
pub mod tool;
pub mod two_tokens;
pub mod workspace;

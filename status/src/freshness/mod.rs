//! The freshness contract: who relies on what is signed, how old it may be then, and the times that follow.
//!
//! A [`Contract`] declares classes of relying parties. [`Timing`] is derived from it, or written by hand and then
//! [judged](Contract::counter_example): a setting that breaks the contract is refused with a [`CounterExample`], a
//! timeline that was played through in `world` and ends with a party of the class that relies on something too old,
//! or has nothing to rely on. [`simulate`](Contract::simulate) plays a week with parts away. Nothing here reads a clock: moments are distances from a start.

mod check;
mod contract;
mod timing;
mod week;
mod world;

pub use check::{Broken, CounterExample, Refused, WrittenDeltas};
pub use contract::{Contract, ContractError, Method, PartyClass};
pub use timing::{AnswerSigning, PUBLISHED_WITHIN, Timing, Unservable, resign_after};
pub use week::{ClassWeek, Span, WEEK};
pub use world::{Away, Part};

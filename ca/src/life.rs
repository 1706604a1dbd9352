//! What may happen to a carrier, an eID, an order and a request for approval, and in which order: one closed table each.
//!
//! The portal shows people where these things stand, in Swedish, and calls what moves them; the CA decides
//! which step may follow which. A step that a table does not have does not exist: there is no act that repairs
//! a stage. What becomes of single certificates is `status`'s matter ([`status::transition`]); an eID moves all
//! of its certificates by one act, so that they never come apart.

mod approval;
mod carrier;
mod eid;
mod machine;
mod order;
pub mod page;

pub use self::approval::{ApprovalAct, ApprovalStage};
pub use self::carrier::{CarrierAct, CarrierStage};
pub use self::eid::{EidAct, EidStage};
pub use self::machine::{Machine, Named, Stage, StageRow, StepRow, Word};
pub use self::order::{OrderAct, OrderStage};

#[cfg(test)]
mod tests;

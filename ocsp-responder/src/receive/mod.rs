//! Takes what the inner zone pushes, over a listener of its own (architecture §2.2, §2.3).
//!
//! The inner zone opens the connection; nothing here ever opens one. Who pushes is known by the key of
//! its certificate, and is believed in nothing: [`tree`] takes files of the publication tree only, judges
//! a checkpoint as the follower would before it is put into place, and changes nothing that a trusted
//! checkpoint covers. Over the same connection the inner zone collects the outbox and reads back what
//! has been published (decision 0018).

mod listener;
mod refused;
mod room;
mod service;
mod settings;
mod tls;
mod tree;

pub(crate) use listener::run;
pub(crate) use refused::{Refused, follow_code};
pub(crate) use service::Receiver;
pub(crate) use settings::{Receive, ReceiveSection};
pub(crate) use tls::{TlsError, server_config};
pub(crate) use tree::{Tree, TreeError};

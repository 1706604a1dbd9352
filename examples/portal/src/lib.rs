//! What the example portal and the card simulator have in common: forms, pages, a small web server on loopback, and files that a kill leaves whole.
//!
//! The portal knows nothing of the CA but its contract (`api`) and docs/formats; `x509` reads certificates and writes certification requests.

pub mod files;
pub mod form;
pub mod html;
pub mod serving;

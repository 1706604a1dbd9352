//! What is issued, what is refused, and who else agrees.

mod golden;
mod hostile;
mod mail;
mod mutation;
mod names;
mod outside;
mod refusals;
mod scripts;

//! What is issued, what is refused, and who else agrees.

mod edited;
mod ends;
mod golden;
mod hostile;
mod leave;
mod mail;
mod mutation;
mod names;
mod ordered;
mod outside;
mod refusals;
mod scripts;

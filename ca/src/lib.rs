//! The rules of issuing: who may get which certificate, and what stands in it.
//!
//! This room decides. It turns a profile, an issuer and a request into to-be-signed bytes that have
//! been linted ([`prepare`](crate::prepare::prepare)), or into a refusal that ends the search
//! ([`refusal::Refusal`]). It holds no key, reads no clock, draws no randomness and does no I/O: time,
//! serial numbers and ids are arguments.

pub mod activation;
pub mod actor;
pub mod admit;
pub mod algorithms;
pub mod audit;
pub mod book;
pub mod calendar;
pub mod carrier;
pub mod client;
pub mod day;
pub mod deployment;
pub mod diagnosis;
pub mod domain;
pub mod eid;
pub mod fields;
pub mod four_eyes;
pub mod identity;
pub mod issuer;
pub mod job;
pub mod key_holder;
pub mod key_period;
pub mod key_quality;
pub mod life;
pub mod limit;
pub mod operation;
pub mod order;
pub mod organisation;
pub mod prepare;
pub mod profile;
pub mod protection;
pub mod refusal;
pub mod register;
pub mod request;
pub mod revocation;
pub mod role;
pub mod routine;
pub mod rules;
pub mod steps;
pub mod table;
pub mod word;

#[cfg(test)]
mod testing;

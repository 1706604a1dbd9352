//! Journeys of a whole CA through faults: killed at every step of issuing, hung up on, its audit log
//! refusing, its database set back, its token gone or wrong.
//!
//! Each runs the real programs on a deployment of its own, copied from one that was made once
//! once, and speaks to the API as a portal does.

mod accounts;
mod api;
mod broken_line;
mod clock;
mod crash;
mod demo;
mod deployment;
mod device;
mod eids;
mod ending;
mod exchange;
mod faults;
mod feed;
mod healing;
mod idempotency;
mod in_flight;
mod known;
mod lot;
mod mass;
mod mixed;
mod nodes;
mod orders;
mod partitions;
mod presigned;
mod pressure;
mod renewal;
mod replay;
mod revocation;
mod shards;
mod soak;
mod standby;
mod test_certificates;
mod watching;
mod zones;

use std::process::ExitCode;

use deployment::Template;
use support::suite;

fn main() -> ExitCode {
    let checks = [
        crash::CHECKS,
        idempotency::CHECKS,
        eids::CHECKS,
        faults::CHECKS,
        device::CHECKS,
        healing::CHECKS,
        demo::CHECKS,
        exchange::CHECKS,
        renewal::CHECKS,
        revocation::CHECKS,
        clock::CHECKS,
        presigned::CHECKS,
        pressure::CHECKS,
        standby::CHECKS,
        in_flight::CHECKS,
        partitions::CHECKS,
        mixed::CHECKS,
        mass::CHECKS,
        nodes::CHECKS,
        feed::CHECKS,
        known::CHECKS,
        ending::CHECKS,
        shards::CHECKS,
        zones::CHECKS,
        test_certificates::CHECKS,
        watching::CHECKS,
        soak::CHECKS,
        broken_line::CHECKS,
    ];
    suite::run(&checks.concat(), Template::make)
}

//! What each step must say by itself.

use std::time::Duration;

use ca::deployment::Environment;
use x509::serial::SerialNumber;

use crate::plan::fault::Fault;
use crate::plan::kind::{Audit, Kind};
use crate::plan::people::Role;
use crate::plan::step::{
    Ahead, Attributes, BackupWay, IssuerUrls, NumberRule, Operation, Revocation, Step,
};
use crate::plan::{Plan, Word};

/// CRL-04: the CRL of an offline CA lasts a year at most.
const LONGEST_CRL_DAYS: u64 = 366;
/// Most CRLs that are signed ahead: three years of months.
const LONGEST_SERIES: usize = 36;
/// Greatest distance to the number before.
const GREATEST_GAP: u64 = 1_000_000;
/// Reasons of RFC 5280 §5.3.1 that the certificate of a CA or delegate may be revoked for by the CA above it.
const REASONS: [&str; 6] = [
    "unspecified",
    "key-compromise",
    "ca-compromise",
    "affiliation-changed",
    "superseded",
    "cessation-of-operation",
];

pub(super) fn faults(plan: &Plan) -> Vec<Fault> {
    let mut faults = below_kind(plan);
    for step in &plan.steps {
        faults.extend(presence(plan, step));
        let (wanted, seen) = (step.operation.signatures(), step.signatures);
        if wanted != seen {
            faults.push(Fault::Signatures { step: step.id.clone(), wanted, seen });
        }
        faults.extend(of_operation(plan, step));
    }
    faults
}

/// The shares that are needed are at least what the kind demands.
fn below_kind(plan: &Plan) -> Vec<Fault> {
    let demanded = plan.kind.people().iter().find(|(role, _)| *role == Role::Custodian);
    let seen = plan.people.quorum.custodians.map_or(0, |quorum| quorum.m);
    match demanded {
        Some(&(role, wanted)) if seen < wanted => {
            vec![Fault::BelowKind { kind: plan.kind, role, wanted, seen }]
        }
        _ => Vec::new(),
    }
}

/// Who must be in the room for what cannot be undone, and whether they can be.
fn presence(plan: &Plan, step: &Step) -> Vec<Fault> {
    let required = |role: Role| {
        step.requires.iter().filter(|one| one.role == role).map(|one| one.people).max().unwrap_or(0)
    };
    let quorum = &plan.people.quorum;
    let custodians = quorum.custodians.map_or(0, |quorum| quorum.m);
    let prepares = matches!(step.operation, Operation::PrepareToken { .. });
    // All custodians take their shares when a token is prepared.
    let (custodians, officers) = if prepares {
        let all =
            |threshold: Option<crate::plan::people::Threshold>| threshold.map_or(0, |one| one.n);
        (all(quorum.custodians), all(quorum.so_custodians))
    } else {
        (custodians, 0)
    };
    let wanted = [
        (Role::Administrator, 1),
        (Role::Operator, 1),
        (Role::Witness, 1),
        (Role::Custodian, custodians),
        (Role::SoCustodian, officers),
        (Role::Auditor, u8::from(plan.auditor == Audit::Present)),
    ];
    let mut faults = Vec::new();
    if step.operation.is_irreversible() {
        for (role, wanted) in wanted {
            let seen = required(role);
            if seen < wanted {
                faults.push(Fault::Requires { step: step.id.clone(), role, wanted, seen });
            }
        }
    }
    for one in &step.requires {
        let seen = plan.people.of(one.role).len();
        if seen < usize::from(one.people) {
            let (role, wanted) = (one.role, one.people);
            faults.push(Fault::Unmet { step: step.id.clone(), role, wanted, seen });
        }
    }
    faults
}

fn of_operation(plan: &Plan, step: &Step) -> Vec<Fault> {
    let id = || step.id.clone();
    let mut faults = Vec::new();
    match &step.operation {
        Operation::GenerateKey { backup, attributes, .. } => {
            let born = Attributes::born(*backup).rows();
            for ((attribute, seen), (_, wanted)) in attributes.rows().into_iter().zip(born) {
                if seen != wanted {
                    faults.push(Fault::Attribute { step: id(), attribute, seen });
                }
            }
            // A responder that is lost is enrolled anew, with another key.
            let lost_for_good =
                plan.kind != Kind::Responder && plan.deployment.environment() != Environment::Test;
            if *backup == BackupWay::None && lost_for_good {
                faults.push(Fault::NoBackup { step: id() });
            }
        }
        Operation::Certificate { not_after, like, urls, .. } => {
            if urls.is_none() != (plan.kind == Kind::RootKey) {
                faults.push(Fault::Urls { step: id() });
            }
            faults.extend(urls.iter().flat_map(|urls| of_urls(step, urls)));
            if *not_after <= plan.window.not_after {
                faults.push(Fault::Ended { step: id(), not_after: *not_after });
            }
            if like.is_some() != (plan.kind == Kind::CrossCertificate) {
                faults.push(Fault::Like { step: id() });
            }
        }
        Operation::Crl { previous, number, lifetime, series, revoke, .. } => {
            if previous.is_none() != (plan.kind == Kind::RootKey) {
                faults.push(Fault::Previous { step: id() });
            }
            let days = lifetime.as_secs().div_ceil(86_400);
            if !(1..=LONGEST_CRL_DAYS).contains(&days) {
                faults.push(Fault::CrlLifetime { step: id(), days });
            }
            if !(1..=GREATEST_GAP).contains(&number.gap) {
                faults.push(Fault::Gap { step: id(), seen: number.gap });
            }
            faults.extend(of_series(plan, &step.id, series, *number, *lifetime));
            faults.extend(revoke.iter().filter_map(|one| of_revocation(plan, &step.id, one)));
        }
        Operation::Delegate { urls, .. } => faults.extend(of_urls(step, urls)),
        Operation::Declare { .. }
        | Operation::PrepareToken { .. }
        | Operation::Backup { .. }
        | Operation::Request { .. }
        | Operation::Enrol { .. }
        | Operation::Destroy { .. } => {}
    }
    faults
}

/// CRLs that are signed ahead: each follows the one before it by number and time, and is true before that ends.
fn of_series(
    plan: &Plan,
    step: &Word,
    series: &[Ahead],
    number: NumberRule,
    lifetime: Duration,
) -> Vec<Fault> {
    let Some(first) = series.first() else { return Vec::new() };
    let mut wrong = Vec::new();
    if !(2..=LONGEST_SERIES).contains(&series.len()) {
        wrong.push("it has 2 to 36 CRLs");
    }
    if first.this_update < plan.window.not_before {
        wrong.push("the first one begins before the window");
    }
    if first.number <= number.floor {
        wrong.push("its first number is not above the floor");
    }
    if series.iter().any(|one| one.this_update.checked_add(lifetime) != Some(one.next_update)) {
        wrong.push("each one lasts for `lifetime`");
    }
    for (before, one) in series.iter().zip(series.iter().skip(1)) {
        if before.number.checked_add(number.gap) != Some(one.number) {
            wrong.push("each number is above the one before by `gap`");
        }
        if one.this_update <= before.this_update || one.this_update >= before.next_update {
            wrong.push("each begins after the one before it began, and before that ends");
        }
    }
    wrong.dedup();
    wrong.into_iter().map(|why| Fault::Series { step: step.clone(), why }).collect()
}

fn of_urls(step: &Step, urls: &IssuerUrls) -> Vec<Fault> {
    let wrong = urls.all().into_iter().filter(|url| !is_http(url.as_str()));
    wrong.map(|url| Fault::Url { step: step.id.clone(), url: url.clone() }).collect()
}

fn is_http(url: &str) -> bool {
    let host = url.strip_prefix("http://");
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        && url.bytes().all(|octet| octet.is_ascii_graphic())
}

fn of_revocation(plan: &Plan, step: &Word, one: &Revocation) -> Option<Fault> {
    let why = if one.serial.as_str().parse::<SerialNumber>().is_err() {
        "it is no serial number in hexadecimal digits"
    } else if !REASONS.contains(&one.reason.as_str()) {
        "its reason is none that certificates of CAs and delegates are revoked for"
    } else if one.date > plan.window.not_after {
        "its date is after the window"
    } else {
        return None;
    };
    Some(Fault::Revocation { step: step.clone(), serial: one.serial.clone(), why })
}

//! REV-11: the cards of a batch, all their certificates in one job, and a program that is killed while it runs.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ca::audit::EventCode;
use ca::job::JobState;
use status::{CertificateState, Change, RevocationReason, StatusEntry};
use store::{
    CertificateId, Import, ImportedCertificate, IndexTag, IndexTerm, JobForecast, JobId, JobPlan,
    JobSelector, JobStart, JobStep, JobTerm, Log, Origin, Privacy, Store, Subject,
};
use x509::crl::{ReasonCode, RevokedEntry};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;

use crate::conformance::Backend;
use crate::conformance::jobs::{frozen, planned, step};
use crate::conformance::world::{CLASSES, World, at, audit, followed, fresh, serial};
use crate::{Sqlite, sqlite};

const CHILD: &str = "SIGILL_TEST_MASS_CHILD";
/// Certificates of a card: two kinds, two generations.
const OF_A_CARD: u64 = 4;
/// Of ten cards, one is of another batch.
const OTHERS: u64 = 10;
const STEP: u32 = 250;

/// The child: runs the job that is at work until it is killed, and says each step.
#[test]
fn child_that_is_killed() {
    let Some(folder) = env::var_os(CHILD) else { return };
    let database = std::path::Path::new(&folder).join("sigill.db");
    let keys = store::FileKeySource::new(&std::path::Path::new(&folder).join("keys"));
    let deployment = "test/demo/ab12".parse().unwrap();
    let store = store::SqliteStore::open(&database, deployment, &keys, at(0)).unwrap();
    let job = *store::Jobs::jobs_at_work(&store).unwrap().first().unwrap();
    while let JobStep::Taken { .. } = step(&store, job, 50, at(10)) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "\ntaken").and_then(|()| out.flush());
    }
}

/// Lets a child run a random number of steps, then kills it.
fn run_and_kill(sqlite: &Sqlite) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "mass::child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD, sqlite.folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let wanted = 1 + usize::from(fresh()[7] % 7);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = 0;
    while said < wanted {
        let Some(line) = lines.next() else { break };
        said += usize::from(line.unwrap() == "taken");
    }
    // It may have ended by itself: then there was nothing left.
    let _ = child.kill();
    child.wait().unwrap();
}

fn card(number: u64) -> IndexTerm {
    IndexTerm::new(IndexTag::CardNumber, &format!("97522698{number:011}"))
}

fn is_of_the_batch(number: u64) -> bool {
    !number.is_multiple_of(OTHERS)
}

fn certificate(world: &World, number: u64) -> ImportedCertificate {
    let serial = serial();
    let mut spki = [0; 32];
    spki.iter_mut().zip(serial.as_octets()).for_each(|(to, from)| *to = *from);
    ImportedCertificate {
        id: CertificateId::from_bytes(fresh()),
        issuer: world.issuer.id(),
        serial,
        der: [vec![0; 1200], serial.as_octets().to_vec()].concat(),
        origin: Origin::Imported,
        policy: Some("2.999.1".to_owned()),
        not_before: at(0),
        not_after: at(100_000_000),
        spki: SpkiHash::from_bytes(spki),
        person: None,
        defects: Vec::new(),
        answers: CLASSES,
        privacy: Privacy::Person {
            subject: Subject::Holder(format!("holder {number}")),
            holder: Vec::new(),
        },
        index: vec![card(number)],
        change: None,
    }
}

fn fill(world: &World, cards: u64) {
    let numbers: Vec<u64> = (1..=cards).collect();
    for numbers in numbers.chunks(500) {
        let certificates = numbers
            .iter()
            .flat_map(|number| (0..OF_A_CARD).map(|_| certificate(world, *number)))
            .collect();
        let import = Import { certificates, ..Import::default() };
        world.store.import(&import, &audit(EventCode::ImportCertificate), at(1)).unwrap();
    }
}

fn at_work(world: &World, cards: u64) -> (JobId, JobForecast) {
    let terms: Vec<JobTerm> = (1..=cards)
        .filter(|number| is_of_the_batch(*number))
        .map(|n| JobTerm::Card(card(n)))
        .collect();
    let plan = JobPlan {
        reason: Some(RevocationReason::KeyCompromise),
        corrects: Vec::new(),
        wave: 1_000_000,
        pause: Duration::ZERO,
        actor: "op-1".to_owned(),
        note: "weak keys of one maker".to_owned(),
        selector: JobSelector::default(),
    };
    let job = planned(world, plan, &[]);
    for terms in terms.chunks(1000) {
        world.store.add_job_terms(job, "desk", terms, at(2)).unwrap();
    }
    let forecast = frozen(world, job);
    let start = JobStart { operation: forecast.operation, alone: u64::MAX };
    let change = store::JobChange {
        job,
        client: "desk".to_owned(),
        actor: "op-1".to_owned(),
        signed_by: None,
    };
    let started = world.store.start_job(&change, &start, &audit(EventCode::JobStarted), at(5));
    assert_eq!(started.unwrap(), JobState::Running);
    (job, forecast)
}

/// Octets of the entries of a CRL, as they stand.
fn listed(world: &World) -> (u64, u64) {
    let (mut count, mut octets) = (0, 0);
    world
        .store
        .revoked(world.issuer.id(), at(0), &mut |snapshot| {
            for row in snapshot.rows {
                let row = row.unwrap();
                let entry = RevokedEntry {
                    serial: row.serial,
                    revocation_date: row.status.effective_time,
                    reason: Some(ReasonCode::KeyCompromise),
                    invalidity_date: None,
                };
                count += 1;
                octets += entry.encoded_length();
            }
        })
        .unwrap();
    (count, octets)
}

/// Serials in the order of their revocations.
fn revocations(store: &dyn Store) -> Vec<SerialNumber> {
    let head = store.log_head(Log::Status).unwrap();
    let mut found = Vec::new();
    let mut next = 0;
    while next < head.size {
        let entries = store.log_entries(Log::Status, head.epoch, next..head.size).unwrap();
        next += u64::try_from(entries.len()).unwrap();
        for entry in entries {
            if let Ok(StatusEntry::Certificate(entry)) = StatusEntry::decode(&entry.bytes)
                && matches!(entry.change, Change::Revoked { .. })
            {
                found.push(entry.serial);
            }
        }
    }
    found
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|t| t.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

#[test]
fn a_batch_of_cards_is_revoked_once_each_whatever_kills_the_program() {
    let certificates = support::budget::count("mass-certificates");
    let kills = support::budget::count("mass-kills");
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    let cards = certificates.div_ceil(OF_A_CARD) * OTHERS / (OTHERS - 1);
    fill(&world, cards);
    let begun = Instant::now();
    let (job, forecast) = at_work(&world, cards);
    let counted = begun.elapsed();
    let batch = (1..=cards).filter(|number| is_of_the_batch(*number)).count();
    let batch = u64::try_from(batch).unwrap();
    assert_eq!((forecast.items, forecast.holders), (batch * OF_A_CARD, batch));
    drop(world.store);
    for _ in 0..kills {
        run_and_kill(&sqlite);
        // At every moment the log, the states and the list say the same.
        let store = sqlite.open();
        let so_far = store.job(job).unwrap().unwrap().progress.done();
        assert_eq!(u64::try_from(revocations(&*store).len()).unwrap(), so_far);
    }
    let World { issuer, node, classes, not_after, .. } = world;
    let world = World { store: sqlite.open(), issuer, node, classes, not_after };
    let before = world.store.job(job).unwrap().unwrap().progress.done();
    assert!(before > 0, "no child ran a step");
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    while let JobStep::Taken { .. } = step(&*world.store, job, STEP, at(10)) {}
    let (took, cpu) = (begun.elapsed(), cpu_seconds() - cpu);

    let shown = world.store.job(job).unwrap().unwrap();
    assert_eq!(shown.state, JobState::Done);
    assert_eq!((shown.progress.revoked, shown.progress.already), (forecast.items, 0));
    let mut serials = revocations(&*world.store);
    assert_eq!(u64::try_from(serials.len()).unwrap(), forecast.items);
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(u64::try_from(serials.len()).unwrap(), forecast.items, "none twice");
    let (entries, octets) = listed(&world);
    assert_eq!((entries, octets), (forecast.items, forecast.parts[0].octets), "as it was forecast");
    let index = followed(&*world.store);
    let issuer = index.issuer(&world.issuer.id()).unwrap();
    let revoked = serials.iter().filter(|serial| {
        index.lookup(issuer, serial).is_some_and(|status| status.state == CertificateState::Revoked)
    });
    assert_eq!(u64::try_from(revoked.count()).unwrap(), forecast.items);
    let left = u32::try_from(forecast.items - before).map_or(f64::MAX, f64::from);
    println!("measured: certificates of the job = {}", forecast.items);
    println!("measured: selection and hash = {:.1} s", counted.as_secs_f64());
    println!("measured: revoked a second = {:.0}", left / took.as_secs_f64());
    println!("measured: revoked a second of CPU = {:.0}", left / cpu.max(0.01));
    println!("measured: octets of CRL entries = {octets}");
}

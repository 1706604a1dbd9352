//! The CA with a device that gets signatures wrong or hangs, by the laboratory.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::budget;
use support::demo::until;
use support::laboratory::{Counter, Fate};
use support::suite::Check;

use crate::accounts::{self, Received, Serials};
use crate::deployment::{Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] = &[
    (
        "device::a_spoiled_signature_is_an_alarm_and_nothing_is_released",
        a_spoiled_signature_is_an_alarm_and_nothing_is_released,
    ),
    ("device::calls_that_hang_hold_up_their_own_orders", calls_that_hang_hold_up_their_own_orders),
];

/// Sessions of the issuing token while calls hang.
const SESSIONS: usize = 4;
/// Calls that hang at once.
const HANGING: usize = 2;
/// Callers at once.
const CALLERS: usize = 6;
/// How long a signature may take, in seconds.
const DEADLINE: u64 = 3;
/// While calls hang, certificates come at least so often.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// KEY-10: one bit of a signature is turned round. The caller gets an error of its own code, the alarm is
/// counted, the serial number is never used, and the CA goes on as soon as the device is right again.
fn a_spoiled_signature_is_an_alarm_and_nothing_is_released(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let (mut deployment, laboratory) = deployment.disturbed(1);
    deployment.start();
    let api = deployment.api();
    Received::read("before", &api.ask(&deployment.order("before")));
    assert_eq!(alarms(&deployment), 0);

    laboratory.disturb("[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\nflip-bit = 100\n");
    let refused = api.ask(&deployment.order("spoiled"));
    laboratory.calm();

    assert_eq!(refused.status, 500, "{}", refused.text());
    assert_eq!(refused.json()["code"], "signature-invalid", "{}", refused.text());
    assert!(alarms(&deployment) >= 1);
    let issued = Received::read("spoiled", &api.persevere(&mut None, &deployment.order("spoiled")));
    Received::read("after", &api.ask(&deployment.order("after")));
    let spoiled = laboratory.signed().into_iter().filter(|signed| signed.fate == Fate::Spoiled);
    assert!(spoiled.count() >= 1, "the device was not disturbed");
    let database = deployment.database();
    let serials = Serials::read(&database);
    assert!(serials.issued.contains(&issued.serial));
    let voided = until(Duration::from_secs(30), || {
        let on_crl = accounts::on_crl(&deployment);
        Serials::read(&database)
            .voided
            .iter()
            .next()
            .filter(|serial| on_crl.contains(serial))
            .map(|_| ())
    });
    assert!(voided.is_some(), "the serial of the spoiled signature is not on the CRL");
    deployment.stop();
    accounts::logs_add_up(&deployment, &database);
}

/// KEY-09, ISS-07: two signatures hang, under load, for a minute. The others go on; every answer is a
/// certificate or a 503 with the time to come back; nothing is restarted, no PIN is sent again, no
/// certificate is unknown, and what the device signs in the end is nobody's: its serial number is voided.
fn calls_that_hang_hold_up_their_own_orders(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let (deployment, laboratory) = deployment.with_deadline(DEADLINE).disturbed(SESSIONS);
    let mut deployment = deployment;
    deployment.start();
    let hang = Duration::from_secs(budget::count("hang-seconds"));
    let received: Mutex<Vec<(Received, Instant)>> = Mutex::default();
    let stop = AtomicBool::new(false);
    let began = thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for caller in 0..CALLERS {
            let (api, form) = (deployment.api(), deployment.form());
            let (received, stop) = (&received, &stop);
            scope.spawn(move || {
                let mut line = None;
                for number in 0.. {
                    let key = format!("hanging-{caller}-{number}");
                    let answer = api.persevere(&mut line, &form.order(&key));
                    let certificate = Received::read(&key, &answer);
                    let now = Instant::now();
                    received.lock().expect("no caller failed").push((certificate, now));
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        thread::sleep(Duration::from_secs(2));
        let logins = laboratory.counted().of(Counter::LoginsRight);
        let began = Instant::now();
        laboratory.disturb(&format!(
            "[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ncalls = \"1-{HANGING}\"\nhang-ms = {}\n",
            hang.as_millis()
        ));
        thread::sleep(hang + Duration::from_secs(2));
        let counted = laboratory.counted();
        assert_eq!(counted.of(Counter::Struck), u64::try_from(HANGING).expect("few"));
        assert_eq!(counted.of(Counter::LoginsRight), logins, "a login that was not lost");
        began
    });
    laboratory.calm();
    let received = received.into_inner().expect("no caller failed");
    let mut moments: Vec<Instant> = received.iter().map(|(_, moment)| *moment).collect();
    moments.retain(|moment| *moment > began);
    moments.sort();
    let gap = moments.windows(2).map(|pair| pair[1] - pair[0]).max().expect("certificates");
    println!("measured: hang, s = {}", hang.as_secs());
    println!("measured: certificates received while calls hang = {}", moments.len());
    println!("measured: longest time without one, ms = {}", gap.as_millis());
    assert!(gap < LONGEST_GAP, "{gap:?}");

    let database = deployment.database();
    let voided = until(Duration::from_secs(30), || {
        let voided = Serials::read(&database).voided;
        (voided.len() >= HANGING && voided.is_subset(&accounts::on_crl(&deployment)))
            .then_some(voided.len())
    });
    println!("measured: serials voided = {}", voided.expect("serials of hung calls on the CRL"));
    deployment.stop();
    let counted = laboratory.counted();
    for counter in [
        Counter::LoginsWrong,
        Counter::AfterFinalise,
        Counter::FinalisedUnderCalls,
        Counter::SharedSession,
    ] {
        assert_eq!(counted.of(counter), 0, "{}", counter.name());
    }
    let mut known: BTreeSet<_> = received.iter().map(|(one, _)| one.serial).collect();
    assert_eq!(known.len(), received.len(), "two orders have one serial number");
    known.extend(accounts::serials_not_ordered(&database));
    assert_eq!(Serials::read(&database).issued, known, "issued, and held by nobody");
    accounts::logs_add_up(&deployment, &database);
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the CA has counted.
fn alarms(deployment: &Deployment) -> u64 {
    let metrics = deployment.metrics();
    let line = metrics.lines().find(|line| line.starts_with("sigill_signature_alarms_total"));
    let value = line.and_then(|line| line.split_whitespace().last());
    value.map_or(0, |value| value.parse().expect("a count"))
}

//! The CA with a device that gets signatures wrong, by the laboratory.

use std::time::Duration;

use support::demo::until;
use support::laboratory::Fate;
use support::suite::Check;

use crate::accounts::{self, Received, Serials};
use crate::deployment::{Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "device::a_spoiled_signature_is_an_alarm_and_nothing_is_released",
    a_spoiled_signature_is_an_alarm_and_nothing_is_released,
)];

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

/// What the CA has counted.
fn alarms(deployment: &Deployment) -> u64 {
    let metrics = deployment.metrics();
    let line = metrics.lines().find(|line| line.starts_with("sigill_signature_alarms_total"));
    let value = line.and_then(|line| line.split_whitespace().last());
    value.map_or(0, |value| value.parse().expect("a count"))
}

use status::ProbeMethod;
use status::observation::{Observation, Seen, SeenRevocation, SeenStatus};

use super::*;
use crate::service::receipt::tests::{PLACES, Revoked, signed};

fn vantage(name: &str) -> VantageName {
    name.parse().unwrap()
}

/// What a vantage point sees of all that it is asked to look at; `tells` says what of each serial.
fn looked(
    revoked: &Revoked,
    place: &str,
    tells: &dyn Fn(&api::ProbeTarget, ProbeMethod) -> SeenStatus,
) -> Vec<String> {
    let service = &revoked.world.service;
    let work = service.probe_work(&vantage(place), None).unwrap();
    assert_eq!(work.next, None);
    let mut statements = Vec::new();
    for target in &work.targets {
        for look in &target.looks {
            let method: ProbeMethod = look.method.parse().unwrap();
            let base = revoked.seen_as(place, method, revoked.world.now());
            let seen = Observation {
                url: look.url.clone(),
                seen: vec![Seen {
                    serial: target.serial.parse().unwrap(),
                    status: tells(target, method),
                }],
                ..base
            };
            statements.push(signed(&seen, place));
        }
    }
    statements
}

fn send(revoked: &Revoked, place: &str, observations: Vec<String>) -> api::ObservationsTaken {
    let request = api::ObservationsRequest { observations };
    revoked.world.service.observed(&vantage(place), place, &request).unwrap()
}

/// As the log has it: what is right.
fn right(revoked: &Revoked, target: &api::ProbeTarget, method: ProbeMethod) -> SeenStatus {
    let service = &revoked.world.service;
    let issuer = revoked.world.authority().id;
    let row = service.store().serial_status(issuer, &target.serial.parse().unwrap()).unwrap();
    match row.map(|row| row.status.revocation()) {
        Some(Some(shown)) => {
            SeenStatus::Revoked(SeenRevocation { time: shown.time, reason: shown.reason })
        }
        None if !method.is_by_list() => SeenStatus::Unknown,
        _ => SeenStatus::Good,
    }
}

pub(in crate::service) fn sees_what_is_so(
    revoked: &Revoked,
    place: &str,
) -> api::ObservationsTaken {
    let seen = looked(revoked, place, &|target, method| right(revoked, target, method));
    send(revoked, place, seen)
}

/// Promise 4: the second vantage point completes what the first began, over a restart, and then nobody looks for it any more.
#[test]
fn a_revocation_is_receipted_once_every_vantage_point_has_seen_it() {
    let revoked = Revoked::new("keyCompromise");
    let first = sees_what_is_so(&revoked, "stockholm");
    assert_eq!((first.receipted, first.refused.len()), (0, 0));
    assert!(revoked.world.service.receipts(&revoked.id).unwrap().items.is_empty());

    let revoked = revoked.restarted();
    let second = sees_what_is_so(&revoked, "umea");
    assert_eq!(second.receipted, 2, "OCSP and CRL");
    assert!(second.differences.is_empty());
    let kept = revoked.world.service.receipts(&revoked.id).unwrap().items;
    assert_eq!(kept.len(), 2);
    for one in &kept {
        let text = ReceiptText::open(one.receipt.as_bytes(), revoked.receipt_key).unwrap();
        assert_eq!(Receipt::from_text(&text).unwrap().entries().len(), 1);
    }
    assert_eq!(revoked.world.leaves(EventCode::RevocationConfirmed), 2);
    assert!(revoked.world.service.store().awaited(0, 10).unwrap().is_empty());
    assert_eq!(sees_what_is_so(&revoked, "stockholm").receipted, 0);
    revoked.world.service.watch_unseen().unwrap();
}

/// What a point has seen with a key that is no longer its own is looked at anew, and holds up nobody.
#[test]
fn after_a_new_vantage_key_it_is_seen_and_receipted_anew() {
    let revoked = Revoked::new("keyCompromise");
    let service = &revoked.world.service;
    sees_what_is_so(&revoked, "stockholm");
    // What stockholm saw, under the key that it had before.
    let old = service.store().awaited(0, 10).unwrap().into_iter().flat_map(|one| {
        let key = one.key();
        let with_old = |sight| Sight { key: x509::key::SpkiHash::from_bytes([9; 32]), ..sight };
        one.sights.into_iter().map(move |sight| (key, with_old(sight)))
    });
    let old: Vec<_> = old.collect();
    assert_eq!(old.len(), 3);
    service.store().record_sights(&old).unwrap();

    assert_eq!(sees_what_is_so(&revoked, "umea").receipted, 0, "and the call is answered");
    service.watch_unseen().unwrap();
    assert_eq!(sees_what_is_so(&revoked, "stockholm").receipted, 2, "seen by its new key");
}

/// A damaged statement keeps back the receipt of its own revocation, and neither the answer nor the receipts of the others.
#[test]
fn what_cannot_be_receipted_holds_up_nothing_else() {
    let revoked = Revoked::new("keyCompromise");
    let other = revoked.another("keyCompromise");
    sees_what_is_so(&revoked, "stockholm");
    let service = &revoked.world.service;
    let issuer = revoked.world.authority().id;
    let serial = revoked.serial().parse().unwrap();
    let damaged = service.store().awaited_of(issuer, &serial, ReceiptMethod::Crl).unwrap().unwrap();
    let sight = damaged.sights[0].clone();
    let second = Duration::from_secs(1);
    let later = sight.seen.checked_add(second).unwrap();
    let (good, bad) = (
        Sight { seen: later, shown: None, ..sight.clone() },
        Sight {
            seen: later.checked_add(second).unwrap(),
            shown: Some(later),
            statement: "damaged".to_owned(),
            ..sight
        },
    );
    service.store().record_sights(&[(damaged.key(), good), (damaged.key(), bad)]).unwrap();

    let told = sees_what_is_so(&revoked, "umea");
    assert_eq!((told.receipted, told.refused.len()), (3, 0));
    let receipts = |id: &str| service.receipts(id).unwrap().items.len();
    assert_eq!((receipts(&revoked.id), receipts(&other)), (1, 2));
    assert_eq!(service.watch_unseen().unwrap_err().refusal.code, "receipt-unsigned");
}

/// A look at a list shows many: they share a receipt.
#[test]
fn revocations_that_one_list_shows_share_a_receipt() {
    let revoked = Revoked::new("keyCompromise");
    let other = revoked.another("keyCompromise");
    let work = revoked.world.service.probe_work(&vantage("umea"), None).unwrap();
    let serials: Vec<SerialNumber> = work
        .targets
        .iter()
        .filter(|one| one.looks.iter().any(|look| look.method == "crl"))
        .map(|one| one.serial.parse().unwrap())
        .collect();
    for place in PLACES {
        let base = revoked.seen_as(place, ProbeMethod::Crl, revoked.world.now());
        let of = |serial: &SerialNumber| {
            let target = api::ProbeTarget {
                issuer: String::new(),
                serial: serial.to_string(),
                looks: Vec::new(),
            };
            Seen { serial: *serial, status: right(&revoked, &target, ProbeMethod::Crl) }
        };
        let mut seen: Vec<Seen> = serials.iter().map(of).collect();
        seen.dedup();
        send(&revoked, place, vec![signed(&Observation { seen, ..base }, place)]);
    }
    let receipts = |id: &str| revoked.world.service.receipts(id).unwrap().items;
    assert_eq!(receipts(&revoked.id).len(), 1);
    assert_eq!(receipts(&revoked.id)[0].receipt, receipts(&other)[0].receipt);
}

/// Promise 4: where OCSP says good for what is revoked there is no receipt, the delay shows, and past the limit somebody is told.
#[test]
fn what_ocsp_shows_as_good_is_not_receipted_and_is_told_of() {
    let mut revoked = Revoked::new("keyCompromise");
    revoked.world.service.receipts.as_mut().unwrap().ocsp_limit = Duration::ZERO;
    let serial = revoked.serial();
    for place in PLACES {
        let seen = looked(&revoked, place, &|target, method| {
            let stale = target.serial == serial && method != ProbeMethod::Crl;
            if stale { SeenStatus::Good } else { right(&revoked, target, method) }
        });
        send(&revoked, place, seen);
    }
    let kept = revoked.world.service.receipts(&revoked.id).unwrap().items;
    assert_eq!(kept.iter().map(|one| one.method).collect::<Vec<_>>(), [api::ReceiptMethod::Crl]);

    std::thread::sleep(Duration::from_millis(1100));
    revoked.world.service.watch_unseen().unwrap();
    let receipts = revoked.world.service.receipts.as_ref().unwrap();
    for place in PLACES {
        assert!(!receipts.begins_to_be_late(ReceiptMethod::Ocsp, &vantage(place)), "{place}: told");
        assert!(
            receipts.begins_to_be_late(ReceiptMethod::Crl, &vantage(place)),
            "{place}: in time"
        );
    }
    // Once it is shown the alarm ends, and the receipt is there.
    std::thread::sleep(Duration::from_millis(1100));
    for place in PLACES {
        sees_what_is_so(&revoked, place);
    }
    assert_eq!(revoked.world.service.receipts(&revoked.id).unwrap().items.len(), 2);
    revoked.world.service.watch_unseen().unwrap();
    let receipts = revoked.world.service.receipts.as_ref().unwrap();
    assert!(receipts.begins_to_be_late(ReceiptMethod::Ocsp, &vantage("umea")), "in time again");
}

/// Where answers are signed beforehand OCSP has no receipts, and rings no alarm.
#[test]
fn a_method_that_is_not_awaited_is_not_looked_for() {
    let mut revoked = Revoked::new("keyCompromise");
    let receipts = revoked.world.service.receipts.as_mut().unwrap();
    receipts.ocsp_limit = Duration::ZERO;
    receipts.methods = vec![ReceiptMethod::Crl];
    std::thread::sleep(Duration::from_millis(1100));
    let service = &revoked.world.service;
    service.watch_unseen().unwrap();
    let receipts = service.receipts.as_ref().unwrap();
    assert!(receipts.begins_to_be_late(ReceiptMethod::Ocsp, &vantage("umea")), "not told of");
    let kept = service.store().awaited(0, 10).unwrap();
    assert_eq!(kept.iter().map(|one| one.method).collect::<Vec<_>>(), [ReceiptMethod::Crl]);
    let receipted = PLACES.map(|place| sees_what_is_so(&revoked, place).receipted);
    assert_eq!(receipted, [0, 1]);
}

/// REV-08, promise 5: a difference names serial, source and position, and is written down once.
#[test]
fn every_difference_from_the_log_is_told_and_written_down_once() {
    let revoked = Revoked::new("keyCompromise");
    let later = revoked.world.now().checked_add(Duration::from_secs(30)).unwrap();
    let (row, never) = (revoked.serial(), revoked.world.service.draw_serial().unwrap());
    let one = |method, serial: &str, status| {
        let base = revoked.seen_as("umea", method, later);
        let seen = vec![Seen { serial: serial.parse().unwrap(), status }];
        signed(&Observation { seen, this_update: later, ..base }, "umea")
    };
    let wrong = vec![
        one(ProbeMethod::OcspGet, &row, SeenStatus::Good),
        one(ProbeMethod::OcspPost, &never.to_string(), SeenStatus::Good),
        one(ProbeMethod::Crl, &row, SeenStatus::Good),
        one(ProbeMethod::CrlDelta, &row, SeenStatus::Good),
    ];
    let told = send(&revoked, "umea", wrong.clone());
    assert_eq!((told.taken, told.differences.len()), (4, 4), "{told:?}");
    assert!(told.differences[0].contains(&row) && told.differences[0].contains("ocsp-get"));
    assert!(told.differences[1].contains("unknown in the log at no position, and good"));
    assert!(told.differences[2].contains("not listed by crl at"));
    let position =
        revoked.world.service.record_of(&revoked.id).unwrap().row.status.position.to_string();
    let by_delta = &told.differences[3];
    for part in [row.as_str(), &position, "not listed by crl-delta at", "issuing.delta.crl"] {
        assert!(by_delta.contains(part), "{part}: {by_delta}");
    }
    assert_eq!(revoked.world.leaves(EventCode::StatusDifference), 4);
    assert_eq!(send(&revoked, "umea", wrong).differences.len(), 4);
    assert_eq!(revoked.world.leaves(EventCode::StatusDifference), 4, "written down once");
}

/// REV-08, promise 4: what a list and its delta show is compared, and is no receipt: relying parties that read lists alone do not see it.
#[test]
fn a_revocation_on_a_delta_agrees_with_the_log_and_is_not_receipted() {
    let mut revoked = Revoked::new("keyCompromise");
    revoked.world.service.receipts.as_mut().unwrap().methods = vec![ReceiptMethod::Crl];
    let now = revoked.world.now();
    for place in PLACES {
        let seen = signed(&revoked.seen_as(place, ProbeMethod::CrlDelta, now), place);
        let told = send(&revoked, place, vec![seen]);
        assert_eq!((told.taken, told.receipted, told.differences.len()), (1, 0, 0), "{told:?}");
    }
    assert!(revoked.world.service.receipts(&revoked.id).unwrap().items.is_empty());
    let later = now.checked_add(Duration::from_secs(30)).unwrap();
    let base = revoked.seen_as("umea", ProbeMethod::CrlDelta, later);
    let record = revoked.world.service.record_of(&revoked.id).unwrap();
    let released = SeenRevocation {
        time: record.row.status.status.effective_time.saturating_sub(Duration::from_secs(1)),
        reason: Some(x509::crl::ReasonCode::KeyCompromise),
    };
    let seen = vec![Seen { status: SeenStatus::Revoked(released), ..base.seen[0] }];
    let told = send(&revoked, "umea", vec![signed(&Observation { seen, ..base }, "umea")]);
    assert_eq!(told.differences.len(), 1, "another date: {told:?}");
}

/// Promise 5: a mirror that goes back, after the receipt, to an object from before the revocation is told of once the limit is over; one at
/// which nobody had looked for the receipt is not.
#[test]
fn a_mirror_that_takes_a_revocation_back_is_told_of() {
    let mut revoked = Revoked::new("keyCompromise");
    let entry = revoked.world.service.record_of(&revoked.id).unwrap().row.status;
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let before = entry.status.effective_time.saturating_sub(minutes(10));
    let sent = |revoked: &Revoked, url: Option<&str>| {
        let stale = |method| {
            let base = revoked.seen_as("umea", method, revoked.world.now());
            let seen = vec![Seen { status: SeenStatus::Good, ..base.seen[0] }];
            let url = url.map_or_else(|| base.url.clone(), str::to_owned);
            signed(&Observation { seen, url, this_update: before, ..base }, "umea")
        };
        let methods = [ProbeMethod::OcspGet, ProbeMethod::OcspPost, ProbeMethod::Crl];
        send(revoked, "umea", methods.map(stale).to_vec()).differences
    };
    let at = |revoked: &mut Revoked, time| {
        revoked.world.service.clock = std::sync::Arc::new(crate::clock::Clock::ahead_by(time));
    };
    at(&mut revoked, minutes(3));
    assert_eq!(sent(&revoked, None), [""; 0], "until the receipt it may be late");
    at(&mut revoked, minutes(4));
    for place in PLACES {
        sees_what_is_so(&revoked, place);
    }
    assert_eq!(revoked.world.service.receipts(&revoked.id).unwrap().items.len(), 2);
    at(&mut revoked, minutes(10));
    let told = sent(&revoked, None);
    assert_eq!(told.len(), 2, "lists have an hour: {told:?}");
    at(&mut revoked, minutes(70));
    assert_eq!(sent(&revoked, Some("http://new.example.org")), [""; 0], "at no point of it");
    let told = sent(&revoked, None);
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|one| one.contains("is taken back")), "{told:?}");
    assert_eq!(revoked.world.leaves(EventCode::StatusDifference), 3, "each once");
    // And it is looked at in every round.
    let work = revoked.world.service.probe_work(&vantage("umea"), None).unwrap();
    let again = work.targets.iter().find(|one| one.serial == revoked.serial()).unwrap();
    assert_eq!(again.looks.len(), 3);
}

/// Whoever holds a vantage key fills neither the log nor the audit log with serials that it makes up.
#[test]
fn made_up_differences_are_counted_and_few_are_written_down() {
    let revoked = Revoked::new("");
    let service = &revoked.world.service;
    let now = revoked.world.now();
    let record = service.record_of(&revoked.id).unwrap();
    let made_up = || {
        let good = Observation {
            deployment: "test/demo/abcd".parse().unwrap(),
            vantage: vantage("umea"),
            method: ProbeMethod::OcspGet,
            url: "http://ocsp.example.org".to_owned(),
            issuer: record.row.issuer,
            object_sha256: [1; 32],
            this_update: now,
            next_update: now.checked_add(Duration::from_secs(3600)).unwrap(),
            object: status::observation::SeenObject::Ocsp { produced_at: now },
            position: None,
            time: now,
            seen: vec![Seen { serial: service.draw_serial().unwrap(), status: SeenStatus::Good }],
        };
        signed(&good, "umea")
    };
    for call in 1..=12 {
        let told = send(&revoked, "umea", (0..15).map(|_| made_up()).collect());
        assert_eq!(told.differences.len(), 15, "who sends them is told of each");
        let written = revoked.world.leaves(EventCode::StatusDifference);
        assert_eq!(written, (call * WRITTEN).min(100), "call {call}");
    }
}

/// A client that sends what is not signed by the vantage key does not keep its vantage point alive.
#[test]
fn only_what_is_taken_is_a_sign_of_life() {
    let revoked = Revoked::new("keyCompromise");
    let receipts = revoked.world.service.receipts.as_ref().unwrap();
    let (now, minute) = (revoked.world.now(), Duration::from_secs(60));
    let silent = || {
        let later = revoked.world.now().checked_add(minute).unwrap();
        let all = receipts.silences(later).into_iter();
        all.map(|(_, silent)| silent).collect::<Vec<_>>()
    };
    for place in PLACES {
        receipts.note_life(&vantage(place), now.saturating_sub(minute));
    }
    send(&revoked, "umea", vec!["a letter".to_owned()]);
    send(&revoked, "umea", Vec::new());
    assert!(silent().iter().all(|silent| *silent >= 2 * minute), "{:?}", silent());
    sees_what_is_so(&revoked, "umea");
    assert!(silent()[0] >= 2 * minute && silent()[1] < 2 * minute, "{:?}", silent());
}

#[test]
fn a_vantage_point_speaks_for_itself_alone() {
    let revoked = Revoked::new("keyCompromise");
    let seen = looked(&revoked, "umea", &|target, method| right(&revoked, target, method));
    let count = seen.len();
    let told = send(&revoked, "stockholm", seen);
    assert_eq!((told.taken, told.refused.len()), (0, count));
    assert!(told.refused.iter().all(|one| one.code == "observation-refused"));
    let caller = revoked.world.caller();
    assert_eq!(caller.must_be_a_vantage_point().unwrap_err().refusal.code, "client-not-allowed");
    let mut nobody = revoked;
    nobody.world.service.receipts = None;
    let refused = nobody.world.service.probe_work(&vantage("umea"), None).unwrap_err();
    assert_eq!(refused.refusal.code, "receipts-not-configured");
    nobody.world.service.watch_unseen().unwrap();
}

/// Promise 7: what a vantage point is given has no name in it.
#[test]
fn the_work_names_nobody() {
    let revoked = Revoked::new("keyCompromise");
    let work = revoked.world.service.probe_work(&vantage("umea"), None).unwrap();
    let text = serde_json::to_string(&work).unwrap();
    assert!(text.contains(&revoked.serial()) && !text.contains("TSTNMT"), "{text}");
    let never = work.targets.iter().filter(|one| {
        let serial = one.serial.parse().unwrap();
        let issuer = revoked.world.authority().id;
        revoked.world.service.store().serial_status(issuer, &serial).unwrap().is_none()
    });
    assert_eq!(never.count(), NEVER_ISSUED);
}

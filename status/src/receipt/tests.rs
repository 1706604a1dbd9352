use super::*;
use crate::observation::tests::{Key, at, crl, ocsp, revoked, serial};
use crate::observation::{Observation, Seen};

const NOW: u64 = 1_795_000_100;

fn entry(octet: u8) -> ReceiptEntry {
    ReceiptEntry {
        position: Position { epoch: 1, index: u64::from(octet) },
        issuer: IssuerId::from_bytes([7; 32]),
        serial: serial(octet),
        revocation: revoked(),
    }
}

fn point(key: &Key, seen: &Observation) -> Point {
    Point {
        vantage: seen.vantage.clone(),
        key: key.public().spki_hash(),
        method: seen.method,
        url: seen.url.clone(),
    }
}

fn elsewhere(seen: Observation) -> Observation {
    Observation { vantage: "umea".parse().unwrap(), ..seen }
}

/// Seen by OCSP from two places.
fn parts() -> (Vec<Point>, Vec<SignedObservation>) {
    let (stockholm, umea) = (Key::of(1), Key::of(2));
    let [get, post] = [ProbeMethod::OcspGet, ProbeMethod::OcspPost].map(ocsp);
    let all = [
        (&stockholm, get.clone()),
        (&stockholm, post.clone()),
        (&umea, elsewhere(get)),
        (&umea, elsewhere(post)),
    ];
    let points = all.iter().map(|(key, seen)| point(key, seen)).collect();
    (points, all.iter().map(|(key, seen)| key.sign(seen)).collect())
}

fn receipt(
    points: Vec<Point>,
    entries: Vec<ReceiptEntry>,
    observations: Vec<SignedObservation>,
) -> Result<Receipt, ReceiptError> {
    let deployment = "test/demo/ab12".parse().unwrap();
    Receipt::new(deployment, ReceiptMethod::Ocsp, at(NOW), points, entries, observations)
}

#[test]
fn a_receipt_reads_back() {
    let (points, observations) = parts();
    let receipt = receipt(points, vec![entry(1)], observations).unwrap();

    let text = receipt.to_text().unwrap();

    assert_eq!(Receipt::from_text(&text).unwrap(), receipt);
    assert!(text.to_text().contains("\n| vantage: umea\n"), "{}", text.to_text());
}

/// Promise 4: one point that has not seen it, or saw something else, and there is no receipt.
#[test]
fn nothing_is_receipted_that_was_not_seen_everywhere() {
    let (points, observations) = parts();
    for missing in 0..observations.len() {
        let mut less = observations.clone();
        less.remove(missing);
        let refused = receipt(points.clone(), vec![entry(1)], less);
        assert!(matches!(refused, Err(ReceiptError::NotSeen { .. })), "{refused:?}");
    }
    for status in [
        SeenStatus::Good,
        SeenStatus::Unknown,
        SeenStatus::Revoked(SeenRevocation { reason: None, ..revoked() }),
        SeenStatus::Revoked(SeenRevocation { time: at(1), ..revoked() }),
    ] {
        let stale = Observation {
            seen: vec![Seen { serial: serial(1), status }],
            ..elsewhere(ocsp(ProbeMethod::OcspPost))
        };
        let mut other = observations.clone();
        other[3] = Key::of(2).sign(&stale);
        assert!(receipt(points.clone(), vec![entry(1)], other).is_err(), "{status:?}");
    }
    let refused = receipt(points, vec![entry(1), entry(2)], observations);
    assert!(matches!(refused, Err(ReceiptError::NotSeen { serial: s, .. }) if s == serial(2)));
}

#[test]
fn every_url_is_asked_in_every_way_of_its_method() {
    let (points, observations) = parts();
    for dropped in 0..points.len() {
        let (mut fewer, mut less) = (points.clone(), observations.clone());
        fewer.remove(dropped);
        less.remove(dropped);
        let refused = receipt(fewer, vec![entry(1)], less);
        assert!(matches!(refused, Err(ReceiptError::Point { .. })), "{refused:?}");
    }
    let list = Key::of(1).sign(&crl());
    let mut mixed = points;
    mixed.push(point(&Key::of(1), list.observation()));
    let observations = [observations, vec![list]].concat();
    assert!(matches!(
        receipt(mixed, vec![entry(1)], observations),
        Err(ReceiptError::Point { .. })
    ));
}

#[test]
fn refuses_observations_of_others() {
    let (points, observations) = parts();
    let with = |observation: SignedObservation| {
        receipt(points.clone(), vec![entry(1)], [observations.clone(), vec![observation]].concat())
    };
    let get = ocsp(ProbeMethod::OcspGet);
    let other = Observation { deployment: "test/demo/zz99".parse().unwrap(), ..get.clone() };
    assert!(matches!(with(Key::of(1).sign(&other)), Err(ReceiptError::Foreign { .. })));
    assert!(matches!(with(Key::of(9).sign(&get)), Err(ReceiptError::Foreign { .. })));
    let issuer = Observation { issuer: IssuerId::from_bytes([1; 32]), ..get.clone() };
    assert!(matches!(with(Key::of(1).sign(&issuer)), Err(ReceiptError::Foreign { .. })));
    let later = Observation { time: at(NOW + 1), ..get.clone() };
    assert!(matches!(with(Key::of(1).sign(&later)), Err(ReceiptError::Later { .. })));
    assert!(matches!(
        receipt(points.clone(), vec![entry(1), entry(1)], observations.clone()),
        Err(ReceiptError::Twice { .. })
    ));
    assert_eq!(receipt(Vec::new(), vec![entry(1)], Vec::new()), Err(ReceiptError::Empty));
    assert_eq!(receipt(points.clone(), Vec::new(), Vec::new()), Err(ReceiptError::Empty));
}

/// A wave: one look at a CRL shows many.
#[test]
fn one_list_shows_a_wave_of_revocations() {
    let key = Key::of(1);
    let seen: Vec<Seen> = (1..=90)
        .map(|octet| Seen { serial: serial(octet), status: SeenStatus::Revoked(revoked()) })
        .collect();
    // `from_random` fixes the first two bits, so that serials of octets 64 apart are one.
    let mut distinct: Vec<Seen> = Vec::new();
    for one in seen {
        if !distinct.iter().any(|other| other.serial == one.serial) {
            distinct.push(one);
        }
    }
    let list = key.sign(&Observation { seen: distinct.clone(), ..crl() });
    let entries: Vec<ReceiptEntry> = (0..)
        .zip(&distinct)
        .map(|(index, one)| ReceiptEntry {
            position: Position { epoch: 1, index },
            serial: one.serial,
            ..entry(1)
        })
        .collect();
    let points = vec![point(&key, list.observation())];

    let wave = Receipt::new(
        "test/demo/ab12".parse().unwrap(),
        ReceiptMethod::Crl,
        at(NOW),
        points,
        entries,
        vec![list],
    )
    .unwrap();

    assert_eq!(
        Receipt::from_text(&wave.to_text().unwrap()).unwrap().entries().len(),
        distinct.len()
    );
}

/// Whatever octet is another one: the text is refused, or its signature is, or it is another text.
#[test]
fn no_changed_octet_reads_as_the_same_receipt() {
    let (points, observations) = parts();
    let receipt = receipt(points, vec![entry(1)], observations).unwrap();
    let text = receipt.to_text().unwrap().to_text();
    for place in (0..text.len()).step_by(3) {
        let mut bytes = text.clone().into_bytes();
        bytes[place] ^= 1;
        let read = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| ReceiptText::from_text(text).ok())
            .and_then(|text| Receipt::from_text(&text).ok());
        assert_ne!(read.as_ref(), Some(&receipt), "octet {place}");
    }
}

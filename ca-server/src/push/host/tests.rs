//! What the end waits for, and which requests stay.

use super::*;

fn name(number: u8) -> OutboxPath {
    format!("responder/ca{number}/{}.req", hex(&[number; 32])).parse().unwrap()
}

/// A host that takes what it is sent by drops keeps no program from its end; one that is done is waited for.
#[test]
fn the_end_waits_for_no_slow_host() {
    let (gone, waits) = std::sync::mpsc::channel::<()>();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let quick = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    });
    // It ends when this test does, and not before.
    let slow = std::thread::spawn(move || {
        let _ended = waits.recv();
    });
    let pushing = Pushing { stop: Arc::clone(&stop), threads: vec![slow, quick] };

    pushing.stop_within(Duration::from_millis(50));

    assert!(stop.load(Ordering::Relaxed));
    drop(gone);
}

/// Decision 0018 (4): a host cannot fill the inner zone's disk with requests that it lists no more, also
/// when they were fetched by an earlier start.
#[test]
fn requests_of_an_earlier_start_that_are_listed_no_more_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let file = folder.path().join(name(number).to_string());
        replace(&file, &[number]).unwrap();
    }

    let mut requests = requests_in(folder.path()).unwrap();
    assert_eq!(requests.len(), 3);
    assert_eq!(requests.get(&name(2)), Some(&hex(&Sha256::digest([2]))));
    let listed = BTreeMap::from([(name(2), String::new()), (name(4), String::new())]);
    drop_unlisted(folder.path(), &mut requests, &listed).unwrap();

    assert_eq!(requests.keys().collect::<Vec<_>>(), [&name(2)]);
    assert_eq!(requests_in(folder.path()).unwrap(), requests);
    let left = fs::read_dir(folder.path().join("responder")).unwrap().count();
    assert_eq!(left, 1, "empty folders go with their requests");
}

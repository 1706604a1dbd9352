//! CRLs that are signed ahead: as the plan lays them out, released one by one, none before its time, and none after another one has taken their place.

use std::fs;
use std::path::Path;

use ceremony_core::exchange::Wanted;
use support::softhsm::{SoftHsm, alone};
use support::{spoken, test_name};
use x509::crl::{CrlForm, CrlReader};
use x509::pem;
use x509::time::UnixTime;

use super::bundle;
use super::exchange::Exchange;
use super::kinds::Root;
use super::rehearsal::{BOTH, Rehearsed, texts};
use super::run::{Ready, twice};

const DAY: u64 = 86_400;

/// Number, thisUpdate and nextUpdate of a list.
fn read(der: &[u8]) -> (Vec<u8>, UnixTime, UnixTime) {
    let octets = u64::try_from(der.len()).unwrap();
    let reader = CrlReader::start(der, CrlForm::CertificateList, octets).unwrap();
    let head = reader.head().clone();
    let number = reader.finish().unwrap().extensions.number.unwrap();
    (number, head.this_update, head.next_update.unwrap())
}

fn at(time: UnixTime, secs: u64) -> UnixTime {
    UnixTime::from_secs(time.secs() + secs).unwrap()
}

/// The plan by which the root signs three lists ahead, the first from `begins` on, the second a second later, the third in 90 days.
fn ahead<'a>(
    softhsm: &'a SoftHsm,
    root: &Root<'a>,
    (begins, first): (UnixTime, u8),
) -> Rehearsed<'a> {
    let inputs = [
        ("in/training.cer", root.out("training.cer")),
        ("in/training.crl", root.out("training.crl")),
    ];
    let mut more = root.token();
    for (from, after) in [
        ("2027-02-02T12:00:00Z", 0),
        ("2027-02-02T12:00:01Z", 1),
        ("2027-05-03T12:00:00Z", 90 * DAY),
        ("2027-08-01T12:00:00Z", 180 * DAY),
        ("2027-08-01T12:00:01Z", 180 * DAY + 1),
        ("2027-10-30T12:00:00Z", 270 * DAY),
    ] {
        more.push((from.to_owned(), at(begins, after).to_string()));
    }
    for (number, place) in [(4, 2), (3, 1), (2, 0)] {
        more.push((format!("number = {number}, "), format!("number = {}, ", first + place)));
    }
    Rehearsed::of(softhsm, "c5-series-training", &inputs, more)
}

/// A11, N11, N16, N20, N22, CRL-04: lists that are signed ahead have the plan's numbers and times; broken off they are the same ones; they are released in their order, each from
/// its time on, and none once another list has taken their place; the numbers that they used up are signed by no other ceremony.
#[test]
fn lists_that_are_signed_ahead_are_released_one_by_one() {
    alone(test_name!(lists_that_are_signed_ahead_are_released_one_by_one), |softhsm| {
        let root = Root::held(softhsm);
        let (_, begins, _) = read(&root.out("training.crl"));
        let ready = Ready::of(ahead(softhsm, &root, (begins, 2)), Some(root.home.clone()));
        let (code, said) = ready.run("ahead");
        assert_eq!(code, 0, "{said}");
        let records = ready.judge_transcript("ahead");
        assert_eq!(texts(&records, "act"), ["sign"; 3]);
        bundle::holds(&ready, "ahead");
        let out = ready.0.folder.join("ahead/ceremony/out");
        let list = |number: usize| fs::read(out.join(format!("training-{number}.crl"))).unwrap();
        for (number, after) in [(1, 0), (2, 1), (3, 90 * DAY)] {
            let seen = read(&list(number));
            let wanted = (
                vec![u8::try_from(number + 1).unwrap()],
                at(begins, after),
                at(begins, after + 180 * DAY),
            );
            assert_eq!(seen, wanted);
        }
        let of_root = pem::encode(pem::Label::Certificate, &root.out("training.cer"));
        fs::write(out.join("root.pem"), of_root).unwrap();
        for number in 1..=3 {
            let file = format!("training-{number}.crl");
            let words = ["crl", "-inform", "DER", "-in", &file, "-CAfile", "root.pem", "-noout"];
            if let Some(judged) = spoken::openssl(&out, &words) {
                assert_eq!(judged.code, 0, "{}", judged.text);
            }
        }
        fs::remove_file(out.join("root.pem")).unwrap();

        // Broken off in the midst of the second: the first stays, and the second is of the same octets.
        let first = list(1);
        let files = ["training-2.crl", "training-3.crl"];
        ready.cut("ahead", ready.announced("ahead", "sign", "training-2.crl") + 1, &files);
        let (code, said) = ready.run("ahead");
        assert_eq!(code, 0, "{said}");
        assert_eq!(list(1), first);
        twice(&ready.judge_transcript("ahead"), "training-2.crl");
        // And after the second was told, before the third.
        ready.cut("ahead", ready.announced("ahead", "sign", "training-3.crl"), &files[1..]);
        assert_eq!(ready.run("ahead").0, 0);
        bundle::holds(&ready, "ahead");

        // Each after the one that the world has, and none before its time.
        let (issuer, previous) = (root.out("training.cer"), root.out("training.crl"));
        let exchange = Exchange::new(&ready, "ahead", (Wanted::RootCrl, &issuer, &previous));
        assert_eq!(exchange.released(1, &list(3)), Err("exchange-not-held".to_owned()));
        assert_eq!(exchange.released(1, &list(2)), Err("exchange-early".to_owned()));
        assert_eq!(exchange.released(1, &previous), Ok(list(1)));
        assert_eq!(exchange.released(2, &list(2)), Err("exchange-early".to_owned()));
        assert_eq!(exchange.released(2, &list(1)), Ok(list(2)));
        assert_eq!(exchange.released(3, &previous), Err("exchange-superseded".to_owned()));

        // Another ceremony, which is given the same last list as the world has, does not sign what was signed ahead.
        let used = ready.run("again");
        assert_eq!(used.0, 17, "{}", used.1);
        assert!(
            used.1.contains("error: R13: ") && used.1.contains("numbers up to 04"),
            "{}",
            used.1
        );
        assert!(texts(&ready.records("again"), "act").is_empty());
        assert!(!Path::new(&ready.0.path("again/ceremony/out/training-1.crl")).exists());
    });
}

/// N11, N16: what the plan lays out otherwise than the last list or its rule allow is found at the rehearsal.
#[test]
fn a_series_that_does_not_follow_the_last_list_is_found_at_the_rehearsal() {
    alone(
        test_name!(a_series_that_does_not_follow_the_last_list_is_found_at_the_rehearsal),
        |softhsm| {
            let root = Root::held(softhsm);
            let (_, begins, ends) = read(&root.out("training.crl"));
            // The last list has number 1, so 5, 6 and 7 leave a gap that no rule allows.
            let world = ahead(softhsm, &root, (begins, 5));
            let records =
                world.refused(BOTH, "R13", 17, "the plan lays out number 5 for the CRL of");
            assert!(texts(&records, "act").is_empty());
            // A first list that begins after the last one has ended, and nobody knows of the gap.
            let late = ahead(softhsm, &root, (at(ends, 1), 2));
            late.refused(BOTH, "R13", 17, "the previous CRL ends at");
        },
    );
}

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use super::*;

/// The same numbers each time.
struct Counted(u64);

impl TryRng for Counted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        for chunk in octets.chunks_mut(32) {
            self.0 += 1;
            let drawn = Sha256::digest(self.0.to_be_bytes());
            chunk.iter_mut().zip(drawn).for_each(|(octet, value)| *octet = value);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counted {}

const NAMES: [&str; 5] = ["anna", "bo", "cecilia", "david", "eva"];

fn order(names: &[String], threshold: u8) -> Order<'_> {
    Order { token: "sg-td-ab12-root", pin: PinOf::User, threshold, custodians: names }
}

fn names(count: usize) -> Vec<String> {
    NAMES[..count].iter().map(|name| (*name).to_owned()).collect()
}

fn three_of_five() -> (Secret, ShareSet, Vec<Share>) {
    split(&order(&names(5), 3), Counted(0)).unwrap()
}

fn on_paper(share: &Share) -> Share {
    Share::from_paper(&share.lines()).unwrap()
}

#[test]
fn any_of_them_that_are_enough_give_the_pin_and_fewer_do_not() {
    for (count, threshold) in [(2, 2), (3, 2), (5, 3), (5, 5)] {
        let (secret, set, shares) = split(&order(&names(count), threshold), Counted(7)).unwrap();
        let set = ShareSet::from_json(&set.to_json()).unwrap();
        let papers: Vec<Share> = shares.iter().map(on_paper).collect();
        for mask in 0_u32..1 << count {
            let chosen: Vec<&Share> = papers
                .iter()
                .enumerate()
                .filter(|(at, _)| mask >> at & 1 == 1)
                .map(|(_, s)| s)
                .collect();
            match set.join(&chosen) {
                Ok(joined) => {
                    assert!(chosen.len() >= usize::from(threshold));
                    assert_eq!(*joined.pin(), *secret.pin());
                    assert_eq!(joined.pin().len(), 32);
                }
                Err(error) => {
                    let found = chosen.len();
                    assert_eq!(error, ShareError::TooFew { found, needed: threshold });
                }
            }
        }
    }
}

/// N19: a wrong share is named before anything is tried.
#[test]
fn a_forged_share_is_named_by_whose_it_should_be() {
    let (_, set, shares) = three_of_five();
    // Whole, with a checksum that fits: made by somebody who knows how.
    let mut point = shares[1].point();
    point[5] ^= 1;
    let forged = Share::of(shares[1].id(), 3, 5, &point).unwrap();
    let forged = on_paper(&forged);

    let wrong = ShareError::Wrong { number: 2, custodian: "bo".to_owned() };
    assert_eq!(set.judge(&forged), Err(wrong.clone()));
    assert_eq!(set.join(&[&shares[0], &forged, &shares[2]]).unwrap_err(), wrong);
    assert_eq!(set.judge(&shares[1]), Ok("bo"));

    point[0] = 9;
    let of_nobody = Share::of(shares[1].id(), 3, 5, &point).unwrap();
    assert!(matches!(set.judge(&of_nobody), Err(ShareError::Wrong { number: 9, .. })));
}

#[test]
fn a_share_of_another_set_and_one_given_twice_are_refused() {
    let (_, set, shares) = three_of_five();
    let (_, other, others) = split(&order(&names(5), 3), Counted(99)).unwrap();

    assert_ne!(set.name(), other.name());
    let refused = set.join(&[&shares[0], &others[1], &shares[2]]).unwrap_err();
    assert!(matches!(&refused, ShareError::OtherSet { found, .. } if found == other.name()));
    let refused = set.join(&[&shares[0], &shares[4], &shares[0]]).unwrap_err();
    assert_eq!(refused, ShareError::Twice { custodian: "anna".to_owned() });
}

/// N38 for shares: what was misread is found word by word, and no message says a word.
#[test]
fn misread_words_are_found_and_in_no_message() {
    let (_, _, shares) = three_of_five();
    let text = shares[0].lines();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!((words.len(), text.lines().count()), (32, 8));
    let read = |words: &[&str]| Share::from_paper(&words.join(" ")).unwrap_err();

    let mut swapped = words.clone();
    swapped.swap(6, 7);
    assert_eq!(read(&swapped), ShareError::Word { number: 7 });
    // Places of one list: each word can stand there, and the checksum finds it.
    for place in 0..30 {
        let mut swapped = words.clone();
        swapped.swap(place, place + 2);
        if swapped != words {
            assert_eq!(read(&swapped), ShareError::Misread, "{place}");
        }
    }
    assert_eq!(read(&words[..31]), ShareError::Count { seen: 31 });
    assert_eq!(read(&[]), ShareError::Count { seen: 0 });
    assert!(matches!(read(&[words[0], "kalas"]), ShareError::Word { number: 2 }));
    assert!(Share::from_paper(&text.to_uppercase()).is_ok());
    for error in [read(&swapped), read(&[words[0], "kalas"])] {
        assert!(!format!("{error} {error:?}").contains("kalas"));
    }
    assert_eq!(format!("{:?}", shares[0]), "Share(1, hidden)");
}

#[test]
fn refuses_what_cannot_be_a_set() {
    let seventeen: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    let twice = vec!["anna".to_owned(), "anna".to_owned(), "bo".to_owned()];
    for (custodians, threshold, said) in [
        (&names(1)[..], 2, "1 custodians"),
        (&seventeen, 2, "17 custodians"),
        (&names(3), 1, "threshold 1"),
        (&names(3), 4, "threshold 4"),
        (&twice, 2, "named twice"),
    ] {
        let refused = split(&order(custodians, threshold), Counted(0)).unwrap_err();
        assert_eq!(refused.code(), "share-order");
        assert!(refused.to_string().contains(said), "{refused}");
    }
}

#[test]
fn refuses_a_record_that_is_none() {
    let (_, set, _) = three_of_five();
    let text = set.to_json();
    let hash = set.custodians[0].share_sha256.clone();
    for (from, to) in [
        ("sigill-pin-shares/1", "sigill-pin-shares/2"),
        ("\"threshold\": 3", "\"threshold\": 6"),
        ("\"threshold\": 3", "\"threshold\": 1"),
        ("\"number\": 2", "\"number\": 1"),
        ("\"token\"", "\"taken\""),
        (hash.as_str(), set.custodians[1].share_sha256.as_str()),
        (hash.as_str(), "00"),
        (set.set.as_str(), "0011"),
        ("}\n  ]\n}", "}\n  ]"),
    ] {
        assert!(text.contains(from), "{from}");
        let refused = ShareSet::from_json(&text.replacen(from, to, 1)).unwrap_err();
        assert_eq!(refused.code(), "share-record", "{from}");
    }
    assert_eq!(ShareSet::from_json(&text).unwrap(), set);
}

/// A published library once drew coefficients from half of the field; then one share says something of the secret.
#[test]
fn one_share_says_nothing_of_the_secret() {
    let mut seen = [0_u32; 256];
    for round in 0..256 {
        let points = Gf256::split_bytes(2, 2, [0x53; 64], Counted(round * 1_000_000)).unwrap();
        for value in &points[0][1..] {
            seen[usize::from(*value)] += 1;
        }
    }
    // 16 384 values, 64 of each are expected; eight standard deviations either way.
    assert!(seen.iter().all(|count| (1..=128).contains(count)), "{seen:?}");
}

/// docs/formats/vectors/pin-shares.json, which tests/formats reads by a program of its own.
#[test]
fn the_vectors_are_what_is_made() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/formats/vectors/pin-shares.json"))
            .unwrap();
    let (secret, set, shares) = three_of_five();

    assert_eq!(file["set"], serde_json::from_str::<serde_json::Value>(&set.to_json()).unwrap());
    assert_eq!(file["pin"], secret.pin().as_str());
    let lines: Vec<String> = shares
        .iter()
        .map(|share| share.lines().split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(file["shares"], serde_json::to_value(lines).unwrap(), "{file}");
}

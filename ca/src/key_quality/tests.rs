use super::*;

/// A number just below 2^2048, found by search.
fn modulus_without_small_factors() -> Vec<u8> {
    let mut modulus = vec![0xff; 256];
    for low in (1..=0xffff_u16).rev().filter(|low| low % 2 == 1) {
        modulus[254..].copy_from_slice(&low.to_be_bytes());
        if primes_below(TRIAL_LIMIT).all(|prime| remainder(&modulus, prime) != 0) {
            return modulus;
        }
    }
    panic!("no such number")
}

fn key(modulus: &[u8], exponent: &[u8]) -> PublicKey {
    PublicKey::from_rsa_parts(modulus, exponent).unwrap()
}

fn judge(modulus: &[u8], exponent: &[u8]) -> Result<(), WeakKey> {
    check(&key(modulus, exponent))
}

fn octets(digits: &str) -> Vec<u8> {
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(octet).collect()
}

/// A public vector: its class, whether it is sound, and its key.
fn vectors() -> Vec<(&'static str, bool, PublicKey)> {
    let rows = include_str!("vectors.tsv").lines().filter(|line| !line.starts_with('#'));
    let vectors = rows.map(|line| {
        let [class, verdict, spki, source] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert!(!source.is_empty(), "{line}");
        let sound = match verdict {
            "sound" => true,
            "refused" => false,
            other => panic!("{other}"),
        };
        (class, sound, PublicKey::from_spki_der(&octets(spki)).unwrap())
    });
    vectors.collect()
}

pub(super) fn vectors_of(class: &str) -> (Vec<PublicKey>, Vec<PublicKey>) {
    let of_class = vectors().into_iter().filter(|(found, ..)| *found == class);
    let (sound, refused): (Vec<_>, Vec<_>) = of_class.partition(|(_, sound, _)| *sound);
    let keys = |rows: Vec<(&str, bool, PublicKey)>| rows.into_iter().map(|row| row.2).collect();
    (keys(refused), keys(sound))
}

/// ISS-11: keys that others have published, each class with one that is refused and one that is not.
#[test]
fn judges_the_public_vectors_of_every_class() {
    type IsOf = fn(WeakKey) -> bool;
    let classes: [(&str, IsOf); 7] = [
        ("corrupt-modulus", |weak| matches!(weak, WeakKey::SmallFactor { .. })),
        ("exponent", |weak| weak == WeakKey::Exponent),
        ("small-exponent", |weak| weak == WeakKey::SmallExponent { value: 3 }),
        ("roca", |weak| weak == WeakKey::Roca),
        ("close-primes", |weak| weak == WeakKey::ClosePrimes),
        ("not-on-curve", |weak| matches!(weak, WeakKey::Point(KeyError::NotOnCurve { .. }))),
        ("small-order", |weak| weak == WeakKey::Point(KeyError::SmallOrder)),
    ];
    for (class, is_of) in classes {
        let (refused, sound) = vectors_of(class);
        assert!(!refused.is_empty() && !sound.is_empty(), "{class}");
        for key in refused {
            assert!(check(&key).is_err_and(is_of), "{class}: {:?}", check(&key));
        }
        for key in sound {
            assert_eq!(check(&key), Ok(()), "{class}");
        }
    }
}

/// ISS-11: what only a list knows. Their numbers are sound, and the book refuses them.
#[test]
fn refuses_the_public_vectors_of_listed_classes() {
    for class in [ListClass::Debian, ListClass::Published] {
        let (refused, sound) = vectors_of(class.name());
        assert!(!refused.is_empty() && !sound.is_empty(), "{class}");
        let list = KeyList::new(class, "vectors.tsv", refused.iter().map(ListedKey::of)).unwrap();
        let book = KeyBook::new([], vec![list]);
        for key in refused {
            assert_eq!(check(&key), Ok(()), "{class}");
            let refusal = book.judge(&key).unwrap_err();
            assert!(matches!(refusal, KeyRefused::Listed { class: found, .. } if found == class));
        }
        for key in sound {
            assert_eq!(book.judge(&key), Ok(()), "{class}");
        }
    }
}

/// ISS-11: a class without a list is told of, since its keys pass.
#[test]
fn a_book_says_which_lists_it_misses() {
    let debian = KeyList::new(ListClass::Debian, "a test", []).unwrap();

    let missing: Vec<_> = KeyBook::new([], vec![debian]).missing().collect();

    assert_eq!(missing, [ListClass::Compromised, ListClass::Published]);
}

/// ISS-11: one vector per class.
#[test]
fn refuses_even_small_and_oversized_exponents() {
    let modulus = modulus_without_small_factors();

    assert_eq!(judge(&modulus, &[1, 0, 1]), Ok(()));
    for exponent in [&[1][..], &[2], &[1, 0, 2], &[1; 9]] {
        assert_eq!(judge(&modulus, exponent), Err(WeakKey::Exponent), "{exponent:?}");
    }
    for (exponent, value) in [(&[3][..], 3), (&[0xff, 0xff], 0xffff)] {
        assert_eq!(judge(&modulus, exponent), Err(WeakKey::SmallExponent { value }));
    }
}

/// ISS-11: e = 3 stands in real old roots and is taken in by name; new keys with it are refused.
#[test]
fn a_small_exponent_is_taken_in_and_named() {
    let (small, _) = vectors_of("small-exponent");
    let (roca, _) = vectors_of("roca");
    let (off_curve, _) = vectors_of("not-on-curve");
    let codes = |found: Vec<WeakKey>| found.into_iter().map(WeakKey::code).collect::<Vec<_>>();

    for of in [ImportedKey::Authority, ImportedKey::Subscriber] {
        assert_eq!(of_import(&small[0], of).map(codes), Ok(vec!["key-small-exponent"]));
        assert!(matches!(of_import(&off_curve[0], of), Err(WeakKey::Point(_))), "{of:?}");
    }
    assert_eq!(of_import(&roca[0], ImportedKey::Authority), Err(WeakKey::Roca));
    assert_eq!(of_import(&roca[0], ImportedKey::Subscriber).map(codes), Ok(vec!["key-roca"]));
}

#[test]
fn refuses_moduli_with_small_factors() {
    let mut even = modulus_without_small_factors();
    even[255] ^= 1;

    assert_eq!(judge(&even, &[1, 0, 1]), Err(WeakKey::SmallFactor { factor: 2 }));

    // 751, the largest prime below the limit, times 2^2048 + 1.
    let mut product = vec![0; 258];
    product[0..2].copy_from_slice(&751_u16.to_be_bytes());
    product[256..].copy_from_slice(&751_u16.to_be_bytes());
    assert!(matches!(judge(&product, &[1, 0, 1]), Err(WeakKey::SmallFactor { .. })));
}

/// ISS-11: keys made as weak generators made them, and their neighbours that are sound.
#[test]
fn judges_keys_as_weak_generators_made_them() {
    let table = include_str!("weak-keys.tsv");
    for line in table.lines() {
        let [name, verdict, digits] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let wanted = match verdict {
            "good" => Ok(()),
            "close" => Err(WeakKey::ClosePrimes),
            "roca" => Err(WeakKey::Roca),
            other => panic!("{other}"),
        };
        assert_eq!(judge(&octets(digits), &[1, 0, 1]), wanted, "{name}");
    }
    assert_eq!(table.lines().count(), 7);
}

/// A number that is 65537^k modulo every small prime: 65537 itself has the fingerprint.
#[test]
fn knows_the_fingerprint_of_predictable_primes() {
    assert!(has_roca_fingerprint(&[1, 0, 1]));
    assert!(has_roca_fingerprint(&65_537_u64.pow(3).to_be_bytes()));
    assert!(!has_roca_fingerprint(&modulus_without_small_factors()));
}

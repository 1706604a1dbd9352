//! A bundle goes to people outside: nothing in it may be a secret.

use std::collections::HashSet;
use std::sync::LazyLock;

use ceremony_core::share::Share;
use ceremony_core::words::Fingerprint;

/// Words of a share on paper.
const SHARE_WORDS: usize = 32;
/// What a custodian's sheet begins with.
const SHEET: &[u8] = b"PIN-DEL";

/// What a text file with a private key has in it.
const PEM: &[u8] = b"PRIVATE KEY-----";

/// What secret a file has in it, if any.
pub(super) fn found(octets: &[u8]) -> Option<&'static str> {
    if octets.windows(PEM.len()).any(|window| window == PEM) {
        return Some("a private key in PEM");
    }
    if is_share(octets) {
        return Some("a share of a PIN");
    }
    let places = 0..octets.len();
    let mut tails = places.filter_map(|place| octets.get(place..));
    tails.find_map(|tail| {
        if is_pkcs8(tail) {
            Some("a private key (PKCS #8)")
        } else if is_sec1(tail) {
            Some("a private key (SEC 1)")
        } else if is_pkcs1(tail) {
            Some("a private key (PKCS #1)")
        } else if is_encrypted(tail) {
            Some("an encrypted private key (PKCS #8)")
        } else {
            None
        }
    })
}

/// version, AlgorithmIdentifier that begins with an OID, and an OCTET STRING (RFC 5958 §2). In a certificate a Name follows the algorithm.
fn is_pkcs8(tail: &[u8]) -> bool {
    let Some((&[2, 1, 0 | 1, 0x30, length, 6], _)) = tail.split_first_chunk::<6>() else {
        return false;
    };
    length < 0x80 && tail.get(usize::from(length).saturating_add(5)) == Some(&4)
}

/// version 1 and the private value of one of our curves, then the curve's parameters or the public point (RFC 5915 §3).
fn is_sec1(tail: &[u8]) -> bool {
    let Some((&[2, 1, 1, 4, length], _)) = tail.split_first_chunk::<5>() else { return false };
    [32, 48, 66].contains(&length)
        && matches!(tail.get(usize::from(length).saturating_add(5)), None | Some(0xa0 | 0xa1))
}

/// version 0 and a modulus of 512 bits at least, the public exponent, and a private one as long as a large number (RFC 8017 appendix A.1.2). A
/// public key has no version, and of a serial number and what follows it none is so long.
fn is_pkcs1(tail: &[u8]) -> bool {
    let private = || {
        let rest = integer(tail.strip_prefix(&[2_u8, 1, 0])?, 64)?;
        integer(integer(rest, 1)?, 32)
    };
    private().is_some()
}

/// What follows an INTEGER of so many octets at least.
fn integer(octets: &[u8], least: usize) -> Option<&[u8]> {
    let (length, content) = match octets.strip_prefix(&[2_u8])? {
        [0x82, high, low, content @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), content)
        }
        [0x81, length, content @ ..] => (usize::from(*length), content),
        [length @ ..=0x7f, content @ ..] => (usize::from(*length), content),
        _ => return None,
    };
    content.get(length..).filter(|_| length >= least)
}

/// The AlgorithmIdentifier of an encryption by a password (RFC 8018 appendix A, RFC 7292 appendix C), and an OCTET STRING (RFC 5958 §3).
fn is_encrypted(tail: &[u8]) -> bool {
    const PKCS5: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5];
    const PKCS12: &[u8] = &[6, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];
    let (length, algorithm) = match tail {
        [0x30, 0x81, length, algorithm @ ..] => (*length, algorithm),
        [0x30, length @ ..=0x7f, algorithm @ ..] => (*length, algorithm),
        _ => return false,
    };
    (algorithm.starts_with(PKCS5) || algorithm.starts_with(PKCS12))
        && algorithm.get(usize::from(length)) == Some(&4)
}

/// A custodian's sheet, or its words wherever they stand: what is between them is passed over, and their checksum fits.
fn is_share(octets: &[u8]) -> bool {
    static LISTED: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let of = |octet: u8| {
            let [even, odd, ..] = Fingerprint::from_bytes([octet; 32]).words();
            [even.to_ascii_lowercase(), odd.to_ascii_lowercase()]
        };
        (0..=u8::MAX).flat_map(of).collect()
    });
    let mut places = octets.windows(SHEET.len()).enumerate();
    let is_head = |(place, window): (usize, &[u8])| {
        let after = octets.get(place.saturating_add(SHEET.len()));
        window == SHEET && after.is_none_or(|after| !after.is_ascii_alphabetic())
    };
    if places.any(is_head) {
        return true;
    }
    let words: Vec<String> = octets
        .split(|octet| !octet.is_ascii_alphabetic())
        .filter(|word| (3..16).contains(&word.len()))
        .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
        .filter(|word| LISTED.contains(word))
        .collect();
    words.windows(SHARE_WORDS).any(|share| Share::from_paper(&share.join(" ")).is_ok())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// N31: as OpenSSL writes them, in the middle of something else too; certificates, requests and CRLs have none.
    #[test]
    fn private_keys_are_found_and_public_things_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let spoken = |words: &[&str]| {
            let run = Command::new("openssl").args(words).current_dir(folder.path()).output();
            run.is_ok_and(|run| run.status.success())
        };
        let octets = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        for (kind, option) in [
            ("RSA", "rsa_keygen_bits:2048"),
            ("EC", "ec_paramgen_curve:P-256"),
            ("EC", "ec_paramgen_curve:P-384"),
            ("ED25519", ""),
        ] {
            let mut words = vec!["genpkey", "-algorithm", kind, "-out", "key.pem"];
            if !option.is_empty() {
                words.extend(["-pkeyopt", option]);
            }
            if !spoken(&words) {
                return println!("skipped: openssl is not installed");
            }
            assert!(found(&octets("key.pem")).is_some(), "{kind}");
            let der = ["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem", "-outform", "DER"];
            assert!(spoken(&[&der[..], &["-out", "key.der"]].concat()));
            let hidden = [b"before".as_slice(), &octets("key.der"), b"after"].concat();
            assert_eq!(found(&hidden), Some("a private key (PKCS #8)"), "{kind}");
            for how in [&["-v2", "aes-256-cbc"][..], &["-scrypt"], &["-v1", "PBE-SHA1-3DES"]] {
                let der = ["pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret"];
                let out = ["-outform", "DER", "-out", "encrypted"];
                assert!(spoken(&[&der[..], how, &out].concat()));
                let hidden = [b"before".as_slice(), &octets("encrypted"), b"after"].concat();
                let said = Some("an encrypted private key (PKCS #8)");
                assert_eq!(found(&hidden), said, "{kind} {how:?}");
            }
            if kind == "RSA" {
                let der = ["rsa", "-in", "key.pem", "-traditional", "-outform", "DER"];
                assert!(spoken(&[&der[..], &["-out", "pkcs1"]].concat()));
                let hidden = [b"before".as_slice(), &octets("pkcs1"), b"after"].concat();
                assert_eq!(found(&hidden), Some("a private key (PKCS #1)"));
                let public = ["rsa", "-in", "key.pem", "-RSAPublicKey_out", "-outform", "DER"];
                assert!(spoken(&[&public[..], &["-out", "public"]].concat()));
                assert_eq!(found(&octets("public")), None);
            }
            let request = ["req", "-new", "-x509", "-key", "key.pem", "-subj", "/CN=a", "-outform"];
            for serial in ["0", "1", "77"] {
                let own = ["DER", "-out", "public", "-set_serial", serial];
                assert!(spoken(&[&request[..], &own].concat()));
                assert_eq!(found(&octets("public")), None, "{kind} {serial}");
            }
            if kind == "EC" {
                assert!(spoken(&["ec", "-in", "key.pem", "-outform", "DER", "-out", "sec1"]));
                assert_eq!(found(&octets("sec1")), Some("a private key (SEC 1)"), "{option}");
            }
        }
    }

    /// N31: a share of a PIN, as its sheet and as its words alone, however they stand; words of the same lists whose checksum does not fit are none.
    #[test]
    fn shares_of_pins_are_found() {
        let vectors = include_str!("../../../docs/formats/vectors/pin-shares.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let said = Some("a share of a PIN");
        let shares = vectors["shares"].as_array().unwrap();
        assert_eq!(shares.len(), 5);
        for share in shares {
            let words = share.as_str().unwrap();
            for text in [
                words.to_owned(),
                words.to_uppercase(),
                format!("reason = \"{}\"", words.replace(' ', ", ")),
                words.split(' ').zip(1..).map(|(word, n)| format!("{n}. {word}\n")).collect(),
            ] {
                assert_eq!(found(text.as_bytes()), said, "{text}");
            }
            let (_, cut) = words.split_once(' ').unwrap();
            assert_eq!(found(cut.as_bytes()), None);
        }
        let head = Fingerprint::of(b"a plan").words().join(" ");
        assert_eq!(found(head.as_bytes()), None);
        assert_eq!(found(b"\nPIN-DEL / PIN SHARE 1 av/of 5\n"), said);
        assert_eq!(found("Två PIN-DELAR".as_bytes()), None);
    }
}

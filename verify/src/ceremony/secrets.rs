//! A bundle goes to people outside: nothing in it may be a secret.

/// What a text file with a private key has in it.
const PEM: &[u8] = b"PRIVATE KEY-----";

/// What secret a file has in it, if any.
pub(super) fn found(octets: &[u8]) -> Option<&'static str> {
    if octets.windows(PEM.len()).any(|window| window == PEM) {
        return Some("a private key in PEM");
    }
    let places = 0..octets.len();
    let mut tails = places.filter_map(|place| octets.get(place..));
    tails.find_map(|tail| {
        if is_pkcs8(tail) {
            Some("a private key (PKCS #8)")
        } else if is_sec1(tail) {
            Some("a private key (SEC 1)")
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
}

//! Checkpoints and manifests: signed, opened, forged.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use proptest::prelude::*;

use super::{Key, Log};
use crate::checkpoint::{Checkpoint, CheckpointNote, CheckpointNoteError, CheckpointParseError};
use crate::hash::Hash;
use crate::manifest::{Manifest, ManifestError, ManifestNoteError};
use crate::note::{
    NotePublicKey, NoteVerifierKey, NoteVerifyError, SignatureType, SignedNote, WrongSignature,
};
use crate::origin::LogOrigin;
use crate::signer::{NoteSignError, NoteSigner, NoteToSign};
use crate::time::Timestamp;

const ORIGIN: &str = "sigill/test/demo/ab12/status/1";

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs).unwrap()
}

fn head(size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.parse().unwrap(), size, root: Log::of_size(size).root() }
}

fn signed(size: u64) -> String {
    CheckpointNote::sign(head(size), at(1_795_300_000), &Key::new(1)).unwrap().to_string()
}

#[test]
fn a_checkpoint_opens_under_the_pinned_key() {
    let text = signed(300);

    let note = CheckpointNote::open(text.as_bytes(), Key::new(1).public()).unwrap();

    assert_eq!(*note.checkpoint(), head(300));
    assert_eq!(note.timestamp(), at(1_795_300_000));
    assert_eq!(note.to_string(), text);
    assert_eq!(text.lines().count(), 6);
}

/// C2SP tlog-cosignature: what is signed, put together here by hand.
#[test]
fn both_lines_sign_what_the_specifications_say() {
    let key = Key::new(1);
    let text = signed(300);
    let (body, lines) = text.split_once("\n\n").unwrap();
    let body = format!("{body}\n");
    let cosigned = format!("cosignature/v1\ntime 1795300000\n{body}");

    for (line, kind, message) in [(0, 0x01, &body), (1, 0x04, &cosigned)] {
        let line = lines.lines().nth(line).unwrap().strip_prefix("\u{2014} ").unwrap();
        let (name, base64) = line.split_once(' ').unwrap();
        assert_eq!(name, ORIGIN);
        let octets = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap();

        let id = [ORIGIN.as_bytes(), &[b'\n', kind], &key.public_key()].concat();
        let id = <sha2::Sha256 as sha2::Digest>::digest(id);
        assert_eq!(octets[..4], id[..4]);
        let signature = if kind == 4 { &octets[12..] } else { &octets[4..] };
        UnparsedPublicKey::new(&ED25519, key.public_key())
            .verify(message.as_bytes(), signature)
            .unwrap();
        if kind == 4 {
            assert_eq!(octets[4..12], 1_795_300_000u64.to_be_bytes());
        }
    }
}

/// The examples of C2SP tlog-checkpoint and tlog-cosignature are notes; their keys are not
/// published, and their origin is not one of ours.
#[test]
fn the_examples_of_the_specifications_parse_as_notes() {
    let example = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    let note = SignedNote::parse(example.as_bytes()).unwrap();

    assert_eq!(note.to_string(), example);
    assert!(matches!(Checkpoint::from_text(note.text()), Err(CheckpointParseError::Origin(_))));
}

#[test]
fn refuses_another_key() {
    let refused = CheckpointNote::open(signed(3).as_bytes(), Key::new(2).public());

    assert!(matches!(refused, Err(CheckpointNoteError::Verify(NoteVerifyError::NotSigned { .. }))));
}

/// The id does not protect: a key that is made to share it still does not verify.
#[test]
fn refuses_a_line_that_only_carries_the_right_id() {
    let text = signed(3);
    let forged = CheckpointNote::sign(head(3), at(1_795_300_001), &Key::new(2)).unwrap();
    let wanted = lines_of(&text);
    let relabelled = forged
        .to_string()
        .lines()
        .zip(text.lines())
        .map(|(theirs, ours)| relabel(theirs, ours))
        .collect::<String>();
    assert_eq!(lines_of(&relabelled).len(), wanted.len());

    let refused = CheckpointNote::open(relabelled.as_bytes(), Key::new(1).public());

    assert_eq!(refused, Err(CheckpointNoteError::Verify(WrongSignature.into())));
}

fn lines_of(note: &str) -> Vec<&str> {
    note.lines().filter(|line| line.starts_with('\u{2014}')).collect()
}

/// Gives the signature of one line the key id of another.
fn relabel(theirs: &str, ours: &str) -> String {
    let decode = |line: &str| {
        let base64 = line.rsplit(' ').next().unwrap().to_owned();
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap()
    };
    if !ours.starts_with('\u{2014}') {
        return format!("{ours}\n");
    }
    let octets = [&decode(ours)[..4], &decode(theirs)[4..]].concat();
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, octets);
    format!("\u{2014} {ORIGIN} {base64}\n")
}

#[test]
fn refuses_a_checkpoint_with_one_line_missing_or_doubled() {
    let text = signed(3);
    let (body, lines) = text.split_once("\n\n").unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let later = CheckpointNote::sign(head(3), at(1_795_300_001), &Key::new(1)).unwrap().to_string();
    let later = lines_of(&later)[1].to_owned();
    let open = |lines: &[&str]| {
        let note = format!("{body}\n\n{}\n", lines.join("\n"));
        CheckpointNote::open(note.as_bytes(), Key::new(1).public())
    };

    assert!(open(&[lines[0], lines[1]]).is_ok());
    assert!(open(&[lines[1], lines[0]]).is_ok());
    for one in [&lines[..1], &lines[1..]] {
        assert!(matches!(
            open(one),
            Err(CheckpointNoteError::Verify(NoteVerifyError::NotSigned { .. }))
        ));
    }
    // Two cosignatures of different times would leave the age of the checkpoint to the reader.
    assert!(matches!(
        open(&[lines[0], lines[1], &later]),
        Err(CheckpointNoteError::Verify(NoteVerifyError::SignedTwice { .. }))
    ));
}

#[test]
fn refuses_a_checkpoint_with_any_octet_changed() {
    let text = signed(300).into_bytes();
    let key = Key::new(1).public();
    let whole = CheckpointNote::open(&text, key).unwrap();
    for place in 0..text.len() {
        for bit in [1, 0x10, 0x80] {
            let mut changed = text.clone();
            changed[place] ^= bit;
            assert_ne!(CheckpointNote::open(&changed, key).as_ref(), Ok(&whole), "{place}");
            assert!(CheckpointNote::open(&changed, key).is_err(), "{place}");
        }
    }
    for length in 0..text.len() {
        assert!(CheckpointNote::open(&text[..length], key).is_err(), "{length}");
    }
}

#[test]
fn refuses_other_spellings_of_a_head() {
    let root = Hash::of_empty_tree().to_base64();
    let some = Log::of_size(2).root().to_base64();
    for (text, error) in [
        (String::new(), CheckpointParseError::Lines),
        (format!("{ORIGIN}\n2\n"), CheckpointParseError::Lines),
        (format!("{ORIGIN}\n2\n{some}"), CheckpointParseError::Lines),
        (format!("{ORIGIN}\n02\n{some}\n"), CheckpointParseError::Size),
        (format!("{ORIGIN}\n+2\n{some}\n"), CheckpointParseError::Size),
        (format!("{ORIGIN}\n-2\n{some}\n"), CheckpointParseError::Size),
        (format!("{ORIGIN}\n\n{some}\n"), CheckpointParseError::Size),
        (format!("{ORIGIN}\n18446744073709551616\n{some}\n"), CheckpointParseError::Size),
        (format!("{ORIGIN}\n0\n{some}\n"), CheckpointParseError::EmptyRoot),
        (format!("{ORIGIN}\n2\n{some}\nmore\n"), CheckpointParseError::Extension),
        (format!("{ORIGIN}\n2\n{some}\n\n"), CheckpointParseError::Extension),
    ] {
        assert_eq!(Checkpoint::from_text(&text), Err(error), "{text}");
    }
    assert!(Checkpoint::from_text(&format!("{ORIGIN}\n2\n{}\n", &some[1..])).is_err());
    assert!(Checkpoint::from_text(&format!("{ORIGIN}\n0\n{root}\n")).is_ok());
}

/// A key that fails, or that signs with another key than it says, yields no checkpoint.
#[test]
fn refuses_a_signer_that_does_not_sign() {
    struct Liar(Key);
    impl NoteSigner for Liar {
        fn public_key(&self) -> [u8; 32] {
            Key::new(9).public_key()
        }
        fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
            self.0.sign_note(note)
        }
    }

    let refused = CheckpointNote::sign(head(3), at(1), &Liar(Key::new(1)));

    assert!(matches!(refused, Err(NoteSignError::WrongSignature)));
    let manifest = Manifest::from_text("sigill/test/demo/ab12/manifest\n").unwrap();
    assert!(matches!(manifest.sign(&Liar(Key::new(1))), Err(NoteSignError::WrongSignature)));
}

/// No octets that one kind of statement signs are those of another kind.
#[test]
fn a_signature_serves_one_kind_of_statement() {
    let key = Key::new(1);
    let checkpoint = head(3);
    let manifest = Manifest::from_text("sigill/test/demo/ab12/manifest\nrow\n").unwrap();
    let statements = [
        NoteToSign::Checkpoint(checkpoint.clone()),
        NoteToSign::CosignedCheckpoint { timestamp: at(5), checkpoint },
        NoteToSign::Manifest(manifest),
    ];

    for (a, one) in statements.iter().enumerate() {
        for (b, other) in statements.iter().enumerate() {
            let signature = key.sign_note(one).unwrap();
            let verified = key.public().verify(&other.message(), &signature);
            assert_eq!(verified.is_ok(), a == b);
        }
    }
    for text in ["sigill/test/demo/ab12/status\n", "sigill/test/demo/ab12/status/1\n2\n"] {
        assert!(Manifest::from_text(text).is_err(), "{text}");
    }
}

#[test]
fn a_manifest_opens_under_the_pinned_key_with_sorted_rows() {
    let key = Key::new(3);
    let rows = ["b 2 1.7 crl/b.crl", "a 1 1.9 crl/a.crl"].map(str::to_owned);
    let deployment = "test/demo/ab12".parse().unwrap();
    let manifest = Manifest::new(deployment, "manifest".parse().unwrap(), rows).unwrap();

    let note = manifest.clone().sign(&key).unwrap();

    assert_eq!(Manifest::open(note.as_bytes(), key.public()), Ok(manifest.clone()));
    assert_eq!(
        manifest.to_text(),
        "sigill/test/demo/ab12/manifest\na 1 1.9 crl/a.crl\nb 2 1.7 crl/b.crl\n"
    );
    let origin = "sigill/test/demo/ab12/manifest".parse().unwrap();
    let vkey = NoteVerifierKey::new(origin, SignatureType::Ed25519, key.public());
    assert!(SignedNote::parse(note.as_bytes()).unwrap().signed_text(&vkey).is_ok());

    let changed = note.replace("a 1", "a 2");
    assert_eq!(
        Manifest::open(changed.as_bytes(), key.public()),
        Err(ManifestNoteError::Verify(WrongSignature.into()))
    );
    assert!(matches!(
        Manifest::open(note.as_bytes(), Key::new(1).public()),
        Err(ManifestNoteError::Verify(NoteVerifyError::NotSigned { .. }))
    ));
}

#[test]
fn refuses_what_is_not_a_manifest() {
    let origin = "sigill/test/demo/ab12/manifest";
    for (text, error) in [
        (String::new(), ManifestError::Order),
        (origin.to_owned(), ManifestError::Order),
        (format!("{origin}\nb\na\n"), ManifestError::Order),
        (format!("{origin}\na\na\n"), ManifestError::Repeated),
        (format!("{origin}\na\n\n"), ManifestError::Row),
        (format!("{origin}\na  b\n"), ManifestError::Row),
        (format!("{origin}\na \n"), ManifestError::Row),
        (format!("{origin}\nå\n"), ManifestError::Row),
        (format!("{origin}\n{}\n", "a".repeat(513)), ManifestError::Row),
        ("sigill/test/demo/ab12/audit\n".to_owned(), ManifestError::Name),
        ("sigill/test/demo/ab12/CRL\n".to_owned(), ManifestError::Name),
    ] {
        assert_eq!(Manifest::from_text(&text), Err(error), "{text}");
    }
    assert!(matches!(Manifest::from_text("example.com/list\n"), Err(ManifestError::Origin(_))));
}

proptest! {
    #[test]
    fn every_head_reads_back(size in 1..=u64::MAX, epoch: u32, root: [u8; 32]) {
        let origin = LogOrigin { epoch, ..ORIGIN.parse().unwrap() };
        let head = Checkpoint { origin, size, root: Hash::from_bytes(root) };
        prop_assert_eq!(Checkpoint::from_text(&head.to_text()), Ok(head));
    }

    #[test]
    fn hostile_checkpoints_are_refused(bytes: Vec<u8>, key: [u8; 32], text in "[\\PC\n]{0,200}") {
        let key = NotePublicKey::from_bytes(key);
        prop_assert!(CheckpointNote::open(&bytes, key).is_err());
        prop_assert!(CheckpointNote::open(text.as_bytes(), key).is_err());
        prop_assert!(Manifest::open(text.as_bytes(), key).is_err());
    }
}

use super::*;
use crate::testing::TestKey;

const FILE: &str = r#"
name = "card-of-tests"
version = 1
kind = "ordinary-card"
source = "made for tests"
from = 2023-05-31
keys = ["ec-p256"]
longest-life = "1826d"
card-number-prefix = ["9752"]
levels = ["loa2", "loa3"]
[attestation]
kind = "signed-statement"
keys = ["MAKER"]
"#;

const CARD: &str = "9752269874512325436";

fn family(maker: &TestKey) -> CarrierFamily {
    let hash = maker.public.spki_hash().to_string();
    CarrierFamily::parse(FILE.replace("MAKER", &hash).as_bytes()).unwrap()
}

fn card() -> CardNumber {
    CardNumber::parse(CARD).unwrap()
}

fn evidence(maker: &TestKey, statement: &[u8]) -> KeyEvidence {
    KeyEvidence {
        maker: Maker::new(maker.public.clone()).unwrap(),
        signature: maker.sign_bytes(statement),
    }
}

#[test]
fn every_shipped_family_is_read_and_named_as_its_file() {
    for (path, text) in crate::testing::BOOK {
        if let Some(file) = path.strip_prefix("carriers/") {
            let family = CarrierFamily::parse(text.as_bytes()).unwrap();

            assert_eq!(format!("{}.toml", family.name()), file);
        }
    }
}

/// ISS-10: evidence of the maker, about this key and this card.
#[test]
fn a_key_with_its_makers_statement_is_taken() {
    let (maker, key) = (TestKey::new(), TestKey::new());
    let statement = KeyEvidence::statement(&key.public, Some(&card()));

    let judged =
        family(&maker).judge_key(&key.public, Some(&card()), Some(&evidence(&maker, &statement)));

    assert_eq!(judged, Ok(()));
}

/// ISS-10: no evidence, another maker's, evidence for key A with a request for key B, or for another
/// card.
#[test]
fn refuses_evidence_that_proves_nothing_of_this_key() {
    let (maker, other, key, key_b) =
        (TestKey::new(), TestKey::new(), TestKey::new(), TestKey::new());
    let family = family(&maker);
    let about =
        |key: &TestKey, card: Option<&CardNumber>| KeyEvidence::statement(&key.public, card);
    let judge = |evidence: Option<&KeyEvidence>| {
        family.judge_key(&key.public, Some(&card()), evidence).unwrap_err()
    };
    let other_card = CardNumber::parse("9752269874512325437").unwrap();

    assert_eq!(judge(None), AttestationError::Missing);
    let by_other = evidence(&other, &about(&key, Some(&card())));
    assert!(matches!(judge(Some(&by_other)), AttestationError::Maker { .. }));
    for statement in [
        about(&key_b, Some(&card())),
        about(&key, Some(&other_card)),
        about(&key, None),
        Vec::new(),
    ] {
        let found = judge(Some(&evidence(&maker, &statement)));
        assert!(matches!(found, AttestationError::Signature(_)), "{found}");
    }
}

#[test]
fn refuses_keys_that_the_carriers_do_not_make() {
    let (maker, key) = (TestKey::new(), TestKey::new());
    let hash = maker.public.spki_hash().to_string();
    let rsa_only = FILE.replace("MAKER", &hash).replace("\"ec-p256\"", "\"rsa-3072\"");
    let family = CarrierFamily::parse(rsa_only.as_bytes()).unwrap();

    let refused = family.judge_key(&key.public, None, None).unwrap_err();

    assert!(matches!(refused, AttestationError::KeyType { .. }), "{refused}");
}

#[test]
fn refuses_evidence_where_no_maker_is_named() {
    let (maker, key) = (TestKey::new(), TestKey::new());
    let (head, _) = FILE.split_once("[attestation]").unwrap();
    let family =
        CarrierFamily::parse(format!("{head}[attestation]\nkind = \"none\"\n").as_bytes()).unwrap();

    assert_eq!(family.judge_key(&key.public, None, None), Ok(()));
    let refused = family.judge_key(&key.public, None, Some(&evidence(&maker, &[])));
    assert_eq!(refused, Err(AttestationError::NotTaken));
}

#[test]
fn refuses_makers_whose_signatures_are_not_checked() {
    let ed25519 = x509::key::PublicKey::from_ed25519(&[7; 32]).unwrap();

    assert!(matches!(Maker::new(ed25519), Err(AttestationError::MakerKey { .. })));
}

#[test]
fn another_beginning_of_a_card_number_is_told_and_not_refused() {
    let family = family(&TestKey::new());

    assert!(family.has_number(&card()));
    assert!(!family.has_number(&CardNumber::parse("9876654132532143214").unwrap()));
}

#[test]
fn every_mutant_of_a_family_is_refused() {
    let good = FILE.replace("MAKER", &"ab".repeat(32));
    assert!(CarrierFamily::parse(good.as_bytes()).is_ok());
    for (from, to) in [
        ("name = \"card-of-tests\"", "name = \"Card of tests\""),
        ("version = 1", "version = 0"),
        ("ordinary-card", "identity-card"),
        ("made for tests", " "),
        ("from = 2023-05-31", "from = 2023-05-31\nuntil = 2023-05-30"),
        ("[\"ec-p256\"]", "[]"),
        ("ec-p256", "ec-p521"),
        ("1826d", "1828d"),
        ("1826d", "0d"),
        ("\"9752\"", "\"97x2\""),
        ("\"loa2\", \"loa3\"", ""),
        ("loa3", "loa4"),
        ("signed-statement", "hardware"),
        ("levels", "colour = \"red\"\nlevels"),
        ("abab", "xbab"),
        ("ordinary-card", "mobile-device"),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(CarrierFamily::parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}

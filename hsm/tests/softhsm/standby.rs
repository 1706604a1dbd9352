//! A key in two tokens: the second stands by for the first, in the same module or another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hsm::token::TokenName;
use hsm::{
    FindKeyError, KeyPolicy, KeyUse, OpenError, SignError, SignatureMayExist, SigningService as _,
    SoftwareTokens, Standing, TokenSigner, TokenSource,
};
use support::softhsm::{MODULE, SoftHsm, clone_token, token_folder};
use support::test_name;
use support::two_tokens::{Made, PREFERRED, STAND_BY, STAND_BY_SERIAL, with_two_tokens};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::SigningKind;

use crate::fixture::{USER_PIN, bytes, make_key, new_token, open, recorded, settings};

const OF_PRODUCTION: &str = "sg-pp-ab12-issuing";
const OF_PRODUCTION_SERIAL: &str = "00000000000000c3";
/// The proof comes every 3 s, and a token that is back needs a moment.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(60);

/// Two tokens with the same keys, in the process that uses them.
pub(crate) struct Pair {
    pub(crate) softhsm: SoftHsm,
    /// The first key, which most tests need alone.
    key: PublicKey,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) preferred: TokenName,
    pub(crate) stand_by: TokenName,
}

impl Pair {
    /// Runs `body` in a process of its own once both tokens are there. The stand-by lies in the folder
    /// that `place` names.
    fn with(
        test: &str,
        key_type: KeyType,
        place: fn(&SoftHsm) -> PathBuf,
        body: impl FnOnce(&Self),
    ) {
        Self::with_keys(test, &[key_type], place, body);
    }

    /// As [`Self::with`], with a key of each type.
    pub(crate) fn with_keys(
        test: &str,
        key_types: &[KeyType],
        place: fn(&SoftHsm) -> PathBuf,
        body: impl FnOnce(&Self),
    ) {
        let make = |softhsm: &SoftHsm| {
            let name = new_token(softhsm, "issuing");
            let token = open(softhsm, &name).unwrap();
            let key = |key_type: &KeyType| make_key(&token, *key_type, &key_type.to_string());
            let keys = key_types.iter().map(|it| key(it).spki_der().to_vec()).collect();
            Made { serial: name.serial.as_str().to_owned(), keys }
        };
        with_two_tokens(test, place, make, |softhsm, made| {
            let key = |spki: &Vec<u8>| PublicKey::from_spki_der(spki).unwrap();
            let keys: Vec<_> = made.keys.iter().map(key).collect();
            body(&Self {
                key: keys[0].clone(),
                keys,
                preferred: name(PREFERRED, &made.serial),
                stand_by: name(STAND_BY, STAND_BY_SERIAL),
                softhsm,
            });
        });
    }

    pub(crate) fn source(&self, module: &Path, name: &TokenName) -> Arc<TokenSource> {
        Arc::new(TokenSource::new(
            module,
            settings(&self.softhsm, name, USER_PIN),
            SoftwareTokens::TestOnly,
        ))
    }

    /// Both tokens in order, in one module.
    fn sources(&self) -> [Arc<TokenSource>; 2] {
        [&self.preferred, &self.stand_by].map(|name| self.source(MODULE.as_ref(), name))
    }

    fn signer(&self, sources: &[Arc<TokenSource>]) -> TokenSigner {
        let signer = TokenSigner::new(Duration::from_secs(10));
        let away = signer.add_in_order(sources, &self.key, KeyPolicy::issuing()).unwrap();
        assert!(away.is_empty(), "{away:?}");
        signer
    }

    /// Signs and verifies; how many tries were passed over.
    fn sign(&self, signer: &TokenSigner, text: &str) -> usize {
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        sign_telling(signer, &self.key, algorithm, text).1
    }
}

/// Signs and verifies; the signature, and how many tries were passed over.
pub(crate) fn sign_telling(
    signer: &TokenSigner,
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    text: &str,
) -> (Vec<u8>, usize) {
    let mut passed_over = 0;
    let (pending, input) = recorded(key, algorithm, SigningKind::Certificate, bytes(text));
    let signature = signer.sign_telling(&input, signer.deadline(), &mut |error| {
        assert_eq!(error.signature_may_exist(), SignatureMayExist::No);
        passed_over += 1;
    });
    let signature = signature.unwrap();
    pending.finish(signature.clone()).unwrap();
    (signature, passed_over)
}

fn name(label: &str, serial: &str) -> TokenName {
    TokenName { label: label.parse().unwrap(), serial: serial.parse().unwrap() }
}

fn same_folder(softhsm: &SoftHsm) -> PathBuf {
    softhsm.tokens()
}

/// In a module of its own.
pub(crate) fn second_module(softhsm: &SoftHsm) -> PathBuf {
    let _module = softhsm.second_module();
    softhsm.second_tokens()
}

/// And a third one, that belongs to production.
fn beside_one_of_production(softhsm: &SoftHsm) -> PathBuf {
    let new = (OF_PRODUCTION, OF_PRODUCTION_SERIAL);
    let _folder = clone_token(&softhsm.tokens(), PREFERRED, &softhsm.tokens(), new);
    softhsm.tokens()
}

/// The uses of the preferred token and of the one that stands by.
fn uses(signer: &TokenSigner) -> (KeyUse, KeyUse) {
    let mut uses = signer.uses();
    uses.sort_by(|a, b| a.token.cmp(&b.token));
    let [preferred, stand_by] = uses.try_into().unwrap();
    (preferred, stand_by)
}

pub(crate) fn until(mut there: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < COMES_BACK_WITHIN, "it did not come");
        thread::sleep(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// KEY-09: the preferred token goes away under load. Every call gets its signature from the other, each
/// try in vain is told once, and after a proof the preferred one is asked again.
#[test]
fn signs_with_the_stand_by_while_the_preferred_token_is_gone() {
    let test = test_name!(signs_with_the_stand_by_while_the_preferred_token_is_gone);
    Pair::with(test, KeyType::EcP256, same_folder, |pair| {
        let signer = pair.signer(&pair.sources());
        assert!(pair.sign(&signer, "first") == 0);
        let (preferred, stand_by) = uses(&signer);
        assert_eq!((preferred.standing, preferred.signatures), (Standing::Signs, 1));
        assert_eq!((stand_by.standing, stand_by.signatures), (Standing::StandsBy, 0));

        let (folder, away) =
            (token_folder(&pair.softhsm.tokens(), PREFERRED), pair.softhsm.state().join("away"));
        fs::rename(&folder, &away).unwrap();
        let told: usize = thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|caller| {
                    let signer = &signer;
                    scope.spawn(move || -> usize {
                        let sign = |number| pair.sign(signer, &format!("{caller} {number}"));
                        (0..25).map(sign).sum()
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });

        let (preferred, stand_by) = uses(&signer);
        assert_eq!(preferred.standing, Standing::SetAside);
        assert_eq!((stand_by.standing, stand_by.signatures), (Standing::Signs, 100));
        assert_eq!((preferred.signatures, preferred.failovers, stand_by.failovers), (1, 1, 0));
        assert_eq!(usize::try_from(preferred.failures).unwrap(), told, "each try is told");
        assert!((1..=4).contains(&told), "only calls that were under way tried in vain: {told}");

        fs::rename(&away, &folder).unwrap();
        let after = until(|| uses(&signer).0.standing == Standing::Signs);
        println!("measured: back in use after = {} ms", after.as_millis());
        assert!(pair.sign(&signer, "last") == 0);
        let (preferred, stand_by) = uses(&signer);
        assert_eq!((preferred.signatures, stand_by.signatures), (2, 100));
        assert!(preferred.proofs >= 2, "it came back by a proof: {preferred:?}");
    });
}

/// KEY-09: two modules in one process; each token is reached through its own. The module of the
/// preferred token is not there at the start, and is taken into use when it comes.
#[test]
fn starts_with_the_stand_by_of_another_module_alone() {
    let test = test_name!(starts_with_the_stand_by_of_another_module_alone);
    Pair::with(test, KeyType::EcP256, second_module, |pair| {
        let folder = pair.softhsm.tokens();
        let module = folder.parent().unwrap().join("second-module.so");
        let late = folder.parent().unwrap().join("late-module.so");
        // Preferred is the token in the second module, which comes late.
        let sources =
            [pair.source(&late, &pair.stand_by), pair.source(MODULE.as_ref(), &pair.preferred)];
        let signer = TokenSigner::new(Duration::from_secs(10));
        let away = signer.add_in_order(&sources, &pair.key, KeyPolicy::issuing()).unwrap();
        let [away] = away.try_into().unwrap();
        assert_eq!(
            (away.token.name(), away.error.code()),
            (&pair.stand_by, "hsm-module-unreadable")
        );
        pair.sign(&signer, "by the one that is there");

        fs::rename(module, late).unwrap();
        until(|| uses(&signer).1.standing == Standing::Signs);
        pair.sign(&signer, "by the preferred one");

        let (there, late) = uses(&signer);
        assert_eq!((there.signatures, late.signatures), (1, 1));
        assert_eq!((there.standing, late.failovers), (Standing::StandsBy, 0));
    });
}

/// KEY-09: a module that lists tokens only when it is initialised. The token that was away at the start is
/// told of as lost, and is taken into use when it comes, beside traffic on the other.
#[test]
fn a_token_that_was_away_at_the_start_is_taken_into_use() {
    let test = test_name!(a_token_that_was_away_at_the_start_is_taken_into_use);
    Pair::with(test, KeyType::EcP256, same_folder, |pair| {
        let (folder, away) =
            (token_folder(&pair.softhsm.tokens(), PREFERRED), pair.softhsm.state().join("away"));
        fs::rename(&folder, &away).unwrap();
        let signer = TokenSigner::new(Duration::from_secs(10));
        let told = signer.add_in_order(&pair.sources(), &pair.key, KeyPolicy::issuing()).unwrap();
        let [told] = told.try_into().unwrap();
        assert_eq!((told.token.name(), told.error.code()), (&pair.preferred, "hsm-token-missing"));
        let lost_for = || -> Option<Duration> {
            let state = signer.tokens().into_iter().find(|state| state.name == pair.preferred);
            state.unwrap().lost_for
        };
        thread::sleep(Duration::from_secs(1));
        assert!(lost_for().is_some_and(|span| span >= Duration::from_secs(1)), "{:?}", lost_for());
        assert!(pair.sign(&signer, "while it is away") == 0);

        fs::rename(&away, &folder).unwrap();
        let after = until(|| {
            assert!(pair.sign(&signer, "all the time") <= 1);
            uses(&signer).0.standing == Standing::Signs
        });
        println!("measured: first in use after = {} ms", after.as_millis());
        let before = uses(&signer).0.signatures;
        assert!(pair.sign(&signer, "by the preferred one") == 0);
        assert_eq!(uses(&signer).0.signatures, before + 1);
        assert_eq!(lost_for(), None);
    });
}

/// A token that was left away for one key is the only one of another, and is back when that is added: it
/// is asked, and taken into use.
#[test]
fn a_token_that_was_left_away_is_asked_for_a_key_that_no_other_has() {
    let test = test_name!(a_token_that_was_left_away_is_asked_for_a_key_that_no_other_has);
    Pair::with(test, KeyType::EcP256, same_folder, |pair| {
        let (folder, away) =
            (token_folder(&pair.softhsm.tokens(), PREFERRED), pair.softhsm.state().join("away"));
        fs::rename(&folder, &away).unwrap();
        let signer = TokenSigner::new(Duration::from_secs(10));
        let sources = pair.sources();
        let left = signer.add_in_order(&sources, &pair.key, KeyPolicy::issuing()).unwrap();
        assert_eq!(left.len(), 1);
        // Nobody else brings it back while this looks.
        signer.remove(&pair.key.spki_hash());
        fs::rename(&away, &folder).unwrap();
        let mut refused = Vec::new();
        until(|| match signer.add_in_order(&sources[..1], &pair.key, KeyPolicy::issuing()) {
            Ok(away) => away.is_empty(),
            Err(error) => {
                refused.push(error.code());
                false
            }
        });
        assert!(refused.iter().all(|code| *code == "hsm-token-missing"), "{refused:?}");
        assert_eq!(pair.sign(&signer, "by the one that was left"), 0);
    });
}

/// A token that was restored without the key keeps nothing from starting, and is taken into use when the
/// key appears in it.
#[test]
fn a_stand_by_that_lacks_the_key_is_taken_into_use_when_it_appears() {
    let test = test_name!(a_stand_by_that_lacks_the_key_is_taken_into_use_when_it_appears);
    Pair::with(test, KeyType::EcP256, same_folder, |pair| {
        let [folder, other] =
            [PREFERRED, STAND_BY].map(|label| token_folder(&pair.softhsm.tokens(), label));
        // It is in one token only: the other was cloned before.
        let young = {
            let token = open(&pair.softhsm, &pair.preferred).unwrap();
            make_key(&token, KeyType::EcP256, "young")
        };
        let signer = TokenSigner::new(Duration::from_secs(10));
        let away = signer.add_in_order(&pair.sources(), &young, KeyPolicy::issuing()).unwrap();
        let [away] = away.try_into().unwrap();
        assert_eq!((away.token.name(), away.error.code()), (&pair.stand_by, "hsm-key-missing"));
        assert_eq!(uses(&signer).1.standing, Standing::SetAside);
        // Another key of the same token is not kept waiting by the one that it lacks.
        let away = signer.add_in_order(&pair.sources(), &pair.key, KeyPolicy::issuing()).unwrap();
        assert!(away.is_empty(), "{away:?}");

        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap();
            if file != "token.object" && file != "token.lock" {
                fs::copy(&path, other.join(file)).unwrap();
            }
        }
        let stands_by = |used: &KeyUse| {
            used.key == young.spki_hash()
                && used.token == pair.stand_by
                && used.standing == Standing::StandsBy
        };
        until(|| signer.uses().iter().any(stands_by));
    });
}

/// No key is taken from a token that may not be used; without any token that has the key nothing starts;
/// one that is away or lacks the key is told of.
#[test]
fn refuses_a_software_stand_by_and_a_start_without_any_token() {
    let test = test_name!(refuses_a_software_stand_by_and_a_start_without_any_token);
    Pair::with(test, KeyType::EcP256, beside_one_of_production, |pair| {
        let add = |names: &[&TokenName], key| {
            let source = |name: &&TokenName| pair.source(MODULE.as_ref(), name);
            let sources: Vec<_> = names.iter().map(source).collect();
            let signer = TokenSigner::new(Duration::from_secs(10));
            signer.add_in_order(&sources, key, KeyPolicy::issuing()).map(|away| away.len())
        };
        let nowhere = name("sg-td-ab12-nowhere", "0123456789abcdef");
        let token = open(&pair.softhsm, &pair.preferred).unwrap();
        // It is in one token only: the other was cloned before.
        let young = make_key(&token, KeyType::EcP256, "young");

        assert_eq!(add(&[&pair.preferred, &pair.stand_by], &young).unwrap(), 1);
        let refused = add(&[&pair.stand_by], &young).unwrap_err();
        match &refused {
            SignError::Key(FindKeyError::Missing { token, .. }) => {
                assert_eq!(*token, pair.stand_by);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(add(&[&pair.preferred, &nowhere], &young).unwrap(), 1);
        assert_eq!(add(&[&nowhere, &pair.stand_by], &pair.key).unwrap(), 1);
        // KEY-01 holds for tokens that stand by.
        let of_production = name(OF_PRODUCTION, OF_PRODUCTION_SERIAL);
        let software = add(&[&pair.preferred, &of_production], &pair.key).unwrap_err();
        assert!(matches!(software, SignError::Token(OpenError::Software { .. })), "{software:?}");
        let none = add(&[&nowhere], &pair.key).unwrap_err();
        assert_eq!(none.code(), "hsm-token-missing");
    });
}

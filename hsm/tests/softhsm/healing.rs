//! Tokens that go away and come back while they are used: nothing is restarted, no PIN is sent that
//! need not be, and every caller is told in time.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use hsm::token::{FindTokenError, PinState, TokenName};
use hsm::{
    Again, KeyPolicy, OpenError, SignError, SigningService as _, Token, TokenSettings, TokenSigner,
    token,
};
use support::budget;
use support::demo::until;
use support::softhsm::{MODULE, SoftHsm, alone};
use support::test_name;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::SigningKind;

use crate::fixture::{
    USER_PIN, bytes, make_key, markers, module, new_token, open, recorded, settings,
};

/// How long a caller waits for a signature.
const DEADLINE: Duration = Duration::from_secs(5);
/// What a busy machine may add to an answer; a caller that is left waiting would add all there is.
const ROOM: Duration = Duration::from_secs(5);
/// A module on which another token works is initialised anew so often at most.
const BESIDE_OTHERS: Duration = Duration::from_secs(3);
/// Initialisations that are waited for.
const LOOKS: u32 = 4;

/// Signs once and verifies.
fn sign(signer: &TokenSigner, key: &PublicKey, text: &str) -> Result<(), SignError> {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let (pending, input) = recorded(key, algorithm, SigningKind::Certificate, bytes(text));
    signer.sign(&input).map(|signature| drop(pending.finish(signature).unwrap()))
}

/// Signs as the CA does: at once a second time after a try that gave nothing.
fn sign_again(signer: &TokenSigner, key: &PublicKey, text: &str) -> Result<(), SignError> {
    match sign(signer, key, text) {
        Err(error) if error.again() != Again::Never => sign(signer, key, text),
        signed => signed,
    }
}

/// The folder of the token that was made last.
struct Folder {
    there: PathBuf,
    away: PathBuf,
}

impl Folder {
    fn of(softhsm: &SoftHsm, made: impl FnOnce() -> TokenName) -> (TokenName, Self) {
        let all = || -> Vec<PathBuf> {
            let entries = fs::read_dir(softhsm.tokens()).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let before = all();
        let name = made();
        let [there] = <[PathBuf; 1]>::try_from(
            all().into_iter().filter(|folder| !before.contains(folder)).collect::<Vec<_>>(),
        )
        .unwrap();
        let away = softhsm.state().join(format!("away-{}", name.label));
        (name, Self { there, away })
    }

    fn take_away(&self) {
        fs::rename(&self.there, &self.away).unwrap();
    }

    fn bring_back(&self) {
        fs::rename(&self.away, &self.there).unwrap();
    }

    /// Has somebody else's tool change the PIN of the token where it is now; false without the tool.
    fn change_pin_while_away(&self, softhsm: &SoftHsm, name: &TokenName) -> bool {
        let tokens = softhsm.state().join("elsewhere");
        let token = tokens.join(self.there.file_name().unwrap());
        let conf = softhsm.state().join("elsewhere.conf");
        fs::create_dir(&tokens).unwrap();
        fs::rename(&self.away, &token).unwrap();
        let lines =
            format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        fs::write(&conf, lines).unwrap();
        let mut tool = Command::new("pkcs11-tool");
        let changed = softhsm
            .environment(&mut tool)
            .env("SOFTHSM2_CONF", conf)
            .args(["--module", MODULE, "--token-label", name.label.as_str(), "--login"])
            .args(["--pin", USER_PIN, "--change-pin"])
            .args(["--new-pin", "another-pin-of-32-characters-003"])
            .output();
        let Ok(changed) = changed else { return false };
        assert!(changed.status.success(), "{changed:?}");
        fs::rename(&token, &self.away).unwrap();
        true
    }
}

fn no_pin_was_doubted(softhsm: &SoftHsm, name: &TokenName) {
    let all = token::list(&module()).unwrap();
    let facts = all.iter().find(|facts| facts.serial == name.serial.as_str()).unwrap();
    assert_eq!(facts.pin, PinState::Ready);
    assert!(!markers(softhsm).path(name).exists());
}

/// KEY-09: four callers sign all the time while the token's files go away for two seconds and come
/// back, three times. Nothing is restarted.
#[test]
fn a_token_that_comes_back_under_load_signs_within_five_seconds() {
    alone(test_name!(a_token_that_comes_back_under_load_signs_within_five_seconds), |softhsm| {
        let (name, folder) = Folder::of(softhsm, || new_token(softhsm, "issuing"));
        let token = open(softhsm, &name).unwrap();
        let key = make_key(&token, KeyType::EcP256, "key");
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        let stop = AtomicBool::new(false);
        let (last, slowest) = (Mutex::new(Instant::now()), Mutex::new(Duration::ZERO));
        thread::scope(|scope| {
            for caller in 0..4 {
                let (signer, key, stop, last, slowest) = (&signer, &key, &stop, &last, &slowest);
                scope.spawn(move || {
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let begun = Instant::now();
                        let signed = sign(signer, key, &format!("{caller} {number}"));
                        let mut slowest = slowest.lock().unwrap();
                        *slowest = (*slowest).max(begun.elapsed());
                        drop(slowest);
                        match signed {
                            Ok(()) => *last.lock().unwrap() = Instant::now(),
                            Err(error) => {
                                assert_ne!(error.again(), Again::Never, "{error:?}");
                                thread::sleep(Duration::from_millis(5));
                            }
                        }
                    }
                });
            }
            for round in 0..3 {
                thread::sleep(Duration::from_millis(300));
                folder.take_away();
                thread::sleep(Duration::from_secs(2));
                folder.bring_back();
                let back = Instant::now();
                let signs =
                    until(budget::recovery(), || (*last.lock().unwrap() > back).then_some(()));
                println!(
                    "measured: round {round}, signs {} ms after its return",
                    back.elapsed().as_millis()
                );
                if signs.is_none() {
                    stop.store(true, Ordering::Relaxed);
                    panic!("not back: {:?}", token.state());
                }
            }
            stop.store(true, Ordering::Relaxed);
        });

        let found = until(budget::recovery(), || token.state().lost_for.is_none().then_some(()));
        let state = token.state();
        println!("measured: slowest call {:?}, {state:?}", slowest.lock().unwrap());
        assert!(found.is_some(), "{state:?}");
        assert!(*slowest.lock().unwrap() <= DEADLINE + ROOM, "past the deadline");
        assert!(state.outages >= 3 && state.hung == 0, "{state:?}");
        assert!(state.logins <= state.initialisations + 1, "a login too many: {state:?}");
        sign(&signer, &key, "last").unwrap();
        no_pin_was_doubted(softhsm, &name);
    });
}

/// KEY-09: the callers of a token that is away are told which it is, within their deadline; the other
/// token of the module signs on without an error.
#[test]
fn a_token_that_vanishes_is_told_in_time_and_disturbs_no_other() {
    alone(test_name!(a_token_that_vanishes_is_told_in_time_and_disturbs_no_other), |softhsm| {
        let (vanishing_name, folder) = Folder::of(softhsm, || new_token(softhsm, "vanishing"));
        let one_session = TokenSettings {
            sessions: NonZeroUsize::MIN,
            ..settings(softhsm, &vanishing_name, USER_PIN)
        };
        let vanishing = Token::open(&module(), one_session).unwrap();
        let staying_name = new_token(softhsm, "staying");
        let staying = open(softhsm, &staying_name).unwrap();
        let signer = TokenSigner::new(DEADLINE);
        let [gone, there] = [&vanishing, &staying].map(|token| {
            let key = make_key(token, KeyType::EcP256, "key");
            signer.add(token, &key, KeyPolicy::issuing()).unwrap();
            key
        });
        sign(&signer, &gone, "before").unwrap();

        folder.take_away();
        let away = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                while away.elapsed() < Duration::from_secs(6) {
                    sign(&signer, &there, "all the time").unwrap();
                }
            });
            while away.elapsed() < Duration::from_secs(6) {
                let before = Instant::now();
                let refused = sign_again(&signer, &gone, "away").unwrap_err();
                // Two tries at most, each within the deadline.
                assert!(before.elapsed() < 2 * DEADLINE + ROOM, "{:?}", before.elapsed());
                assert!(
                    matches!(&refused, SignError::Token(OpenError::Find(FindTokenError::Missing { name, .. }))
                        if *name == vanishing_name),
                    "{refused:?}"
                );
                assert_eq!(refused.code(), "hsm-token-missing");
                assert!(vanishing.probe(Duration::from_secs(5)).is_err());
                thread::sleep(Duration::from_millis(200));
            }
        });
        assert!(vanishing.state().lost_for.is_some());
        assert_eq!(staying.state().lost_for, None);
        assert_eq!(staying.state().outages, 0);

        // Nobody asks for it, and it is back all the same.
        folder.bring_back();
        let back = Instant::now();
        let found =
            until(budget::recovery(), || vanishing.state().lost_for.is_none().then_some(()));
        println!("measured: beside a working token back after {} ms", back.elapsed().as_millis());
        assert!(found.is_some(), "{:?}", vanishing.state());
        sign(&signer, &gone, "after").unwrap();
        sign(&signer, &there, "after").unwrap();

        let state = staying.state();
        println!("measured: {state:?}");
        // How often others are disturbed: every three seconds at most, and in turn with its distance.
        let most = 3 + away.elapsed().as_secs().div_ceil(3);
        assert!(state.initialisations <= most, "{most}: {state:?}");
        assert!(state.logins <= state.initialisations + 1, "{state:?}");
        let failures: u64 = signer
            .uses()
            .iter()
            .filter(|used| used.key == there.spki_hash())
            .map(|used| used.failures)
            .sum();
        assert_eq!(failures, 0);
        for name in [&vanishing_name, &staying_name] {
            no_pin_was_doubted(softhsm, name);
        }
    });
}

/// KEY-09: a token beside it that nobody uses is no reason to look for the lost one seldom.
#[test]
fn a_token_is_back_as_soon_beside_one_that_nobody_uses() {
    alone(test_name!(a_token_is_back_as_soon_beside_one_that_nobody_uses), |softhsm| {
        let (name, folder) = Folder::of(softhsm, || new_token(softhsm, "issuing"));
        let token = open(softhsm, &name).unwrap();
        let idle = open(softhsm, &new_token(softhsm, "management")).unwrap();
        let key = make_key(&token, KeyType::EcP256, "key");
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        for away in [500, 1300] {
            folder.take_away();
            sign_again(&signer, &key, "away").unwrap_err();
            thread::sleep(Duration::from_millis(away));
            folder.bring_back();
            let back = Instant::now();
            let signs = until(budget::recovery(), || sign(&signer, &key, "back").ok());
            println!("measured: away {away} ms, signs after {} ms", back.elapsed().as_millis());
            assert!(signs.is_some(), "{:?}", token.state());
            // The first initialisation after it has worked beside others keeps its distance.
            thread::sleep(Duration::from_millis(1100));
        }

        folder.take_away();
        sign_again(&signer, &key, "away").unwrap_err();
        // A machine that stalls makes one of them late; a distance that grows makes all.
        let is_looked_for_often = || {
            let (begun, before) = (Instant::now(), token.state().initialisations);
            let looked = until(BESIDE_OTHERS * LOOKS, || {
                let looks = token.state().initialisations - before;
                (looks >= u64::from(LOOKS)).then_some(begun.elapsed())
            });
            println!("measured: {LOOKS} initialisations in {looked:?}");
            looked.is_some_and(|took| took < BESIDE_OTHERS * (LOOKS - 1))
        };
        assert!((0..3).any(|_| is_looked_for_often()), "{:?}", token.state());
        folder.bring_back();
        until(budget::recovery(), || sign(&signer, &key, "back").ok()).unwrap();
        assert_eq!(idle.state().outages, 0);
    });
}

/// KEY-09: something else in the process finalises the module, or finalises and initialises it, so that
/// every session, handle and login is gone. Eight callers go on after one more try each and one new login.
#[test]
fn signs_on_after_every_session_was_lost() {
    alone(test_name!(signs_on_after_every_session_was_lost), |softhsm| {
        let name = new_token(softhsm, "issuing");
        let token = open(softhsm, &name).unwrap();
        let key = make_key(&token, KeyType::EcP256, "key");
        let signer = TokenSigner::new(Duration::from_secs(10));
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        for round in 0..4 {
            // A module is initialised anew once a second.
            thread::sleep(Duration::from_millis(1100));
            let other = Pkcs11::new(MODULE).unwrap();
            other.clone().finalize().unwrap();
            if round % 2 == 1 {
                other.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
            }
            let begun = Instant::now();
            thread::scope(|scope| {
                for caller in 0..8 {
                    let (signer, key) = (&signer, &key);
                    scope.spawn(move || {
                        sign_again(signer, key, &format!("certificate {round} {caller}")).unwrap();
                    });
                }
            });
            println!("measured: round {round} took {} ms", begun.elapsed().as_millis());
        }

        let state = token.state();
        println!("measured: {state:?}");
        assert_eq!(state.logins, 5, "{state:?}");
        assert_eq!(signer.uses()[0].signatures, 32);
        no_pin_was_doubted(softhsm, &name);
    });
}

/// Promise 1, KEY-09: a token that is back with another PIN gets ours once, and never again.
#[test]
fn a_token_that_comes_back_with_another_pin_is_tried_once() {
    alone(test_name!(a_token_that_comes_back_with_another_pin_is_tried_once), |softhsm| {
        let (name, folder) = Folder::of(softhsm, || new_token(softhsm, "issuing"));
        let token = open(softhsm, &name).unwrap();
        let key = make_key(&token, KeyType::EcP256, "key");
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        folder.take_away();
        assert!(sign_again(&signer, &key, "away").is_err());
        let before = token.state().logins;
        if !folder.change_pin_while_away(softhsm, &name) {
            return println!("skipped: pkcs11-tool is not installed");
        }
        folder.bring_back();

        let refused = until(budget::recovery(), || {
            let refused = sign_again(&signer, &key, "back").expect_err("the PIN is another");
            (refused.again() == Again::Never).then_some(refused)
        });
        let refused = refused.unwrap();
        assert!(
            matches!(
                refused.code(),
                "hsm-pin-refused" | "hsm-pin-refused-before" | "hsm-pin-count-low"
            ),
            "{refused:?}"
        );
        let sent = token.state().logins;
        thread::sleep(Duration::from_secs(5));
        for _ in 0..3 {
            assert!(sign(&signer, &key, "again").is_err());
        }

        assert_eq!(token.state().logins, sent);
        assert!(sent <= before + 1, "{before} {sent}");
    });
}

/// Promise 6: a token whose files are away is not found, so no login of it is made that would count.
#[test]
fn a_token_that_is_away_costs_no_login_in_doubt() {
    alone(test_name!(a_token_that_is_away_costs_no_login_in_doubt), |softhsm| {
        let (name, folder) = Folder::of(softhsm, || new_token(softhsm, "issuing"));
        let token = open(softhsm, &name).unwrap();
        let key = make_key(&token, KeyType::EcP256, "key");
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        for away in [100, 900, 2600, 100, 4000] {
            let before = token.state().logins;
            folder.take_away();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(away) {
                let _refused = sign(&signer, &key, "away");
                thread::sleep(Duration::from_millis(7));
            }
            assert!(!markers(softhsm).path(&name).exists(), "{:?}", token.state());
            assert!(token.state().logins <= before + 1, "{:?}", token.state());
            folder.bring_back();
            until(budget::recovery(), || sign(&signer, &key, "back").ok()).unwrap();
        }
        no_pin_was_doubted(softhsm, &name);
    });
}

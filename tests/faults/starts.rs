//! A key in two tokens of two modules, one of which hangs from the start.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hsm::{
    KeyPolicy, SignError, SigningService as _, SoftwareTokens, Standing, TokenSettings,
    TokenSigner, TokenSource,
};
use support::demo::until;
use support::laboratory::{self, Laboratory};
use support::softhsm::SoftHsm;
use support::test_name;
use support::two_tokens::{PREFERRED, STAND_BY, STAND_BY_SERIAL, with_two_tokens};
use x509::key::PublicKey;

use crate::fixture::{DEADLINE, bench, key, made, sign_with};

/// The deadline of the token that hangs at the start.
const SHORT: Duration = Duration::from_millis(1500);
/// By then both have answered or been given up, on a busy machine as well; the hang itself has no end.
const NOT_KEPT_UP: Duration = Duration::from_secs(15);

/// Runs `body` in a process of its own with two tokens of one key, of which nothing has been asked yet:
/// the preferred one behind the laboratory, the other in another module.
fn at_the_start(test: &str, body: impl FnOnce(&SoftHsm, &[Arc<TokenSource>; 2], &PublicKey)) {
    let place = |softhsm: &SoftHsm| {
        let _module = softhsm.second_module();
        softhsm.second_tokens()
    };
    with_two_tokens(test, place, made, |softhsm, made| {
        let second = softhsm.tokens().parent().unwrap().join("second-module.so");
        let sources = [
            (laboratory::module(), PREFERRED, made.serial.as_str(), SHORT),
            (second, STAND_BY, STAND_BY_SERIAL, DEADLINE),
        ]
        .map(|(module, label, serial, deadline)| {
            let settings = bench(&softhsm, label, serial).settings(1);
            let settings = TokenSettings { deadline, ..settings };
            Arc::new(TokenSource::new(&module, settings, SoftwareTokens::TestOnly))
        });
        body(&softhsm, &sources, &key(&made));
    });
}

/// Adds the key; what the one token that is away failed with.
fn add(signer: &TokenSigner, sources: &[Arc<TokenSource>], key: &PublicKey) -> Arc<SignError> {
    let away = signer.add_in_order(sources, key, KeyPolicy::issuing()).unwrap();
    let [away] = away.try_into().unwrap();
    Arc::clone(&away.error)
}

fn sign(signer: &TokenSigner, key: &PublicKey, text: &str) {
    sign_with(key, text, |input| signer.sign(input)).unwrap();
}

fn standing(signer: &TokenSigner, label: &str) -> Standing {
    let used = signer.uses().into_iter().find(|used| used.token.label.as_str() == label);
    used.unwrap().standing
}

/// KEY-09: C_Initialize of one module hangs. The program starts with the token of the other within a
/// deadline, other keys are not kept waiting again, the end is not held up, and the token is taken into
/// use when the call comes back.
#[test]
fn a_module_that_hangs_at_the_start_keeps_up_no_other() {
    at_the_start(
        test_name!(a_module_that_hangs_at_the_start_keeps_up_no_other),
        |softhsm, sources, key| {
            let go = softhsm.state().join("go");
            Laboratory::of(softhsm)
                .disturb(&format!("[[fault]]\nfunction = \"C_Initialize\"\nhang-until = {go:?}\n"));
            let signer = TokenSigner::new(DEADLINE);
            let begun = Instant::now();
            let first = add(&signer, sources, key);
            assert_eq!(first.code(), "hsm-module-deadline");
            assert!(begun.elapsed() < NOT_KEPT_UP, "{:?}", begun.elapsed());
            let second = add(&signer, sources, key);
            assert!(Arc::ptr_eq(&first, &second), "it was asked again: {second:?}");
            sign(&signer, key, "by the other");
            let lost = signer.tokens().into_iter().filter(|state| state.lost_for.is_some()).count();
            assert_eq!(lost, 1, "{:?}", signer.tokens());

            let other = TokenSigner::new(DEADLINE);
            add(&other, sources, key);
            let begun = Instant::now();
            drop(other);
            assert!(begun.elapsed() < NOT_KEPT_UP, "{:?}", begun.elapsed());

            fs::write(&go, "").unwrap();
            let back = until(Duration::from_secs(60), || {
                (standing(&signer, PREFERRED) == Standing::Signs).then_some(())
            });
            assert!(back.is_some(), "{:?}", signer.uses());
            sign(&signer, key, "by the preferred one");
        },
    );
}

/// KEY-09: a token whose calls hang from the start is behind its breaker after as many as it has
/// sessions, and is taken into use when they end.
#[test]
fn a_token_that_hangs_at_the_start_is_behind_its_breaker() {
    at_the_start(
        test_name!(a_token_that_hangs_at_the_start_is_behind_its_breaker),
        |softhsm, sources, key| {
            let go = softhsm.state().join("go");
            Laboratory::of(softhsm).disturb(&format!(
                "[[fault]]\nfunction = \"C_GetTokenInfo\"\nhang-until = {go:?}\n"
            ));
            let signer = TokenSigner::new(DEADLINE);
            assert_eq!(add(&signer, sources, key).code(), "hsm-open-deadline");
            let open = until(Duration::from_secs(60), || {
                let mut tokens = signer.tokens().into_iter();
                tokens.find(|state| state.breaker_openings > 0)
            });
            let state = open.unwrap_or_else(|| panic!("{:?}", signer.tokens()));
            assert_eq!(state.name.label.as_str(), PREFERRED);
            assert!(state.hung >= 2 && state.lost_for.is_some(), "{state:?}");
            sign(&signer, key, "by the other");

            fs::write(&go, "").unwrap();
            let back = until(Duration::from_secs(60), || {
                (standing(&signer, PREFERRED) == Standing::Signs).then_some(())
            });
            assert!(back.is_some(), "{:?} {:?}", signer.uses(), signer.tokens());
            sign(&signer, key, "by the preferred one");
        },
    );
}

//! A key in two tokens: when the second is asked, and when nobody is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hsm::{
    Again, KeyPolicy, KeyUse, SignError, SignatureMayExist, SigningService as _, SoftwareTokens,
    Standing, TokenSigner, TokenSource,
};
use support::demo::until;
use support::laboratory::{self, Counter, Fate, Laboratory};
use support::softhsm::SoftHsm;
use support::test_name;
use support::two_tokens::{PREFERRED, STAND_BY, STAND_BY_SERIAL, with_two_tokens};
use x509::key::PublicKey;

use crate::fixture::{DEADLINE, Unsigned, bench, input_of, key, made, sign_with};

/// Longer than any of it takes.
const LONG: Duration = Duration::from_secs(60);

/// Two tokens with one key behind the laboratory.
struct Pair {
    laboratory: Laboratory,
    key: PublicKey,
    signer: TokenSigner,
    /// Of files that end hangs.
    state: PathBuf,
}

impl Pair {
    /// Runs `body` in a process of its own, that finds both tokens there.
    fn with(test: &str, body: impl FnOnce(&Self)) {
        // One session, on which the key has proven itself when it is added.
        Self::with_sessions(test, 1, body);
    }

    fn with_sessions(test: &str, sessions: usize, body: impl FnOnce(&Self)) {
        with_two_tokens(test, SoftHsm::tokens, made, |softhsm, made| {
            let key = key(&made);
            let sources = [(PREFERRED, made.serial.as_str()), (STAND_BY, STAND_BY_SERIAL)].map(
                |(label, serial)| {
                    let settings = bench(&softhsm, label, serial).settings(sessions);
                    let module = laboratory::module();
                    Arc::new(TokenSource::new(&module, settings, SoftwareTokens::TestOnly))
                },
            );
            let signer = TokenSigner::new(DEADLINE);
            let away = signer.add_in_order(&sources, &key, KeyPolicy::issuing()).unwrap();
            assert!(away.is_empty(), "{away:?}");
            let (laboratory, state) = (Laboratory::of(&softhsm), softhsm.state());
            body(&Self { laboratory, key, signer, state });
        });
    }

    /// Signs once and verifies; the codes of the tries that were passed over.
    fn sign(&self, text: &str) -> Result<Vec<&'static str>, Unsigned> {
        self.sign_within(DEADLINE, text)
    }

    fn sign_within(&self, within: Duration, text: &str) -> Result<Vec<&'static str>, Unsigned> {
        let mut passed_over = Vec::new();
        sign_with(&self.key, text, |input| {
            self.signer.sign_telling(input, within, &mut |error| {
                assert_eq!(error.signature_may_exist(), SignatureMayExist::No, "{error:?}");
                passed_over.push(error.code());
            })
        })?;
        Ok(passed_over)
    }

    /// Of the preferred token and of the one that stands by.
    fn uses(&self) -> [KeyUse; 2] {
        let mut uses = self.signer.uses();
        uses.sort_by(|a, b| a.token.cmp(&b.token));
        uses.try_into().unwrap()
    }

    /// What became of the signatures that either token made over a text.
    fn fates(&self, text: &str) -> Vec<Fate> {
        let (input, signed) = (input_of(text.as_bytes()), self.laboratory.signed());
        signed.iter().filter(|signed| signed.is_over(&input)).map(|signed| signed.fate).collect()
    }
}

fn fault(of: &str) -> String {
    format!("[[fault]]\nfunction = \"C_Sign\"\nasks = \"value\"\ntoken = \"{PREFERRED}\"\n{of}\n")
}

/// Promise 2, KEY-09: the token breaks off, its signature exists and nobody gets it. No other token signs
/// the same, in this call or by a second one.
#[test]
fn a_token_that_broke_off_is_the_last_that_is_asked() {
    Pair::with(test_name!(a_token_that_broke_off_is_the_last_that_is_asked), |pair| {
        pair.laboratory.disturb(&fault("result = \"CKR_DEVICE_ERROR\"\npassed = true"));

        let refused = pair.sign("broken off");

        let Err(Unsigned::Refused(error)) = refused else { panic!("{refused:?}") };
        assert!(matches!(error, SignError::InDoubt(_)), "{error:?}");
        assert_eq!(error.signature_may_exist(), SignatureMayExist::Perhaps);
        assert_eq!(error.again(), Again::Never);
        assert_eq!(pair.fates("broken off"), [Fate::Withheld]);
        // The next one is not asked of it.
        assert_eq!(pair.sign("next").unwrap(), [""; 0]);
        let [preferred, stand_by] = pair.uses();
        assert_eq!((preferred.standing, preferred.failures), (Standing::SetAside, 1));
        assert_eq!((stand_by.standing, stand_by.signatures), (Standing::Signs, 1));
    });
}

/// Promise 2, KEY-09: a token that has begun to sign and does not answer is the last that is asked. What it
/// signs in the end is counted as late, and is the only signature.
#[test]
fn asks_no_other_token_where_a_signature_may_exist() {
    Pair::with(test_name!(asks_no_other_token_where_a_signature_may_exist), |pair| {
        let go = pair.state.join("go");
        pair.laboratory.disturb(&fault(&format!("calls = \"1\"\nhang-until = {go:?}")));

        let refused = pair.sign("unanswered");

        let Err(Unsigned::Refused(error)) = refused else { panic!("{refused:?}") };
        assert!(
            matches!(&error, SignError::Unanswered { token, .. } if token.label.as_str() == PREFERRED),
            "{error:?}"
        );
        assert_eq!(error.signature_may_exist(), SignatureMayExist::Perhaps);
        // The next order is not asked of it before it has proven itself.
        let [preferred, stand_by] = pair.uses();
        assert_eq!((preferred.standing, preferred.failures), (Standing::SetAside, 1));
        assert_eq!((stand_by.signatures, stand_by.failures), (0, 0));
        assert_eq!(pair.fates("unanswered"), [], "signed by the other token");
        fs::write(&go, "").unwrap();
        let late = until(LONG, || (pair.uses()[0].late == 1).then_some(()));
        assert!(late.is_some(), "{:?}", pair.uses());
        assert_eq!(pair.fates("unanswered").len(), 1);
    });
}

/// KEY-09: a result that is given before the key works lets the next token sign in the same call.
#[test]
fn a_token_that_certainly_did_not_sign_is_replaced_within_the_call() {
    let test = test_name!(a_token_that_certainly_did_not_sign_is_replaced_within_the_call);
    Pair::with(test, |pair| {
        pair.laboratory.disturb(&fault("result = \"CKR_SESSION_HANDLE_INVALID\""));

        assert_eq!(pair.sign("passed over").unwrap(), ["hsm-sign"]);

        assert_eq!(pair.fates("passed over"), [Fate::Delivered]);
        let begun = sign_with(&pair.key, "begun", |input| {
            let begun = pair.signer.begin(input, DEADLINE, Box::new(|_| panic!("told")))?;
            assert!(begun.is_none(), "who asks several tokens waits");
            Ok(Vec::new())
        });
        assert!(matches!(begun, Err(Unsigned::Wrong)), "{begun:?}");
        assert_eq!(pair.fates("begun"), []);
        let [preferred, stand_by] = pair.uses();
        assert_eq!((preferred.failures, preferred.failovers), (1, 1));
        assert_eq!((stand_by.signatures, stand_by.failures), (1, 0));
    });
}

/// KEY-10: a spoiled signature is released to nobody, and the proof that follows sets the token aside.
#[test]
fn a_token_that_signs_wrongly_is_set_aside() {
    Pair::with(test_name!(a_token_that_signs_wrongly_is_set_aside), |pair| {
        pair.laboratory.disturb(&fault("flip-bit = 77"));

        let wrong = pair.sign("spoiled");
        assert!(matches!(wrong, Err(Unsigned::Wrong)), "{wrong:?}");
        assert_eq!(pair.fates("spoiled"), [Fate::Spoiled]);
        pair.signer.prove(&pair.key.spki_hash()).unwrap();

        assert_eq!(pair.sign("sound").unwrap(), [""; 0]);
        assert_eq!(pair.fates("sound"), [Fate::Delivered]);
        let [preferred, stand_by] = pair.uses();
        assert_eq!((preferred.standing, preferred.signatures), (Standing::SetAside, 1));
        assert_eq!((stand_by.standing, stand_by.signatures), (Standing::Signs, 1));
    });
}

/// KEY-09: a token that hangs before the key is asked has certainly not signed, and will not when the
/// hang ends; so the next token signs in the same call.
#[test]
fn a_token_that_hangs_before_it_signs_is_replaced_within_the_call() {
    let test = test_name!(a_token_that_hangs_before_it_signs_is_replaced_within_the_call);
    // The key has proven itself on one of the two, and is looked for on the other.
    Pair::with_sessions(test, 2, |pair| {
        let go = pair.state.join("go");
        pair.laboratory.disturb(&format!(
            "[[fault]]\nfunction = \"C_FindObjects\"\ntoken = \"{PREFERRED}\"\ncalls = \"1\"\n\
             hang-until = {go:?}\n"
        ));

        // One caller after another could all be served by the session that is awake.
        let stalled = (0..200).find_map(|round| {
            let texts = [0, 1].map(|caller| format!("stalled {round} {caller}"));
            let passed_over = thread::scope(|scope| {
                let callers = texts.each_ref().map(|text| scope.spawn(|| pair.sign(text).unwrap()));
                callers.map(|caller| caller.join().unwrap())
            });
            texts.into_iter().zip(passed_over).find_map(|(text, passed_over)| {
                assert!(
                    passed_over.is_empty() || passed_over == ["hsm-stalled"],
                    "{passed_over:?}"
                );
                (!passed_over.is_empty()).then_some(text)
            })
        });

        let stalled = stalled.expect("no call met the hang");
        let hung = |count: usize| {
            let hung = || pair.signer.tokens().iter().map(|token| token.hung).sum::<usize>();
            until(2 * DEADLINE, || (hung() == count).then_some(()))
        };
        assert!(hung(1).is_some(), "{:?}", pair.signer.tokens());
        fs::write(&go, "").unwrap();
        assert!(hung(0).is_some(), "{:?}", pair.signer.tokens());
        assert_eq!(pair.fates(&stalled), [Fate::Delivered], "signed by one token, once");
        let [preferred, stand_by] = pair.uses();
        assert_eq!((preferred.failovers, preferred.late), (1, 0));
        assert_eq!(stand_by.signatures, 1);
    });
}

/// KEY-09: a token that has no session free is not at fault: the next one helps out, and it is asked on.
#[test]
fn a_token_with_too_much_to_do_is_helped_out_and_not_set_aside() {
    Pair::with(test_name!(a_token_with_too_much_to_do_is_helped_out_and_not_set_aside), |pair| {
        let go = pair.state.join("go");
        pair.laboratory.disturb(&fault(&format!("calls = \"1\"\nhang-until = {go:?}")));
        thread::scope(|scope| {
            let first = scope.spawn(|| pair.sign_within(LONG, "takes its time").unwrap());
            let begun =
                until(LONG, || (pair.laboratory.counted().of(Counter::Struck) > 0).then_some(()));
            assert!(begun.is_some());

            assert_eq!(pair.sign("beside").unwrap(), ["hsm-busy"]);

            fs::write(&go, "").unwrap();
            assert_eq!(first.join().unwrap(), [""; 0]);
        });
        let [preferred, stand_by] = pair.uses();
        assert_eq!((preferred.standing, preferred.failovers), (Standing::Signs, 0));
        assert_eq!((stand_by.standing, stand_by.signatures), (Standing::StandsBy, 1));
        assert_eq!(pair.sign("afterwards").unwrap(), [""; 0]);
        assert_eq!(pair.uses()[0].signatures, 2);
    });
}

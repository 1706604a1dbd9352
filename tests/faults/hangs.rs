//! Calls that hang, whichever they are: their callers are answered in time, and what was hung up on is
//! left for good, so that the token is used again without a restart.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use hsm::{
    Begun, KeyPolicy, Removal, SignError, SignatureMayExist, SigningService as _, Token,
    TokenSettings, TokenSigner,
};
use support::demo::until;
use support::laboratory::{Counter, Function};
use support::softhsm::alone;
use support::test_name;
use x509::key::KeyType;
use x509::signing::SigningInput;

use crate::fixture::{Bench, INTENT, ROOM, Unsigned, make_key, module, sign_with};

/// How long a caller waits.
const DEADLINE: Duration = Duration::from_secs(2);
/// 20 s after its caller's time a login that hangs has had its turn.
const LEFT_BEHIND_WITHIN: Duration = Duration::from_secs(90);
/// The token signs within this time of the return of the calls.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// KEY-02, KEY-09: a login that is never answered keeps nobody from signing for ever, and costs one more
/// login, as the PIN's budget allows.
#[test]
fn a_login_that_is_never_answered_is_left_behind() {
    alone(test_name!(a_login_that_is_never_answered_is_left_behind), |softhsm| {
        let bench = Bench::new(softhsm);
        let signing = bench.signing(3);
        let before = bench.laboratory.counted().calls(Function::Login);
        let never = softhsm.state().join("never");
        bench.laboratory.disturb(&format!(
            "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n\
             [[fault]]\nfunction = \"C_Login\"\ncalls = \"1\"\nhang-until = {never:?}\n"
        ));
        let began = Instant::now();
        let mut number = 0;
        while signing.sign(&format!("call {number}")).is_err() {
            assert!(began.elapsed() < LEFT_BEHIND_WITHIN, "nobody signs any more");
            number += 1;
        }
        println!("measured: signed again after = {} ms", began.elapsed().as_millis());
        assert_eq!(bench.laboratory.counted().calls(Function::Login), before + 2);
        // When it ends after all, it changes nothing.
        fs::write(&never, "").unwrap();
        thread::sleep(Duration::from_secs(1));
        signing.sign("afterwards").unwrap();
        let counted = bench.laboratory.counted();
        assert_eq!(counted.calls(Function::Login), before + 2);
        assert_eq!(counted.of(Counter::LoginsWrong), 0);
    });
}

/// KEY-09: every call that is made on the way from lost sessions to a signature hangs, once and always.
#[test]
fn whichever_call_hangs_the_callers_are_answered_and_the_token_is_used_again() {
    let test =
        test_name!(whichever_call_hangs_the_callers_are_answered_and_the_token_is_used_again);
    alone(test, |softhsm| {
        let bench = Bench::new(softhsm);
        let settings = TokenSettings { deadline: DEADLINE, ..bench.settings(2) };
        let token = Token::open(&module(), settings).unwrap();
        let key = make_key(&token, KeyType::EcP256, "issuing", Removal::Forbidden);
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        let sign = |text: &str| sign_with(&key, text, |input| signer.sign(input));
        let functions =
            ["C_Login", "C_OpenSession", "C_GetTokenInfo", "C_FindObjects", "C_SignInit"];
        for (number, function) in functions.into_iter().enumerate() {
            for calls in ["1", "all"] {
                let what = format!("{function} {calls}");
                until(BACK_WITHIN, || sign(&what).ok()).unwrap();
                let before = bench.laboratory.counted();
                let go = softhsm.state().join(format!("go-{number}-{calls}"));
                // The first of them finds its sessions gone, so that everything is done anew.
                bench.laboratory.disturb(&format!(
                    "[[fault]]\nfunction = \"C_SignInit\"\ncalls = \"1\"\ndo = \"drop-sessions\"\n\
                     [[fault]]\nfunction = {function:?}\ncalls = {calls:?}\nhang-until = {go:?}\n"
                ));
                let mut slowest = Duration::ZERO;
                thread::scope(|scope| {
                    let callers = [0, 1, 2].map(|caller| {
                        let (sign, what) = (&sign, &what);
                        scope.spawn(move || {
                            let began = Instant::now();
                            (sign(&format!("{what} {caller}")), began.elapsed())
                        })
                    });
                    for caller in callers {
                        let (signed, took) = caller.join().unwrap();
                        slowest = slowest.max(took);
                        match signed {
                            Err(Unsigned::Refused(error)) => {
                                // The key cannot have worked before C_Sign; what is not known is said.
                                let code = error.code();
                                assert!(code.starts_with("hsm-"), "{what}: {error:?}");
                                if code != "hsm-unanswered" {
                                    let exists = error.signature_may_exist();
                                    assert_eq!(exists, SignatureMayExist::No, "{what}: {error:?}");
                                }
                            }
                            Err(Unsigned::Wrong) => panic!("{what}: a wrong signature"),
                            Ok(()) => {}
                        }
                    }
                });
                let struck =
                    bench.laboratory.counted().of(Counter::Struck) - before.of(Counter::Struck);
                assert!(struck >= 2, "{what} did not hang");
                fs::write(&go, "").unwrap();
                let back = Instant::now();
                let signs = until(BACK_WITHIN, || sign(&format!("{what} afterwards")).ok());
                println!(
                    "measured: {what}: slowest answer {slowest:?}, signs {:?} after its return",
                    back.elapsed()
                );
                assert!(signs.is_some(), "{what}: {:?}", token.state());
                assert!(slowest < DEADLINE + ROOM, "{what}: {slowest:?}");
                bench.laboratory.calm();
                let quiet = until(BACK_WITHIN, || {
                    let state = token.state();
                    (state.hung == 0 && state.lost_for.is_none()).then_some(())
                });
                assert!(quiet.is_some(), "{what}: {:?}", token.state());
            }
        }
        let counted = bench.laboratory.counted();
        for counter in [Counter::LoginsWrong, Counter::FinalisedUnderCalls, Counter::SharedSession]
        {
            assert_eq!(counted.of(counter), 0, "{}", counter.name());
        }
    });
}

/// Where the outcome of a signature that no thread waits for is told.
type Outcome = Receiver<Result<Vec<u8>, SignError>>;

/// A signature that no thread waits for.
fn begun(
    signer: &TokenSigner,
    input: &SigningInput,
    within: Duration,
) -> Result<(Begun, Outcome), SignError> {
    let (told, outcome) = channel();
    let done = Box::new(move |signed| {
        let _gone = told.send(signed);
    });
    let begun = signer.begin(input, within, done)?;
    Ok((begun.expect("a token with a thread of its own, and room"), outcome))
}

/// What comes of it for one who looks after it.
fn looked_after(signer: &TokenSigner, input: &SigningInput) -> Result<Vec<u8>, SignError> {
    let (begun, outcome) = begun(signer, input, DEADLINE)?;
    loop {
        let left = begun.next_look().saturating_duration_since(Instant::now());
        let in_vain = match outcome.recv_timeout(left) {
            Ok(signed) => return signed,
            Err(RecvTimeoutError::Timeout) => begun.look(),
            Err(RecvTimeoutError::Disconnected) => Some(begun.give_up()),
        };
        if let Some(error) = in_vain {
            return outcome.try_recv().unwrap_or(Err(error));
        }
    }
}

/// KEY-09, KEY-14: whoever looks after a signature that no thread of his waits for is told in time that it may exist, the
/// thread that hangs is replaced, and the signature is told of when it comes; what nobody looks after any more is not begun.
#[test]
fn a_signature_that_no_thread_waits_for_is_looked_after() {
    alone(test_name!(a_signature_that_no_thread_waits_for_is_looked_after), |softhsm| {
        let bench = Bench::new(softhsm);
        let settings = TokenSettings { deadline: DEADLINE, ..bench.settings(1) };
        let token = Token::open(&module(), settings).unwrap();
        let key = make_key(&token, KeyType::EcP256, "issuing", Removal::Forbidden);
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        let sign = |text: &str| sign_with(&key, text, |input| looked_after(&signer, input));
        let hang = |name: &str| {
            let go = softhsm.state().join(name);
            bench.laboratory.disturb(&format!(
                "[[fault]]\nfunction = \"C_Sign\"\ncalls = \"1\"\nhang-until = {go:?}\n"
            ));
            go
        };
        let signs = |text: &str| until(BACK_WITHIN, || sign(text).ok()).is_some();
        assert!(signs("before"));

        let go = hang("go");
        // On a busy machine the time may be up before the session gets to it.
        let (refused, waited) = loop {
            let began = Instant::now();
            match sign("hangs") {
                Err(Unsigned::Refused(error))
                    if error.signature_may_exist() == SignatureMayExist::No => {}
                Err(Unsigned::Refused(error)) => break (error, began.elapsed()),
                other => panic!("{other:?}"),
            }
        };
        println!("measured: told of a signature that hangs after {waited:?}");
        assert!(waited >= DEADLINE, "{waited:?}");
        assert_eq!(refused.code(), "hsm-unanswered");
        assert!(signs("in the place of the one that hangs"), "{:?}", token.state());
        assert_eq!(token.state().hung, 1, "{:?}", token.state());
        fs::write(&go, "").unwrap();
        let late = until(BACK_WITHIN, || signer.late_signatures().pop()).expect("a late signature");
        assert_eq!((late.intent, late.key), (INTENT, key.spki_hash()));
        bench.laboratory.calm();

        // The only session is at work, and will be for a long time.
        let struck = || bench.laboratory.counted().of(Counter::Struck);
        let (before, go) = (struck(), hang("go-on"));
        let signed = sign_with(&key, "long", |long| {
            let (_long, outcome) = begun(&signer, long, Duration::from_secs(120))?;
            assert!(until(BACK_WITHIN, || (struck() > before).then_some(())).is_some());
            let told = sign_with(&key, "given up", |input| {
                let wait = || begun(&signer, input, Duration::from_secs(120));
                let waiting = (0..256).map(|_| wait()).collect::<Result<Vec<_>, _>>()?;
                let one_more = signer.begin(input, DEADLINE, Box::new(|_| panic!("told")))?;
                assert!(one_more.is_none(), "there is no room");
                drop(waiting);
                // More than there are places: none of them keeps the next one out.
                for _ in 0..300 {
                    drop(wait()?);
                }
                // Whoever comes to look when his time is up already is told so, and not to come again in a minute.
                let (late, _outcome) = begun(&signer, input, Duration::from_millis(1))?;
                thread::sleep(Duration::from_millis(5));
                assert!(late.next_look() <= Instant::now());
                assert_eq!(late.look().map(|error| error.code()), Some("hsm-busy"));
                let (begun, outcome) = wait()?;
                drop(begun);
                fs::write(&go, "").unwrap();
                let told = outcome.recv_timeout(Duration::from_secs(60));
                assert_eq!(told.unwrap_err(), RecvTimeoutError::Disconnected);
                Ok(Vec::new())
            });
            assert!(matches!(told, Err(Unsigned::Wrong)), "{told:?}");
            outcome.recv_timeout(Duration::from_secs(60)).expect("the one that was begun")
        });
        assert!(signed.is_ok(), "{signed:?}");
        assert!(signs("after"));
    });
}

//! Tests of calls that hang, on a real token: work that waits until it is let go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::demo::until;
use support::softhsm::{MODULE, SoftHsm, alone};
use support::test_name;
use x509::key::{KeyType, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::breaker::BreakerState;
use crate::operation::Operation;
use crate::pin::Pin;
use crate::pool::CallError;
use crate::{
    Again, KeyId, KeyOrder, Module, NewToken, PinMarkers, Removal, SignError, SignatureMayExist,
    Token, TokenSettings, TokenState, init_token,
};

const SESSIONS: usize = 2;
const DEADLINE: Duration = Duration::from_millis(1200);
/// What a busy machine may add to any answer.
const ROOM: Duration = Duration::from_secs(5);

fn token(softhsm: &SoftHsm) -> Token {
    let module = Module::load(std::path::Path::new(MODULE)).unwrap();
    let markers = PinMarkers::in_folder(&softhsm.state()).unwrap();
    let pin = |text: &str| Pin::from_drawn(&Zeroizing::new(text.to_owned())).unwrap();
    let user_pin = "user-pin-of-32-characters-000001";
    let new = NewToken {
        label: "sg-td-ab12-issuing".parse().unwrap(),
        so_pin: pin("officer-pin-of-32-characters-002"),
        user_pin: pin(user_pin),
    };
    let name = init_token(&module, &new, &markers).unwrap();
    let settings = TokenSettings {
        name,
        pin: pin(user_pin),
        markers,
        sessions: SESSIONS.try_into().unwrap(),
        deadline: DEADLINE,
        quirks: crate::quirks::Quirks::default(),
    };
    Token::open(&module, settings).unwrap()
}

/// Calls that hang until it is dropped.
struct Hanging {
    let_go: Option<Sender<()>>,
    wait: Arc<Mutex<Receiver<()>>>,
    begun: Arc<AtomicUsize>,
}

impl Hanging {
    fn new() -> Self {
        let (let_go, wait) = channel();
        Self { let_go: Some(let_go), wait: Arc::new(Mutex::new(wait)), begun: Arc::default() }
    }

    /// Has `count` callers make a call that hangs, and waits until they have given up.
    fn call(&self, token: &Token, count: usize) -> Vec<Result<(), CallError>> {
        let calls: Vec<_> = (0..count)
            .map(|_| {
                let (token, wait) = (token.clone(), Arc::clone(&self.wait));
                let begun = Arc::clone(&self.begun);
                thread::spawn(move || {
                    token.call(DEADLINE, move |worker| {
                        let opened = worker.run(|_| Ok::<(), crate::OpenError>(()));
                        begun.fetch_add(1, Ordering::Relaxed);
                        // Each waits for the one before it, the first for the sender's end.
                        let _let_go = wait.lock().unwrap().recv();
                        drop(opened);
                    })
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    }

    /// Has calls hang until `total` do. On a busy machine a caller may have given up before his call began.
    fn hang(&self, token: &Token, total: usize) -> TokenState {
        for _ in 0..10 {
            let missing = total.saturating_sub(self.begun.load(Ordering::Relaxed));
            if missing == 0 {
                break;
            }
            self.call(token, missing);
        }
        hung(token, total)
    }

    fn let_go(&mut self) {
        self.let_go = None;
    }
}

/// The state once so many calls count as hung: a call is given its time from when it begins.
fn hung(token: &Token, count: usize) -> TokenState {
    let counted = until(Duration::from_secs(20), || {
        let state = token.state();
        (state.hung == count).then_some(state)
    });
    counted.unwrap_or_else(|| panic!("{:?}", token.state()))
}

/// KEY-09: a call that hangs costs its caller the deadline and nobody else anything; beyond as many as
/// there are sessions callers are refused at once, until one comes back.
#[test]
fn hung_calls_are_replaced_until_the_breaker_opens_and_a_return_closes_it() {
    alone(
        test_name!(hung_calls_are_replaced_until_the_breaker_opens_and_a_return_closes_it),
        |softhsm| {
            let token = token(softhsm);
            let order = KeyOrder {
                key_type: KeyType::EcP256,
                label: "key".to_owned(),
                id: KeyId::of_step(&[7; 32], "key"),
                removal: Removal::Forbidden,
            };
            let key = token.generate_key(order, Duration::from_secs(60)).unwrap();
            let mut hanging = Hanging::new();

            let begun = Instant::now();
            let first = hanging.call(&token, 2);
            println!("measured: two that hang are answered in {:?}", begun.elapsed());
            assert!(begun.elapsed() < DEADLINE + ROOM, "{:?}", begun.elapsed());
            assert_eq!(first, [Err(CallError::NotEnded); 2]);
            let state = hung(&token, 2);
            assert_eq!(state.serving, 2, "{state:?}");
            assert_eq!(state.breaker, BreakerState::Closed);
            token.prove(&key).unwrap();

            let state = hanging.hang(&token, 4);
            assert_eq!(state.breaker, BreakerState::Open, "{state:?}");
            let begun = Instant::now();
            let refused = token.prove(&key).unwrap_err();
            println!("measured: refused in {:?}", begun.elapsed());
            assert!(begun.elapsed() < DEADLINE, "it waited: {:?}", begun.elapsed());
            assert_eq!(refused.code(), "hsm-breaker-open");
            assert_eq!(refused.signature_may_exist(), SignatureMayExist::No);
            assert_eq!(refused.again(), Again::Never);
            assert!(refused.come_back().is_some_and(|span| span <= Duration::from_secs(3)));

            hanging.let_go();
            let begun = Instant::now();
            let works = until(Duration::from_secs(20), || token.prove(&key).ok());
            println!(
                "measured: signs {} ms after the hung calls came back",
                begun.elapsed().as_millis()
            );
            assert!(works.is_some(), "{:?}", token.state());
            let all = until(Duration::from_secs(20), || (token.state().hung == 0).then_some(()));
            let state = token.state();
            assert!(all.is_some(), "{state:?}");
            assert_eq!((state.serving, state.breaker), (SESSIONS, BreakerState::Closed));
            assert_eq!((state.breaker_openings, state.logins), (1, 1), "{state:?}");
        },
    );
}

/// KEY-09: a signature that is tried twice is waited for once: where all sessions are at work until the
/// end, its caller has gone by then, and the token is not given the same work again.
#[test]
fn two_tries_have_the_time_of_one() {
    alone(test_name!(two_tries_have_the_time_of_one), |softhsm| {
        let within = Duration::from_secs(4);
        let token = token(softhsm);
        let order = KeyOrder {
            key_type: KeyType::EcP256,
            label: "key".to_owned(),
            id: KeyId::of_step(&[7; 32], "key"),
            removal: Removal::Forbidden,
        };
        let key = token.generate_key(order, Duration::from_secs(60)).unwrap();
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let operation = Operation::over_message(algorithm, b"text", token.quirks()).unwrap();
        let (at_work, begun) = channel();
        let (let_go, wait) = channel::<()>();
        let wait = Arc::new(Mutex::new(wait));

        thread::scope(|scope| {
            for _ in 0..SESSIONS {
                let (token, at_work, wait) = (&token, at_work.clone(), Arc::clone(&wait));
                scope.spawn(move || {
                    token.call(Duration::from_secs(60), move |_| {
                        at_work.send(()).unwrap();
                        let _let_go = wait.lock().unwrap().recv();
                    })
                });
            }
            (0..SESSIONS).for_each(|_| begun.recv().unwrap());
            let started = Instant::now();

            let refused = token.sign_twice(&key, operation, within).unwrap_err();

            let waited = started.elapsed();
            drop(let_go);
            println!("measured: refused after {waited:?}");
            assert_eq!(refused.code(), "hsm-busy");
            assert!(waited < within * 2, "{waited:?}");
        });
    });
}

/// KEY-09: calls that never come back do not keep a token out of use that works again.
#[test]
fn one_call_on_trial_closes_the_breaker() {
    alone(test_name!(one_call_on_trial_closes_the_breaker), |softhsm| {
        let token = token(softhsm);
        let mut hanging = Hanging::new();
        hanging.hang(&token, 2);
        assert_eq!(hanging.hang(&token, 4).breaker, BreakerState::Open);

        let begun = Instant::now();
        let works = until(Duration::from_secs(30), || token.probe(DEADLINE).ok());

        println!("measured: on trial after {} ms", begun.elapsed().as_millis());
        assert!(works.is_some(), "{:?}", token.state());
        // The thread that answered closes it, a moment after its answer.
        let closed = until(Duration::from_secs(20), || {
            let state = token.state();
            (state.breaker == BreakerState::Closed && state.serving == SESSIONS).then_some(state)
        });
        assert!(closed.is_some_and(|state| state.hung == 4), "{:?}", token.state());
        // The token is given up although they hang.
        let begun = Instant::now();
        drop(token);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        hanging.let_go();
    });
}

/// A caller is not made to wait for a token whose calls hang: the queue is left when the breaker opens.
#[test]
fn waiting_callers_are_told_when_the_breaker_opens() {
    alone(test_name!(waiting_callers_are_told_when_the_breaker_opens), |softhsm| {
        let token = token(softhsm);
        let mut hanging = Hanging::new();
        hanging.hang(&token, 2);
        let patient = thread::scope(|scope| {
            let hung = scope.spawn(|| hanging.call(&token, 2));
            let all = || (hanging.begun.load(Ordering::Relaxed) == 4).then_some(());
            assert!(until(Duration::from_secs(20), all).is_some(), "not all calls have begun");
            let begun = Instant::now();
            let refused = token.probe(Duration::from_secs(60)).unwrap_err();
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
            hung.join().unwrap();
            refused
        });
        assert!(matches!(patient, SignError::Token(_)), "{patient:?}");
        assert_eq!(patient.code(), "hsm-breaker-open");
        hanging.let_go();
    });
}

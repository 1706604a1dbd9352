//! What is tried, and what is not.

use std::os::unix::fs::PermissionsExt as _;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use zeroize::Zeroizing;

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    markers: PinMarkers,
    token: TokenName,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let token = TokenName {
            label: "sg-td-ab12-issuing".parse().unwrap(),
            serial: "0123/4567".parse().unwrap(),
        };
        let markers = PinMarkers::in_folder(folder.path()).unwrap();
        Self { folder, markers, token }
    }

    fn pin_in_a_file(&self) -> Pin {
        let path = self.folder.path().join("issuing.pin");
        if !path.exists() {
            pin("pin-in-a-file").create_file(&path).unwrap();
        }
        Pin::from_file(&path).unwrap()
    }

    fn turn(
        &self,
        pin: &Pin,
        state: PinState,
        wrong_pins: WrongPins,
        attempt: impl FnOnce() -> Result<(), Pkcs11Failure>,
    ) -> Result<(), LoginError> {
        let turn = self.markers.turn(&self.token, Instant::now()).unwrap();
        turn.attempt(pin, state, wrong_pins, attempt)
    }

    /// As if the marker had been written so long ago.
    fn wait(&self, span: Duration) {
        let marker = File::options().write(true).open(self.markers.path(&self.token)).unwrap();
        let written = marker.metadata().unwrap().modified().unwrap();
        marker.set_modified(written - span).unwrap();
    }

    fn attempt(&self, pin: &Pin, state: PinState, result: RvError) -> LoginError {
        self.turn(pin, state, WrongPins::Untold, || Err(failure(result))).unwrap_err()
    }

    fn succeeds(&self, pin: &Pin, state: PinState) -> Result<(), LoginError> {
        self.turn(pin, state, WrongPins::Untold, || Ok(()))
    }
}

fn failure(result: RvError) -> Pkcs11Failure {
    Pkcs11Failure::new(&"token", &Error::Pkcs11(result, Function::Login))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn pin(text: &str) -> Pin {
    Pin::from_drawn(&Zeroizing::new(text.to_owned())).unwrap()
}

/// A PIN that the marker's one octet tells from `than`.
fn other_pin(fixture: &Fixture, than: &Pin) -> Pin {
    let marker = fixture.markers.read(&fixture.token, than).unwrap().unwrap();
    let (Marker::Refused(tag) | Marker::Trying(tag, _)) = marker else { panic!("{marker:?}") };
    assert!(tag.is_of(&fixture.token, than));
    let other = (0..).map(|number| pin(&format!("other-{number}")));
    other.into_iter().find(|pin| !tag.is_of(&fixture.token, pin)).unwrap()
}

#[test]
fn a_refused_pin_is_not_tried_again_and_another_one_is() {
    let fixture = Fixture::new();
    let wrong = pin("wrong-pin");

    let refused = fixture.attempt(&wrong, PinState::Ready, RvError::PinIncorrect);
    assert!(matches!(refused, LoginError::Refused { .. }));
    for state in [PinState::Ready, PinState::TriedWrong, PinState::FinalTry] {
        let again = fixture.succeeds(&wrong, state);
        assert!(matches!(again, Err(LoginError::RefusedBefore { .. })), "{state:?}");
    }
    let other = other_pin(&fixture, &wrong);
    fixture.succeeds(&other, PinState::TriedWrong).unwrap();

    assert!(!fixture.markers.path(&fixture.token).exists());
}

/// The program dies between the try and its result: what the token says decides.
#[test]
fn a_try_whose_end_nobody_saw_is_judged_by_what_the_token_says() {
    let died = |pin: &Pin| {
        let fixture = Fixture::new();
        let tag = Tag::fresh(&fixture.token, pin).unwrap();
        fixture.markers.write(&fixture.token, &Marker::Trying(tag, InDoubt::ONE)).unwrap();
        fixture
    };
    let tried = pin("tried-pin");

    died(&tried).succeeds(&tried, PinState::Ready).unwrap();
    let again = died(&tried).succeeds(&tried, PinState::TriedWrong);
    assert!(matches!(again, Err(LoginError::RefusedBefore { .. })));
    let fixture = died(&tried);
    let other = other_pin(&fixture, &tried);
    fixture.succeeds(&other, PinState::TriedWrong).unwrap();
}

#[test]
fn never_takes_the_last_try_unless_an_operator_allows_it() {
    let fixture = Fixture::new();
    let right = pin("right-pin");

    let last = fixture.succeeds(&right, PinState::FinalTry);
    assert!(matches!(last, Err(LoginError::FinalTry { .. })));
    fixture.markers.clear(&fixture.token).unwrap();
    fixture.succeeds(&right, PinState::FinalTry).unwrap();
}

/// Promise 9: whatever keeps a PIN from being tried names the PIN file, the marker and the line
/// that allows a try; and that line does so.
#[test]
fn each_refusal_names_the_way_out_and_the_way_out_works() {
    type Before<'a> = &'a dyn Fn(&Fixture);
    let spoil = |fixture: &Fixture| {
        fs::write(fixture.markers.path(&fixture.token), "sigill-pin/1 claered x\n").unwrap();
    };
    let refuse = |fixture: &Fixture| {
        let wrong = fixture.pin_in_a_file();
        fixture.attempt(&wrong, PinState::Ready, RvError::PinIncorrect);
    };
    let nothing = |_: &Fixture| {};
    let cases: [(&str, Before<'_>, PinState); 4] = [
        ("is not one of this token", &spoil, PinState::Ready),
        ("was refused at", &refuse, PinState::TriedWrong),
        ("a wrong PIN since the last login", &nothing, PinState::TriedWrong),
        ("one more wrong PIN will lock it", &nothing, PinState::FinalTry),
    ];
    for (text, before, state) in cases {
        let fixture = Fixture::new();
        before(&fixture);
        let pin = fixture.pin_in_a_file();
        let refused = fixture.succeeds(&pin, state).unwrap_err();
        let said = with_causes(&refused);

        assert!(said.contains(text), "{said}");
        let line = "sigill-pin/1 cleared 0123/4567";
        assert!(said.contains(&format!("write \"{line}\" into")), "{said}");
        assert!(said.contains(fixture.markers.path(&fixture.token).to_str().unwrap()), "{said}");
        assert!(said.contains("issuing.pin"), "{said}");
        // As an editor leaves it, and as `printf` does.
        for ending in ["\n", ""] {
            fs::write(fixture.markers.path(&fixture.token), format!("{line}{ending}")).unwrap();
            fixture.succeeds(&pin, state).unwrap();
        }
    }
}

#[test]
fn nothing_is_tried_on_a_locked_or_unready_token() {
    let fixture = Fixture::new();
    fixture.markers.clear(&fixture.token).unwrap();
    for state in [PinState::Locked, PinState::NotSet, PinState::MustChange] {
        let attempt = || -> Result<(), Pkcs11Failure> { panic!("tried on {state:?}") };
        let refused = fixture.turn(&pin("1234"), state, WrongPins::Told, attempt).unwrap_err();
        assert!(!refused.next_step().is_empty());
    }
}

/// What is found out before the PIN is looked at costs no try, however often it comes.
#[test]
fn a_result_that_never_judged_the_pin_leaves_things_as_they_were() {
    let fixture = Fixture::new();
    let right = pin("right-pin");

    for _ in 0..10 {
        let failed = fixture.attempt(&right, PinState::Ready, RvError::TokenNotPresent);
        assert!(matches!(failed, LoginError::Device(_)));
        assert!(!fixture.markers.path(&fixture.token).exists());
    }
    fixture.markers.clear(&fixture.token).unwrap();
    fixture.attempt(&right, PinState::TriedWrong, RvError::SlotIdInvalid);

    fixture.succeeds(&right, PinState::TriedWrong).unwrap();
}

/// Results that do not say whether the PIN was right.
const IN_DOUBT: [RvError; 8] = [
    RvError::GeneralError,
    RvError::FunctionFailed,
    RvError::DeviceError,
    RvError::DeviceRemoved,
    RvError::HostMemory,
    RvError::SessionClosed,
    RvError::UserAlreadyLoggedIn,
    RvError::ArgumentsBad,
];

/// Promise 6: a device that reports a wrong PIN by a result of another meaning, and by no flag, is sent
/// it three times, by however many programs and restarts, and no more until an operator has spoken.
#[test]
fn logins_in_doubt_are_three_and_then_a_humans_matter() {
    for result in IN_DOUBT {
        let fixture = Fixture::new();
        let wrong = fixture.pin_in_a_file();
        let try_it = || fixture.attempt(&wrong, PinState::Ready, result);

        assert!(matches!(try_it(), LoginError::Device(_)), "{result:?}");
        assert!(matches!(try_it(), LoginError::Device(_)), "{result:?}");
        let paused = fixture.succeeds(&wrong, PinState::Ready).unwrap_err();
        assert_eq!(paused.code(), "hsm-login-paused", "{result:?}");
        assert!(paused.to_string().contains("the next is in 60 s"), "{paused}");
        fixture.wait(PAUSE);
        assert!(matches!(try_it(), LoginError::Device(_)), "{result:?}");
        fixture.wait(PAUSE * 100);
        for _ in 0..3 {
            let human = fixture.succeeds(&wrong, PinState::Ready).unwrap_err();
            assert_eq!(human.code(), "hsm-pin-in-doubt", "{result:?}");
            assert!(human.to_string().contains("write \"sigill-pin/1 cleared 0123/4567\" into"));
        }

        // One try, and no more of them.
        fixture.markers.clear(&fixture.token).unwrap();
        assert!(matches!(try_it(), LoginError::Device(_)), "{result:?}");
        fixture.wait(PAUSE * 100);
        let human = fixture.succeeds(&wrong, PinState::Ready).unwrap_err();
        assert_eq!(human.code(), "hsm-pin-in-doubt", "{result:?}");
        fixture.markers.clear(&fixture.token).unwrap();
        fixture.succeeds(&wrong, PinState::Ready).unwrap();
    }
}

/// Promise 6: a service manager that kills a program which hangs in its login starts it again.
#[test]
fn programs_that_die_in_their_login_send_the_pin_three_times() {
    let fixture = Fixture::new();
    let pin = pin("any-pin");
    let mut sent = 0;
    for _ in 0..10 {
        let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fixture.turn(&pin, PinState::Ready, WrongPins::Untold, || panic!("killed"))
        }));
        sent += usize::from(started.is_err());
        fixture.wait(PAUSE);
    }

    assert_eq!(sent, 3);
}

#[test]
fn a_login_that_works_begins_the_count_anew() {
    let fixture = Fixture::new();
    let right = pin("right-pin");
    for _ in 0..10 {
        fixture.attempt(&right, PinState::Ready, RvError::DeviceError);
        fixture.attempt(&right, PinState::Ready, RvError::DeviceError);
        fixture.wait(PAUSE);
        fixture.succeeds(&right, PinState::Ready).unwrap();
        assert!(!fixture.markers.path(&fixture.token).exists());
    }
}

/// Where the very device was seen to tell of wrong PINs and tells of none, a long outage stays its own
/// matter; and what it tells is heeded.
#[test]
fn a_token_that_tells_of_wrong_pins_is_tried_on_at_a_slow_pace() {
    let fixture = Fixture::new();
    let right = pin("right-pin");
    let fails = || Err(failure(RvError::DeviceError));
    for login in 0..10 {
        let tried = fixture.turn(&right, PinState::Ready, WrongPins::Told, fails).unwrap_err();
        assert!(matches!(tried, LoginError::Device(_)), "{login}: {tried:?}");
        if login > 0 {
            let next = fixture.turn(&right, PinState::Ready, WrongPins::Told, || Ok(()));
            assert!(matches!(next, Err(LoginError::Paused { .. })), "{login}");
            fixture.wait(PAUSE);
        }
    }
    let told = fixture.turn(&right, PinState::TriedWrong, WrongPins::Told, || Ok(()));
    assert!(matches!(told, Err(LoginError::RefusedBefore { .. })), "{told:?}");
    fixture.turn(&right, PinState::Ready, WrongPins::Told, || Ok(())).unwrap();
}

/// A program that hangs in its login holds up the others no longer than they can wait.
#[test]
fn waits_for_another_programs_login_until_its_own_deadline() {
    let fixture = Fixture::new();
    let _other = fixture.markers.turn(&fixture.token, Instant::now()).unwrap();
    let begun = Instant::now();

    let refused = fixture.markers.turn(&fixture.token, begun + Duration::from_millis(300));

    let refused = refused.err().unwrap();
    assert_eq!(refused.code(), "hsm-login-busy");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(300) && waited < Duration::from_secs(20), "{waited:?}");
}

/// A marker that was written before logins were counted.
#[test]
fn a_marker_without_a_number_counts_one() {
    let fixture = Fixture::new();
    let tried = pin("tried-pin");
    let tag = Tag::fresh(&fixture.token, &tried).unwrap();
    let text = Marker::Trying(tag.clone(), InDoubt::ONE).to_text(&fixture.token);
    let old = text.trim_end().strip_suffix(" 1").unwrap();

    assert_eq!(Marker::parse(old, &fixture.token), Some(Marker::Trying(tag, InDoubt::ONE)));
}

/// KEY-02: nothing in the marker tells more than one octet about the PIN.
#[test]
fn the_marker_tells_one_octet_and_no_more() {
    let fixture = Fixture::new();
    fixture.attempt(&pin("wrong-pin"), PinState::Ready, RvError::PinIncorrect);

    let text = fs::read_to_string(fixture.markers.path(&fixture.token)).unwrap();

    let parts: Vec<&str> = text.trim_end().split(' ').collect();
    let ["sigill-pin/1", "refused", "0123/4567", salt, octet] = parts[..] else { panic!("{text}") };
    assert_eq!((salt.len(), octet.len()), (32, 2));
    let mode = fs::metadata(fixture.markers.path(&fixture.token)).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Promise 6: a login whose turn was taken over before it sent the PIN sends none. One that had sent it
/// changes nothing of what the newer one has noted, unless it tells that the PIN is wrong.
#[test]
fn a_turn_that_was_taken_over_sends_no_pin_and_spoils_no_marker() {
    let fixture = Fixture::new();
    let (markers, token) = (&fixture.markers, &fixture.token);
    let (used, mut sent) = (pin("the-pin"), 0);
    let old = markers.turn(token, Instant::now()).unwrap();
    let new = markers.take_over(token, old.lock());

    let late = old.attempt(&used, PinState::Ready, WrongPins::Untold, || {
        sent += 1;
        Ok(())
    });

    assert!(matches!(late, Err(LoginError::Attempts(AttemptError::Busy { .. }))), "{late:?}");
    assert_eq!(sent, 0);
    drop(old);
    // The newer one hangs in its call, and a third takes over.
    let noted = || fs::read_to_string(markers.path(token)).unwrap();
    for (result, stays) in [
        (Ok(()), true),
        (Err(failure(RvError::PinIncorrect)), false),
        (Err(failure(RvError::TokenNotPresent)), true),
    ] {
        markers.remove(token).unwrap();
        let hangs = markers.take_over(token, new.lock());
        let mut meanwhile = String::new();
        let ended = hangs.attempt(&used, PinState::Ready, WrongPins::Untold, || {
            let _third = markers.take_over(token, new.lock());
            meanwhile = noted();
            result
        });
        assert!(meanwhile.starts_with("sigill-pin/1 trying "), "{meanwhile}");
        assert_eq!(noted() == meanwhile, stays, "{ended:?}");
    }
}

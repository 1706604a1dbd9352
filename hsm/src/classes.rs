//! What each result of each PKCS#11 function means: the one table, reviewed row by row.
//!
//! The same code says different things in different places: `CKR_DEVICE_ERROR` from `C_GetSlotList` is
//! a token that cannot be reached, a vendor's own code from `C_Login` may have been a wrong PIN, and
//! from `C_Sign` it is no proof that nothing was signed. So a class belongs to a function and a code.
//! There is no row for "anything else": a code that the binding learns must be given a class before
//! this room compiles. docs/operations/hsm-errors.md is this table, compared by a test.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

/// What a failed call says about session, token and PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Session, login, handle or operation are gone: a fresh session may work.
    SessionLost,
    /// The token is out of reach: it is to be found again, and where that fails the module is
    /// initialised again.
    TokenLost,
    /// The PIN was refused, or may have been; it is not sent again before a human has looked.
    PinRefused,
    /// The user PIN is locked: the security officer's matter.
    PinLocked,
    /// The token does not take the template; another one may work.
    Template,
    /// The call itself was refused; it would be refused again.
    Refused,
    /// The token is in a state that only a human ends; it is not tried again by itself.
    CallHuman,
}

impl FailureClass {
    /// Whether something is gone that can come back: session or token.
    #[must_use]
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::SessionLost | Self::TokenLost)
    }

    /// As docs/operations/hsm-errors.md names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionLost => "fresh session",
            Self::TokenLost => "reconnect",
            Self::PinRefused => "human: PIN",
            Self::PinLocked => "human: locked",
            Self::Template => "other template",
            Self::Refused => "refuse",
            Self::CallHuman => "human",
        }
    }
}

/// Whether the key may have worked although a call ended with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// The code is given before the key works.
    No,
    /// The key may have worked, and what it made was not returned: nobody has it, nobody will get
    /// it. One more try is allowed.
    Unreturned,
    /// The code says nothing of it. Never tried again.
    Perhaps,
}

#[cfg(test)]
impl Signed {
    const fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Unreturned => "not returned",
            Self::Perhaps => "perhaps",
        }
    }
}

/// Whether a token may have judged the PIN, and counted a try, although `C_Login` did not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinJudged {
    /// The result is given before the PIN is looked at.
    No,
    /// It may have.
    Perhaps,
}

/// The functions that we call, in groups that share their meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `C_Initialize`, `C_Finalize`, `C_GetInfo`.
    Start,
    /// Slots, tokens and their mechanisms.
    List,
    /// `C_OpenSession`.
    Open,
    /// `C_CloseSession`, `C_GetSessionInfo`, `C_Logout`.
    Session,
    /// `C_Login`.
    Login,
    /// Finding objects and reading their attributes.
    Find,
    /// `C_SignInit`.
    SignInit,
    /// `C_Sign`.
    Sign,
    /// Whatever makes or destroys: keys, tokens, PINs.
    Make,
    /// What only probes call.
    Other,
}

impl Step {
    pub(crate) const fn of(function: Function) -> Self {
        match function {
            Function::Initialize | Function::Finalize | Function::GetInfo => Self::Start,
            Function::GetSlotList
            | Function::GetSlotInfo
            | Function::GetTokenInfo
            | Function::GetMechanismList
            | Function::GetMechanismInfo => Self::List,
            Function::OpenSession => Self::Open,
            Function::CloseSession | Function::GetSessionInfo | Function::Logout => Self::Session,
            Function::Login => Self::Login,
            Function::FindObjectsInit
            | Function::FindObjects
            | Function::FindObjectsFinal
            | Function::GetAttributeValue => Self::Find,
            Function::SignInit => Self::SignInit,
            Function::Sign => Self::Sign,
            Function::GenerateKeyPair
            | Function::CreateObject
            | Function::CopyObject
            | Function::DestroyObject
            | Function::SetAttributeValue
            | Function::InitToken
            | Function::InitPIN
            | Function::SetPIN => Self::Make,
            _ => Self::Other,
        }
    }
}

/// The class of a result.
pub(crate) const fn class_of(step: Step, result: RvError) -> FailureClass {
    use FailureClass::{
        CallHuman, PinLocked, PinRefused, Refused, SessionLost, Template, TokenLost,
    };
    match result {
        RvError::PinIncorrect
        | RvError::PinInvalid
        | RvError::PinLenRange
        | RvError::PinExpired => PinRefused,
        RvError::PinLocked => PinLocked,

        // The device, its slot or the module itself is not there. From C_Sign as well: what became
        // of the signature is `signed_by`'s matter.
        RvError::DeviceError
        | RvError::DeviceRemoved
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        | RvError::CryptokiNotInitialized => TokenLost,

        // Handles and operations end with their session. No call of ours goes on with an operation
        // that it has not begun: one that is not initialised was lost with its session, between the
        // two calls; one that is active was left by a call that hung. SoftHSM tells of a vanished
        // token by an invalid key handle.
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::SessionCount
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::UserNotLoggedIn
        | RvError::OperationActive
        | RvError::OperationNotInitialized => match step {
            Step::Start | Step::List => TokenLost,
            _ => SessionLost,
        },

        // What modules say when something broke on the way: a networked one of a broken link.
        RvError::GeneralError
        | RvError::FunctionFailed
        | RvError::HostMemory
        | RvError::DeviceMemory
        | RvError::MutexBad
        | RvError::MutexNotLocked => match step {
            Step::Start | Step::List | Step::Open => TokenLost,
            _ => SessionLost,
        },

        // Nobody knows what a code of the vendor's own means. Out of C_Login it may be a wrong PIN.
        RvError::VendorDefined(_) | RvError::UnknownErrorCode(_) => match step {
            Step::Login => PinRefused,
            Step::Start | Step::List | Step::Open => TokenLost,
            _ => SessionLost,
        },

        // Somebody at the device said no, or the other way round: it waits for somebody.
        RvError::Cancel | RvError::FunctionCanceled => match step {
            Step::Login => CallHuman,
            _ => SessionLost,
        },
        RvError::FunctionRejected
        | RvError::NewPinMode
        | RvError::NextOtp
        | RvError::FipsSelfTestFailed => CallHuman,

        // A token that was open has a PIN: it was read while it went away or came back.
        RvError::UserPinNotInitialized => match step {
            Step::Login => TokenLost,
            _ => Refused,
        },
        // The security officer works on the token.
        RvError::SessionReadWriteSoExists | RvError::PinTooWeak => CallHuman,
        RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTooManyTypes
        | RvError::UserTypeInvalid => Refused,
        // Another thread was faster: the login that we want stands.
        RvError::UserAlreadyLoggedIn => SessionLost,

        RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::AttributeReadOnly
        | RvError::TemplateIncomplete
        | RvError::TemplateInconsistent
        | RvError::CurveNotSupported
        | RvError::DomainParamsInvalid => match step {
            Step::Make => Template,
            _ => Refused,
        },

        RvError::ActionProhibited
        | RvError::ArgumentsBad
        | RvError::AttributeSensitive
        | RvError::BufferTooSmall
        | RvError::CantLock
        | RvError::CryptokiAlreadyInitialized
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::ExceededMaxIterations
        | RvError::FunctionNotParallel
        | RvError::FunctionNotSupported
        | RvError::InformationSensitive
        | RvError::KeyChanged
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyIndigestible
        | RvError::KeyNeeded
        | RvError::KeyNotNeeded
        | RvError::KeyNotWrappable
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::KeyUnextractable
        | RvError::LibraryLoadFailed
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::NeedToCreateThreads
        | RvError::NoEvent
        | RvError::PublicKeyInvalid
        | RvError::RandomNoRng
        | RvError::RandomSeedNotSupported
        | RvError::SavedStateInvalid
        | RvError::SessionExists
        | RvError::SessionParallelNotSupported
        | RvError::SessionReadOnly
        | RvError::SessionReadOnlyExists
        | RvError::SignatureInvalid
        | RvError::SignatureLenRange
        | RvError::StateUnsaveable
        | RvError::TokenWriteProtected
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::UnwrappingKeySizeRange
        | RvError::UnwrappingKeyTypeInconsistent
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange
        | RvError::WrappingKeyHandleInvalid
        | RvError::WrappingKeySizeRange
        | RvError::WrappingKeyTypeInconsistent => Refused,
    }
}

/// Whether a refusal says that session, token or object are gone, and so nothing of what was asked for.
/// For whoever asks for what a token need not have, and goes on where it has not: reads of attributes,
/// inventories, probes.
pub(crate) const fn is_gone(error: &Error) -> bool {
    let Error::Pkcs11(result, function) = error else { return false };
    let step = Step::of(*function);
    class_of(step, *result).is_lost() && !may_be_of_what_was_asked(step, *result)
}

/// The exceptions: what is tried again as lost, and may as well be said of what was asked for. Reading
/// has none: for an attribute that a token does not tell there are codes that mean nothing else
/// (PKCS#11 v3.1 §5.7.5).
const fn may_be_of_what_was_asked(step: Step, result: RvError) -> bool {
    match step {
        // Mechanisms, templates and wrapped keys are refused by whatever comes to a maker's mind.
        Step::SignInit | Step::Sign | Step::Make | Step::Other => matches!(
            result,
            RvError::GeneralError
                | RvError::FunctionFailed
                | RvError::HostMemory
                | RvError::DeviceMemory
                | RvError::Cancel
                | RvError::FunctionCanceled
                | RvError::VendorDefined(_)
                | RvError::UnknownErrorCode(_)
        ),
        // There is no room for a further session; those that are open stand.
        Step::Open => {
            matches!(result, RvError::SessionCount | RvError::HostMemory | RvError::DeviceMemory)
        }
        Step::Login => matches!(result, RvError::UserAlreadyLoggedIn),
        Step::Start | Step::List | Step::Session | Step::Find => false,
    }
}

/// Whether the key may have worked (PKCS#11 v3.1 §5.13.2). Only `C_Sign` has a key work.
pub(crate) const fn signed_by(step: Step, result: RvError) -> Signed {
    if !matches!(step, Step::Sign) {
        return Signed::No;
    }
    match result {
        // Found out before the mechanism runs.
        RvError::ArgumentsBad
        | RvError::CryptokiNotInitialized
        | RvError::DataInvalid
        | RvError::DataLenRange
        | RvError::FunctionNotSupported
        | RvError::FunctionRejected
        | RvError::KeyFunctionNotPermitted
        | RvError::KeyHandleInvalid
        | RvError::KeySizeRange
        | RvError::KeyTypeInconsistent
        | RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::ObjectHandleInvalid
        | RvError::OperationActive
        | RvError::PinExpired
        | RvError::PinIncorrect
        | RvError::PinLocked
        | RvError::SessionHandleInvalid
        | RvError::SlotIdInvalid
        | RvError::TokenNotRecognized
        | RvError::UserNotLoggedIn => Signed::No,
        // C_Sign may end so in the middle of its work. It has returned, and with no signature.
        RvError::BufferTooSmall
        | RvError::Cancel
        | RvError::DeviceError
        | RvError::DeviceMemory
        | RvError::DeviceRemoved
        | RvError::FunctionCanceled
        | RvError::FunctionFailed
        | RvError::GeneralError
        | RvError::HostMemory
        | RvError::SessionClosed
        | RvError::TokenNotPresent => Signed::Unreturned,
        // A module that signs when it is asked for the length ends the operation with that.
        RvError::OperationNotInitialized => Signed::Unreturned,
        // A vendor's own code, or one that C_Sign never gives: no proof of anything.
        _ => Signed::Perhaps,
    }
}

/// Whether the token may have judged the PIN. `No` are the results which by their definition
/// (PKCS#11 v3.1 §5.1, §5.6.8) are found before: of the module, the slot, the session or the user's
/// type. `CKR_DEVICE_REMOVED` and `CKR_SESSION_CLOSED` are not among them: they come during the call.
pub(crate) const fn pin_judged_by(step: Step, result: RvError) -> PinJudged {
    match (step, result) {
        (
            Step::Login,
            RvError::CryptokiNotInitialized
            | RvError::FunctionNotSupported
            | RvError::OperationActive
            | RvError::OperationNotInitialized
            | RvError::SessionHandleInvalid
            | RvError::SessionReadOnlyExists
            | RvError::SlotIdInvalid
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::UserAnotherAlreadyLoggedIn
            | RvError::UserPinNotInitialized
            | RvError::UserTooManyTypes
            | RvError::UserTypeInvalid,
        ) => PinJudged::No,
        _ => PinJudged::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use cryptoki::error::Rv;

    use super::*;
    use crate::failure::ckr_name;

    const STEPS: [(Step, &str); 10] = [
        (Step::Start, "start"),
        (Step::List, "list"),
        (Step::Open, "open"),
        (Step::Session, "session"),
        (Step::Login, "login"),
        (Step::Find, "find"),
        (Step::SignInit, "sign-init"),
        (Step::Sign, "sign"),
        (Step::Make, "make"),
        (Step::Other, "other"),
    ];

    /// Every code that the binding knows, found by asking it; then a vendor's and an unknown one.
    fn codes() -> Vec<RvError> {
        let known = (1..0x1000).filter_map(|code| match Rv::from(code) {
            Rv::Error(RvError::UnknownErrorCode(_)) | Rv::Ok => None,
            Rv::Error(known) => Some(known),
        });
        known
            .chain([RvError::VendorDefined(0x8000_0000), RvError::UnknownErrorCode(0x0fff)])
            .collect()
    }

    fn table() -> String {
        let heads: Vec<&str> = STEPS.iter().map(|(_, name)| *name).collect();
        let mut table = format!("| Result | {} | signed? |\n", heads.join(" | "));
        writeln!(table, "|{}", " --- |".repeat(STEPS.len() + 2)).unwrap();
        for code in codes() {
            let name = match code {
                RvError::VendorDefined(_) => "a vendor's own code".to_owned(),
                RvError::UnknownErrorCode(_) => "a code that nobody knows".to_owned(),
                known => format!("`{}`", ckr_name(known)),
            };
            let classes: Vec<&str> =
                STEPS.iter().map(|(step, _)| class_of(*step, code).name()).collect();
            let signed = signed_by(Step::Sign, code).name();
            writeln!(table, "| {name} | {} | {signed} |", classes.join(" | ")).unwrap();
        }
        table
    }

    /// KEY-09: the table that operators read is the one that the program follows. It is written anew
    /// when SIGILL_WRITE_TABLES is set.
    #[test]
    fn the_operators_table_has_a_row_for_every_code_and_is_this_one() {
        assert!(codes().len() > 90, "{}", codes().len());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations/hsm-errors.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (words, written) = page.split_once("| Result |").unwrap();
        let written = format!("| Result |{written}");
        if std::env::var_os("SIGILL_WRITE_TABLES").is_some() {
            std::fs::write(&path, format!("{words}{}", table())).unwrap();
            return;
        }
        for (ours, theirs) in table().lines().zip(written.lines()) {
            assert_eq!(ours, theirs, "write it anew: SIGILL_WRITE_TABLES=1");
        }
        assert_eq!(table(), written, "write it anew: SIGILL_WRITE_TABLES=1");
    }

    /// KEY-09: the page names exactly the results of a login that cost no try.
    #[test]
    fn the_operators_page_names_the_results_that_never_judged_a_pin() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations/hsm-errors.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (_, told) = page.split_once("**Not counted**").unwrap();
        let (told, _) = told.split_once("\n\n").unwrap();
        let told: BTreeSet<String> =
            told.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let unjudged =
            codes().into_iter().filter(|code| pin_judged_by(Step::Login, *code) == PinJudged::No);

        assert_eq!(told, unjudged.map(ckr_name).collect());
    }

    /// KEY-09: no code makes the program send a PIN again that a token may have refused.
    #[test]
    fn a_code_of_which_nobody_knows_the_meaning_is_a_refused_pin() {
        for code in [RvError::VendorDefined(0x8000_0023), RvError::UnknownErrorCode(0x0fff)] {
            assert_eq!(class_of(Step::Login, code), FailureClass::PinRefused);
            assert_eq!(signed_by(Step::Sign, code), Signed::Perhaps);
            assert_eq!(signed_by(Step::SignInit, code), Signed::No);
        }
    }

    /// KEY-09, KEY-14: a retry only where no signature came back.
    #[test]
    fn only_c_sign_may_have_signed() {
        for code in codes() {
            for (step, _) in STEPS {
                if step != Step::Sign {
                    assert_eq!(signed_by(step, code), Signed::No, "{code:?}");
                }
            }
        }
        assert_eq!(signed_by(Step::Sign, RvError::DeviceError), Signed::Unreturned);
        assert_eq!(signed_by(Step::Sign, RvError::SignatureInvalid), Signed::Perhaps);
        assert_eq!(signed_by(Step::Sign, RvError::OperationNotInitialized), Signed::Unreturned);
    }

    /// KEY-09: a link that breaks while attributes are read is not an attribute that is not told.
    #[test]
    fn whatever_is_lost_while_attributes_are_read_is_gone() {
        for code in codes() {
            let lost = class_of(Step::Find, code).is_lost();
            let error = Error::Pkcs11(code, Function::GetAttributeValue);
            assert_eq!(is_gone(&error), lost, "{code:?}");
            assert!(lost || !is_gone(&Error::Pkcs11(code, Function::Sign)), "{code:?}");
        }
        for code in [
            RvError::GeneralError,
            RvError::FunctionFailed,
            RvError::KeyHandleInvalid,
            RvError::VendorDefined(0x8000_0023),
        ] {
            assert!(is_gone(&Error::Pkcs11(code, Function::GetAttributeValue)), "{code:?}");
        }
        for code in [RvError::AttributeTypeInvalid, RvError::AttributeSensitive] {
            assert!(!is_gone(&Error::Pkcs11(code, Function::GetAttributeValue)), "{code:?}");
        }
        // A mechanism may be refused so; a handle or a device that is away is never meant.
        assert!(!is_gone(&Error::Pkcs11(RvError::GeneralError, Function::SignInit)));
        for code in [RvError::KeyHandleInvalid, RvError::SlotIdInvalid, RvError::DeviceError] {
            assert!(is_gone(&Error::Pkcs11(code, Function::SignInit)), "{code:?}");
        }
    }

    /// A PIN can be refused by no function but those that take one, yet no code of a PIN ever leads to
    /// a second try.
    #[test]
    fn nothing_about_a_pin_is_tried_again() {
        for code in [
            RvError::PinIncorrect,
            RvError::PinInvalid,
            RvError::PinLenRange,
            RvError::PinExpired,
            RvError::PinLocked,
        ] {
            for (step, _) in STEPS {
                assert!(!class_of(step, code).is_lost(), "{code:?} {step:?}");
            }
        }
    }
}

//! One PKCS#11 call that failed: which function, where, with what result, and what that means.

use std::fmt;

use cryptoki::error::{Error, RvError};
use thiserror::Error;

use crate::classes::{FailureClass, PinJudged, Signed, Step, class_of, pin_judged_by, signed_by};

/// An error with all its causes, in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// A PKCS#11 call that failed, as an operator needs to see it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} on {} returned {}", .call.function, .call.place, .call.result)]
pub struct Pkcs11Failure {
    call: Box<Call>,
}

/// Behind a box, since it travels inside most errors of this room.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    function: String,
    place: String,
    result: String,
    class: FailureClass,
    signed: Signed,
    pin_judged: PinJudged,
}

impl Pkcs11Failure {
    /// Takes the error of a call made on `place`: a token's label, or what stands for it.
    pub(crate) fn new(place: &impl fmt::Display, error: &Error) -> Self {
        let place = place.to_string();
        let call = match error {
            Error::Pkcs11(result, function) => Call {
                function: format!("C_{function:?}"),
                place,
                result: ckr_name(*result),
                class: class_of(Step::of(*function), *result),
                signed: signed_by(Step::of(*function), *result),
                pin_judged: pin_judged_by(Step::of(*function), *result),
            },
            other => Call {
                function: "the PKCS#11 binding".to_owned(),
                place,
                result: other.to_string(),
                class: FailureClass::Refused,
                // A function that is not there has done nothing; else the binding stumbled over what a
                // call returned.
                signed: match other {
                    Error::NullFunctionPointer => Signed::No,
                    _ => Signed::Perhaps,
                },
                pin_judged: PinJudged::Perhaps,
            },
        };
        Self { call: Box::new(call) }
    }

    /// The PKCS#11 function, such as `C_SignInit`.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.call.function
    }

    /// The token's label, or what stands for it.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.call.place
    }

    /// The result's name, such as `CKR_DEVICE_ERROR`.
    #[must_use]
    pub fn result(&self) -> &str {
        &self.call.result
    }

    /// What it says about the session and the PIN.
    #[must_use]
    pub const fn class(&self) -> FailureClass {
        self.call.class
    }

    /// Whether the key may have worked all the same.
    pub(crate) const fn signed(&self) -> Signed {
        self.call.signed
    }

    /// Whether a login that ended so may have cost a try of the PIN.
    pub(crate) const fn pin_was_judged(&self) -> PinJudged {
        self.call.pin_judged
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self.call.class {
            FailureClass::PinRefused => {
                "check the PIN file; the program does not try this PIN again"
            }
            FailureClass::PinLocked => "have the security officer set a new user PIN",
            FailureClass::SessionLost | FailureClass::TokenLost => {
                "check that the token is connected and its service runs; it is taken into use again \
                 by itself"
            }
            FailureClass::CallHuman => {
                "look at the token itself: it waits for somebody, and is not tried again by itself"
            }
            FailureClass::Template => "ask the vendor which key templates the token takes",
            FailureClass::Refused => {
                "look the result up in the vendor's guide and the module's own log"
            }
        }
    }
}

/// The standard's name of a result: the binding's variants are the same words in another case.
pub(crate) fn ckr_name(result: RvError) -> String {
    match result {
        RvError::VendorDefined(code) => format!("CKR_VENDOR_DEFINED ({code:#010x})"),
        RvError::UnknownErrorCode(code) => format!("CKR {code:#010x}"),
        known => {
            let variant = format!("{known:?}");
            variant.chars().fold("CKR".to_owned(), |mut name, letter| {
                if letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
                name
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn names_function_place_and_result_as_the_standard_does() {
        let error = Error::Pkcs11(RvError::SessionHandleInvalid, Function::SignInit);

        let failure = Pkcs11Failure::new(&"sg-td-ab12-issuing", &error);

        assert_eq!(
            failure.to_string(),
            "C_SignInit on sg-td-ab12-issuing returned CKR_SESSION_HANDLE_INVALID"
        );
        assert_eq!(failure.class(), FailureClass::SessionLost);
    }

    /// KEY-09: what is lost between C_FindObjectsInit and C_FindObjects heals as any lost session.
    #[test]
    fn takes_an_operation_that_vanished_for_a_lost_session() {
        let error = Error::Pkcs11(RvError::OperationNotInitialized, Function::FindObjects);

        assert_eq!(Pkcs11Failure::new(&"t", &error).class(), FailureClass::SessionLost);
    }

    #[test]
    fn keeps_the_code_of_a_vendors_result() {
        let error = Error::Pkcs11(RvError::VendorDefined(0x8000_0023), Function::Sign);

        assert_eq!(Pkcs11Failure::new(&"t", &error).result(), "CKR_VENDOR_DEFINED (0x80000023)");
    }
}

//! Code and next step of this room's errors, for a program that has an error of any kind.

use std::error::Error;

use crate::memory::MemoryKeyError;
use crate::note::NoteKeyError;
use crate::pin::PinError;
use crate::probe::ProbeError;
use crate::profile::ProfileError;
use crate::request::SignRequestError;
use crate::statement::PersonKeyError;
use crate::token::FindTokenError;
use crate::{
    AttemptError, FindKeyError, GenerateError, InitError, LoginError, ModuleError, OpenError,
    SecretFileError, SignError,
};

/// The stable code of an error of this room and what to do next; `None` for any other's.
#[must_use]
pub fn told(error: &(dyn Error + 'static)) -> Option<(&'static str, &'static str)> {
    macro_rules! any_of {
        ($($kind:ty),*) => {
            $(if let Some(error) = error.downcast_ref::<$kind>() {
                return Some((error.code(), error.next_step()));
            })*
        };
    }
    any_of!(
        ModuleError,
        OpenError,
        LoginError,
        FindTokenError,
        FindKeyError,
        PinError,
        AttemptError,
        SecretFileError,
        NoteKeyError,
        MemoryKeyError,
        ProbeError,
        ProfileError,
        SignError,
        SignRequestError,
        PersonKeyError,
        GenerateError,
        InitError
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 9.
    #[test]
    fn tells_code_and_next_step_of_its_own_errors_alone() {
        let own = ModuleError::NotAbsolute { path: "module.so".into() };

        assert_eq!(told(&own), Some(("hsm-module-path", own.next_step())));
        assert_eq!(told(&InitError::NoBlankToken).unwrap().0, "hsm-no-blank-token");
        assert_eq!(told(&GenerateError::KeySize { bits: 1024 }).unwrap().0, "hsm-key-size");
        let request = SignRequestError::Sign(SignError::Module(own));
        assert_eq!(told(&request).unwrap().0, "hsm-module-path");
        assert_eq!(told(&std::fmt::Error), None);
    }
}

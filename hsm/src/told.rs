//! Code and next step of this room's errors, for a program that has an error of any kind.

use std::error::Error;

use crate::note::NoteKeyError;
use crate::pin::PinError;
use crate::probe::ProbeError;
use crate::profile::ProfileError;
use crate::token::FindTokenError;
use crate::{
    AttemptError, FindKeyError, LoginError, ModuleError, OpenError, SecretFileError, SignError,
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
        ProbeError,
        ProfileError,
        SignError
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
        assert_eq!(told(&std::fmt::Error), None);
    }
}

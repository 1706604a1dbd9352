//! One `C_Login` of one session, and whether a login stands.

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};

use crate::pin::Pin;

/// Logs in. Whether the PIN may be sent at all is the markers' to say ([`crate::PinMarkers`]).
pub(crate) fn log_in(session: &Session, user: UserType, pin: &Pin) -> Result<(), Error> {
    match session.login(user, Some(pin.secret())) {
        // Said where nobody is, it is no proof of anything: the PIN may have been wrong.
        Err(error @ Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            if stands(session, user).unwrap_or(false) { Ok(()) } else { Err(error) }
        }
        outcome => outcome,
    }
}

/// Whether the session stands, and in it the login of the user.
pub(crate) fn is_logged_in(session: &Session) -> Result<bool, Error> {
    stands(session, UserType::User)
}

fn stands(session: &Session, user: UserType) -> Result<bool, Error> {
    let state = session.get_session_info()?.session_state();
    Ok(match user {
        UserType::So => matches!(state, SessionState::RwSecurityOfficer),
        _ => matches!(state, SessionState::RoUser | SessionState::RwUser),
    })
}

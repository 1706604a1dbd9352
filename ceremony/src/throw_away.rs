//! Tokens of a rehearsal: software, with PINs that nobody is told, gone with their folder.

use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context as _;
use ceremony_core::plan::PlannedToken;
use hsm::pin::Pin;
use hsm::{Module, NewToken, PinMarkers, Quirks, Token, TokenSettings};

use crate::home::Home;
use crate::tokens::draw;

/// Longest wait for a token's answer that is not a key generation.
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes a token in the place of the planned one, and opens it.
///
/// # Errors
///
/// The module's own.
pub(crate) fn token(module: &Module, home: &Home, planned: &PlannedToken) -> anyhow::Result<Token> {
    let [so_pin, user_pin] = [Pin::from_drawn(&draw()?)?, Pin::from_drawn(&draw()?)?];
    let markers = PinMarkers::in_folder(&home.join("state"))?;
    let label = planned.label.as_str().parse()?;
    let new = NewToken { label, so_pin, user_pin: user_pin.clone() };
    let name = hsm::init_token(module, &new, &markers)
        .with_context(|| format!("throw-away token {}", planned.name))?;
    let settings = TokenSettings {
        name,
        pin: user_pin,
        markers,
        sessions: NonZeroUsize::MIN,
        deadline: DEADLINE,
        quirks: Quirks::default(),
    };
    // Its keys sign nothing that anybody gets, whatever the deployment of the plan.
    Ok(Token::danger_open_software_too(module, settings)?)
}

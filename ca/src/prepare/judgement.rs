//! The finished structure before any key is touched: judged by the linter, then compared with its order.

use lint::{Findings, IssuerContext};

use super::agreement::{self, Expected};
use super::{Preparation, PrepareError, Signer, shape};
use crate::admit::Admitted;

/// Judges a finished certificate by the rules and by what its profile, its issuer and its order say. Any finding
/// and any difference refuses.
///
/// # Errors
///
/// [`PrepareError::Lint`] and [`PrepareError::Disagreement`].
pub(super) fn judge(finished: &[u8], expected: &Expected<'_>) -> Result<(), PrepareError> {
    findings(finished, expected.preparation).into_result().map_err(PrepareError::Lint)?;
    agreement::check(finished, expected)?;
    Ok(())
}

/// What the linter finds, less what the profile excepts with a reason.
pub(super) fn findings(finished: &[u8], preparation: &Preparation<'_>) -> Findings {
    let context = match preparation.signer {
        Signer::Issuer(issuer) => IssuerContext::Known(issuer.known()),
        Signer::Itself(_) => IssuerContext::SelfSigned,
    };
    let kind = preparation.profile.kind().lint_kind();
    let shape = shape::of(
        preparation.profile,
        preparation.signer,
        preparation.admitted.map(Admitted::policy),
    );
    let findings = lint::certificate_of(finished, &context, kind, &shape);
    if findings.is_empty() {
        return findings;
    }
    let exceptions = preparation.profile.lint_exceptions().iter();
    let (left, _) = findings.without(&exceptions.map(|one| one.rule).collect::<Vec<_>>());
    left
}

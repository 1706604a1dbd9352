//! From when until when, and what cut it short.

use x509::time::UnixTime;
use x509::validity::Validity;

use super::{Preparation, PrepareError, Signer};
use crate::admit::Admitted;
use crate::profile::{EndOf, PastIssuer};

/// notBefore and notAfter, and whether the issuer's end cut it short (ISS-08, ISS-09).
pub(super) fn of(preparation: &Preparation<'_>) -> Result<(Validity, bool), PrepareError> {
    let Preparation { profile, now, signer, .. } = *preparation;
    let rule = profile.validity();
    let clock = PrepareError::Clock { now };
    let whole = now
        .secs()
        .checked_sub(rule.backdate.as_secs())
        .and_then(|begin| UnixTime::from_secs(begin).ok())
        .and_then(|begin| Validity::between(begin, rule.end(begin)?).ok());
    let Some(whole) = whole.filter(|whole| whole.contains(now)) else { return Err(clock) };
    let Signer::Issuer(issuer) = signer else { return Ok((whole, false)) };
    let of_issuer = issuer.certificate().validity();
    if !of_issuer.contains(now) {
        return Err(PrepareError::IssuerNotValid {
            issuer: issuer.name().to_owned(),
            not_after: of_issuer.not_after(),
        });
    }
    let not_before = whole.not_before().max(of_issuer.not_before());
    let admitted = preparation.admitted;
    let ordered = admitted.and_then(Admitted::end);
    let wanted = match preparation.ends_at.or(ordered) {
        Some(end) if end > whole.not_after() || end <= now => {
            return Err(PrepareError::End { end, latest: whole.not_after() });
        }
        Some(end) => end,
        None if rule.end_of == EndOf::Order => {
            let profile = profile.name().clone();
            return Err(PrepareError::EndMissing { profile, latest: whole.not_after() });
        }
        None => whole.not_after(),
    };
    let wanted = admitted.and_then(Admitted::latest).map_or(wanted, |latest| wanted.min(latest));
    let capped = wanted > of_issuer.not_after();
    if capped && rule.past_issuer == PastIssuer::Refuse {
        return Err(PrepareError::OutlivesIssuer {
            not_after: wanted,
            issuer_not_after: of_issuer.not_after(),
        });
    }
    let validity =
        Validity::between(not_before, wanted.min(of_issuer.not_after())).map_err(|_| clock)?;
    Ok((validity, capped))
}

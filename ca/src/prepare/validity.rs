//! From when until when, and what says the end.

use std::fmt;

use x509::time::UnixTime;
use x509::validity::Validity;

use super::{Preparation, PrepareError, Signer};
use crate::admit::Admitted;
use crate::profile::{EndOf, PastEnd};

/// What says when a certificate ends: the earliest of what could (ISS-08, ISS-09). That an eID lives five years at most
/// is a rule of its profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The profile's lifetime.
    Profile,
    /// The end that the order names.
    Order,
    /// The end that a ceremony gives.
    Given,
    /// The life of the carrier.
    Carrier,
    /// A dated rule, by its name.
    Rule(String),
    /// The end of the issuer.
    Issuer,
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Profile => "profile",
            Self::Order => "order",
            Self::Given => "given",
            Self::Carrier => "carrier",
            Self::Rule(name) => name,
            Self::Issuer => "issuer",
        })
    }
}

/// notBefore and notAfter, and what says the end.
pub(super) fn of(preparation: &Preparation<'_>) -> Result<(Validity, EndedBy), PrepareError> {
    let Preparation { profile, now, signer, .. } = *preparation;
    let rule = profile.validity();
    let clock = PrepareError::Clock { now };
    let whole = now
        .secs()
        .checked_sub(rule.backdate.as_secs())
        .and_then(|begin| UnixTime::from_secs(begin).ok())
        .and_then(|begin| Validity::between(begin, rule.end(begin)?).ok());
    let Some(whole) = whole.filter(|whole| whole.contains(now)) else { return Err(clock) };
    let Signer::Issuer(issuer) = signer else {
        // A root ends when its ceremony says, and never after its profile.
        return match preparation.ends_at {
            None => Ok((whole, EndedBy::Profile)),
            Some(end) if end > whole.not_after() || end <= now => {
                Err(PrepareError::End { end, latest: whole.not_after() })
            }
            Some(end) => {
                let validity = Validity::between(whole.not_before(), end).map_err(|_| clock)?;
                Ok((validity, EndedBy::Given))
            }
        };
    };
    let of_issuer = issuer.certificate().validity();
    if !of_issuer.contains(now) {
        return Err(PrepareError::IssuerNotValid {
            issuer: issuer.name().to_owned(),
            not_after: of_issuer.not_after(),
        });
    }
    let not_before = whole.not_before().max(of_issuer.not_before());
    let admitted = preparation.admitted;
    let ordered = admitted.and_then(Admitted::end).map(|end| (end, EndedBy::Order));
    let given = preparation.ends_at.map(|end| (end, EndedBy::Given));
    let earliest = ordered.into_iter().chain(given).min_by_key(|(end, _)| *end);
    let (mut end, mut ended_by) = match earliest {
        Some((end, _)) if end > whole.not_after() || end <= now => {
            return Err(PrepareError::End { end, latest: whole.not_after() });
        }
        Some(earliest) => earliest,
        None if rule.end_of == EndOf::Order => {
            let profile = profile.name().clone();
            return Err(PrepareError::EndMissing { profile, latest: whole.not_after() });
        }
        None => (whole.not_after(), EndedBy::Profile),
    };
    if let Some((latest, rule)) = admitted.and_then(Admitted::rule_end)
        && end > latest
    {
        (end, ended_by) = (latest, EndedBy::Rule(rule.to_owned()));
    }
    if let Some(carrier_end) = admitted.and_then(Admitted::carrier_end)
        && end > carrier_end
    {
        if rule.past_carrier == Some(PastEnd::Refuse) {
            return Err(PrepareError::OutlivesCarrier { not_after: end, carrier_end });
        }
        (end, ended_by) = (carrier_end, EndedBy::Carrier);
    }
    let issuer_not_after = of_issuer.not_after();
    if end > issuer_not_after {
        if rule.past_issuer == PastEnd::Refuse {
            return Err(PrepareError::OutlivesIssuer { not_after: end, issuer_not_after });
        }
        (end, ended_by) = (issuer_not_after, EndedBy::Issuer);
    }
    let validity = Validity::between(not_before, end).map_err(|_| clock)?;
    Ok((validity, ended_by))
}

//! Whether what was seen from outside is what the log says (promise 3, REV-08): the one rule of the continuous comparison.
//!
//! An object shows the log as it was when the object was made. So only objects are judged that were made after the last change of the serial:
//! what is older shows what was so before, and how long that may last is what receipts measure. Once a revocation was seen everywhere that excuse
//! is over: whoever shows an older object then has taken the revocation back (promise 5). A CRL and its delta together
//! are as old as the delta.

use std::fmt;
use std::time::Duration;

use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::observation::{Observation, ProbeMethod, Seen, SeenRevocation, SeenStatus};
use crate::shown::{Answer, CertificateStatus};
use crate::{IssuerId, Position, VantageName};

/// Log time and the time in an object are read of two clocks, and both are whole seconds.
const CLOCKS: Duration = Duration::from_secs(5);

/// What the log says of a serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where it says so last.
    pub position: Position,
    /// The log time of that.
    pub time: UnixTime,
    /// What it comes to.
    pub status: CertificateStatus,
    /// From when on every look by the observation's method has to show that, since all points had seen it and its limit is over; `None` where
    /// they have not.
    pub shown: Option<UnixTime>,
}

/// What was seen is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose serial.
    pub issuer: IssuerId,
    /// Which.
    pub serial: SerialNumber,
    /// From where it was seen.
    pub vantage: VantageName,
    /// How.
    pub method: ProbeMethod,
    /// At which URL.
    pub url: String,
    /// SHA-256 of the object that says so.
    pub object_sha256: [u8; 32],
    /// When it was seen.
    pub time: UnixTime,
    /// What it says.
    pub seen: SeenStatus,
    /// Where the log says something else; `None` where it knows no such serial.
    pub position: Option<Position>,
    /// What the log says.
    pub logged: Expected,
    /// From when on it had to be shown, since it had been seen as the log says at every point, and was taken back.
    pub taken_back: Option<UnixTime>,
}

/// What the log lets the world see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Issued and not revoked.
    Good,
    /// Revoked or on hold.
    Revoked(SeenRevocation),
    /// Never issued, or forgotten after its end.
    Unknown,
}

/// Compares what an observation says of one of its serials with the log. `logged` is `None` for a serial that the log does not know.
#[must_use]
pub fn difference(
    observation: &Observation,
    seen: &Seen,
    logged: Option<&Logged>,
) -> Option<Difference> {
    // Made before the last change, as far as clocks can tell.
    let before = observation.this_update.saturating_sub(CLOCKS);
    let is_older = logged.is_some_and(|logged| before < logged.time);
    let shown = logged.and_then(|logged| logged.shown);
    let looked = observation.time.saturating_sub(CLOCKS);
    let taken_back = shown.filter(|shown| is_older && looked > *shown);
    if is_older && taken_back.is_none() {
        return None;
    }
    // A status changes by time alone when the certificate ends: both words hold then.
    let at = [observation.this_update, observation.time];
    let agrees = |expected: Expected| match observation.method {
        ProbeMethod::OcspGet | ProbeMethod::OcspPost => said_by_ocsp(seen.status, expected),
        ProbeMethod::Crl | ProbeMethod::CrlDelta => said_by_list(seen.status, expected),
    };
    let expected = at.map(|at| expected(logged, at));
    let ended = logged.is_some_and(|logged| logged.status.not_after < observation.this_update);
    // Whether a list keeps what has ended is its CA's choice (ExpiredCertsOnCRL).
    let left_out = ended && observation.method.is_by_list() && seen.status == SeenStatus::Good;
    if left_out || expected.iter().any(|expected| agrees(*expected)) {
        return None;
    }
    let [first, _] = expected;
    Some(Difference {
        issuer: observation.issuer,
        serial: seen.serial,
        vantage: observation.vantage.clone(),
        method: observation.method,
        url: observation.url.clone(),
        object_sha256: observation.object_sha256,
        time: observation.time,
        seen: seen.status,
        position: logged.map(|logged| logged.position),
        logged: first,
        taken_back,
    })
}

fn expected(logged: Option<&Logged>, at: UnixTime) -> Expected {
    match logged.map(|logged| logged.status.answer_at(at)) {
        None | Some(Answer::Unknown) => Expected::Unknown,
        Some(Answer::Good) => Expected::Good,
        Some(Answer::Revoked(shown)) => {
            Expected::Revoked(SeenRevocation { time: shown.time, reason: shown.reason })
        }
    }
}

/// OCSP says all three; of what was never issued also revoked, by the extended-revoked option (RFC 6960 §2.2).
fn said_by_ocsp(seen: SeenStatus, expected: Expected) -> bool {
    match expected {
        Expected::Good => seen == SeenStatus::Good,
        Expected::Revoked(revocation) => seen == SeenStatus::Revoked(revocation),
        Expected::Unknown => seen == SeenStatus::Unknown || seen == SeenStatus::NEVER_ISSUED,
    }
}

/// A list names what is revoked, and nothing else.
fn said_by_list(seen: SeenStatus, expected: Expected) -> bool {
    match expected {
        Expected::Good | Expected::Unknown => seen == SeenStatus::Good,
        Expected::Revoked(revocation) => seen == SeenStatus::Revoked(revocation),
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Revoked(revocation) => revocation.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = match self.seen {
            SeenStatus::Good if self.method.is_by_list() => "not listed".to_owned(),
            SeenStatus::Good => "good".to_owned(),
            SeenStatus::Unknown => "unknown".to_owned(),
            SeenStatus::Revoked(revocation) => revocation.to_string(),
        };
        let at = self.position.map_or_else(|| "no position".to_owned(), |at| at.to_string());
        write!(
            f,
            "serial {} is {} in the log at {at}, and {seen} by {} at {} from {} at {}",
            self.serial, self.logged, self.method, self.url, self.vantage, self.time
        )?;
        self.taken_back.map_or(Ok(()), |shown| {
            write!(f, ": it was seen everywhere before {shown}, and is taken back")
        })
    }
}

#[cfg(test)]
mod tests {
    use x509::crl::ReasonCode;

    use super::*;
    use crate::observation::SeenObject;
    use crate::reason::RevocationReason;
    use crate::state::{CertificateState, HeldFrom};
    use crate::{AfterExpiry, AnswerClasses};

    const METHODS: [ProbeMethod; 4] = ProbeMethod::ALL;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(1_790_000_000 + secs).unwrap()
    }

    /// Changed at second 100.
    fn logged(state: CertificateState) -> Logged {
        Logged {
            position: Position { epoch: 1, index: 7 },
            time: at(100),
            status: CertificateStatus {
                state,
                effective_time: at(100),
                reason: (state == CertificateState::Revoked)
                    .then_some(RevocationReason::KeyCompromise),
                invalidity_date: None,
                not_after: at(100_000),
                classes: AnswerClasses::USUAL,
            },
            shown: None,
        }
    }

    fn revoked(secs: u64, reason: Option<ReasonCode>) -> SeenStatus {
        SeenStatus::Revoked(SeenRevocation { time: at(secs), reason })
    }

    /// Of an object that was made at that second.
    fn judged(
        method: ProbeMethod,
        made: u64,
        status: SeenStatus,
        logged: Option<&Logged>,
    ) -> Option<Difference> {
        let seen = Seen { serial: "0A0B".parse().unwrap(), status };
        let observation = Observation {
            deployment: "test/demo/ab12".parse().unwrap(),
            vantage: "stockholm".parse().unwrap(),
            method,
            url: "http://example.org".to_owned(),
            issuer: IssuerId::from_bytes([1; 32]),
            object_sha256: [2; 32],
            this_update: at(made),
            next_update: at(made + 3600),
            object: SeenObject::Ocsp { produced_at: at(made) },
            position: None,
            time: at(made + 1),
            seen: vec![seen],
        };
        difference(&observation, &seen, logged)
    }

    #[test]
    fn what_the_log_says_is_no_difference() {
        let hold = revoked(100, Some(ReasonCode::CertificateHold));
        let compromise = revoked(100, Some(ReasonCode::KeyCompromise));
        for method in METHODS {
            for (state, status) in [
                (CertificateState::Issued, SeenStatus::Good),
                (CertificateState::Activated, SeenStatus::Good),
                (CertificateState::Held(HeldFrom::Issued), hold),
                (CertificateState::Revoked, compromise),
                (CertificateState::Voided, revoked(100, None)),
            ] {
                assert_eq!(judged(method, 200, status, Some(&logged(state))), None, "{state}");
            }
        }
        assert_eq!(judged(ProbeMethod::OcspGet, 200, SeenStatus::Unknown, None), None);
        assert_eq!(judged(ProbeMethod::OcspGet, 200, SeenStatus::NEVER_ISSUED, None), None);
        for by_list in [ProbeMethod::Crl, ProbeMethod::CrlDelta] {
            assert_eq!(judged(by_list, 200, SeenStatus::Good, None), None);
        }
    }

    /// REV-08, promise 5: every kind of difference is one.
    #[test]
    fn everything_else_is() {
        let hold = revoked(100, Some(ReasonCode::CertificateHold));
        let compromise = revoked(100, Some(ReasonCode::KeyCompromise));
        let (good, gone) = (logged(CertificateState::Issued), logged(CertificateState::Revoked));
        for (name, method, status, known) in [
            ("good for what was never issued", ProbeMethod::OcspPost, SeenStatus::Good, None),
            ("listed and never issued", ProbeMethod::Crl, compromise, None),
            ("revoked and never issued", ProbeMethod::OcspGet, compromise, None),
            ("good and revoked", ProbeMethod::OcspGet, SeenStatus::Good, Some(&gone)),
            ("unknown and revoked", ProbeMethod::OcspGet, SeenStatus::Unknown, Some(&gone)),
            ("missing in the list", ProbeMethod::Crl, SeenStatus::Good, Some(&gone)),
            ("missing in list and delta", ProbeMethod::CrlDelta, SeenStatus::Good, Some(&gone)),
            ("kept by list and delta", ProbeMethod::CrlDelta, compromise, Some(&good)),
            ("held by list and delta", ProbeMethod::CrlDelta, hold, Some(&gone)),
            ("another reason", ProbeMethod::Crl, hold, Some(&gone)),
            (
                "another time",
                ProbeMethod::Crl,
                revoked(99, Some(ReasonCode::KeyCompromise)),
                Some(&gone),
            ),
            ("revoked and good", ProbeMethod::OcspPost, compromise, Some(&good)),
            ("listed and good", ProbeMethod::Crl, compromise, Some(&good)),
            ("unknown and issued", ProbeMethod::OcspPost, SeenStatus::Unknown, Some(&good)),
        ] {
            let found = judged(method, 200, status, known).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(found.position, known.map(|known| known.position), "{name}");
            let told = found.to_string();
            assert!(told.contains("serial 0A0B") && told.contains("http://example.org"), "{told}");
        }
    }

    /// What was made before the change shows what was so then; receipts measure how long that lasts.
    #[test]
    fn an_object_from_before_the_change_is_not_judged() {
        let gone = logged(CertificateState::Revoked);
        assert_eq!(judged(ProbeMethod::Crl, 99, SeenStatus::Good, Some(&gone)), None);
        assert_eq!(judged(ProbeMethod::Crl, 104, SeenStatus::Good, Some(&gone)), None);
        assert!(judged(ProbeMethod::Crl, 105, SeenStatus::Good, Some(&gone)).is_some());
    }

    /// OCSP-09: after its end a list may leave a certificate out, and OCSP forgets one of class 1 and no other.
    #[test]
    fn after_the_end_each_source_has_its_own_rule() {
        let gone = logged(CertificateState::Revoked);
        let late = 100_001;
        for by_list in [ProbeMethod::Crl, ProbeMethod::CrlDelta] {
            assert_eq!(judged(by_list, late, SeenStatus::Good, Some(&gone)), None);
        }
        assert!(judged(ProbeMethod::OcspGet, late, SeenStatus::Good, Some(&gone)).is_some());
        let mut class_one = gone;
        class_one.status.classes.after_expiry = AfterExpiry::Unknown;
        let forgotten = 100_000 + 7 * 24 * 3600;
        let unknown = SeenStatus::Unknown;
        assert_eq!(judged(ProbeMethod::OcspGet, forgotten, unknown, Some(&class_one)), None);
        assert!(judged(ProbeMethod::OcspGet, late, unknown, Some(&class_one)).is_some());
        assert!(judged(ProbeMethod::OcspGet, forgotten, unknown, Some(&gone)).is_some());
    }

    /// Promise 5: what was seen everywhere is not taken back by an object from before it, however rightly that is signed.
    #[test]
    fn an_older_object_after_the_receipt_has_taken_the_revocation_back() {
        let held = revoked(60, Some(ReasonCode::CertificateHold));
        let right = revoked(100, Some(ReasonCode::KeyCompromise));
        for method in METHODS {
            // Objects of second 50 are looked at in second 51, and so on.
            let shown = |at_second: Option<u64>| Logged {
                shown: at_second.map(at),
                ..logged(CertificateState::Revoked)
            };
            let judged =
                |made, status, seen: Option<u64>| judged(method, made, status, Some(&shown(seen)));
            let found = judged(95, SeenStatus::Good, Some(80)).unwrap();
            assert_eq!((found.taken_back, found.seen), (Some(at(80)), SeenStatus::Good));
            assert!(found.to_string().ends_with("and is taken back"), "{found}");
            assert!(judged(95, held, Some(80)).is_some(), "the hold before it");
            assert_eq!(judged(95, right, Some(80)), None, "it is shown");
            assert_eq!(
                judged(95, SeenStatus::Good, None),
                None,
                "without a receipt it may be late"
            );
            assert_eq!(judged(95, SeenStatus::Good, Some(91)), None, "looked at with the receipt");
            assert_eq!(
                judged(95, SeenStatus::Good, Some(200)),
                None,
                "looked at before the receipt"
            );
            // What is younger than the change is judged as ever.
            let younger = judged(200, SeenStatus::Good, Some(150)).unwrap();
            assert_eq!(younger.taken_back, None);
        }
    }
}

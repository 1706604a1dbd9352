//! From a question and what the log says to what is answered. Pure: times are arguments.

use std::time::Duration;

use serde::Deserialize;
use status::{Answer, Index, IssuerRef};
use x509::ocsp::{CertStatus, OcspRequest, Refusal, RequestError};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

/// A signed unknown is valid for at most this long (promise 5).
pub(crate) const UNKNOWN_VALIDITY: Duration = Duration::from_secs(60);

/// Reads a request.
///
/// # Errors
///
/// The refusal to send: unauthorized for an issuer that is named by a hash we do not know, since we
/// answer for no such issuer; malformedRequest for everything else.
pub(crate) fn parse(der: &[u8]) -> Result<OcspRequest, Refusal> {
    OcspRequest::from_der(der).map_err(|error| match error {
        RequestError::UnknownHash => Refusal::Unauthorized,
        _ => Refusal::MalformedRequest,
    })
}

/// What is said of a serial that was never issued, from a checkpoint that may say so.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NeverIssued {
    /// Unknown.
    #[default]
    Unknown,
    /// Revoked, by the extended definition of RFC 6960 §2.2.
    Revoked,
}

/// What the log says about one serial at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    pub(crate) status: CertStatus,
    pub(crate) invalidity_date: Option<UnixTime>,
    /// Whether the answer says since when expired certificates are answered for.
    pub(crate) archived: Archived,
    /// From when on the answer will be another one, whatever is entered into the log.
    pub(crate) ends: Option<UnixTime>,
    pub(crate) found: Found,
}

/// Whether a certificate has expired and its last status is kept for ever (RFC 6960 §4.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Archived {
    Yes,
    /// It has not expired, or it is to be forgotten soon, or nothing is known of it.
    No,
}

/// Whether the log has the serial at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    /// It was issued or voided.
    Yes,
    /// It is not in the log as far as it is known; a later entry may have it.
    NotYet,
}

/// Looks a serial up. A CA that the log has not declared has issued nothing yet, and nobody has
/// issued a serial that is too long to be one.
pub(crate) fn look_up(
    index: &Index,
    issuer: Option<IssuerRef>,
    serial: Option<&SerialNumber>,
    never_issued: NeverIssued,
    now: UnixTime,
) -> Finding {
    let known = issuer.zip(serial).and_then(|(issuer, serial)| index.lookup(issuer, serial));
    let Some(certificate) = known else {
        return Finding {
            status: match never_issued {
                NeverIssued::Unknown => CertStatus::Unknown,
                NeverIssued::Revoked => CertStatus::NeverIssued,
            },
            invalidity_date: None,
            archived: Archived::No,
            ends: None,
            found: Found::NotYet,
        };
    };
    let (status, invalidity_date) = match certificate.answer_at(now) {
        Answer::Good => (CertStatus::Good, None),
        Answer::Unknown => (CertStatus::Unknown, None),
        Answer::Revoked(shown) => {
            let status = CertStatus::Revoked { at: shown.time, reason: shown.reason };
            (status, shown.invalidity_date)
        }
    };
    let ends = certificate.forgotten_from();
    // What is forgotten a week after its end is not archived.
    let archived =
        if now > certificate.not_after && ends.is_none() { Archived::Yes } else { Archived::No };
    let ends = ends.filter(|ends| *ends > now);
    Finding { status, invalidity_date, archived, ends, found: Found::Yes }
}

/// Whether a serial that is not in the log may be called unknown: only from a checkpoint that was
/// signed strictly after the question arrived, whatever the two clocks' distance (promise 5).
pub(crate) fn may_say_unknown(
    checkpoint: UnixTime,
    arrival: UnixTime,
    clock_bound: Duration,
) -> bool {
    arrival.checked_add(clock_bound).is_some_and(|arrival| checkpoint > arrival)
}

/// The three times of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) this_update: UnixTime,
    pub(crate) next_update: UnixTime,
    pub(crate) produced_at: UnixTime,
}

/// The times of an answer; `None` when no answer can be given any more because the signer's
/// certificate ends.
///
/// thisUpdate is the checkpoint's time, never later, and never later than now, when the inner zone's
/// clock is ahead. nextUpdate lies `validity` after it, a minute for what was never issued, and never past the end of
/// the signer's certificate or of what is answered (OCSP-07, OCSP-09, OCSP-10).
pub(crate) fn times(
    (status, ends): (CertStatus, Option<UnixTime>),
    checkpoint: UnixTime,
    now: UnixTime,
    validity: Duration,
    signer_not_after: UnixTime,
) -> Option<Times> {
    let this_update = checkpoint.min(now);
    let span = match status {
        CertStatus::Unknown | CertStatus::NeverIssued => UNKNOWN_VALIDITY.min(validity),
        CertStatus::Good | CertStatus::Revoked { .. } => validity,
    };
    let planned = this_update.checked_add(span)?;
    let next_update = planned.min(signer_not_after).min(ends.unwrap_or(UnixTime::LAST));
    (next_update > now).then_some(Times { this_update, next_update, produced_at: now })
}

#[cfg(test)]
mod tests {
    use status::{
        AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, IssuerId, Position,
        RevocationReason, StatusEntry,
    };
    use x509::crl::ReasonCode;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn serial(octet: u8) -> SerialNumber {
        SerialNumber::from_random([octet; 16])
    }

    fn classes(before: BeforeActivation, after: AfterExpiry) -> AnswerClasses {
        AnswerClasses { before_activation: before, after_expiry: after }
    }

    fn index(changes: &[(u8, Change)]) -> (Index, IssuerRef) {
        let mut index = Index::new(1);
        let mut apply = |entry: StatusEntry| {
            let position: Position = index.next();
            index.apply(position, &entry).unwrap();
        };
        let issuer = IssuerId::from_bytes([1; 32]);
        apply(StatusEntry::IssuerDeclared { log_time: at(1000), issuer });
        let issuer = IssuerRef::from_index(0);
        for (octet, change) in changes {
            apply(StatusEntry::Certificate(CertificateEntry::own(
                at(1000),
                issuer,
                serial(*octet),
                *change,
            )));
        }
        (index, issuer)
    }

    /// OCSP-03, OCSP-04, OCSP-18, promise 5: the answer for every state.
    #[test]
    fn answers_what_the_log_says_and_unknown_for_what_it_does_not_say() {
        let good = classes(BeforeActivation::Good, AfterExpiry::Kept);
        let held = classes(BeforeActivation::Held, AfterExpiry::Unknown);
        let issued = |classes| Change::Issued { not_after: at(9000), classes };
        let (index, issuer) = index(&[
            (1, issued(good)),
            (2, issued(held)),
            (3, issued(good)),
            (
                3,
                Change::Revoked {
                    reason: Some(RevocationReason::KeyCompromise),
                    invalidity_date: Some(at(500)),
                },
            ),
            (4, issued(good)),
            (4, Change::Held),
            (5, Change::Voided { not_after: at(9000) }),
        ]);
        let found = |issuer, octet, now| {
            look_up(&index, issuer, Some(&serial(octet)), NeverIssued::Unknown, at(now))
        };
        let revoked = |reason| CertStatus::Revoked { at: at(1000), reason };
        let hold = Some(ReasonCode::CertificateHold);
        for (octet, status) in [
            (1, CertStatus::Good),
            (2, revoked(hold)),
            (3, revoked(Some(ReasonCode::KeyCompromise))),
            (4, revoked(hold)),
            (5, revoked(None)),
        ] {
            let finding = found(Some(issuer), octet, 2000);
            assert_eq!((finding.status, finding.found), (status, Found::Yes), "{octet}");
        }
        let third = found(Some(issuer), 3, 2000);
        assert_eq!(third.invalidity_date, Some(at(500)));
        for (issuer, octet) in [(Some(issuer), 9), (None, 1)] {
            let finding = found(issuer, octet, 2000);
            assert_eq!((finding.status, finding.found), (CertStatus::Unknown, Found::NotYet));
        }
        let long = look_up(&index, Some(issuer), None, NeverIssued::Unknown, at(2000));
        assert_eq!((long.status, long.found), (CertStatus::Unknown, Found::NotYet));
    }

    /// OCSP-13: of what is kept the answer says so once it has expired, years later too; what is
    /// forgotten after a week is never said to be archived, and no answer lives past that moment.
    #[test]
    fn what_is_kept_after_its_end_says_so_and_what_is_forgotten_ends() {
        let kept = classes(BeforeActivation::Good, AfterExpiry::Kept);
        let forgotten = classes(BeforeActivation::Good, AfterExpiry::Unknown);
        let reason = Some(RevocationReason::KeyCompromise);
        let revoked = Change::Revoked { reason, invalidity_date: None };
        let (index, issuer) = index(&[
            (1, Change::Issued { not_after: at(9000), classes: kept }),
            (2, Change::Issued { not_after: at(9000), classes: forgotten }),
            (3, Change::Issued { not_after: at(9000), classes: kept }),
            (3, revoked),
        ]);
        let found = |octet, now| {
            look_up(&index, Some(issuer), Some(&serial(octet)), NeverIssued::Revoked, at(now))
        };
        let (week, end) = (7 * 86_400, 9000 + 7 * 86_400);
        for (now, archived) in
            [(9000, Archived::No), (9001, Archived::Yes), (u64::from(u32::MAX), Archived::Yes)]
        {
            assert_eq!(
                (found(1, now).status, found(1, now).archived),
                (CertStatus::Good, archived)
            );
            let third = found(3, now);
            assert!(
                matches!(third.status, CertStatus::Revoked { .. }) && third.archived == archived
            );
            assert_eq!((found(1, now).ends, third.ends), (None, None));
        }
        for now in [8000, 9001, end - 1] {
            let second = found(2, now);
            assert_eq!((second.status, second.archived), (CertStatus::Good, Archived::No));
            assert_eq!(second.ends, Some(at(end)));
            let said =
                times((second.status, second.ends), at(now), at(now), HOUR, at(9000 + 2 * week));
            assert_eq!(said.unwrap().next_update, at(end.min(now + 3600)));
        }
        let second = found(2, end);
        let unknown = (CertStatus::Unknown, Found::Yes, Archived::No, None);
        assert_eq!((second.status, second.found, second.archived, second.ends), unknown);
    }

    /// OCSP-03: by configuration what was never issued is revoked, and nothing that was issued
    /// changes by it.
    #[test]
    fn only_what_was_never_issued_is_called_revoked_instead_of_unknown() {
        let forgotten = classes(BeforeActivation::Good, AfterExpiry::Unknown);
        let (index, issuer) =
            index(&[(1, Change::Issued { not_after: at(9000), classes: forgotten })]);
        let said = |octet, now| {
            let serial = serial(octet);
            look_up(&index, Some(issuer), Some(&serial), NeverIssued::Revoked, at(now)).status
        };
        assert_eq!(said(1, 2000), CertStatus::Good);
        assert_eq!(said(9, 2000), CertStatus::NeverIssued);
        assert_eq!(said(1, 9001 + 7 * 86_400), CertStatus::Unknown);
    }

    /// OCSP-03: a hundred thousand serials that nobody issued, none of them good.
    #[test]
    fn no_serial_that_was_not_issued_is_good() {
        let classes = classes(BeforeActivation::Good, AfterExpiry::Kept);
        let (index, issuer) = index(&[(1, Change::Issued { not_after: at(9000), classes })]);
        let mut state: u64 = 1;
        for _ in 0..100_000 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut random = [0; 16];
            random[..8].copy_from_slice(&state.to_be_bytes());
            random[8..].copy_from_slice(&state.rotate_left(29).to_be_bytes());

            let serial = SerialNumber::from_random(random);
            for (never_issued, said) in [
                (NeverIssued::Unknown, CertStatus::Unknown),
                (NeverIssued::Revoked, CertStatus::NeverIssued),
            ] {
                let finding = look_up(&index, Some(issuer), Some(&serial), never_issued, at(2000));

                assert_eq!((finding.status, finding.found), (said, Found::NotYet));
            }
        }
    }

    /// Promise 5: strictly greater than the arrival and the bound.
    #[test]
    fn unknown_needs_a_checkpoint_signed_after_the_question_came() {
        let second = Duration::from_secs(1);
        assert!(!may_say_unknown(at(100), at(100), Duration::ZERO));
        assert!(may_say_unknown(at(101), at(100), Duration::ZERO));
        assert!(!may_say_unknown(at(101), at(100), second));
        assert!(may_say_unknown(at(102), at(100), second));
        assert!(!may_say_unknown(UnixTime::LAST, UnixTime::LAST, second));
    }

    /// OCSP-07, OCSP-10: a simulated week, minute by minute: never expired, too long or past the
    /// signer's end, and thisUpdate never later than the checkpoint.
    #[test]
    fn times_hold_their_bounds_through_a_week() {
        let end = at(7 * 86_400);
        let statuses = [
            CertStatus::Good,
            CertStatus::Unknown,
            CertStatus::NeverIssued,
            CertStatus::Revoked { at: at(1), reason: None },
        ];
        let short = |status| matches!(status, CertStatus::Unknown | CertStatus::NeverIssued);
        for minute in 1..8 * 24 * 60 {
            let now = at(minute * 60);
            for checkpoint in [at(minute * 60 - 60), now, at(minute * 60 + 1)] {
                for status in statuses {
                    let Some(times) = times((status, None), checkpoint, now, HOUR, end) else {
                        assert!(now >= end || short(status));
                        continue;
                    };
                    assert!(
                        times.this_update <= checkpoint && times.this_update <= times.produced_at
                    );
                    assert!(times.produced_at < times.next_update && times.next_update <= end);
                    assert!(times.next_update.since(times.this_update) <= HOUR);
                    if short(status) {
                        assert!(times.next_update.since(now) <= UNKNOWN_VALIDITY);
                    }
                }
            }
        }
    }

    #[test]
    fn refuses_garbage_as_malformed_and_strange_hashes_as_unauthorized() {
        assert_eq!(parse(b"<html>"), Err(Refusal::MalformedRequest));
        assert_eq!(parse(b""), Err(Refusal::MalformedRequest));
        let md5 = b"\x30\x3e\x30\x3c\x30\x3a\x30\x38\x30\x36\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00\x04\x10aaaaaaaaaaaaaaaa\x04\x10bbbbbbbbbbbbbbbb\x02\x02\x01\x02";
        assert_eq!(parse(md5), Err(Refusal::Unauthorized));
    }
}

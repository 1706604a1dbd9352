//! Whether an OCSP response is to be believed: what a careful relying party checks (RFC 6960 §3.2, §4.2.2.2).

use std::time::Duration;

use status::observation::{Seen, SeenObject, SeenRevocation, SeenStatus};
use x509::certificate::Certificate;
use x509::key::PublicKey;
use x509::ocsp::{Answer, BasicResponse, CertId, CertStatus, OcspResponse, ResponderId};
use x509::oid::usage::OCSP_SIGNING;
use x509::time::UnixTime;

use super::{Looked, PinnedIssuer, ProbeFault, sha256, unbelievable};

/// How far the responder's clock may be ahead of the prober's.
pub(crate) const AHEAD: Duration = Duration::from_secs(5);
const WHAT: &str = "OCSP response";

/// Verifies a response: signature, signer, times, the CertID that was asked and the nonce.
pub(crate) fn judge_answer(
    octets: &[u8],
    issuer: &PinnedIssuer,
    asked: &CertId,
    nonce: Option<&[u8]>,
    now: UnixTime,
) -> Result<Looked, ProbeFault> {
    let response = OcspResponse::from_der(octets).map_err(|error| unbelievable(WHAT, &error))?;
    let basic = match response {
        OcspResponse::Refused(status) => return Err(ProbeFault::Exception { status }),
        OcspResponse::Basic(basic) => basic,
    };
    let signer = signer(&basic, issuer, now)?;
    basic
        .verify(&signer)
        .map_err(|error| unbelievable(WHAT, &format!("its signature: {error}")))?;
    if let Some(nonce) = nonce
        && basic.nonce.as_deref() != Some(nonce)
    {
        return Err(unbelievable(WHAT, "it does not carry the nonce of the question"));
    }
    let mut ours = basic.answers.iter().filter(|answer| answer.cert_id == *asked);
    let (Some(answer), None) = (ours.next(), ours.next()) else {
        return Err(unbelievable(WHAT, "it does not answer the CertID that was asked, once"));
    };
    let Some(serial) = asked.serial() else {
        return Err(unbelievable(WHAT, "its serial number is longer than any that is asked"));
    };
    let next_update = believable_times(answer, basic.produced_at, now)?;
    let status = match answer.status {
        CertStatus::Good => SeenStatus::Good,
        CertStatus::Unknown => SeenStatus::Unknown,
        CertStatus::Revoked { at, reason } => {
            SeenStatus::Revoked(SeenRevocation { time: at, reason })
        }
        CertStatus::NeverIssued => SeenStatus::NEVER_ISSUED,
    };
    Ok(Looked {
        sha256: sha256(octets),
        this_update: answer.this_update,
        next_update,
        object: SeenObject::Ocsp { produced_at: basic.produced_at },
        position: None,
        time: now,
        seen: vec![Seen { serial, status }],
    })
}

fn believable_times(
    answer: &Answer,
    produced_at: UnixTime,
    now: UnixTime,
) -> Result<UnixTime, ProbeFault> {
    let Some(next_update) = answer.next_update else {
        return Err(unbelievable(WHAT, "it has no nextUpdate"));
    };
    for (name, time) in [("thisUpdate", answer.this_update), ("producedAt", produced_at)] {
        if time.since(now) > AHEAD {
            return Err(unbelievable(WHAT, &format!("its {name} {time} lies ahead of {now}")));
        }
    }
    if next_update < now {
        return Err(unbelievable(WHAT, &format!("it ended {next_update}, before {now}")));
    }
    Ok(next_update)
}

/// The key that must have signed: the issuer's own, or that of a delegate whom the pinned issuer certified.
fn signer(
    basic: &BasicResponse,
    issuer: &PinnedIssuer,
    now: UnixTime,
) -> Result<PublicKey, ProbeFault> {
    let is_signer = |certificate: &Certificate| match &basic.responder {
        ResponderId::ByKey(hash) => certificate.public_key().key_bits_sha1() == hash.as_slice(),
        ResponderId::ByName(name) => certificate.subject().as_der() == name,
    };
    let ca = &issuer.certificate;
    if is_signer(ca) {
        return Ok(ca.public_key().clone());
    }
    let delegates = basic.certificates.iter().filter_map(|der| Certificate::from_der(der).ok());
    let Some(delegate) = delegates.into_iter().find(is_signer) else {
        return Err(unbelievable(WHAT, "it names a signer whose certificate it does not carry"));
    };
    let refused = |why: &str| Err(unbelievable("delegate of the OCSP response", why));
    if delegate.issuer().as_der() != ca.subject().as_der()
        || delegate.verify_signed_by(ca.public_key()).is_err()
    {
        return refused("the pinned CA did not sign it");
    }
    let may = delegate.extended_key_usage().is_some_and(|usage| usage.0.contains(&OCSP_SIGNING));
    if !may {
        return refused("its extended key usage is not OCSP signing");
    }
    let validity = delegate.validity();
    if now < validity.not_before() || now > validity.not_after() {
        return refused("it is not valid now");
    }
    Ok(delegate.public_key().clone())
}

//! What two runs of one plan sign alike: a to-be-signed structure without what each run draws or reads from its clock.
//!
//! The octets that a run gives of its own accord become zeros and all others stay, so that the hash of what is left is the same
//! at a rehearsal and on the day, where names, keys and entries come from outside.

use crate::tlv::{self, Element, NotDer};

/// A TBSCertificate (RFC 5280 §4.1) in which the content octets of serialNumber and notBefore are zeros.
///
/// # Errors
///
/// [`NotDer`] for what is none.
pub fn certificate(to_be_signed: &[u8]) -> Result<Vec<u8>, NotDer> {
    masked(to_be_signed, |end| end.whole.to_vec())
}

/// The same of a certificate that ends with a CRL of the same run: those of notAfter are zeros too.
///
/// # Errors
///
/// [`NotDer`] for what is none.
pub fn delegate(to_be_signed: &[u8]) -> Result<Vec<u8>, NotDer> {
    masked(to_be_signed, zeros)
}

fn masked(to_be_signed: &[u8], end: fn(Element<'_>) -> Vec<u8>) -> Result<Vec<u8>, NotDer> {
    let mut fields = Element::only(to_be_signed, tlv::SEQUENCE)?.elements();
    let version = fields.tagged(tlv::context_constructed(0))?.whole;
    let serial = zeros(fields.tagged(tlv::INTEGER)?);
    let algorithm = fields.tagged(tlv::SEQUENCE)?.whole;
    let issuer = fields.tagged(tlv::SEQUENCE)?.whole;
    let mut validity = fields.tagged(tlv::SEQUENCE)?.elements();
    let not_before = zeros(validity.any()?);
    let not_after = end(validity.any()?);
    validity.finish()?;
    let validity = tlv::sequence(&[&not_before, &not_after]);
    let mut parts = vec![version, &serial, algorithm, issuer, &validity];
    while !fields.is_empty() {
        parts.push(fields.any()?.whole);
    }
    Ok(tlv::sequence(&parts))
}

/// A TBSCertList (RFC 5280 §5.1) in which the content octets of thisUpdate and nextUpdate are zeros.
///
/// # Errors
///
/// [`NotDer`] for what is none.
pub fn crl(to_be_signed: &[u8]) -> Result<Vec<u8>, NotDer> {
    let mut fields = Element::only(to_be_signed, tlv::SEQUENCE)?.elements();
    let version = fields.tagged(tlv::INTEGER)?.whole;
    let algorithm = fields.tagged(tlv::SEQUENCE)?.whole;
    let issuer = fields.tagged(tlv::SEQUENCE)?.whole;
    let [this_update, next_update] = [zeros(fields.any()?), zeros(fields.any()?)];
    let mut parts = vec![version, algorithm, issuer, &this_update, &next_update];
    while !fields.is_empty() {
        parts.push(fields.any()?.whole);
    }
    Ok(tlv::sequence(&parts))
}

/// The to-be-signed part of a signed structure (RFC 5280 §4.1, §5.1).
///
/// # Errors
///
/// [`NotDer`] for what is none.
pub fn signed_part(signed: &[u8]) -> Result<&[u8], NotDer> {
    Ok(Element::only(signed, tlv::SEQUENCE)?.elements().tagged(tlv::SEQUENCE)?.whole)
}

/// The same element with as many zeros as it has content octets.
fn zeros(element: Element<'_>) -> Vec<u8> {
    tlv::element(element.tag, &[&vec![0; element.content.len()]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Vec<u8> {
        tlv::element(tlv::UTC_TIME, &[text.as_bytes()])
    }

    fn of_certificate(serial: u64, begin: &str, end: &str, subject: &[u8]) -> Vec<u8> {
        tlv::sequence(&[
            &tlv::element(tlv::context_constructed(0), &[&tlv::integer(2)]),
            &tlv::integer(serial),
            &tlv::sequence(&[]),
            &tlv::sequence(&[b"issuer"]),
            &tlv::sequence(&[&time(begin), &time(end)]),
            &tlv::element(tlv::SEQUENCE, &[subject]),
            &tlv::element(tlv::SEQUENCE, &[b"key"]),
        ])
    }

    #[test]
    fn certificates_differ_by_serial_number_and_begin_alone() {
        let of = |serial, begin, end, subject: &[u8]| {
            certificate(&of_certificate(serial, begin, end, subject)).unwrap()
        };
        let one = of(0x4711, "261123200000Z", "361123200000Z", b"subject");
        assert_eq!(one, of(0x4712, "261124070000Z", "361123200000Z", b"subject"));
        assert_eq!(
            one.len(),
            of_certificate(0x4711, "261123200000Z", "361123200000Z", b"subject").len()
        );
        for other in [
            of(0x4711, "261123200000Z", "361123200001Z", b"subject"),
            of(0x4711, "261123200000Z", "361123200000Z", b"another"),
            of(0x11, "261123200000Z", "361123200000Z", b"subject"),
        ] {
            assert_ne!(one, other);
        }
        let ends = |end, subject: &[u8]| {
            delegate(&of_certificate(0x4711, "261123200000Z", end, subject)).unwrap()
        };
        assert_eq!(ends("361123200000Z", b"subject"), ends("361123200001Z", b"subject"));
        assert_ne!(ends("361123200000Z", b"subject"), ends("361123200000Z", b"another"));
    }

    #[test]
    fn lists_differ_by_their_times_alone() {
        let of = |this: &str, next: &str, rest: &[u8]| {
            let list = tlv::sequence(&[
                &tlv::integer(1),
                &tlv::sequence(&[]),
                &tlv::sequence(&[b"issuer"]),
                &time(this),
                &time(next),
                &tlv::element(tlv::SEQUENCE, &[rest]),
            ]);
            crl(&list).unwrap()
        };
        let one = of("261123200000Z", "270522200000Z", b"entries");
        assert_eq!(one, of("261124200000Z", "270523200000Z", b"entries"));
        assert_ne!(one, of("261123200000Z", "270522200000Z", b"another"));
    }

    #[test]
    fn what_is_none_is_refused() {
        let whole = of_certificate(1, "261123200000Z", "361123200000Z", b"subject");
        for cut in [0, 1, 12, whole.len() - 1] {
            assert_eq!(certificate(&whole[..cut]), Err(NotDer));
            assert_eq!(crl(&whole[..cut]), Err(NotDer));
        }
        assert_eq!(crl(&whole), Err(NotDer));
        assert_eq!(signed_part(&whole), Err(NotDer));
        let signed = tlv::sequence(&[&whole, &tlv::sequence(&[]), b"\x03\x01\x00"]);
        assert_eq!(signed_part(&signed), Ok(&whole[..]));
    }
}

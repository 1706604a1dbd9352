//! The delta CRL that a complete one names: whether the two belong together, and what they say together (RFC 5280 §5.2.4, §5.2.6).

use std::cmp::Ordering;
use std::path::Path;
use std::thread;

use status::observation::{SeenBase, SeenObject};
use x509::crl::{ReasonCode, RevokedEntry};
use x509::serial::SerialNumber;

use super::list::{ReadList, fetch, in_hex};
use super::web::Web;
use super::{Looked, PinnedIssuer, ProbeFault, unbelievable};

pub(super) const WHAT: &str = "delta CRL";
/// A complete list and the first delta to it are published one after the other: who comes between tries again, so often.
const TRIES: usize = 3;

/// Fetches the delta at `url`, which the base of the distribution point `base.0` names, and tells of `serials` by both.
pub(super) fn look(
    web: &Web,
    url: &str,
    (base_url, base): (&str, &ReadList),
    issuer: &PinnedIssuer,
    serials: &[SerialNumber],
    objects: Option<&Path>,
) -> Result<Vec<Looked>, ProbeFault> {
    let mut newer: Option<ReadList> = None;
    let mut tries = TRIES;
    loop {
        let base = newer.as_ref().unwrap_or(base);
        let delta = fetch(web, url, objects, |body, now, copy| {
            ReadList::signed(WHAT, body, issuer, serials, now, copy)
        })?;
        tries = tries.saturating_sub(1);
        match together(base, &delta) {
            Ok(found) => return Ok(told(base_url, base, &delta, serials, &found)),
            Err(Apart::Numbers(_)) if tries > 0 => {}
            Err(Apart::Numbers(why) | Apart::Never(why)) => return Err(unbelievable(WHAT, &why)),
        }
        thread::sleep(web.pause);
        newer = Some(fetch(web, base_url, objects, |body, now, copy| {
            ReadList::complete(body, base_url, issuer, serials, now, copy)
        })?);
    }
}

pub(super) fn told(
    base_url: &str,
    base: &ReadList,
    delta: &ReadList,
    serials: &[SerialNumber],
    found: &[Option<RevokedEntry>],
) -> Vec<Looked> {
    let number = in_hex(&delta.number);
    let (url, sha256) = (base_url.to_owned(), base.sha256);
    let base = SeenBase { url, sha256, number: in_hex(&base.number) };
    delta.telling(&SeenObject::Delta { number, base }, serials, found)
}

/// Why base and delta do not go together.
#[derive(Debug)]
pub(super) enum Apart {
    /// By their numbers: one of them may be newer by now.
    Numbers(String),
    /// By what they are.
    Never(String),
}

/// What both say of each serial that was looked for (RFC 5280 §5.2.4 (a) to (d); issuer and key identifier are the pinned CA's in both).
pub(super) fn together(
    base: &ReadList,
    delta: &ReadList,
) -> Result<Vec<Option<RevokedEntry>>, Apart> {
    let Some(covers_from) = &delta.extensions.delta_base else {
        return Err(Apart::Never("it is a complete CRL".to_owned()));
    };
    if delta.extensions.issuing_distribution_point != base.extensions.issuing_distribution_point {
        return Err(Apart::Never("its scope is not that of the CRL that names it".to_owned()));
    }
    if delta.extensions.freshest_crl.is_some() {
        return Err(Apart::Never("it names deltas of its own".to_owned()));
    }
    if above(covers_from, &base.number) {
        return Err(Apart::Numbers(format!(
            "it is made to CRL number {}, above {} of the one that names it",
            in_hex(covers_from),
            in_hex(&base.number)
        )));
    }
    if !above(&delta.number, &base.number) {
        return Err(Apart::Numbers(format!(
            "its number {} is not above {} of the CRL that names it: it is older",
            in_hex(&delta.number),
            in_hex(&base.number)
        )));
    }
    let both = |(delta, base): (&Option<RevokedEntry>, &Option<RevokedEntry>)| match delta {
        Some(entry) if entry.reason == Some(ReasonCode::RemoveFromCrl) => None,
        Some(entry) => Some(*entry),
        None => *base,
    };
    Ok(delta.found.iter().zip(&base.found).map(both).collect())
}

/// Compares the content octets of two INTEGERs that are not negative.
pub(super) fn above(one: &[u8], other: &[u8]) -> bool {
    let significant = |octets: &[u8]| {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        octets.get(zeros..).unwrap_or_default().to_vec()
    };
    let (one, other) = (significant(one), significant(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(&other)) == Ordering::Greater
}

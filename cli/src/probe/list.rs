//! The CRL of a distribution point, streamed once: verified, and looked through for serials.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use status::observation::{MAX_SEEN, Seen, SeenObject, SeenRevocation, SeenStatus};
use x509::crl::{CrlForm, CrlReader, CrlTail, IssuingDistributionPoint, RevokedEntry, Scope};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::judge::AHEAD;
use super::web::{LONGEST_LIST, Web};
use super::{Looked, PinnedIssuer, ProbeFault, now, unbelievable};

const WHAT: &str = "CRL";

/// Fetches the list and tells of `serials`, [`MAX_SEEN`] an observation.
pub(crate) fn look(
    web: &Web,
    url: &str,
    issuer: &PinnedIssuer,
    serials: &[SerialNumber],
    objects: Option<&Path>,
) -> Result<Vec<Looked>, ProbeFault> {
    let (body, position) = web.fetch(url)?;
    let mut copy = objects.map(Copy::begin).transpose()?;
    let mut looked = judge_list(body, url, issuer, serials, now()?, copy.as_mut())?;
    if let (Some(copy), Some(first)) = (copy, looked.first()) {
        copy.finish(&first.sha256)?;
    }
    for one in &mut looked {
        one.position = position;
    }
    Ok(looked)
}

/// Verifies a list as it streams by: issuer, signature, AKI, scope and distribution point, times.
pub(crate) fn judge_list(
    body: impl Read,
    url: &str,
    issuer: &PinnedIssuer,
    serials: &[SerialNumber],
    now: UnixTime,
    copy: Option<&mut Copy>,
) -> Result<Vec<Looked>, ProbeFault> {
    let malformed = |error: &dyn std::error::Error| unbelievable(WHAT, error);
    let mut context = Context::new(&SHA256);
    let hashed = Hashed { body, context: &mut context, copy };
    let mut reader = CrlReader::start(hashed, CrlForm::CertificateList, LONGEST_LIST)
        .map_err(|error| malformed(&error))?;
    let head = reader.head().clone();
    if head.issuer != issuer.certificate.subject().as_der() {
        return Err(unbelievable(WHAT, "another CA issued it than the pinned one"));
    }
    let wanted: BTreeMap<&[u8], usize> =
        (0..).zip(serials).map(|(place, serial)| (serial.as_octets(), place)).collect();
    let mut found: Vec<Option<RevokedEntry>> = vec![None; serials.len()];
    for entry in reader.by_ref() {
        let entry = entry.map_err(|error| malformed(&error))?;
        let place = wanted.get(entry.serial.as_octets());
        if let Some(kept) = place.and_then(|place| found.get_mut(*place)) {
            *kept = Some(entry);
        }
    }
    let tail = reader.finish().map_err(|error| malformed(&error))?;
    tail.verify(issuer.certificate.public_key())
        .map_err(|error| unbelievable(WHAT, &format!("its signature: {error}")))?;
    let number = believable_extensions(&tail, url, issuer)?;
    let Some(next_update) = head.next_update else {
        return Err(unbelievable(WHAT, "it has no nextUpdate"));
    };
    if head.this_update.since(now) > AHEAD {
        let this = head.this_update;
        return Err(unbelievable(WHAT, &format!("its thisUpdate {this} lies ahead of {now}")));
    }
    if next_update < now {
        return Err(unbelievable(WHAT, &format!("it ended {next_update}, before {now}")));
    }
    let sha256: [u8; 32] = context.finish().as_ref().try_into().unwrap_or_default();
    let seen: Vec<Seen> = serials.iter().zip(found).map(seen_in_list).collect();
    let of_chunk = |seen: &[Seen]| Looked {
        sha256,
        this_update: head.this_update,
        next_update,
        object: SeenObject::Crl { number: number.clone() },
        position: None,
        time: now,
        seen: seen.to_vec(),
    };
    Ok(seen.chunks(MAX_SEEN).map(of_chunk).collect())
}

fn seen_in_list((serial, entry): (&SerialNumber, Option<RevokedEntry>)) -> Seen {
    let status = entry.map_or(SeenStatus::Good, |entry| {
        SeenStatus::Revoked(SeenRevocation { time: entry.revocation_date, reason: entry.reason })
    });
    Seen { serial: *serial, status }
}

/// Returns the number, in upper-case hexadecimal.
fn believable_extensions(
    tail: &CrlTail,
    url: &str,
    issuer: &PinnedIssuer,
) -> Result<String, ProbeFault> {
    let refused = |why: &str| Err(unbelievable(WHAT, why));
    let extensions = &tail.extensions;
    if extensions.unknown_critical {
        return refused("it has a critical extension that is not known");
    }
    if extensions.delta_base.is_some() {
        return refused("it is a delta CRL");
    }
    let ski = issuer.certificate.ski().map(|ski| ski.0);
    if extensions.authority_key_id.is_none() || extensions.authority_key_id != ski {
        return refused("its authority key identifier is not that of the pinned CA");
    }
    if let Some(value) = &extensions.issuing_distribution_point {
        let Some(point) = IssuingDistributionPoint::from_der(value) else {
            return refused("its issuing distribution point is of a kind that is not read");
        };
        let names_another =
            !point.full_name.is_empty() && !point.full_name.iter().any(|one| one == url);
        if names_another || point.scope == Scope::CaCertificates {
            return refused("its issuing distribution point is not the one that was asked");
        }
    }
    match &extensions.number {
        Some(number) => Ok(base16ct::upper::encode_string(number)),
        None => refused("it has no number"),
    }
}

/// A stream that is hashed, and maybe kept, as it is read.
struct Hashed<'a, R> {
    body: R,
    context: &'a mut Context,
    copy: Option<&'a mut Copy>,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        self.context.update(read);
        if let Some(copy) = &mut self.copy {
            copy.file.write_all(read)?;
        }
        Ok(count)
    }
}

/// A copy of the list in a folder of objects.
pub(crate) struct Copy {
    folder: PathBuf,
    part: PathBuf,
    file: File,
}

impl Copy {
    pub(super) fn begin(folder: &Path) -> Result<Self, ProbeFault> {
        let part = folder.join(format!("list-{}.part", std::process::id()));
        let file = File::create(&part)
            .map_err(|source| ProbeFault::Keep { path: part.clone(), source })?;
        Ok(Self { folder: folder.to_path_buf(), part, file })
    }

    pub(super) fn finish(self, sha256: &[u8; 32]) -> Result<(), ProbeFault> {
        let path = self.folder.join(format!("{}.crl", base16ct::lower::encode_string(sha256)));
        std::fs::rename(&self.part, &path).map_err(|source| ProbeFault::Keep { path, source })
    }
}

/// What was not believed is not kept: a copy that was finished has another name by then.
impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.part);
    }
}

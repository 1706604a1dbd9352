//! The CRL of a distribution point, streamed once: verified, and looked through for serials. Where it names a delta CRL, that too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use status::observation::{MAX_SEEN, Seen, SeenObject, SeenRevocation, SeenStatus};
use status::{Position, ProbeMethod};
use x509::crl::{
    CrlExtensions, CrlForm, CrlHead, CrlReader, IssuingDistributionPoint, RevokedEntry, Scope,
};
use x509::extension::{ExtensionValue as _, FreshestCrl};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::judge::AHEAD;
use super::web::{LONGEST_LIST, Web};
use super::{Looked, PinnedIssuer, ProbeFault, delta, now, unbelievable};

const WHAT: &str = "CRL";

/// What came of one URL.
pub(crate) struct ListLook {
    pub(crate) method: ProbeMethod,
    pub(crate) url: String,
    /// [`MAX_SEEN`] serials an observation.
    pub(crate) looked: Result<Vec<Looked>, ProbeFault>,
}

/// Fetches the list of a distribution point, and the delta CRLs that it names, and tells of `serials` by each.
pub(crate) fn look(
    web: &Web,
    url: &str,
    issuer: &PinnedIssuer,
    serials: &[SerialNumber],
    objects: Option<&Path>,
) -> Vec<ListLook> {
    let of_list = |looked| ListLook { method: ProbeMethod::Crl, url: url.to_owned(), looked };
    let fetched = fetch(web, url, objects, |body, now, copy| {
        ReadList::complete(body, url, issuer, serials, now, copy)
    });
    let base = match fetched {
        Ok(base) => base,
        Err(fault) => return vec![of_list(Err(fault))],
    };
    let mut looks = vec![of_list(Ok(base.looked(serials)))];
    match base.deltas() {
        Ok(urls) => looks.extend(urls.into_iter().map(|delta_url| {
            let looked = delta::look(web, &delta_url, (url, &base), issuer, serials, objects);
            ListLook { method: ProbeMethod::CrlDelta, url: delta_url, looked }
        })),
        Err(fault) => {
            let (method, looked) = (ProbeMethod::CrlDelta, Err(fault));
            looks.push(ListLook { method, url: url.to_owned(), looked });
        }
    }
    looks
}

/// Fetches a list, which `read` judges while it comes in.
pub(super) fn fetch(
    web: &Web,
    url: &str,
    objects: Option<&Path>,
    read: impl FnOnce(Box<dyn Read>, UnixTime, Option<&mut Copy>) -> Result<ReadList, ProbeFault>,
) -> Result<ReadList, ProbeFault> {
    let (body, position) = web.fetch(url)?;
    let mut copy = objects.map(Copy::begin).transpose()?;
    let mut list = read(Box::new(body), now()?, copy.as_mut())?;
    if let Some(copy) = copy {
        copy.finish(&list.sha256)?;
    }
    list.position = position;
    Ok(list)
}

/// A list that is believed, and what it says of the serials that were looked for.
pub(super) struct ReadList {
    pub(super) sha256: [u8; 32],
    pub(super) head: CrlHead,
    pub(super) extensions: CrlExtensions,
    pub(super) next_update: UnixTime,
    /// Content octets of cRLNumber.
    pub(super) number: Vec<u8>,
    pub(super) position: Option<Position>,
    pub(super) time: UnixTime,
    pub(super) found: Vec<Option<RevokedEntry>>,
}

impl ReadList {
    /// The list of a distribution point: complete, and of that point.
    pub(super) fn complete(
        body: impl Read,
        url: &str,
        issuer: &PinnedIssuer,
        serials: &[SerialNumber],
        now: UnixTime,
        copy: Option<&mut Copy>,
    ) -> Result<Self, ProbeFault> {
        let refused = |why: &str| Err(unbelievable(WHAT, why));
        let list = Self::signed(WHAT, body, issuer, serials, now, copy)?;
        if list.extensions.delta_base.is_some() {
            return refused("it is a delta CRL");
        }
        if let Some(value) = &list.extensions.issuing_distribution_point {
            let Some(point) = IssuingDistributionPoint::from_der(value) else {
                return refused("its issuing distribution point is of a kind that is not read");
            };
            let names_another =
                !point.full_name.is_empty() && !point.full_name.iter().any(|one| one == url);
            if names_another || point.scope == Scope::CaCertificates {
                return refused("its issuing distribution point is not the one that was asked");
            }
        }
        Ok(list)
    }

    /// Verifies a list as it streams by: issuer, signature, AKI, number, times.
    pub(super) fn signed(
        what: &'static str,
        body: impl Read,
        issuer: &PinnedIssuer,
        serials: &[SerialNumber],
        now: UnixTime,
        copy: Option<&mut Copy>,
    ) -> Result<Self, ProbeFault> {
        let malformed = |error: &dyn std::error::Error| unbelievable(what, error);
        let mut context = Context::new(&SHA256);
        let hashed = Hashed { body, context: &mut context, copy };
        let mut reader = CrlReader::start(hashed, CrlForm::CertificateList, LONGEST_LIST)
            .map_err(|error| malformed(&error))?;
        let head = reader.head().clone();
        if head.issuer != issuer.certificate.subject().as_der() {
            return Err(unbelievable(what, "another CA issued it than the pinned one"));
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
            .map_err(|error| unbelievable(what, &format!("its signature: {error}")))?;
        let number = believable_extensions(what, &tail.extensions, issuer)?;
        let Some(next_update) = head.next_update else {
            return Err(unbelievable(what, "it has no nextUpdate"));
        };
        if head.this_update.since(now) > AHEAD {
            let this = head.this_update;
            return Err(unbelievable(what, &format!("its thisUpdate {this} lies ahead of {now}")));
        }
        if next_update < now {
            return Err(unbelievable(what, &format!("it ended {next_update}, before {now}")));
        }
        let sha256: [u8; 32] = context.finish().as_ref().try_into().unwrap_or_default();
        let (extensions, position) = (tail.extensions, None);
        Ok(Self { sha256, head, extensions, next_update, number, position, time: now, found })
    }

    /// The URLs of the deltas to it.
    fn deltas(&self) -> Result<Vec<String>, ProbeFault> {
        let Some(value) = &self.extensions.freshest_crl else { return Ok(Vec::new()) };
        let freshest = FreshestCrl::from_value_der(value)
            .map_err(|_| unbelievable(WHAT, "its freshestCRL cannot be read"))?;
        Ok(freshest.0.uris().map(str::to_owned).collect())
    }

    /// What it says by itself.
    pub(super) fn looked(&self, serials: &[SerialNumber]) -> Vec<Looked> {
        let object = SeenObject::Crl { number: in_hex(&self.number) };
        self.telling(&object, serials, &self.found)
    }

    /// Tells of `found`, in parts that fit an observation.
    pub(super) fn telling(
        &self,
        object: &SeenObject,
        serials: &[SerialNumber],
        found: &[Option<RevokedEntry>],
    ) -> Vec<Looked> {
        let seen: Vec<Seen> = serials.iter().zip(found).map(seen_in_list).collect();
        let of_chunk = |seen: &[Seen]| Looked {
            sha256: self.sha256,
            this_update: self.head.this_update,
            next_update: self.next_update,
            object: object.clone(),
            position: self.position,
            time: self.time,
            seen: seen.to_vec(),
        };
        seen.chunks(MAX_SEEN).map(of_chunk).collect()
    }
}

fn seen_in_list((serial, entry): (&SerialNumber, &Option<RevokedEntry>)) -> Seen {
    let status = entry.map_or(SeenStatus::Good, |entry| {
        SeenStatus::Revoked(SeenRevocation { time: entry.revocation_date, reason: entry.reason })
    });
    Seen { serial: *serial, status }
}

pub(super) fn in_hex(number: &[u8]) -> String {
    base16ct::upper::encode_string(number)
}

/// Returns the number.
fn believable_extensions(
    what: &'static str,
    extensions: &CrlExtensions,
    issuer: &PinnedIssuer,
) -> Result<Vec<u8>, ProbeFault> {
    let refused = |why: &str| Err(unbelievable(what, why));
    if extensions.unknown_critical {
        return refused("it has a critical extension that is not known");
    }
    let ski = issuer.certificate.ski().map(|ski| ski.0);
    if extensions.authority_key_id.is_none() || extensions.authority_key_id != ski {
        return refused("its authority key identifier is not that of the pinned CA");
    }
    match &extensions.number {
        Some(number) => Ok(number.clone()),
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

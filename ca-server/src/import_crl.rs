//! `sigill-ca import --crl`: takes the new CRL of an offline CA into the database and the publication tree.
//!
//! Certificates of an offline CA change status only here: the entries of its new list and the list itself are
//! recorded in one transaction (architecture §2.3). The list comes from a ceremony by hand, so it is believed for
//! nothing: who signed it, whether it may follow the last one, and whether somebody is on it who must be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use crl::CrlNumber;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use status::{IssuerId, PublishedCrl};
use store::{
    AuditRecord, CrlRow, CrlScope, Import, Imported, ImportedCrl, ImportedState, Store, Subject,
};
use x509::crl::{CrlExtensions, CrlForm, CrlHead, CrlReader, RevokedEntry};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::import::state_of;
use crate::publication::crl_files::{CrlFiles, number_of};
use crate::service::Service;
use crate::service::authority::Authority;
use crate::start::Told;

/// A list, read whole. Those of offline CAs are short.
pub(crate) struct List {
    head: CrlHead,
    extensions: CrlExtensions,
    entries: BTreeMap<SerialNumber, RevokedEntry>,
    number: CrlNumber,
    next_update: UnixTime,
    sha256: [u8; 32],
    octets: Vec<u8>,
}

/// Longest list of an offline CA that is read: 16 MiB, some 400 000 entries.
const MAX_OCTETS: u64 = 16 << 20;

/// Imports the list in `file` and publishes it. One that is known already is published again.
///
/// # Errors
///
/// Says by its code what does not fit; nothing has been registered then.
pub(crate) fn run(
    authorities: &BTreeMap<String, Authority>,
    store: &dyn Store,
    files: &CrlFiles,
    file: &Path,
    now: UnixTime,
) -> anyhow::Result<Imported> {
    let named = file.display().to_string();
    let mut octets = Vec::new();
    let opened = File::open(file).with_context(|| unreadable(&named, "cannot be read"))?;
    opened
        .take(MAX_OCTETS.saturating_add(1))
        .read_to_end(&mut octets)
        .with_context(|| unreadable(&named, "cannot be read"))?;
    let authorities: Vec<&Authority> = authorities.values().collect();
    let signed = read_signed(&authorities, octets, &named)?;
    take(&signed, store, files, &Coming { keep: &|| Ok(()), told: &Value::Null }, now)
}

/// How a list has come here.
pub(crate) struct Coming<'a> {
    /// Done once it may be taken in, before it is.
    pub(crate) keep: &'a dyn Fn() -> anyhow::Result<()>,
    /// What the audit log says of it, beside what is said of every list.
    pub(crate) told: &'a Value,
}

/// Imports a list that was read, and publishes it. One that is known already is published again.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn take(
    (list, authority): &(List, &Authority),
    store: &dyn Store,
    files: &CrlFiles,
    coming: &Coming<'_>,
    now: UnixTime,
) -> anyhow::Result<Imported> {
    let last =
        store.current_crl(authority.id, &CrlScope::full()).context("nothing was registered")?;
    if last.as_ref().is_none_or(|last| last.sha256 != list.sha256) {
        fits(list, authority, last.as_ref(), files, now)?;
        let is_listed = |serial: &SerialNumber| list.entries.contains_key(serial);
        loses_nobody(authority.name(), authority.id, &is_listed, last.as_ref(), store)?;
    }
    let import = Import {
        states: states(list, authority)?,
        crls: vec![row(list, authority)?],
        ..Import::default()
    };
    (coming.keep)()?;
    let record = record(list, authority, coming.told);
    let imported = store.import(&import, &record, now).context("nothing was registered")?;
    publish(list, authority, files)?;
    store.mark_crl_published(authority.id, &CrlScope::full(), &list.number, now)?;
    Ok(imported)
}

fn unreadable(named: &str, what: &str) -> Told {
    let next = "copy the CRL from the ceremony's outputs again, in DER, and compare its hash";
    Told::new("crl-unreadable", format!("{named}: {what}"), next)
}

/// The list, and which offline one of these authorities has signed it.
///
/// # Errors
///
/// `crl-unreadable`, `crl-of-nobody`, `crl-of-online-authority`.
pub(crate) fn read_signed<'a>(
    authorities: &[&'a Authority],
    octets: Vec<u8>,
    named: &str,
) -> anyhow::Result<(List, &'a Authority)> {
    let read = || unreadable(named, "is no CRL");
    let mut reader = CrlReader::start(octets.as_slice(), CrlForm::CertificateList, MAX_OCTETS)
        .with_context(read)?;
    let mut entries = BTreeMap::new();
    for entry in reader.by_ref() {
        let entry = entry.with_context(read)?;
        let serial = entry.serial;
        ensure!(
            entries.insert(serial, entry).is_none(),
            unreadable(named, &format!("serial {serial} stands on it twice"))
        );
    }
    let head = reader.head().clone();
    let tail = reader.finish().with_context(read)?;
    let signed = |authority: &Authority| {
        head.issuer == authority.certificate.subject().as_der()
            && tail.verify(authority.certificate.public_key()).is_ok()
    };
    let authority = *authorities.iter().find(|one| signed(one)).with_context(|| {
        Told::new(
            "crl-of-nobody",
            format!("{named}: no authority that may has signed it"),
            "take the CRL of this deployment's ceremony, unchanged",
        )
    })?;
    ensure!(
        !authority.signs_here(),
        Told::new(
            "crl-of-online-authority",
            format!("{named}: {} makes its CRLs here", authority.name()),
            "import CRLs of offline authorities alone; nothing is to be done for this one",
        )
    );
    let number = tail.extensions.number.as_deref().with_context(read)?;
    let number = CrlNumber::from_content_octets(number).with_context(read)?;
    let next_update = head.next_update.with_context(|| unreadable(named, "has no nextUpdate"))?;
    let sha256 = Sha256::digest(&octets).into();
    let extensions = tail.extensions;
    Ok((List { head, extensions, entries, number, next_update, sha256, octets }, authority))
}

/// Its number, times and scope against the last one's.
fn fits(
    list: &List,
    authority: &Authority,
    last: Option<&CrlRow>,
    files: &CrlFiles,
    now: UnixTime,
) -> anyhow::Result<()> {
    let (this_update, next_update) = (list.head.this_update, list.next_update);
    ensure!(
        this_update <= now && now < next_update,
        Told::new(
            "crl-not-valid-now",
            format!("CRL holds from {this_update} to {next_update}, now is {now}"),
            "compare the clocks of this machine and of the ceremony's; make the CRL anew if it has ended",
        )
    );
    if let Some(last) = last {
        ensure!(
            list.number > last.number && this_update >= last.this_update,
            Told::new(
                "crl-not-newer",
                format!(
                    "CRL has number {} of {this_update}, the last one {} of {}",
                    list.number, last.number, last.this_update
                ),
                "import the newest CRL; if it is, make one with a higher number at a ceremony",
            )
        );
    }
    // A database from a backup may not know it.
    let published = files.published(&CrlFiles::full_path(authority.name()));
    if let Some((_, row)) = published
        && number_of(&row).is_some_and(|published| list.number < published)
    {
        let what = format!("CRL has number {}, the published one {}", list.number, row.number);
        return Err(Told::new("crl-not-newer", what, "import the newest CRL").into());
    }
    let other_scope = |what: String| {
        let next =
            "make the CRL anew with the settings of the last one: relying parties compare them";
        Told::new("crl-scope", format!("CRL of {}: {what}", authority.name()), next)
    };
    ensure!(
        list.extensions.delta_base.is_none() && !list.extensions.unknown_critical,
        other_scope("it is a delta, or has a critical extension that is not known".to_owned())
    );
    let key_id = authority.certificate.ski().map(|ski| ski.0);
    ensure!(
        list.extensions.authority_key_id == key_id,
        other_scope("its authorityKeyIdentifier is not the CA's subjectKeyIdentifier".to_owned())
    );
    if let Some(before) = published_extensions(authority, last, files) {
        ensure!(
            list.extensions.issuing_distribution_point == before.issuing_distribution_point,
            other_scope("its issuingDistributionPoint is not the last one's".to_owned())
        );
    }
    Ok(())
}

/// The extensions of the published list, where it is the one that was recorded.
fn published_extensions(
    authority: &Authority,
    last: Option<&CrlRow>,
    files: &CrlFiles,
) -> Option<CrlExtensions> {
    let octets = std::fs::read(files.path(&CrlFiles::full_path(authority.name()))).ok()?;
    let found: [u8; 32] = Sha256::digest(&octets).into();
    last.filter(|last| last.sha256 == found)?;
    let reader =
        CrlReader::start(octets.as_slice(), CrlForm::CertificateList, crl::MAX_OCTETS).ok()?;
    Some(reader.finish().ok()?.extensions)
}

/// CRL-09, CRL-11: everybody whom the database knows as revoked stands on it, unless a list made after the end of
/// the certificate has carried the entry.
///
/// # Errors
///
/// `crl-loses-entries` names the first of them, and the store's own.
pub(crate) fn loses_nobody(
    name: &str,
    id: IssuerId,
    is_listed: &dyn Fn(&SerialNumber) -> bool,
    last: Option<&CrlRow>,
    store: &dyn Store,
) -> anyhow::Result<()> {
    let mut lost = None;
    let mut unreadable = None;
    store.revoked(id, UnixTime::EPOCH, &mut |snapshot| {
        for row in snapshot.rows {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    unreadable = Some(error);
                    return;
                }
            };
            let carried = last.is_some_and(|last| last.this_update > row.status.not_after);
            if !carried && !is_listed(&row.serial) {
                lost = Some(row.serial);
                return;
            }
        }
    })?;
    if let Some(error) = unreadable {
        return Err(error.into());
    }
    match lost {
        None => Ok(()),
        Some(serial) => Err(Told::new(
            "crl-loses-entries",
            format!("CRL of {name} lacks serial {serial}, which is revoked"),
            "make the CRL anew with all entries of the last one: a revocation is never taken back",
        )
        .into()),
    }
}

fn states(list: &List, authority: &Authority) -> anyhow::Result<Vec<ImportedState>> {
    let not_after = authority.certificate.validity().not_after();
    list.entries.values().map(|entry| state_of(authority.id, not_after, entry)).collect()
}

fn row(list: &List, authority: &Authority) -> anyhow::Result<ImportedCrl> {
    Ok(ImportedCrl {
        issuer: authority.id,
        scope: CrlScope::full(),
        number: list.number.clone(),
        this_update: list.head.this_update,
        next_update: list.next_update,
        sha256: list.sha256,
        length: u64::try_from(list.octets.len())?,
    })
}

fn record(list: &List, authority: &Authority, told: &Value) -> AuditRecord {
    let mut payload = json!({ "number": list.number.to_string(), "entries": list.entries.len() });
    if let (Some(payload), Some(told)) = (payload.as_object_mut(), told.as_object()) {
        payload.extend(told.clone());
    }
    let file = ObjectId::Document(ledger::Hash::from_bytes(list.sha256));
    Service::record(
        EventCode::CrlImported,
        EventResult::Done,
        Actor::System([0; 16]),
        ObjectIds::of_act([Some(ObjectId::Issuer(authority.id)), Some(file)]),
        None,
        &payload,
        Subject::Deployment,
    )
}

fn publish(list: &List, authority: &Authority, files: &CrlFiles) -> anyhow::Result<()> {
    let path: PathBuf = files.spool(&format!("import-{}.crl", list.number));
    std::fs::write(&path, &list.octets)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let published = PublishedCrl {
        path: CrlFiles::full_path(authority.name()),
        sha256: list.sha256,
        number: list.number.to_string(),
        position: None,
    };
    files.publish(&path, published)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;

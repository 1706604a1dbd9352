//! The server's own certificate: its key is on the disk before it is certified, and a pair that was
//! begun is finished rather than made a second time.

use ca::audit::Actor;
use ca::deployment::RoleName;
use ca::prepare::KeySource;
use ca::profile::Profile;
use ca::refusal::Refusal;
use serde_json::json;
use store::{ManagementCertificate, ManagementHolder, Store};
use x509::certificate::Certificate;
use x509::extension::GeneralName;
use x509::time::UnixTime;

use super::files::{self, NewKey};
use super::{ManagementAuthority, ManagementWork, same_names};
use crate::config::ApiSection;
use crate::denied::{Denied, Kind};
use crate::service::renewal::{chain_pem, role_name};
use crate::service::storage;

/// Makes a key and a certificate with the names of `present`, and puts both where `api` says.
///
/// Nothing is signed before the key lies on the disk and a certificate could be laid beside it. When
/// a try ends after the signature, the next one goes on with its key and certificate.
pub(crate) fn replace_pair(
    authority: &ManagementAuthority,
    store: &dyn Store,
    profile: &Profile,
    present: &Certificate,
    api: &ApiSection,
    now: UnixTime,
) -> Result<ManagementCertificate, Denied> {
    let (key, recorded) = waiting(authority, store, present, api, now)?;
    let chain = chain_pem(present.as_der(), authority);
    files::lay_beside(&api.certificate, &chain).map_err(|error| unusable(&error))?;
    let made = match recorded {
        Some(made) => made,
        None => certified(authority, store, profile, present, &key, now)?,
    };
    let chain = chain_pem(&made.der, authority);
    files::put_in_place(&api.certificate, &api.key, &chain).map_err(|error| unusable(&error))?;
    Ok(made)
}

/// The key that is to be certified, on the disk; with its certificate where it has one already.
fn waiting(
    authority: &ManagementAuthority,
    store: &dyn Store,
    present: &Certificate,
    api: &ApiSection,
    now: UnixTime,
) -> Result<(NewKey, Option<ManagementCertificate>), Denied> {
    if let Some(key) = files::waiting_key(&api.key) {
        let hash = key.public.spki_hash();
        let made = store.management_certificates().map_err(|error| storage(&error))?;
        match made.into_iter().find(|one| one.key == hash) {
            None => return Ok((key, None)),
            Some(one) if is_of_use(&one, authority, present, now) => return Ok((key, Some(one))),
            Some(_) => {}
        }
    }
    let key = NewKey::draw().map_err(|error| unusable(&error))?;
    files::keep_waiting(&api.key, &key).map_err(|error| unusable(&error))?;
    Ok((key, None))
}

/// Whether a certificate that never came into use is what would be made now.
fn is_of_use(
    made: &ManagementCertificate,
    authority: &ManagementAuthority,
    present: &Certificate,
    now: UnixTime,
) -> bool {
    let Ok(certificate) = Certificate::from_der(&made.der) else { return false };
    let validity = certificate.validity();
    let life = validity.not_after().since(validity.not_before());
    certificate.verify_signed_by(authority.certificate().public_key()).is_ok()
        && certificate.subject().as_der() == present.subject().as_der()
        && certificate.subject_alt_names() == present.subject_alt_names()
        && validity.not_after().since(now) > life / 2
}

fn certified(
    authority: &ManagementAuthority,
    store: &dyn Store,
    profile: &Profile,
    present: &Certificate,
    key: &NewKey,
    now: UnixTime,
) -> Result<ManagementCertificate, Denied> {
    let name = server_name(present)?;
    authority.issue(
        store,
        now,
        ManagementWork {
            order: None,
            holder: ManagementHolder::Server,
            name: name.clone(),
            profile,
            key: KeySource::Proven(&key.public),
            fields: same_names(present, name),
            actor: Actor::System(*authority.node().boot.as_bytes()),
            objects: [None; 3],
            payload: json!({
                "server": authority.node().name,
                "present_key": present.public_key().spki_hash().to_string(),
            }),
        },
    )
}

fn server_name(present: &Certificate) -> Result<RoleName, Denied> {
    let names = present.subject_alt_names();
    let uri = names.iter().find_map(GeneralName::uri).unwrap_or_default();
    role_name(uri.rsplit(':').next().unwrap_or_default())
}

/// The files of the server's pair cannot be used.
pub(crate) fn unusable(seen: &dyn std::fmt::Display) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "server-certificate-unwritable",
            "architecture §2.6: a renewed server certificate is on the disk before it is used",
            &seen,
            "a folder that takes the files `certificate` and `key` of section [api]",
            "make the folder writable; it is tried again every minute, and the old one goes on working",
        ),
    )
}

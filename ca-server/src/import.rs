//! `sigill-ca import`: takes the outputs of a ceremony into the database and the publication tree.
//!
//! Everything is read and verified first; then one transaction registers issuers, certificates and
//! CRLs, and the files are published. Repeating an import changes nothing, so an import that was
//! broken off is simply run again.

mod lists;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::deployment::{Deployment, Place};
use ca::key_quality::{ImportedKey, of_import};
use crl::CrlNumber;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::{AnswerClasses, IssuerId, PublishedCrl, RevocationReason};
use store::{
    AuditRecord, CertificateId, CrlScope, Import, Imported, ImportedCertificate, ImportedChange,
    ImportedCrl, ImportedState, IssuerKeeping, NewIssuer, Origin, Privacy, Store, Subject,
};
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader, ReasonCode, RevokedEntry};
use x509::time::UnixTime;

use crate::config::{AuthoritySection, ConfigFile};
use crate::enrol::Pin;
use crate::publication::crl_files::CrlFiles;
use crate::publication::files::replace;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::start::Told;

/// The manifest of a ceremony's outputs, `outputs.json`. Paths are relative to its folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Outputs {
    /// `sigill-ceremony-outputs/1`.
    format: String,
    deployment: DeploymentParts,
    /// The root first.
    authorities: Vec<AuthorityOutput>,
    crls: Vec<CrlOutput>,
    delegates: Vec<DelegateOutput>,
    responders: Vec<ResponderOutput>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentParts {
    environment: String,
    pki: String,
    instance: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorityOutput {
    name: String,
    certificate: PathBuf,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrlOutput {
    authority: String,
    crl: PathBuf,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DelegateOutput {
    authority: String,
    certificate: PathBuf,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ResponderOutput {
    name: String,
    identity: PathBuf,
    spki_sha256: String,
}

const FORMAT: &str = "sigill-ceremony-outputs/1";

struct Read<'a> {
    section: &'a AuthoritySection,
    certificate: Certificate,
    id: IssuerId,
}

/// A CRL that an offline CA signed, with its file.
struct ReadCrl {
    row: ImportedCrl,
    published: PublishedCrl,
    file: PathBuf,
    /// What its entries say, so that status log and CRL change in one act (architecture §2.3).
    states: Vec<ImportedState>,
}

struct ReadOutputs<'a> {
    authorities: Vec<Read<'a>>,
    /// Each with the name of its authority.
    delegates: Vec<(String, Certificate)>,
    crls: Vec<ReadCrl>,
    import: Import,
}

/// Imports the outputs that `manifest` lists.
///
/// # Errors
///
/// Says which file does not fit; nothing has been registered then.
pub(crate) fn run(
    config: &ConfigFile,
    deployment: Deployment,
    store: &dyn Store,
    files: &CrlFiles,
    manifest: &Path,
    now: UnixTime,
) -> anyhow::Result<Imported> {
    let (text, outputs) = read_outputs(deployment, manifest)?;
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let mut read = read_all(config, folder, &outputs, now)?;
    let by_exchange = config.exchange.is_some();
    lists::take_in(&mut read, store, files, by_exchange)?;
    let imported =
        store.import(&read.import, &record(&text), now).context("nothing was registered")?;
    for output in &outputs.responders {
        let file = folder.join(&output.identity);
        let pin = Pin { name: &output.name, file: &file, sha256: &output.spki_sha256 };
        pin.enrol(store, &[], now)?;
    }
    publish(config, &read.authorities, &read.delegates, files, &read.crls)?;
    for crl in &read.crls {
        store.mark_crl_published(crl.row.issuer, &crl.row.scope, &crl.row.number, now)?;
    }
    Ok(imported)
}

/// The manifest, of this format and deployment, with its text.
fn read_outputs(deployment: Deployment, manifest: &Path) -> anyhow::Result<(String, Outputs)> {
    let text = std::fs::read_to_string(manifest).with_context(|| unreadable(manifest))?;
    let outputs: Outputs = serde_json::from_str(&text).with_context(|| {
        malformed(format!("{} is not a manifest of ceremony outputs", manifest.display()))
    })?;
    ensure!(
        outputs.format == FORMAT,
        malformed(format!(
            "{}: format {}, this program reads {FORMAT}",
            manifest.display(),
            outputs.format
        ))
    );
    let parts = &outputs.deployment;
    let found = Deployment::from_parts(&parts.environment, &parts.pki, &parts.instance)?;
    deployment
        .must_equal(&found, Place::ExchangeFile)
        .with_context(|| manifest.display().to_string())?;
    Ok((text, outputs))
}

/// Every file of the manifest, read and verified, and what becomes of it in the database.
fn read_all<'a>(
    config: &'a ConfigFile,
    folder: &Path,
    outputs: &Outputs,
    now: UnixTime,
) -> anyhow::Result<ReadOutputs<'a>> {
    let authorities = outputs
        .authorities
        .iter()
        .map(|output| read_authority(config, folder, output))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut import = Import::default();
    for read in &authorities {
        import.issuers.push(new_issuer(read)?);
        import.certificates.push(certificate(&authorities, &read.certificate, now)?);
    }
    let mut delegates = Vec::new();
    for output in &outputs.delegates {
        let der = read_checked(folder, &output.certificate, &output.sha256)?;
        let read = Certificate::from_der(&der)
            .with_context(|| output.certificate.display().to_string())?;
        import.certificates.push(certificate(&authorities, &read, now)?);
        delegates.push((output.authority.clone(), read));
    }
    let crls = outputs
        .crls
        .iter()
        .map(|output| read_crl(&authorities, folder, output))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(ReadOutputs { authorities, delegates, crls, import })
}

fn record(manifest: &str) -> AuditRecord {
    let hash = ledger::Hash::from_bytes(Sha256::digest(manifest).into());
    Service::record(
        EventCode::ImportCeremony,
        EventResult::Done,
        ca::audit::Actor::System([0; 16]),
        ObjectIds::of_act([Some(ObjectId::Document(hash))]),
        None,
        &json!({ "manifest": manifest }),
        Subject::Deployment,
    )
}

fn read_checked(folder: &Path, file: &Path, sha256: &str) -> anyhow::Result<Vec<u8>> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).with_context(|| unreadable(&path))?;
    let found = base16ct::lower::encode_string(&Sha256::digest(&bytes));
    ensure!(
        found == sha256,
        Told::new(
            "outputs-hash",
            format!("{} has SHA-256 {found}, the manifest says {sha256}", path.display()),
            COPY_AGAIN,
        )
    );
    Ok(bytes)
}

const COPY_AGAIN: &str = "copy the ceremony's outputs again, all of them, and compare their hashes";

fn unreadable(path: &Path) -> Told {
    Told::new("outputs-unreadable", format!("cannot read {}", path.display()), COPY_AGAIN)
}

fn malformed(what: String) -> Told {
    Told::new("outputs-malformed", what, "import the outputs.json of this version's ceremony")
}

fn read_authority<'a>(
    config: &'a ConfigFile,
    folder: &Path,
    output: &AuthorityOutput,
) -> anyhow::Result<Read<'a>> {
    let der = read_checked(folder, &output.certificate, &output.sha256)?;
    let section = config
        .authorities
        .iter()
        .find(|section| section.name == output.name)
        .with_context(|| format!("authority {} is not in the configuration", output.name))?;
    ensure!(
        section.sha256 == output.sha256,
        "authority {}: the configuration pins SHA-256 {}, the ceremony made {}",
        output.name,
        section.sha256,
        output.sha256
    );
    let certificate =
        Certificate::from_der(&der).with_context(|| output.certificate.display().to_string())?;
    let id = IssuerId::of(certificate.subject().as_der(), certificate.public_key().spki_der());
    Ok(Read { section, certificate, id })
}

fn issuer_of<'a>(
    authorities: &'a [Read<'a>],
    certificate: &Certificate,
) -> anyhow::Result<&'a Read<'a>> {
    authorities
        .iter()
        .find(|read| {
            read.certificate.subject() == certificate.issuer()
                && certificate.verify_signed_by(read.certificate.public_key()).is_ok()
        })
        .with_context(|| {
            format!("no authority of the manifest has signed {}", certificate.subject())
        })
}

/// What registers an issuing authority, whose certificate an authority that is known has signed.
///
/// # Errors
///
/// Its key is one with which anybody could sign.
pub(crate) fn issuing(
    issuer: &Authority,
    new: &Authority,
    now: UnixTime,
) -> anyhow::Result<Import> {
    let [issuer, new] = [issuer, new].map(|of| Read {
        section: &of.section,
        certificate: of.certificate.clone(),
        id: of.id,
    });
    let issuers = vec![new_issuer(&new)?];
    let certificates = vec![certificate(&[issuer], &new.certificate, now)?];
    Ok(Import { issuers, certificates, ..Import::default() })
}

fn new_issuer(read: &Read<'_>) -> anyhow::Result<NewIssuer> {
    let certificate = &read.certificate;
    Ok(NewIssuer {
        id: read.id,
        name: read.section.name.clone(),
        certificate_der: certificate.as_der().to_vec(),
        subject_der: certificate.subject().as_der().to_vec(),
        spki_der: certificate.public_key().spki_der().to_vec(),
        ski: certificate.ski().map(|ski| ski.0),
        not_before: certificate.validity().not_before(),
        not_after: certificate.validity().not_after(),
        origin: Origin::Ceremony,
        keeping: match read.section.token {
            Some(_) => IssuerKeeping::Online,
            None => IssuerKeeping::Offline,
        },
        crl_number_floor: None,
        crl_settings: serde_json::to_string(&json!({
            "url": read.section.crl_url,
            "issuing_distribution_point": read.section.issuing_distribution_point,
        }))?,
    })
}

fn certificate(
    authorities: &[Read<'_>],
    certificate: &Certificate,
    now: UnixTime,
) -> anyhow::Result<ImportedCertificate> {
    let issuer = issuer_of(authorities, certificate)?;
    let mut random = [0; 10];
    getrandom::fill(&mut random).context("no random numbers")?;
    Ok(ImportedCertificate {
        id: CertificateId::from_time_and_random(now.secs().saturating_mul(1000), random),
        issuer: issuer.id,
        serial: certificate.serial(),
        der: certificate.as_der().to_vec(),
        origin: Origin::Ceremony,
        policy: None,
        not_before: certificate.validity().not_before(),
        not_after: certificate.validity().not_after(),
        spki: certificate.public_key().spki_hash(),
        person: None,
        defects: judged(certificate)?,
        answers: AnswerClasses::USUAL,
        privacy: Privacy::Public,
        index: Vec::new(),
        change: None,
    })
}

/// What is wrong with a key that a ceremony has certified, by name; what lets anybody sign ends the import.
fn judged(certificate: &Certificate) -> anyhow::Result<Vec<String>> {
    let weak = of_import(certificate.public_key(), ImportedKey::Authority).with_context(|| {
        Told::new(
            "import-key-weak",
            format!("key of {} is refused", certificate.subject()),
            "make the CA again with a sound key; nothing was registered",
        )
    })?;
    Ok(weak.into_iter().map(|weak| weak.code().to_owned()).collect())
}

fn read_crl(
    authorities: &[Read<'_>],
    folder: &Path,
    output: &CrlOutput,
) -> anyhow::Result<ReadCrl> {
    let der = read_checked(folder, &output.crl, &output.sha256)?;
    let path = folder.join(&output.crl);
    let read = authorities.iter().find(|read| read.section.name == output.authority).with_context(
        || format!("CRL of {}, which is no authority of the manifest", output.authority),
    )?;
    let named = || path.display().to_string();
    let mut reader = CrlReader::start(der.as_slice(), CrlForm::CertificateList, crl::MAX_OCTETS)
        .with_context(named)?;
    let mut states = Vec::new();
    for entry in reader.by_ref() {
        let entry = entry.with_context(named)?;
        let not_after = read.certificate.validity().not_after();
        states.push(state_of(read.id, not_after, &entry).with_context(named)?);
    }
    let head = reader.head().clone();
    let tail = reader.finish().with_context(named)?;
    ensure!(
        head.issuer == read.certificate.subject().as_der()
            && tail.verify(read.certificate.public_key()).is_ok(),
        "{} is not signed by {}",
        path.display(),
        output.authority
    );
    let number = tail.extensions.number.as_deref().context("CRL has no number")?;
    let number = CrlNumber::from_content_octets(number).with_context(named)?;
    let next_update = head.next_update.context("CRL has no nextUpdate")?;
    let sha256: [u8; 32] = Sha256::digest(&der).into();
    let row = ImportedCrl {
        issuer: read.id,
        scope: CrlScope::full(),
        number,
        this_update: head.this_update,
        next_update,
        sha256,
        length: u64::try_from(der.len())?,
    };
    let published = PublishedCrl {
        path: CrlFiles::full_path(&output.authority),
        sha256,
        number: base16ct::upper::encode_string(row.number.as_octets()),
        position: None,
    };
    Ok(ReadCrl { row, published, file: path, states })
}

/// What an entry on an offline CA's CRL says about its certificate.
///
/// `issuer_ends` is the last second of its issuer, where the certificate itself is not known: it cannot outlive it.
pub(crate) fn state_of(
    issuer: IssuerId,
    issuer_ends: UnixTime,
    entry: &RevokedEntry,
) -> anyhow::Result<ImportedState> {
    Ok(ImportedState {
        issuer,
        serial: entry.serial,
        not_after: issuer_ends,
        answers: AnswerClasses::USUAL,
        change: change_of(entry)?,
    })
}

fn change_of(entry: &RevokedEntry) -> anyhow::Result<ImportedChange> {
    let effective = entry.revocation_date;
    let reason = match entry.reason {
        Some(ReasonCode::CertificateHold) => return Ok(ImportedChange::Held { effective }),
        Some(code) => Some(RevocationReason::from_code(code.code()).with_context(|| {
            format!("serial {} has reason {}, which revokes nothing", entry.serial, code.code())
        })?),
        None => None,
    };
    Ok(ImportedChange::Revoked { reason, effective, invalidity: entry.invalidity_date })
}

/// Puts the certificate of an authority or delegate into the publication folder.
///
/// # Errors
///
/// The file system's own, with the path.
pub(crate) fn publish_certificate(
    config: &ConfigFile,
    path: &str,
    certificate: &Certificate,
) -> anyhow::Result<()> {
    let path = config.publication.folder.join(path);
    replace(&path, certificate.as_der()).with_context(|| format!("cannot write {}", path.display()))
}

fn publish(
    config: &ConfigFile,
    authorities: &[Read<'_>],
    delegates: &[(String, Certificate)],
    files: &CrlFiles,
    crls: &[ReadCrl],
) -> anyhow::Result<()> {
    for read in authorities {
        publish_certificate(config, &format!("aia/{}.cer", read.section.name), &read.certificate)?;
    }
    for (authority, certificate) in delegates {
        let spki = certificate.public_key().spki_hash();
        publish_certificate(config, &format!("responder/{authority}/{spki}.cer"), certificate)?;
    }
    for crl in crls {
        let copy = files.spool(&format!("import-{}.crl", crl.published.number));
        std::fs::copy(&crl.file, &copy)
            .with_context(|| format!("cannot write {}", copy.display()))?;
        files.publish(&copy, crl.published.clone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use x509::certificate::CertificateTemplate;
    use x509::key::{PublicKey, SignatureAlgorithm};
    use x509::name::{AttributeType, Name};
    use x509::serial::SerialNumber;
    use x509::signing::assemble;
    use x509::validity::Validity;

    use super::*;

    /// A CA's certificate for the public vector of this class.
    fn of_class(class: &str) -> Certificate {
        let mut rows = include_str!("../../ca/src/key_quality/vectors.tsv").lines();
        let row = rows.find(|row| row.starts_with(&format!("{class}\trefused\t"))).unwrap();
        let spki = base16ct::lower::decode_vec(row.split('\t').nth(2).unwrap()).unwrap();
        let public_key = PublicKey::from_spki_der(&spki).unwrap();
        let algorithm = SignatureAlgorithm::RsaPkcs1Sha256;
        let placeholder = algorithm.placeholder(public_key.key_type());
        let name = Name::builder().with(AttributeType::CommonName, "Old CA").unwrap().build();
        let at = |secs| UnixTime::from_secs(secs).unwrap();
        let template = CertificateTemplate {
            serial: SerialNumber::from_random([7; 16]),
            issuer: name.clone(),
            subject: name,
            validity: Validity::between(at(1000), at(2000)).unwrap(),
            extensions: Vec::new(),
            public_key,
            algorithm,
        };
        let der = assemble(&template.to_tbs_der(), algorithm, &placeholder).unwrap();
        Certificate::from_der(&der).unwrap()
    }

    /// ISS-11: what anybody can sign with is no CA; a small exponent is taken in and named.
    #[test]
    fn refuses_a_ca_whose_private_key_anybody_can_have() {
        for class in ["roca", "close-primes"] {
            let refused = judged(&of_class(class)).unwrap_err();
            assert_eq!(crate::start::code(&refused), "import-key-weak", "{class}");
        }
        assert_eq!(judged(&of_class("small-exponent")).unwrap(), ["key-small-exponent"]);
    }

    /// Architecture §2.3: what an offline CA's CRL revokes must not be answered good.
    #[test]
    fn entries_of_an_offline_crl_change_the_status_of_their_certificates() {
        let at = |secs| UnixTime::from_secs(secs).unwrap();
        let change = |reason| {
            change_of(&RevokedEntry {
                serial: SerialNumber::from_random([7; 16]),
                revocation_date: at(1000),
                reason,
                invalidity_date: Some(at(900)),
            })
        };
        let revoked = |reason| ImportedChange::Revoked {
            reason,
            effective: at(1000),
            invalidity: Some(at(900)),
        };

        assert_eq!(change(None).unwrap(), revoked(None));
        assert_eq!(
            change(Some(ReasonCode::CaCompromise)).unwrap(),
            revoked(Some(RevocationReason::CaCompromise))
        );
        assert_eq!(
            change(Some(ReasonCode::CertificateHold)).unwrap(),
            ImportedChange::Held { effective: at(1000) }
        );
        assert!(change(Some(ReasonCode::RemoveFromCrl)).is_err());
    }
}

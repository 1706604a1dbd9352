//! Promise 2 and §2.5 for what others made: one act, bytes and times kept.

use std::fs;
use std::path::{Path, PathBuf};

use ::crl::CrlNumber;
use ca::audit::{AuditLeaf, EventCode};
use status::{CertificateState, IssuerId, RevocationReason};
use store::{
    CertificateId, CertificateLookup, ChangeOutcome, CrlScope, Import, ImportedCertificate,
    ImportedChange, ImportedCrl, ImportedState, IssuerKeeping, Log, NewIssuer, Origin, Privacy,
    StoreError, Subject,
};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;

use super::Backend;
use super::world::{CLASSES, Issuer, REVOKE, World, at, audit, followed, fresh, serial, sizes};

pub(super) fn certificate(
    issuer: IssuerId,
    serial: SerialNumber,
    der: &[u8],
) -> ImportedCertificate {
    ImportedCertificate {
        id: CertificateId::from_bytes(fresh()),
        issuer,
        serial,
        der: der.to_vec(),
        origin: Origin::Imported,
        policy: None,
        not_before: at(0),
        not_after: at(1_000_000),
        spki: SpkiHash::from_bytes([4; 32]),
        person: None,
        defects: vec!["serial-not-minimal".to_owned()],
        answers: CLASSES,
        privacy: Privacy::Public,
        index: Vec::new(),
        change: None,
    }
}

const REVOKED: ImportedChange = ImportedChange::Revoked {
    reason: Some(RevocationReason::Superseded),
    effective: x509::time::UnixTime::EPOCH,
    invalidity: None,
};

fn import(world: &World, import: &Import) -> Result<store::Imported, StoreError> {
    world.store.import(import, &audit(EventCode::ImportCertificate), at(100))
}

pub(crate) fn an_import_is_one_act_and_repeatable(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issuer.id();
    let good = certificate(id, serial(), b"one");
    let unknown = certificate(IssuerId::from_bytes([9; 32]), serial(), b"two");
    let before = sizes(&*world.store);

    let half = Import { certificates: vec![good.clone(), unknown], ..Import::default() };
    assert!(matches!(import(&world, &half), Err(StoreError::UnknownIssuer)));
    assert_eq!(sizes(&*world.store), before);

    let whole = Import { certificates: vec![good.clone()], ..Import::default() };
    let first = import(&world, &whole).unwrap();
    assert_eq!((first.issuers, first.certificates, first.entries), (0, 1, 1));
    assert_eq!(first.last.unwrap().index, before.0);

    let again = import(&world, &whole).unwrap();
    assert_eq!((again.certificates, again.entries, again.last), (0, 0, None));
}

/// AUD-02: an issuer that is declared in the status log has a leaf of its own, once.
pub(crate) fn an_issuer_is_declared_in_the_audit_log_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let other = Issuer::new("CN=other", IssuerKeeping::Online).declared;
    let both = Import { issuers: vec![world.issuer.declared.clone(), other], ..Import::default() };
    let before = sizes(&*world.store);

    import(&world, &both).unwrap();
    let once = sizes(&*world.store);
    import(&world, &both).unwrap();

    assert_eq!(once, (before.0 + 1, before.1 + 2));
    assert_eq!(sizes(&*world.store), (once.0, once.1 + 1));
    let leaves = world.store.log_entries(Log::Audit, 1, before.1..once.1).unwrap();
    let codes: Vec<_> =
        leaves.iter().map(|leaf| AuditLeaf::decode(&leaf.bytes).unwrap().event.code).collect();
    assert_eq!(codes, [EventCode::IssuerDeclared, EventCode::ImportCertificate]);
}

/// MIG-02: another operator's revocation time is what revocationDate goes on showing.
pub(crate) fn keeps_another_operators_times_and_bytes(backend: &dyn Backend) {
    let world = World::new(backend);
    let mut imported = certificate(world.issuer.id(), serial(), b"his bytes");
    let effective = at(7);
    imported.change =
        Some(ImportedChange::Revoked { reason: None, effective, invalidity: Some(at(3)) });

    let done =
        import(&world, &Import { certificates: vec![imported.clone()], ..Import::default() })
            .unwrap();

    assert_eq!(done.entries, 2);
    let record = world.store.certificate(&CertificateLookup::Id(imported.id)).unwrap().unwrap();
    assert_eq!(record.der.unwrap(), b"his bytes");
    assert_eq!((record.row.origin, record.row.order), (Origin::Imported, None));
    assert_eq!(record.row.defects, imported.defects);
    let status = record.row.status.status;
    assert_eq!((status.state, status.effective_time), (CertificateState::Revoked, effective));
    assert_eq!(status.invalidity_date, Some(at(3)));
    followed(&*world.store);
}

pub(crate) fn refuses_other_bytes_under_a_known_serial(backend: &dyn Backend) {
    let world = World::new(backend);
    let taken = serial();
    let reserved = serial();
    let _ = world.record(world.order(), reserved, &world.pending(reserved), at(1)).unwrap();
    let one = certificate(world.issuer.id(), taken, b"one");
    import(&world, &Import { certificates: vec![one], ..Import::default() }).unwrap();
    let before = sizes(&*world.store);

    for serial in [taken, reserved] {
        let other = certificate(world.issuer.id(), serial, b"other");
        let refused = import(&world, &Import { certificates: vec![other], ..Import::default() });
        assert!(matches!(refused, Err(StoreError::SerialTaken)));
    }
    let pending = world.pending(taken);
    assert!(matches!(
        world.record(world.order(), taken, &pending, at(101)),
        Err(StoreError::SerialTaken)
    ));
    assert_eq!(sizes(&*world.store), before);
}

/// §2.3: certificates of an offline CA change status only with its new CRL.
pub(crate) fn an_offline_cas_list_comes_with_its_states(backend: &dyn Backend) {
    let world = World::new(backend);
    let root = Issuer::new("CN=SIGILL TEST root", IssuerKeeping::Offline);
    let issued = certificate(root.id(), serial(), b"issuing ca");
    let first = Import {
        issuers: vec![root.declared.clone()],
        certificates: vec![issued.clone()],
        ..Import::default()
    };
    import(&world, &first).unwrap();
    assert!(matches!(world.change(issued.id, REVOKE, at(101)), Err(StoreError::OfflineIssuer)));

    let unseen = serial();
    let state = |serial| ImportedState {
        issuer: root.id(),
        serial,
        not_after: at(1_000_000),
        answers: CLASSES,
        change: REVOKED,
    };
    let crl = ImportedCrl {
        issuer: root.id(),
        scope: CrlScope::full(),
        number: CrlNumber::from(7),
        this_update: at(99),
        next_update: at(9999),
        sha256: [3; 32],
        length: 500,
    };
    let second = Import {
        states: vec![state(issued.serial), state(unseen)],
        crls: vec![crl.clone()],
        ..Import::default()
    };
    assert_eq!(import(&world, &second).unwrap().entries, 3);
    assert_eq!(import(&world, &second).unwrap().entries, 0);

    let row = world.store.certificate(&CertificateLookup::Id(issued.id)).unwrap().unwrap().row;
    assert_eq!(row.status.status.state, CertificateState::Revoked);
    let current = world.store.current_crl(root.id(), &CrlScope::full()).unwrap().unwrap();
    assert_eq!((current.number, current.position), (CrlNumber::from(7), None));
    let older = ImportedCrl { number: CrlNumber::from(6), sha256: [4; 32], ..crl };
    let older = Import { crls: vec![older], ..Import::default() };
    assert!(matches!(import(&world, &older), Err(StoreError::CrlNumber { .. })));
    followed(&*world.store);
}

/// The public certificates of SITHS, as an operator takes them over (MIG-02).
pub(crate) fn the_reference_certificates_come_in_and_one_is_revoked(backend: &dyn Backend) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/siths");
    let mut files = Vec::new();
    collect(Path::new(folder), &mut files);
    if files.is_empty() {
        println!("skipped: no reference certificates in {folder}");
        return;
    }
    let world = World::new(backend);
    let all: Vec<_> = files.iter().map(|file| read(file)).collect();
    let issuers: Vec<NewIssuer> = issuers(&all);
    let certificates: Vec<ImportedCertificate> = all
        .iter()
        .map(|certificate| {
            let issuer = issuers
                .iter()
                .find(|issuer| issuer.subject_der == certificate.issuer().as_der())
                .unwrap_or_else(|| panic!("no issuer of {}", certificate.subject()));
            taken_over(issuer.id, certificate)
        })
        .collect();
    let whole = Import { issuers, certificates: certificates.clone(), ..Import::default() };

    let done = import(&world, &whole).unwrap();

    assert_eq!((certificates.len(), done.certificates), (30, 30));
    for certificate in &certificates {
        let lookup = CertificateLookup::Id(certificate.id);
        let record = world.store.certificate(&lookup).unwrap().unwrap();
        assert_eq!(record.der.as_ref(), Some(&certificate.der));
        assert_eq!(record.row.serial, certificate.serial);
    }
    let end_entity = &certificates[certificates.len() - 1];
    assert_eq!(world.revoke(end_entity.id, at(200)).outcome, ChangeOutcome::Changed);
    let mut listed = 0;
    world
        .store
        .revoked(end_entity.issuer, x509::time::UnixTime::EPOCH, &mut |view| {
            listed = view.rows.count()
        })
        .unwrap();
    assert_eq!(listed, 1);
    followed(&*world.store);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|e| ["cer", "crt", "der", "pem"].iter().any(|x| e == *x))
        {
            files.push(path);
        }
    }
}

fn read(path: &Path) -> x509::import::ImportedCertificate {
    let bytes = fs::read(path).unwrap();
    let der = match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => {
            x509::pem::decode(text).unwrap().swap_remove(0).1
        }
        _ => bytes,
    };
    x509::import::ImportedCertificate::from_der(&der).unwrap()
}

/// Every name that issued one of them, with the key of the CA certificate that has it as subject.
/// Issuers whose certificate is not public are declared by the certificate's name alone.
fn issuers(all: &[x509::import::ImportedCertificate]) -> Vec<NewIssuer> {
    let mut issuers: Vec<NewIssuer> = Vec::new();
    for certificate in all {
        let name = certificate.issuer();
        if issuers.iter().any(|issuer| issuer.subject_der == name.as_der()) {
            continue;
        }
        let own = all.iter().find(|other| other.subject().as_der() == name.as_der());
        let (der, spki) = own.map_or_else(
            || (name.as_der().to_vec(), b"not public".to_vec()),
            |own| (own.as_der().to_vec(), own.spki_der().to_vec()),
        );
        issuers.push(NewIssuer {
            id: IssuerId::of(name.as_der(), &spki),
            name: name.to_string(),
            certificate_der: der,
            subject_der: name.as_der().to_vec(),
            spki_der: spki,
            ski: None,
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            origin: Origin::Imported,
            keeping: IssuerKeeping::Online,
            crl_number_floor: None,
            crl_settings: String::new(),
        });
    }
    issuers
}

fn taken_over(
    issuer: IssuerId,
    certificate: &x509::import::ImportedCertificate,
) -> ImportedCertificate {
    let subject = Subject::Holder(certificate.subject().to_string());
    ImportedCertificate {
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        defects: certificate.defects().iter().map(|defect| defect.to_string()).collect(),
        privacy: Privacy::Person { subject, holder: Vec::new() },
        ..self::certificate(issuer, certificate.serial(), certificate.as_der())
    }
}

//! Who signs final answers: a delegate that ends with its CA, and whose key lies in this process and in one file until they are signed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use ca::audit::ObjectId;
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Way};
use host::durable::flush;
use hsm::memory::MemoryKey;
use ledger::origin::DeploymentName;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::BeforeActivation;
use store::{
    BegunOrder, CertificateId, CertificateLookup, HeldOrder, IssuedWhen, NewOrder, OrderAnswer,
    OrderKey, StoredResponse, Subject,
};
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey};

use super::{FinalOrder, refused, unfit_file, unsigned};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::service::domains::Owner;
use crate::service::issue::Commission;
use crate::service::signing::defect;

/// Its profile, which the authority's section names when it ends.
const PROFILE: &str = "ocsp-final";
/// What ends its order: nobody asked over a protocol that has a status.
const NO_STATUS: u16 = 0;
/// The stored answer of its order is the certificate.
const CERTIFICATE: &str = "application/pkix-cert";

/// A key with its certificate.
pub(super) struct FinalSigner {
    pub(super) service: MemoryKey,
    pub(super) certificate: Certificate,
}

impl FinalSigner {
    pub(super) const fn key(&self) -> &PublicKey {
        self.certificate.public_key()
    }
}

impl Service {
    /// The signer of an earlier run that was broken off, or a new one.
    pub(super) fn final_signer(
        &self,
        authority: &Authority,
        order: &FinalOrder<'_>,
    ) -> Result<FinalSigner, Denied> {
        let folder = order.keys.join(authority.name());
        let name = self.deployment.to_string();
        let name: DeploymentName = name.parse().map_err(|_| defect("a deployment's name"))?;
        let service = open(&folder, &name, order.key_type)?;
        let certificate = self.final_certificate(authority, order, service.public_key())?;
        Ok(FinalSigner { service, certificate })
    }

    /// Its certificate: one order for each key, so that a run that goes on gets the same.
    fn final_certificate(
        &self,
        authority: &Authority,
        order: &FinalOrder<'_>,
        key: &PublicKey,
    ) -> Result<Certificate, Denied> {
        let now = self.clock().read().now;
        let body = key.spki_der().to_vec();
        let id = self.draw_order_id(now)?;
        let new = NewOrder {
            id,
            key: OrderKey {
                client: "sigill-ca:final-answers".to_owned(),
                method: "COMMAND".to_owned(),
                path: format!("final-answers/{}", authority.name()),
                key: key.spki_hash().to_string(),
            },
            body_sha256: Sha256::digest(&body).into(),
            body,
            subject: Subject::Order(id),
            node: self.node.clone(),
        };
        let (held, made) = match self.begin(&new)? {
            BegunOrder::New => (HeldOrder::first(id), None),
            BegunOrder::Replay { response, .. } => return read(authority, &response.body),
            BegunOrder::Resume(progress) => {
                if let Some(intent) = progress.open_intent {
                    self.void_intent(intent)?;
                }
                (progress.held(), progress.certificate)
            }
            BegunOrder::Running { .. } | BegunOrder::BodyDiffers { .. } => {
                return Err(refused(authority, "another run signs", "wait until it has ended"));
            }
        };
        let der = match made {
            Some(id) => self.recorded_der(id)?,
            None => self.certified_signer(authority, order, key, held)?,
        };
        let certificate = read(authority, &der)?;
        let response =
            StoredResponse { status: NO_STATUS, content_type: CERTIFICATE.to_owned(), body: der };
        let answer = OrderAnswer { response, subject: Subject::Order(held.id), shared: Vec::new() };
        let ended = self.store().finish_order(held, &self.node, &answer, now);
        ended.map_err(|error| self.note_storage(&error))?;
        Ok(certificate)
    }

    fn recorded_der(&self, id: CertificateId) -> Result<Vec<u8>, Denied> {
        let record = self.store().certificate(&CertificateLookup::Id(id));
        let record = record.map_err(|error| self.note_storage(&error))?;
        record.and_then(|record| record.der).ok_or_else(|| defect("a signer without its DER"))
    }

    fn certified_signer(
        &self,
        authority: &Authority,
        order: &FinalOrder<'_>,
        key: &PublicKey,
        held: HeldOrder,
    ) -> Result<Vec<u8>, Denied> {
        let next =
            "take over the shipped profile ocsp-final, and name it in `profiles` of the authority";
        let profile = self
            .book
            .profiles()
            .by_name(PROFILE)
            .filter(|profile| authority.issuer.profiles().contains(profile.name()))
            .ok_or_else(|| refused(authority, "it does not issue profile ocsp-final", next))?;
        let fields = RequestedFields {
            common_name: Some(format!("{} final OCSP answers", authority.name())),
            organization: authority
                .certificate
                .subject()
                .text_of(x509::oid::attribute::ORGANIZATION),
            ..RequestedFields::default()
        };
        let issued = self.commission(Commission {
            ordered: None,
            owner: Owner::Program,
            authority,
            profile,
            order: held.id,
            way: Way::Internal,
            fields: &fields,
            key: KeySource::Proven(key),
            ends_at: None,
            actor: self.system(),
            objects: [ObjectId::Order(*held.id.as_bytes()), ObjectId::Key(key.spki_hash())],
            payload: json!({ "final_answers": authority.name(), "actors": order.actors }),
            volume: None,
            issued: IssuedWhen::AfterItsEnd,
            before_activation: BeforeActivation::Good,
        });
        if issued.is_err()
            && let Err(error) = self.store().leave_order(held, &self.node, self.clock().read().now)
        {
            self.orders_left.note(held, &error);
        }
        Ok(issued?.der)
    }
}

fn read(authority: &Authority, der: &[u8]) -> Result<Certificate, Denied> {
    Certificate::from_der(der).map_err(|error| unsigned(authority, &error))
}

/// The key that lies in the folder, or a new one of this type.
fn open(
    folder: &Path,
    deployment: &DeploymentName,
    key_type: KeyType,
) -> Result<MemoryKey, Denied> {
    let fault = |error: &dyn std::error::Error| unfit_file(folder, error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| fault(&error))?;
    let listing = fs::read_dir(folder).map_err(|error| fault(&error))?;
    for entry in listing {
        let name = entry.map_err(|error| fault(&error))?.file_name();
        let hash = name.to_str().and_then(|name| name.strip_suffix(".key")?.parse().ok());
        if let Some(hash) = hash {
            return MemoryKey::open(folder, deployment, hash).map_err(|error| fault(&error));
        }
    }
    MemoryKey::create(folder, deployment, key_type).map_err(|error| fault(&error))
}

/// Deletes what lies in the folder of keys, durably.
pub(super) fn destroy_all(folder: &Path) -> io::Result<()> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listing => listing?,
    };
    for entry in listing {
        fs::remove_file(entry?.path())?;
    }
    flush(folder)
}

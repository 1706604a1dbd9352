//! A service for tests: one issuing CA whose key is in memory, a database and folders of its own.

mod signer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca::algorithms::AlgorithmPolicy;
use ca::audit::{AuditLeaf, EventCode};
use ca::deployment::Deployment;
use ca::identity::TestDomains;
use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::{KeyPeriod, KeyState};
use ca::revocation::Revoker;
use hsm::note::SoftwareNoteKey;
use ledger::origin::DeploymentName;
use serde_json::json;
use store::{
    BootId, FileKeySource, Import, IssuerKeeping, LeaseName, LeaseOutcome, Log, NewIssuer, Node,
    Origin, SqliteStore, StoredResponse, Subject,
};
use x509::certificate::Certificate;
use x509::key::{SignatureAlgorithm, SpkiHash};
use x509::time::UnixTime;

pub(crate) use self::signer::{Key, Signer, token};
use super::authority::Authority;
use super::caller::Caller;
use super::delegate::DoneRequests;
use super::health::SigningHealth;
use super::key_use::KeyUses;
use super::order::{
    Act, Answered, OrderAnswered, OrderCall, OrderWork, OrdersLeft, Outcome, Replies, Wait,
};
use super::refusal::RefusalCounts;
use super::{Denied, Service};
use crate::clock::{Clock, SinceBoot};
use crate::config::{AuthoritySection, PublicationSection};
use crate::danger::Danger;
use crate::observe::Readiness;
use crate::publication::PublicationState;
use crate::publication::crl_files::CrlFiles;
use crate::randomness::Randomness;
use crate::statements::{ActorStatements, DirectCalls};

/// A service in a folder of its own.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) signer: Arc<Signer>,
    folder: tempfile::TempDir,
    /// PEM of the request of orders that are sent again.
    request: String,
}

const MANIFEST_KEY: &str = "manifest.key";

fn crl_files(
    folder: &Path,
    folders: &PublicationSection,
    deployment: DeploymentName,
) -> Arc<CrlFiles> {
    let key = SoftwareNoteKey::open(&folder.join(MANIFEST_KEY), &deployment).unwrap();
    let (tree, spool) = (folders.folder.clone(), folders.spool.clone());
    CrlFiles::open(tree, spool, folder.to_path_buf(), deployment, Arc::new(key)).unwrap().into()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::by(Clock::start())
    }

    /// A service that goes by this clock.
    pub(crate) fn by(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder.path(), private).unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let key = Key::new();
        let authority = authority(key.certificate());
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let clock = Arc::new(clock);
        let now = clock.read().now;
        let database = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&database, deployment, &keys, now).unwrap();
        let store: Arc<dyn store::Store> = Arc::new(store);
        let node = Node { name: "ca1".to_owned(), boot: BootId::from_bytes([1; 16]) };
        let import = Import { issuers: vec![declared(&authority)], ..Import::default() };
        let record = Service::record(
            EventCode::ImportCeremony,
            ca::audit::EventResult::Done,
            ca::audit::Actor::System([0; 16]),
            ca::audit::ObjectIds::default(),
            None,
            &json!({}),
            Subject::Deployment,
        );
        store.import(&import, &record, now).unwrap();
        let name = deployment.to_string().parse().unwrap();
        SoftwareNoteKey::create(&folder.path().join(MANIFEST_KEY), &name).unwrap();
        let folders = PublicationSection {
            folder: folder.path().join("publish"),
            outbox: folder.path().join("outbox"),
            audit: folder.path().join("audit"),
            spool: folder.path().join("spool"),
        };
        let files = crl_files(folder.path(), &folders, name);
        let publication = Arc::new(PublicationState::default());
        let readiness = Arc::new(Readiness::default());
        readiness.signing.store(true, Ordering::Relaxed);
        readiness.clock.store(true, Ordering::Relaxed);
        let signer = Arc::new(Signer::of(key));
        let key_uses = KeyUses::new(signer.clone(), None, store.as_ref()).unwrap();
        let key_uses = Arc::new(key_uses);
        let service = Service {
            deployment,
            node,
            clock,
            randomness: Randomness::default(),
            clock_told: AtomicBool::new(true),
            outer_hosts: Arc::default(),
            store,
            signer: key_uses.clone(),
            key_uses,
            health: SigningHealth::of([&authority]),
            book: crate::book::read(&shipped_profiles()).unwrap(),
            algorithms: Arc::new(AlgorithmPolicy::shipped().unwrap()),
            domain_rule: super::domains::DomainRule::Waived,
            test_domains: TestDomains::default(),
            elsewhere: BTreeMap::new(),
            alone: 500,
            alone_told: super::revoke::ToldOnce::default(),
            read_limits: crate::limits::ReadLimits::default(),
            reads_told: super::revoke::ToldOnce::default(),
            jobs_waiting: super::jobs::worker::JobsWaiting::default(),
            actors: ActorStatements {
                direct: DirectCalls::Taken,
                age: Duration::from_secs(300),
                providers: BTreeMap::new(),
            },
            holding: crate::activation::Holding::Free,
            four_eyes: ca::four_eyes::FourEyes::none(ca::four_eyes::USUAL_LIFETIME),
            limits: ca::limit::Limits::default(),
            authorities: BTreeMap::from([(authority.name().to_owned(), authority)]),
            publication,
            readiness,
            files,
            folders,
            keys: ca::key_quality::KeyBook::default(),
            delegates_done: DoneRequests::default(),
            withdrawn: super::delegate::WithdrawnResponders::default(),
            refusals: RefusalCounts::of_clients(),
            delegate_refusals: RefusalCounts::of_responders(),
            danger: Danger::default(),
            orders_left: OrdersLeft::default(),
            closed: super::closed::ClosedProfiles::default(),
            management: None,
            receipts: None,
            registers: crate::registers::Registers::default(),
            test_set: None,
            trials: None,
        };
        let request =
            x509::pem::encode(x509::pem::Label::CertificateRequest, &Key::new().request());
        let world = Self { service, signer, folder, request };
        world.takes_the_publication();
        world
    }

    /// Has the lease of the publication from now on, as its publisher would.
    pub(crate) fn takes_the_publication(&self) {
        let Service { node, publication, .. } = &self.service;
        let lease = self.service.store().lease(&LeaseName::Publication, node, self.now()).unwrap();
        let LeaseOutcome::Held { fencing, .. } = lease else { panic!("{lease:?}") };
        publication.tell_held(SinceBoot::now() + Duration::from_secs(86_400), fencing);
    }

    /// Its authority issues these profiles, as one of a class of the shipped table.
    pub(crate) fn issues(&mut self, class: &str, profiles: &[&str]) {
        let certificate = self.authority().certificate.clone();
        let mut authority = authority_for(certificate, profiles);
        let class = ca::table::IssuerClass::new(class).unwrap();
        authority.issuer = authority.issuer.clone().of_class(class);
        self.service.authorities.insert(authority.name().to_owned(), authority);
    }

    /// The same database and folders after a restart.
    pub(crate) fn restarted(mut self) -> Self {
        self.service.node.boot = BootId::from_bytes([2; 16]);
        self.service.delegates_done = DoneRequests::default();
        self.service.closed = super::closed::ClosedProfiles::default();
        self.service.readiness.tell_closed(Vec::new());
        self.service.delegate_refusals = RefusalCounts::of_responders();
        self.service.publication = Arc::default();
        self.takes_the_publication();
        self
    }

    /// Knows of the lists no more than the publication tree tells.
    pub(crate) fn open_files_anew(&mut self) {
        let name = self.service.deployment.to_string().parse().unwrap();
        self.service.files = crl_files(self.folder.path(), &self.service.folders, name);
    }

    /// A second authority, which issues nothing.
    pub(crate) fn with_another_authority(mut self) -> Self {
        let other = authority(Key::new().certificate());
        self.service.authorities.insert("other".to_owned(), other);
        self.service.health = SigningHealth::of(self.service.authorities.values());
        self
    }

    /// What the schedule shares; the folder lives as long as the last part.
    pub(crate) fn into_parts(self) -> (Arc<Service>, Arc<Signer>, tempfile::TempDir) {
        (Arc::new(self.service), self.signer, self.folder)
    }

    /// Works with a shipped profile in which `from` reads `to`.
    pub(crate) fn edit_profile(&mut self, name: &str, from: &str, to: &str) {
        let (shipped, edited) = (shipped_profiles(), self.folder("profiles"));
        let folders = ca::book::Book::FOLDERS.map(|folder| format!("{folder}/"));
        for below in folders.iter().map(String::as_str).chain([""]) {
            std::fs::create_dir_all(edited.join(below)).unwrap();
            for entry in std::fs::read_dir(shipped.join(below)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    continue;
                }
                let mut text = std::fs::read_to_string(&path).unwrap();
                if below.is_empty() && path.file_stem().is_some_and(|stem| stem == name) {
                    assert!(text.contains(from), "{text}");
                    text = text.replace(from, to);
                }
                let file = edited.join(below).join(path.file_name().unwrap());
                std::fs::write(file, text).unwrap();
            }
        }
        self.service.book = crate::book::read(&edited).unwrap();
    }

    /// Works with the shipped algorithm policy in which `from` reads `to`.
    pub(crate) fn edit_algorithms(&mut self, from: &str, to: &str) {
        let shipped = shipped_profiles().join("../environments/algorithms.toml");
        let text = std::fs::read_to_string(shipped).unwrap();
        assert!(text.contains(from), "{from}");
        let edited = AlgorithmPolicy::parse(&text.replacen(from, to, 1)).unwrap();
        self.service.algorithms = Arc::new(edited);
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.service.clock().read().now
    }

    pub(crate) fn authority(&self) -> &Authority {
        self.service.authorities.values().next().unwrap()
    }

    /// Its authorities have this certificate from now on, of the same name and key.
    pub(crate) fn take_certificate(&mut self, certificate: &Certificate) {
        for authority in self.service.authorities.values_mut() {
            authority.certificate = certificate.clone();
        }
    }

    pub(crate) fn is_ready_to_sign(&self) -> bool {
        self.service.is_ready_to_sign()
    }

    /// Entries of the status log and of the audit log.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let size = |log| self.service.store().log_head(log).unwrap().size;
        (size(Log::Status), size(Log::Audit))
    }

    /// How often an event stands in the audit log.
    pub(crate) fn leaves(&self, code: EventCode) -> usize {
        let head = self.service.store().log_head(Log::Audit).unwrap();
        let entries = self.service.store().log_entries(Log::Audit, head.epoch, 0..head.size);
        let leaves = entries.unwrap().into_iter().map(|e| AuditLeaf::decode(&e.bytes).unwrap());
        leaves.filter(|leaf| leaf.event.code == code).count()
    }

    /// The payload of an event's last leaf.
    pub(crate) fn last_payload(&self, code: EventCode) -> serde_json::Value {
        let head = self.service.store().log_head(Log::Audit).unwrap();
        let entries = self.service.store().log_entries(Log::Audit, head.epoch, 0..head.size);
        let last = entries.unwrap().into_iter().rfind(|entry| {
            AuditLeaf::decode(&entry.bytes).is_ok_and(|leaf| leaf.event.code == code)
        });
        let position = status::Position { epoch: head.epoch, index: last.unwrap().index };
        let payload = self.service.store().audit_payload(position).unwrap().unwrap();
        serde_json::from_slice(&payload).unwrap()
    }

    /// The last leaf of an event.
    pub(crate) fn leaf(&self, code: EventCode) -> AuditLeaf {
        let head = self.service.store().log_head(Log::Audit).unwrap();
        let entries = self.service.store().log_entries(Log::Audit, head.epoch, 0..head.size);
        let mut leaves = entries.unwrap().into_iter().map(|e| AuditLeaf::decode(&e.bytes).unwrap());
        leaves.rfind(|leaf| leaf.event.code == code).unwrap()
    }

    /// Orders a function certificate for a new key under an idempotency key.
    pub(crate) fn issue(&self, key: &str) -> Result<OrderAnswered, Denied> {
        let csr = x509::pem::encode(x509::pem::Label::CertificateRequest, &Key::new().request());
        self.issue_for(key, "function-ec", &csr)
    }

    /// As [`Self::issue`]; a second call with the key has the same body.
    pub(crate) fn issue_again(&self, key: &str) -> Result<OrderAnswered, Denied> {
        self.issue_for(key, "function-ec", &self.request)
    }

    /// As [`Self::issue_again`], to the function with this HSA-id.
    pub(crate) fn issue_with_its_request(
        &self,
        hsa_id: &str,
        key: &str,
    ) -> Result<OrderAnswered, Denied> {
        self.issue_to(hsa_id, key, "function-ec", &self.request)
    }

    pub(crate) fn issue_for(
        &self,
        key: &str,
        profile: &str,
        csr: &str,
    ) -> Result<OrderAnswered, Denied> {
        self.issue_to("TSTNMT2321000156-B02", key, profile, csr)
    }

    fn issue_to(
        &self,
        hsa_id: &str,
        key: &str,
        profile: &str,
        csr: &str,
    ) -> Result<OrderAnswered, Denied> {
        let body = order_body(hsa_id, profile, csr);
        self.order(&self.call("/v1/certificates", key, &body))
    }

    /// Orders what the call says, in the name of a client that may order everything.
    pub(crate) fn order(&self, call: &OrderCall) -> Result<OrderAnswered, Denied> {
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let profiles = vec![body["profile"].as_str().unwrap_or_default().to_owned()].into();
        let caller = Caller { profiles, ..self.caller() };
        let words: Arc<dyn Replies> = Arc::new(Words);
        self.service.issue_under_key(&caller, call, &words)
    }

    /// The call of [`Self::issue_again`].
    pub(crate) fn order_call(&self, key: &str) -> OrderCall {
        self.call(
            "/v1/certificates",
            key,
            &order_body("TSTNMT2321000156-B02", "function-ec", &self.request),
        )
    }

    /// The client that orders.
    #[expect(clippy::unused_self, reason = "reads as one of the world's")]
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            name: "portal".to_owned(),
            profiles: vec!["function-ec".to_owned()].into(),
            revoke: true,
            release: true,
            revoker: Revoker::Client,
            read: true,
            vantage: None,
            organisations: None,
            organise: false,
            statements: ca::actor::Demand::None,
            acting: None,
            pinned: SpkiHash::from_bytes([7; 32]),
            certificate: Arc::new(Key::new().certificate()),
        }
    }

    pub(crate) fn call(&self, path: &str, key: &str, body: &serde_json::Value) -> OrderCall {
        OrderCall {
            act: if path.ends_with("revocation") { Act::Revoke } else { Act::Issue },
            client: "portal".to_owned(),
            method: "POST".to_owned(),
            path: path.to_owned(),
            key: key.to_owned(),
            body: body.to_string().into_bytes(),
            wait_for_publication: Wait::ByEnvironment,
            correlation_id: self.service.draw_correlation_id(),
            named: super::approvals::Named::default(),
        }
    }

    pub(crate) fn run(
        &self,
        call: &OrderCall,
        work: impl FnOnce(&Service, &OrderWork<'_>) -> Result<Answered, Denied>,
    ) -> Result<OrderAnswered, Denied> {
        self.service.under_key(call, work, &Words)
    }
}

fn order_body(hsa_id: &str, profile: &str, csr: &str) -> serde_json::Value {
    json!({
        "profile": profile,
        "csr": csr,
        "subject": {
            "common_name": "idp.example.org",
            "hsa_id": hsa_id,
            "organization": "Sigill Test",
        },
        "alternative_names": { "dns": ["idp.example.org"] },
    })
}

/// Answers as the words that they are: `done`, or the code of a refusal.
pub(crate) struct Words;

impl Replies for Words {
    fn done(&self, _: Outcome, json: Vec<u8>) -> StoredResponse {
        StoredResponse { status: 1, content_type: "done".to_owned(), body: json }
    }

    fn refused(&self, denied: &Denied) -> Result<StoredResponse, Denied> {
        let body = denied.refusal.code.as_bytes().to_vec();
        Ok(StoredResponse { status: 2, content_type: "refused".to_owned(), body })
    }
}

fn shipped_profiles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles")
}

fn authority(certificate: Certificate) -> Authority {
    authority_for(certificate, &["function-ec", "ocsp", "ocsp-final"])
}

fn authority_for(certificate: Certificate, profiles: &[&str]) -> Authority {
    let settings = IssuerSettings {
        name: "issuing".to_owned(),
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        crl_url: "http://crl.example.org/issuing.crl".to_owned(),
        ocsp_url: "http://ocsp.example.org".to_owned(),
        aia_url: "http://aia.example.org/issuing.cer".to_owned(),
        profiles: profiles.iter().map(|name| name.parse().unwrap()).collect(),
        crl_scope_stated: CrlScopeStated::No,
        period: KeyPeriod::default(),
    };
    let section = AuthoritySection {
        class: None,
        name: settings.name.clone(),
        certificate: PathBuf::new(),
        sha256: String::new(),
        token: Some("issuing".to_owned()),
        standby: Vec::new(),
        algorithm: Some("ecdsa-p256-sha256".to_owned()),
        crl_url: settings.crl_url.clone(),
        ocsp_url: settings.ocsp_url.clone(),
        aia_url: settings.aia_url.clone(),
        profiles: profiles.iter().map(|name| (*name).to_owned()).collect(),
        crl_period: Some(3600),
        crl_lifetime: Some(14_400),
        issuing_distribution_point: false,
        crl_on_revocation: true,
        delta_crl_period: None,
        delta_crl_lifetime: None,
        delta_crl_url: None,
        crl_shard_url: None,
        crl_shard_window: None,
        crl_shard_places: None,
        crl_keeps_expired_from: None,
        issue_from: None,
        issue_until: None,
        state: KeyState::Active,
    };
    let issuer = Issuer::new(certificate.clone(), settings).unwrap();
    Authority::new(section, certificate, issuer)
}

fn declared(authority: &Authority) -> NewIssuer {
    let certificate = &authority.certificate;
    NewIssuer {
        id: authority.id,
        name: authority.name().to_owned(),
        certificate_der: certificate.as_der().to_vec(),
        subject_der: certificate.subject().as_der().to_vec(),
        spki_der: certificate.public_key().spki_der().to_vec(),
        ski: certificate.ski().map(|ski| ski.0),
        not_before: certificate.validity().not_before(),
        not_after: certificate.validity().not_after(),
        origin: Origin::Ceremony,
        keeping: IssuerKeeping::Online,
        crl_number_floor: None,
        crl_settings: String::new(),
    }
}

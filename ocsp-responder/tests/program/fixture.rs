//! An inner zone made by hand: a CA, a signed status log, CRLs under a manifest, delegate
//! certificates; and the responder beside it.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{
    KeyId, KeyOrder, Module, NewToken, PinMarkers, Quirks, Removal, Token, TokenSettings,
    init_token,
};
use ledger::origin::{LogName, LogOrigin};
use ledger::{Checkpoint, CheckpointNote, Edge, NoteSignError, NoteSigner, NoteToSign, Timestamp};
use sha2::{Digest as _, Sha256};
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, IssuerId, IssuerRef,
    StatusEntry,
};
use support::ports::{free_address, free_address_at};
use support::program::Server;
use support::softhsm::{MODULE, SO_PIN, SoftHsm, USER_PIN};
use x509::certificate::{Certificate, CertificateTemplate};
use x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, Criticality, ExtendedKeyUsage, Extension,
    ExtensionValue as _, KeyUsage, KeyUsageBit, OcspNoCheck, SubjectKeyIdentifier,
};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::name::{AttributeType, Name};
use x509::ocsp::{CertId, CertIdHash, OcspRequest};
use x509::oid::usage;
use x509::request::CertificationRequest;
use x509::responder_request::ResponderRequest;
use x509::serial::SerialNumber;
use x509::signing;
use x509::time::UnixTime;
use x509::validity::Validity;

pub(crate) const DEPLOYMENT: &str = "test/demo/ab12";
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;

pub(crate) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime::from_secs(since.as_secs()).unwrap()
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn serial(octet: u8) -> SerialNumber {
    SerialNumber::from_random([octet; 16])
}

/// A CA whose key lies in memory.
pub(crate) struct TestCa {
    pair: EcdsaKeyPair,
    pub(crate) certificate: Certificate,
}

impl TestCa {
    pub(crate) fn new(name: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public_key = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let subject = Name::builder()
            .with(AttributeType::Country, "SE")
            .unwrap()
            .with(AttributeType::Organization, "Sigill Test")
            .unwrap()
            .with(AttributeType::CommonName, &format!("SIGILL TEST {name} CA"))
            .unwrap()
            .build();
        let template = ca_template(subject.clone(), subject, public_key, secs(86_400));
        let certificate = sign_certificate(&pair, &template);
        Self { pair, certificate }
    }

    /// A further certificate of this name and key, by this or another CA, which began so long ago.
    pub(crate) fn further(&self, signer: &Self, age: Duration) -> Certificate {
        let (own, issuer) = (&self.certificate, signer.certificate.subject().clone());
        let template = ca_template(issuer, own.subject().clone(), own.public_key().clone(), age);
        sign_certificate(&signer.pair, &template)
    }

    pub(crate) fn issuer_id(&self) -> IssuerId {
        let certificate = &self.certificate;
        IssuerId::of(certificate.subject().as_der(), certificate.public_key().spki_der())
    }

    /// A delegate certificate for `key`, as the profile has it.
    pub(crate) fn delegate(&self, key: &PublicKey, lifetime: Duration) -> Certificate {
        self.delegate_under(&self.certificate.ski().unwrap(), key, lifetime)
    }

    /// As [`Self::delegate`], which says that the issuing key is this one.
    pub(crate) fn delegate_under(
        &self,
        issuing: &SubjectKeyIdentifier,
        key: &PublicKey,
        lifetime: Duration,
    ) -> Certificate {
        let ca = &self.certificate;
        let extensions: Vec<Extension> = vec![
            AuthorityKeyIdentifier::of(issuing).extension(Criticality::NonCritical),
            SubjectKeyIdentifier(key.key_bits_sha1().to_vec()).extension(Criticality::NonCritical),
            KeyUsage::of(&[KeyUsageBit::DigitalSignature]).extension(Criticality::Critical),
            ExtendedKeyUsage(vec![usage::OCSP_SIGNING]).extension(Criticality::NonCritical),
            OcspNoCheck.extension(Criticality::NonCritical),
        ];
        let subject = Name::builder()
            .with(AttributeType::Country, "SE")
            .unwrap()
            .with(AttributeType::CommonName, "SIGILL TEST OCSP delegate")
            .unwrap()
            .build();
        let mut random = [0; 16];
        random.copy_from_slice(&key.spki_hash().as_bytes()[..16]);
        let template = CertificateTemplate {
            serial: SerialNumber::from_random(random),
            issuer: ca.subject().clone(),
            subject,
            validity: Validity::between(
                now().saturating_sub(secs(60)),
                now().checked_add(lifetime).unwrap(),
            )
            .unwrap(),
            public_key: key.clone(),
            extensions,
            algorithm: ALGORITHM,
        };
        sign_certificate(&self.pair, &template)
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec()
    }

    /// A request about one serial of this CA.
    pub(crate) fn question(&self, hash: CertIdHash, octet: u8, nonce: Option<&[u8]>) -> Vec<u8> {
        self.question_about(hash, serial(octet), nonce)
    }

    /// A request about a serial of this CA.
    pub(crate) fn question_about(
        &self,
        hash: CertIdHash,
        serial: SerialNumber,
        nonce: Option<&[u8]>,
    ) -> Vec<u8> {
        let certificate = &self.certificate;
        let name = certificate.subject().as_der();
        let id = CertId::new(hash, name, certificate.public_key(), serial);
        OcspRequest { cert_ids: vec![id], nonce: nonce.map(<[u8]>::to_vec), preferred: Vec::new() }
            .to_der()
    }
}

fn ca_template(
    issuer: Name,
    subject: Name,
    public_key: PublicKey,
    age: Duration,
) -> CertificateTemplate {
    let key_id = SubjectKeyIdentifier(public_key.key_bits_sha1().to_vec());
    let usages = KeyUsage::of(&[KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign]);
    let end = now().checked_add(secs(365 * 86_400)).unwrap();
    CertificateTemplate {
        serial: SerialNumber::from_random([0x31; 16]),
        issuer,
        subject,
        validity: Validity::between(now().saturating_sub(age), end).unwrap(),
        public_key,
        extensions: vec![
            BasicConstraints::Ca { path_len: Some(0) }.extension(Criticality::Critical),
            usages.extension(Criticality::Critical),
            key_id.extension(Criticality::NonCritical),
        ],
        algorithm: ALGORITHM,
    }
}

fn sign_certificate(pair: &EcdsaKeyPair, template: &CertificateTemplate) -> Certificate {
    let tbs = template.to_tbs_der();
    let signature = pair.sign(&SystemRandom::new(), &tbs).unwrap();
    let der = signing::assemble(&tbs, ALGORITHM, signature.as_ref()).unwrap();
    Certificate::from_der(&der).unwrap()
}

/// An Ed25519 note key in memory.
pub(crate) struct NoteKey(pub(crate) Ed25519KeyPair);

impl NoteKey {
    pub(crate) fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn hex(&self) -> String {
        hex(&self.public_key())
    }
}

impl NoteSigner for NoteKey {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        Ok(self.0.sign(&note.message()).as_ref().try_into().unwrap())
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Writes the publication tree.
pub(crate) struct Inner {
    pub(crate) folder: PathBuf,
    pub(crate) note_key: NoteKey,
    pub(crate) manifest_key: NoteKey,
    edge: Edge,
}

impl Inner {
    fn new(folder: &Path) -> Self {
        for part in ["crl", "aia", "responder"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        Self {
            folder: folder.to_owned(),
            note_key: NoteKey::new(),
            manifest_key: NoteKey::new(),
            edge: Edge::new(),
        }
    }

    /// Appends entries and publishes them: tiles first, the checkpoint last.
    pub(crate) fn append(&mut self, entries: &[StatusEntry]) {
        let entries: Vec<_> = entries.iter().map(StatusEntry::encode).collect();
        for file in self.edge.append(&entries).unwrap() {
            let path = self.folder.join(file.path.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file.bytes).unwrap();
        }
        self.checkpoint();
    }

    /// Signs the head again, as of now.
    pub(crate) fn checkpoint(&self) {
        let note = self.signed_head(&self.note_key, DEPLOYMENT);
        replace(&self.folder.join("checkpoint"), note.to_string().as_bytes());
    }

    pub(crate) fn signed_head(&self, key: &NoteKey, deployment: &str) -> CheckpointNote {
        let origin =
            LogOrigin { deployment: deployment.parse().unwrap(), log: LogName::Status, epoch: 1 };
        let head = Checkpoint { origin, size: self.edge.size(), root: self.edge.root() };
        let timestamp = Timestamp::from_secs(now().secs()).unwrap();
        CheckpointNote::sign(head, timestamp, key).unwrap()
    }

    /// The next entry's place, which is an issuer's reference if one is declared there.
    pub(crate) fn next_index(&self) -> u64 {
        self.edge.size()
    }
}

pub(crate) fn replace(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let aside = path.with_extension("aside");
    fs::write(&aside, bytes).unwrap();
    fs::rename(aside, path).unwrap();
}

pub(crate) fn issued(issuer: IssuerRef, octet: u8, before: BeforeActivation) -> StatusEntry {
    let classes = AnswerClasses { before_activation: before, after_expiry: AfterExpiry::Kept };
    let not_after = now().checked_add(secs(86_400)).unwrap();
    change(issuer, octet, Change::Issued { not_after, classes })
}

pub(crate) fn change(issuer: IssuerRef, octet: u8, change: Change) -> StatusEntry {
    StatusEntry::Certificate(CertificateEntry::own(now(), issuer, serial(octet), change))
}

/// An address that is free, on IPv6, or on a second IPv4 address where the machine has no IPv6.
fn free_address_v6() -> SocketAddr {
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let other =
        if has_v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::new(127, 0, 0, 2).into() };
    free_address_at(other)
}

/// Everything together.
pub(crate) struct World {
    pub(crate) inner: Arc<Mutex<Inner>>,
    pub(crate) ca: TestCa,
    pub(crate) issuer: IssuerRef,
    pub(crate) base: PathBuf,
    pub(crate) address: SocketAddr,
    /// Another address, on IPv6 where the machine has it.
    pub(crate) address_v6: SocketAddr,
    pub(crate) observe: SocketAddr,
    pub(crate) identity: PublicKey,
    pub(crate) token: TokenName,
    beat: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    softhsm_conf: PathBuf,
}

impl World {
    /// Makes a token with an identity key, a CA, its log with the CA declared, and a configuration.
    pub(crate) fn new(softhsm: &SoftHsm) -> Self {
        let base = softhsm.state().parent().unwrap().join("world");
        fs::create_dir(&base).unwrap();
        let (token, identity) = make_token(softhsm);
        let ca = TestCa::new("person3");
        let mut inner = Inner::new(&base.join("publish"));
        let issuer = IssuerRef::from_index(inner.next_index());
        inner.append(&[StatusEntry::IssuerDeclared { log_time: now(), issuer: ca.issuer_id() }]);
        fs::write(base.join("publish/aia/person3.cer"), ca.certificate.as_der()).unwrap();
        let pem = base.join("ca.pem");
        let der = base.join("publish/aia/person3.cer");
        let converted = Command::new("openssl")
            .args(["x509", "-inform", "DER", "-in"])
            .arg(&der)
            .arg("-out")
            .arg(&pem)
            .status();
        assert!(converted.is_ok_and(|status| status.success()), "openssl is needed here");
        let world = Self {
            inner: Arc::new(Mutex::new(inner)),
            ca,
            issuer,
            base,
            address: free_address(),
            address_v6: free_address_v6(),
            observe: free_address(),
            identity,
            token,
            beat: None,
            softhsm_conf: softhsm.conf(),
        };
        world.write_config(DEPLOYMENT);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    /// Writes the configuration for a deployment; `test/demo/ab12` is the right one.
    pub(crate) fn write_config(&self, deployment: &str) {
        let parts: Vec<&str> = deployment.split('/').collect();
        let inner = self.inner.lock().unwrap();
        let text = format!(
            r#"
state = "state"
[deployment]
environment = "{environment}"
pki = "{pki}"
instance = "{instance}"
[publication]
folder = "publish"
outbox = "outbox"
[log]
key = "{key}"
manifest-key = "{manifest_key}"
freshness = 30
[hsm]
module = "{MODULE}"
role = "ocsp"
serial = "{serial}"
pin = "pins/ocsp.pin"
identity = "{identity}"
deadline = 60
[http]
listen = ["{address}", "{address_v6}"]
max-connections = 64
[observe]
listen = "{observe}"
[[authority]]
name = "person3"
sha256 = "{sha256}"
[[serve]]
path = "/status"
object = "status-page"
[[serve]]
path = "/ocsp"
object = "ocsp"
[[serve]]
host = "ocsp1.example.org"
path = "/"
object = "ocsp"
[[serve]]
path = "/person3.crl"
object = "crl/person3.crl"
[[serve]]
path = "/person3.cer"
object = "aia/person3.cer"
"#,
            environment = parts[0],
            pki = parts[1],
            instance = parts[2],
            key = inner.note_key.hex(),
            manifest_key = inner.manifest_key.hex(),
            serial = self.token.serial,
            identity = self.identity.spki_hash(),
            address = self.address,
            address_v6 = self.address_v6,
            observe = self.observe,
            sha256 = hex(&Sha256::digest(self.ca.certificate.as_der())),
        );
        fs::write(self.path("ocsp.toml"), text).unwrap();
    }

    /// Changes the configuration file.
    pub(crate) fn edit_config(&self, change: impl FnOnce(String) -> String) {
        let path = self.path("ocsp.toml");
        fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    }

    pub(crate) fn command(&self) -> Command {
        self.verb("serve")
    }

    pub(crate) fn verb(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-ocsp"));
        command.args([verb, "--config"]).arg(self.path("ocsp.toml"));
        command.env("SOFTHSM2_CONF", &self.softhsm_conf);
        command
    }

    pub(crate) fn start(&self) -> Server {
        Server::start(&mut self.command(), &self.path("log"), self.address)
    }

    /// Signs the head again four times a second, from now on.
    pub(crate) fn beat(&mut self) {
        let on = Arc::new(AtomicBool::new(true));
        let (inner, going) = (Arc::clone(&self.inner), Arc::clone(&on));
        let thread = thread::spawn(move || {
            while going.load(Ordering::Relaxed) {
                inner.lock().unwrap().checkpoint();
                thread::sleep(Duration::from_millis(250));
            }
        });
        self.beat = Some((on, thread));
    }

    pub(crate) fn stop_beating(&mut self) {
        if let Some((on, thread)) = self.beat.take() {
            on.store(false, Ordering::Relaxed);
            thread.join().unwrap();
        }
    }

    /// Waits for the responder's request, judges it as the inner zone does, and answers it.
    pub(crate) fn answer_request(&self) -> PublicKey {
        self.answer_request_of("person3", &self.ca)
    }

    /// The same for another authority.
    pub(crate) fn answer_request_of(&self, authority: &str, ca: &TestCa) -> PublicKey {
        let folder = self.path(&format!("outbox/responder/{authority}"));
        let path = wait_for("a request in the outbox", || {
            let entries = fs::read_dir(&folder).ok()?;
            let mut paths = entries.map(|entry| entry.unwrap().path());
            paths.find(|path| path.extension().is_some_and(|one| one == "req"))
        });
        let request = ResponderRequest::open(&fs::read(&path).unwrap(), &self.identity).unwrap();
        assert_eq!(request.body().deployment, DEPLOYMENT);
        assert_eq!(request.body().authority, ca.certificate.fingerprint());
        assert!(request.body().counter > 0);
        let csr = CertificationRequest::from_der(&request.body().request).unwrap();
        csr.verify_possession().unwrap();
        let key = csr.public_key().clone();
        let certificate = ca.delegate(&key, secs(14 * 86_400 - 60));
        let name = format!("publish/responder/{authority}/{}.cer", key.spki_hash());
        replace(&self.path(&name), certificate.as_der());
        key
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_for("readiness", || {
            let ready = crate::client::get(self.observe, "localhost", "/readyz");
            (ready.status == 200).then_some(())
        });
    }

    /// Starts, provides the delegate, and waits until every question can be answered.
    pub(crate) fn ready(&mut self) -> Server {
        self.beat();
        let server = self.start();
        self.answer_request();
        self.wait_until_ready();
        server
    }

    /// Destroys a key behind the responder's back.
    pub(crate) fn destroy_key(&self, softhsm: &SoftHsm, key: &PublicKey) {
        let pin = Pin::from_file(&self.path("pins/ocsp.pin")).unwrap();
        open_token(softhsm, &self.token, pin).destroy_key(key).unwrap();
    }

    /// Deletes private keys of this label behind the responder's back, and leaves their public halves.
    pub(crate) fn delete_private_half(&self, pkcs11_tool: &Path, label: &str) {
        let deleted = Command::new(pkcs11_tool)
            .args(["--module", MODULE, "--login", "--pin", USER_PIN, "--token-label"])
            .args([&self.token.label.to_string(), "--delete-object", "--type", "privkey"])
            .args(["--label", label])
            .env("SOFTHSM2_CONF", &self.softhsm_conf)
            .output()
            .unwrap();
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    }

    pub(crate) fn append(&self, entries: &[StatusEntry]) {
        self.inner.lock().unwrap().append(entries);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop_beating();
        if thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            println!("the responder said:\n{log}");
        }
    }
}

/// Tries ten times a second for two minutes: the machine may be busy.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < secs(120), "waited in vain for {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn pin_file(folder: &Path, name: &str, pin: &str) -> Pin {
    let path = folder.join(name);
    let drawn = zeroize::Zeroizing::new(pin.to_owned());
    Pin::from_drawn(&drawn).unwrap().create_file(&path).unwrap();
    Pin::from_file(&path).unwrap()
}

/// A token with the label of the deployment and an identity key; the session is closed afterwards.
fn make_token(softhsm: &SoftHsm) -> (TokenName, PublicKey) {
    use std::os::unix::fs::PermissionsExt as _;
    let base = softhsm.state().parent().unwrap().join("world");
    let pins = base.join("pins");
    fs::create_dir(&pins).unwrap();
    fs::set_permissions(&pins, fs::Permissions::from_mode(0o700)).unwrap();
    let module = Module::load(Path::new(MODULE)).unwrap();
    let markers = PinMarkers::in_folder(&softhsm.state()).unwrap();
    let new = NewToken {
        label: "sg-td-ab12-ocsp".parse().unwrap(),
        so_pin: pin_file(&pins, "so.pin", SO_PIN),
        user_pin: pin_file(&pins, "ocsp.pin", USER_PIN),
    };
    let name = init_token(&module, &new, &markers).unwrap();
    let token = open_token(softhsm, &name, new.user_pin);
    let order = KeyOrder {
        key_type: KeyType::EcP256,
        label: "ocsp identity".to_owned(),
        id: KeyId::of_step(&[7; 32], "identity"),
        removal: Removal::Forbidden,
    };
    let identity = token.generate_key(order, secs(60)).unwrap();
    (name, identity)
}

fn open_token(softhsm: &SoftHsm, name: &TokenName, pin: Pin) -> Token {
    let settings = TokenSettings {
        name: name.clone(),
        pin,
        markers: PinMarkers::in_folder(&softhsm.state()).unwrap(),
        sessions: NonZeroUsize::MIN,
        deadline: secs(120),
        quirks: Quirks::default(),
    };
    Token::open(&Module::load(Path::new(MODULE)).unwrap(), settings).unwrap()
}

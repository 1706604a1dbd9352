//! What hosts say, over the line that real ones are reached by.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use store::{BootId, LeaseOutcome};
use x509::certificate::Certificate;

use super::*;
use crate::push::host;
use crate::service::crl::List;
use crate::service::testing::World;

/// What a host answers for a file.
#[derive(Clone)]
enum Says {
    File(Vec<u8>),
    Silence,
}

/// A host, which has files and takes more.
struct FakeHost {
    address: SocketAddr,
    certificate: rcgen::Certificate,
    files: Arc<Mutex<BTreeMap<String, Says>>>,
}

impl FakeHost {
    fn with(files: BTreeMap<String, Says>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let files = Arc::new(Mutex::new(files));
        let (config, shared) = (Arc::new(config), Arc::clone(&files));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let files = Arc::clone(&shared);
                thread::spawn(move || serve(StreamOwned::new(connection, stream), &files));
            }
        });
        Self { address, certificate, files }
    }

    fn section(&self) -> HostSection {
        let certificate = Certificate::from_der(self.certificate.der()).unwrap();
        let (address, key) = (self.address, certificate.public_key().spki_hash());
        toml::from_str(&format!("name = \"o1\"\naddress = \"{address}\"\nkeys = [\"{key}\"]"))
            .unwrap()
    }

    fn has(&self, path: &str, octets: &[u8]) -> bool {
        matches!(self.files.lock().unwrap().get(path), Some(Says::File(file)) if file == octets)
    }
}

/// Answers calls until the caller is gone.
fn serve(
    stream: StreamOwned<ServerConnection, TcpStream>,
    files: &Mutex<BTreeMap<String, Says>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut call, mut length) = (String::new(), 0);
        stream.read_line(&mut call).ok().filter(|count| *count > 0)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let mut words = call.split(' ');
        let (method, path) = (words.next()?, words.next()?.strip_prefix("/feed/1/")?.to_owned());
        let found = match (method, path.as_str()) {
            ("PUT", _) => {
                files.lock().unwrap().insert(path, Says::File(body));
                Some(Says::File(Vec::new()))
            }
            (_, "inventory" | "outbox") => Some(Says::File(Vec::new())),
            _ => files.lock().unwrap().get(&path).cloned(),
        };
        let (status, file) = match found {
            Some(Says::File(file)) => (200, file),
            // The caller gives up some time, and then there is nothing more to read.
            Some(Says::Silence) => return stream.read_line(&mut call).ok().map(|_| ()),
            None => (404, Vec::new()),
        };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", file.len());
        stream.get_mut().write_all(head.as_bytes()).ok()?;
        stream.get_mut().write_all(&file).ok()?;
        stream.get_mut().flush().ok()?;
    }
}

const MANIFEST: &str = "publish/crl/manifest";
const LIST: &str = "publish/crl/issuing.crl";

fn feed_to(world: &World, host: &FakeHost) -> Feed {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::default().self_signed(&key).unwrap();
    let (certificate, private) = (world.folder("push.pem"), world.folder("push.key"));
    fs::write(&certificate, own.pem()).unwrap();
    fs::write(&private, key.serialize_pem()).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    let section = host.section();
    let tls = client_config(&certificate, &private, section.pins().unwrap()).unwrap();
    let deployment: DeploymentName = world.service.deployment.to_string().parse().unwrap();
    Feed {
        store: Arc::clone(&world.service.store),
        origin: LogOrigin { deployment, log: LogName::Status, epoch: 1 },
        key: NotePublicKey::from_bytes([7; 32]),
        folder: LogFolder(world.service.folders.folder.clone()),
        outbox: world.service.folders.outbox.clone(),
        state: Arc::new(OuterHosts::of(std::slice::from_ref(&section))),
        hosts: vec![(section, tls)],
        lists: Arc::clone(&world.service.files),
    }
}

/// A list that was made and pushed, and whose publication folder is lost since: manifest and list.
fn lost_here() -> (World, [Vec<u8>; 2]) {
    let mut world = World::new();
    world.service.make_list(world.authority(), List::Full).unwrap();
    let folder = world.service.folders.folder.clone();
    let read = |path: &str| fs::read(folder.join(path)).unwrap();
    let files = [read("crl/manifest"), read("crl/issuing.crl")];
    fs::remove_dir_all(&folder).unwrap();
    world.open_files_anew();
    (world, files)
}

fn files(manifest: Vec<u8>, list: Says) -> BTreeMap<String, Says> {
    BTreeMap::from([(MANIFEST.to_owned(), Says::File(manifest)), (LIST.to_owned(), list)])
}

/// CRL-02: only the node that publishes writes into the publication tree; one that starts beside it brings nothing home.
#[test]
fn a_start_beside_the_node_that_publishes_leaves_the_tree_alone() {
    let (world, [manifest, list]) = lost_here();
    let host = FakeHost::with(files(manifest, Says::File(list.clone())));
    let feed = feed_to(&world, &host);
    let (store, node) = (world.service.store(), &world.service.node);
    let other = Node { name: "ca2".to_owned(), boot: BootId::from_bytes([2; 16]) };
    store.release_lease(&LeaseName::Publication, node).unwrap();
    let taken = store.lease(&LeaseName::Publication, &other, world.now()).unwrap();
    assert!(matches!(taken, LeaseOutcome::Held { .. }), "{taken:?}");

    run(&feed, Comparison::Now { node }).unwrap();
    assert!(!feed.lists.path("crl/manifest").exists());
    assert!(feed.state.unread().is_empty(), "its log was compared all the same");

    store.release_lease(&LeaseName::Publication, &other).unwrap();
    run(&feed, Comparison::Now { node }).unwrap();
    assert_eq!(fs::read(feed.lists.path("crl/issuing.crl")).unwrap(), list);
    assert!(feed.lists.published("crl/issuing.crl").is_some());
}

/// Promise 4: a host that is slow with its lists holds up no start, and no other host.
#[test]
fn a_start_waits_for_no_slow_list() {
    let (world, [manifest, _]) = lost_here();
    let host = FakeHost::with(files(manifest, Says::Silence));
    let feed = feed_to(&world, &host);

    let begun = Instant::now();
    let comparison = Comparison::Now { node: &world.service.node };
    run_within(&feed, comparison, Duration::from_millis(200)).unwrap();

    assert!(begun.elapsed() < Duration::from_secs(25), "the call itself is waited for longer");
    assert!(feed.state.unread().is_empty());
    assert!(!feed.lists.path("crl/issuing.crl").exists(), "it is made anew");
    assert!(world.service.crl_is_due(world.authority()).unwrap());
}

/// CRL-02, promise 4: a host whose manifest cannot be read stops neither a start nor what is pushed to it, and gets ours.
#[test]
fn a_host_with_an_unreadable_manifest_is_pushed_to() {
    let world = World::new();
    world.service.make_list(world.authority(), List::Full).unwrap();
    let host = FakeHost::with(files(b"no manifest".to_vec(), Says::File(b"no list".to_vec())));
    let feed = feed_to(&world, &host);
    let folder = world.service.folders.folder.clone();
    let octets = |path: &str| fs::read(folder.join(path)).unwrap();
    run(&feed, Comparison::Now { node: &world.service.node }).unwrap();

    let pushing = host::start(Some(feed), &world.service.publication).unwrap();

    let begun = Instant::now();
    let has = |path: &str| host.has(&format!("publish/{path}"), &octets(path));
    while !(has("crl/manifest") && has("crl/issuing.crl")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not pushed to");
        thread::sleep(Duration::from_millis(20));
    }
    pushing.stop();
}

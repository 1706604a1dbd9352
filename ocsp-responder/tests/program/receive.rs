//! The receiver, pushed to by curl as the inner zone pushes: what is taken, and what never is.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::origin::{LogName, LogOrigin};
use ledger::tile;
use ledger::{Checkpoint, CheckpointNote, Edge, Timestamp};
use status::BeforeActivation;
use support::ports::free_address;
use support::program::Server;
use support::softhsm::alone;
use support::test_name;
use x509::ocsp::CertIdHash;

use crate::client::get;
use crate::faults::{TRY_LATER, status};
use crate::fixture::{DEPLOYMENT, NoteKey, World, issued, now, wait_for};

/// Makes a key and a certificate for it that nobody vouches for, as docs/operations/feed.md says.
fn make_key(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "1", "-subj", &format!("/CN={name}")])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
        .current_dir(folder)
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "openssl is needed here");
}

/// The SHA-256 of a certificate's public key, as docs/operations/feed.md has it read.
fn pin(folder: &Path, name: &str) -> String {
    let line = format!(
        "openssl x509 -in {name}.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"
    );
    let said = Command::new("sh").args(["-c", &line]).current_dir(folder).output().unwrap();
    String::from_utf8(said.stdout).unwrap()[..64].to_owned()
}

/// The inner zone as curl.
struct Sender {
    folder: PathBuf,
    address: SocketAddr,
    key: &'static str,
    deployment: &'static str,
}

/// What curl came to: the status, 0 without an answer, and the body.
type Said = (u16, String);

impl Sender {
    fn call(&self, path: &str, more: &[&str]) -> Said {
        let mut command = Command::new("curl");
        command.args(["--silent", "--insecure", "--path-as-is", "--max-time", "60"]);
        if !self.key.is_empty() {
            command.args(["--cert", &format!("{}.pem", self.key)]);
            command.args(["--key", &format!("{}.key", self.key)]);
        }
        command
            .args(["--header", &format!("Sigill-Deployment: {}", self.deployment)])
            .args(["--write-out", "\n%{http_code}"])
            .args(more)
            .arg(format!("https://{}/feed/1/{path}", self.address))
            .current_dir(&self.folder);
        let said = command.output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Said {
        fs::write(self.folder.join("body"), bytes).unwrap();
        self.call(&format!("publish/{path}"), &["--upload-file", "body"])
    }

    /// Pushes all of a folder's log as the inner zone does: tiles first.
    fn push_log(&self, from: &Path, size: u64) {
        for path in tile::paths(size) {
            let said = self.put(&path.to_string(), &fs::read(from.join(path.to_string())).unwrap());
            assert!(matches!(said.0, 200 | 201), "{path}: {said:?}");
        }
        let said = self.put("checkpoint", &fs::read(from.join("checkpoint")).unwrap());
        assert!(matches!(said.0, 200 | 201), "{said:?}");
    }
}

/// A responder whose publication folder is `outer`, fed over its receiver; what it serves of the inner
/// zone's tree it has got that way.
fn receiving(world: &World) -> (Sender, Server) {
    let address = free_address();
    make_key(&world.base, "push");
    make_key(&world.base, "stranger");
    make_key(&world.base, "receive");
    let config = fs::read_to_string(world.path("ocsp.toml")).unwrap();
    let config = config.replace("folder = \"publish\"", "folder = \"outer\"");
    // Nothing signs the head anew here, and the machine may be busy.
    let config = config.replace("freshness = 30", "freshness = 1800");
    let section = format!(
        "\n[receive]\nlisten = \"{address}\"\ncertificate = \"receive.pem\"\nkey = \"receive.key\"\nsenders = [\"{}\"]\n",
        pin(&world.base, "push")
    );
    fs::write(world.path("ocsp.toml"), config + &section).unwrap();
    fs::create_dir_all(world.path("outer")).unwrap();
    let server = world.start();
    let folder = world.base.clone();
    (Sender { folder, address, key: "push", deployment: DEPLOYMENT }, server)
}

fn metrics(world: &World) -> String {
    String::from_utf8(get(world.observe, "localhost", "/metrics").body).unwrap()
}

/// Provides the delegate over the receiver: request read from its outbox, certificate pushed.
fn provide_delegate(world: &World, sender: &Sender) {
    let certificate = fs::read(world.path("publish/aia/person3.cer")).unwrap();
    assert_eq!(sender.put("aia/person3.cer", &certificate).0, 201);
    let listed = wait_for("a request in the listing", || {
        let (status, text) = sender.call("outbox", &[]);
        assert_eq!(status, 200);
        text.lines().next().map(str::to_owned)
    });
    let (_, name) = listed.split_once(' ').unwrap();
    assert_eq!(sender.call(&format!("outbox/{name}"), &["--output", "request"]).0, 200);
    assert_eq!(
        fs::read(world.path("request")).unwrap(),
        fs::read(world.path("outbox").join(name)).unwrap()
    );
    let key = world.answer_request();
    let name = format!("responder/person3/{}.cer", key.spki_hash());
    let certificate = fs::read(world.path("publish").join(&name)).unwrap();
    assert_eq!(sender.put(&name, &certificate).0, 201);
}

/// A checkpoint over entries of its own, with a time so many seconds from now.
pub(crate) fn head(key: &NoteKey, deployment: &str, entries: &[Vec<u8>], ahead: i64) -> Vec<u8> {
    let mut edge = Edge::new();
    edge.append(entries).unwrap();
    let origin =
        LogOrigin { deployment: deployment.parse().unwrap(), log: LogName::Status, epoch: 1 };
    let at = now().secs().checked_add_signed(ahead).unwrap();
    let head = Checkpoint { origin, size: edge.size(), root: edge.root() };
    let time = Timestamp::from_secs(at).unwrap();
    CheckpointNote::sign(head, time, key).unwrap().to_string().into_bytes()
}

/// Architecture §2.2, §2.3: what a push may not do, each refused by its code, told, and counted; what was
/// there is served on.
#[test]
fn pushed_files_are_served_and_tampering_is_refused() {
    alone(test_name!(pushed_files_are_served_and_tampering_is_refused), |softhsm| {
        let world = World::new(softhsm);
        let (sender, server) = receiving(&world);
        let (inner_folder, outer) = (world.path("publish"), world.path("outer"));
        provide_delegate(&world, &sender);
        for octet in 1..=3 {
            world.append(&[issued(world.issuer, octet, BeforeActivation::Good)]);
        }
        let question = world.ca.question(CertIdHash::Sha1, 3, None);
        assert_eq!(status(&world, &question), TRY_LATER, "nothing was pushed");
        sender.push_log(&inner_folder, 4);
        wait_for("good", || status(&world, &question).is_none().then_some(()));

        // Who may not speak here gets no answer, or one word.
        for key in ["stranger", ""] {
            let other = Sender { key, folder: sender.folder.clone(), ..sender };
            assert_eq!(other.call("inventory", &[]).0, 0, "{key:?}");
        }
        let other =
            Sender { deployment: "test/demo/zz99", folder: sender.folder.clone(), ..sender };
        let said = other.call("inventory", &[]);
        assert!(said.0 == 403 && said.1.starts_with("deployment-mismatch: "), "{said:?}");

        let inner = world.inner.lock().unwrap();
        let key = &inner.note_key;
        let kept = fs::read(outer.join("checkpoint")).unwrap();
        let bundle = fs::read(outer.join("tile/entries/000.p/4")).unwrap();
        let other = |count: u8| -> Vec<Vec<u8>> { (0..count).map(|one| vec![one; 90]).collect() };
        let entries = entries_of(&outer, 4);
        let longer = [&entries[..], &other(1)].concat();
        let checkpoint = "checkpoint";
        let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
            ("state/checkpoint", kept.clone(), 403, "path-refused"),
            ("../state/checkpoint", kept.clone(), 403, "path-refused"),
            ("crl/.person3.crl", vec![0], 403, "path-refused"),
            (checkpoint, vec![b'x'; 100_000], 413, "file-too-long"),
            (checkpoint, b"no note".to_vec(), 409, "checkpoint-not-authentic"),
            (
                checkpoint,
                head(&NoteKey::new(), DEPLOYMENT, &entries, 1),
                409,
                "checkpoint-not-authentic",
            ),
            (checkpoint, head(key, "test/demo/zz99", &entries, 1), 409, "checkpoint-other-log"),
            (checkpoint, head(key, DEPLOYMENT, &entries, 3600), 409, "checkpoint-future"),
            (checkpoint, head(key, DEPLOYMENT, &entries, -3600), 409, "checkpoint-frozen"),
            (checkpoint, head(key, DEPLOYMENT, &entries, -600), 409, "checkpoint-earlier"),
            (checkpoint, head(key, DEPLOYMENT, &entries[..2], 0), 409, "log-rolled-back"),
            (checkpoint, head(key, DEPLOYMENT, &other(4), 0), 409, "log-forked"),
            (checkpoint, head(key, DEPLOYMENT, &longer, 0), 409, "log-gap"),
            ("tile/entries/000.p/4", [&bundle[1..], b"x"].concat(), 409, "published-file-altered"),
            ("tile/0/000.p/4", vec![7; 128], 409, "published-file-altered"),
            ("tile/0/000.p/5", vec![7; 159], 409, "tile-length"),
            ("aia/person3.cer", vec![7; 200], 409, "authority-certificate-pin"),
            ("crl/manifest", b"no note".to_vec(), 409, "manifest-not-authentic"),
        ];
        drop(inner);
        for (path, bytes, wanted, code) in cases {
            let said = sender.put(path, &bytes);

            assert!(
                said.0 == wanted && said.1.starts_with(&format!("{code}: ")),
                "{code}: {said:?}"
            );
            assert!(said.1.contains("; next: "), "{said:?}");
            assert_eq!(fs::read(outer.join("checkpoint")).unwrap(), kept, "{code}");
            if !matches!(code, "log-gap" | "file-too-long") {
                let line = format!("sigill_ocsp_push_refusals_total{{code=\"{code}\"}} ");
                let counted = metrics(&world)
                    .lines()
                    .any(|one| one.strip_prefix(&line).is_some_and(|count| count != "0"));
                assert!(counted, "{code}: {}", metrics(&world));
                assert!(
                    server.printed().contains(&format!("\"problem.code\":\"{code}\"")),
                    "{code}"
                );
            }
        }
        assert_eq!(fs::read(outer.join("tile/entries/000.p/4")).unwrap(), bundle);
        assert!(!world.path("state/checkpoint.req").exists());
        assert_eq!(status(&world, &question), None, "what was there is answered from");
        assert_eq!(
            fs::read_dir(outer.join(".incoming")).unwrap().count(),
            0,
            "nothing is left behind"
        );

        // What no checkpoint covers may be replaced, and what is right is taken again.
        assert_eq!(sender.put("tile/0/000.p/5", &[7; 160]).0, 201);
        world.append(&[issued(world.issuer, 9, BeforeActivation::Good)]);
        sender.push_log(&inner_folder, 5);
        let later = world.ca.question(CertIdHash::Sha1, 9, None);
        wait_for("the later one", || status(&world, &later).is_none().then_some(()));
        let (_, listed) = sender.call("inventory", &[]);
        assert!(listed.lines().any(|line| line.ends_with(" aia/person3.cer")), "{listed}");
        assert_eq!(sender.call("publish/aia/nobody.cer", &[]).0, 404);
        assert_eq!(sender.call("nothing", &[]).0, 404);
        drop(server);
    });
}

/// The entries of the log in a folder.
pub(crate) fn entries_of(folder: &Path, size: u64) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    let visit = |_, entry: &[u8]| entries.push(entry.to_vec());
    ledger::tree::replay(&ledger::Frontier::new(), size, &Entries(folder), visit).unwrap();
    entries
}

/// Tiles of a folder.
struct Entries<'a>(&'a Path);

impl tile::TileSource for Entries<'_> {
    fn read(&self, path: &tile::TilePath) -> Result<Vec<u8>, tile::TileReadError> {
        fs::read(self.0.join(path.to_string()))
            .map_err(|_| tile::TileReadError::Missing { path: *path })
    }
}

/// A folder of so few octets; unmounted when dropped. `None` where nothing can be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(folder);
        let said = mount.output().unwrap();
        if !said.status.success() {
            println!("skipped: no tmpfs can be mounted: {}", String::from_utf8_lossy(&said.stderr));
            return None;
        }
        Some(Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// The disk outside is full: what was there is answered from, and it heals when there is room.
#[test]
fn a_full_disk_leaves_what_was_there() {
    alone(test_name!(a_full_disk_leaves_what_was_there), |softhsm| {
        let world = World::new(softhsm);
        fs::create_dir_all(world.path("outer")).unwrap();
        let Some(_disk) = SmallDisk::over(&world.path("outer")) else { return };
        let (sender, _server) = receiving(&world);
        provide_delegate(&world, &sender);
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        sender.push_log(&world.path("publish"), 2);
        let question = world.ca.question(CertIdHash::Sha1, 1, None);
        wait_for("good", || status(&world, &question).is_none().then_some(()));
        fs::write(world.path("outer/filler"), vec![0; 150_000]).unwrap();

        let said = sender.put("crl/person3.crl", &vec![0; 200_000]);

        assert!(said.0 == 507 && said.1.starts_with("storage: "), "{said:?}");
        assert!(!world.path("outer/crl/person3.crl").exists());
        assert_eq!(fs::read_dir(world.path("outer/.incoming")).unwrap().count(), 0);
        world.append(&[issued(world.issuer, 2, BeforeActivation::Good)]);
        sender.push_log(&world.path("publish"), 3);
        assert_eq!(status(&world, &question), None);
        fs::remove_file(world.path("outer/filler")).unwrap();
        assert_eq!(sender.put("crl/person3.crl", &vec![0; 200_000]).0, 201);
    });
}

/// A key that others can read, or a section without senders, is refused before anything is served.
#[test]
fn a_receiver_without_its_files_does_not_start() {
    use std::os::unix::fs::PermissionsExt as _;
    alone(test_name!(a_receiver_without_its_files_does_not_start), |softhsm| {
        let world = World::new(softhsm);
        drop(receiving(&world));
        let refused = || {
            let output = world.command().output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        let key = world.path("receive.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let text = refused();
        assert!(text.contains("error: receive-tls: ") && text.contains("0644"), "{text}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

        let config = fs::read_to_string(world.path("ocsp.toml")).unwrap();
        let (before, _) = config.split_once("senders = ").unwrap();
        fs::write(world.path("ocsp.toml"), format!("{before}senders = []\n")).unwrap();
        let text = refused();
        assert!(text.contains("receive.senders"), "{text}");
    });
}

//! The feed to the outer zone: pushed to a responder whose folders are its own, beside a host that is dead;
//! a host that is away at the start; a database that only an outer host knows to be old; rsync.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use support::demo::until;
use support::ports::free_address;
use support::program::Server;
use support::spoken::Spoken;
use support::suite::Check;
use support::{spoken, tool};
use x509::serial::SerialNumber;

use crate::accounts::Received;
use crate::api::Answer;
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::revocation::{ocsp, ocsp_at, revoke};

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("feed::a_dead_host_delays_no_other", a_dead_host_delays_no_other),
    ("feed::a_host_that_is_away_stops_issuing_alone", a_host_that_is_away_stops_issuing_alone),
    (
        "feed::an_old_database_is_known_by_the_outer_host",
        an_old_database_is_known_by_the_outer_host,
    ),
    ("feed::a_host_without_its_tiles_stops_no_start", a_host_without_its_tiles_stops_no_start),
    ("feed::who_does_not_publish_does_not_push", who_does_not_publish_does_not_push),
    ("feed::rsync_carries_the_folder", rsync_carries_the_folder),
    ("feed::two_responders_answer_for_one_ca", two_responders_answer_for_one_ca),
];

/// How long the other zone may take on a busy machine; what it took is printed.
const SEEN_WITHIN: Duration = Duration::from_secs(120);

/// A node that pushes has sent a file long before.
const NOT_SENT_FOR: Duration = Duration::from_secs(3);

/// Runs a line of a shell, as an operator who follows docs/operations/feed.md.
fn shell(folder: &Path, line: &str) -> String {
    let said = spoken::run(Command::new("sh").args(["-ec", line]).current_dir(folder), &[]);
    assert_eq!(said.code, 0, "{line}: {}", said.text);
    said.text
}

/// A key of the feed and its pin.
fn make_key(folder: &Path, name: &str) -> String {
    shell(
        folder,
        &format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
             -subj /CN={name} -keyout {name}.key -out {name}.pem 2>/dev/null"
        ),
    );
    let line = format!(
        "openssl x509 -in {name}.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"
    );
    shell(folder, &line).split_whitespace().next().expect("a hash").to_owned()
}

/// The outer host of a deployment: folders of its own, and the address of its receiver.
pub(crate) struct Outer {
    folder: PathBuf,
    address: SocketAddr,
    keys: String,
}

impl Outer {
    /// Gives the responder of a deployment folders of its own and a receiver.
    fn of(deployment: &Deployment) -> Self {
        Self::at(deployment, free_address())
    }

    /// The same with its receiver at this address.
    pub(crate) fn at(deployment: &Deployment, address: SocketAddr) -> Self {
        let outer = Self { address, ..Self::carried(deployment) };
        let tls = deployment.home.join("tls");
        let (sender, keys) = (make_key(&tls, "push"), make_key(&tls, "receive"));
        let section = format!(
            "\n[receive]\nlisten = \"{}\"\ncertificate = \"../tls/receive.pem\"\n\
             key = \"../tls/receive.key\"\nsenders = [\"{sender}\"]\n",
            outer.address
        );
        let file = deployment.home.join("config/ocsp.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        fs::write(&file, text + &section).expect("a configuration");
        Self { keys, ..outer }
    }

    /// The same without a receiver.
    fn carried(deployment: &Deployment) -> Self {
        let folder = deployment.home.join("outer");
        fs::create_dir_all(folder.join("publish")).expect("a folder");
        let file = deployment.home.join("config/ocsp.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let shared = "folder = \"../publish\"\noutbox = \"../outbox\"\n";
        assert!(text.contains(shared), "{text}");
        let own = "folder = \"../outer/publish\"\noutbox = \"../outer/outbox\"\n";
        fs::write(&file, text.replace(shared, own)).expect("a configuration");
        Self { folder, address: free_address(), keys: String::new() }
    }

    /// The number of the CRL that it serves.
    fn crl_number(&self) -> u64 {
        crl_number_in(&self.folder.join("publish"))
    }

    /// What the CA is to know of it.
    pub(crate) fn host(&self, name: &str) -> String {
        self.host_at(name, self.address)
    }

    /// The same, reached at another address.
    pub(crate) fn host_at(&self, name: &str, address: SocketAddr) -> String {
        format!(
            "\n[[push.host]]\nname = \"{name}\"\naddress = \"{address}\"\nkeys = [\"{}\"]\n",
            self.keys
        )
    }
}

/// The number of the CRL in a publication tree.
fn crl_number_in(tree: &Path) -> u64 {
    let line = format!("openssl crl -inform DER -in crl/{AUTHORITY}.crl -noout -crlnumber");
    let said = shell(tree, &line);
    let number = said.trim().rsplit("0x").next().expect("a number");
    u64::from_str_radix(number, 16).expect("a number")
}

pub(crate) const PUSH: &str =
    "\n[push]\ncertificate = \"../tls/push.pem\"\nkey = \"../tls/push.key\"\n";

/// Waits until the responder says this of a serial; how long it took.
fn said(deployment: &Deployment, serial: SerialNumber, wanted: &str) -> Duration {
    let begun = Instant::now();
    let seen = until(SEEN_WITHIN, || ocsp(deployment, serial).contains(wanted).then_some(()));
    assert!(seen.is_some(), "{serial} is not {wanted:?}: {}", ocsp(deployment, serial));
    begun.elapsed()
}

const GOOD: &str = "Cert Status: good";
const REVOKED: &str = "Cert Status: revoked";

fn order(deployment: &Deployment, key: &str) -> Answer {
    deployment.api().ask(&deployment.order(key))
}

fn issue(deployment: &Deployment, key: &str) -> Received {
    Received::read(key, &deployment.api().persevere(&mut None, &deployment.order(key)))
}

/// Architecture §2.1: log, CRLs, certificates and requests cross over the connection that the
/// inner zone opens; a dead host is told of and delays nothing; a host that was away is brought abreast.
fn a_dead_host_delays_no_other(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let outer = Outer::of(&deployment);
    let dead = Outer { address: free_address(), folder: PathBuf::new(), keys: outer.keys.clone() };
    let waived = dead.host("ocsp2") + "behind-after = 2\nread-back-waived-until = 2999-12-31\n";
    let mut responder = deployment.responder();
    deployment.start_with(&(PUSH.to_owned() + &outer.host("ocsp1") + &waived));

    let first = issue(&deployment, "first");
    said(&deployment, first.serial, GOOD);
    let second = issue(&deployment, "second");
    println!(
        "measured: good outside after {} ms",
        said(&deployment, second.serial, GOOD).as_millis()
    );
    assert_eq!(revoke(&deployment, &second.id, "superseded", "r").status, 200);
    let took = said(&deployment, second.serial, REVOKED);
    println!("measured: revoked outside after {} ms, a dead host beside it", took.as_millis());
    assert!(outer.folder.join(format!("publish/crl/{AUTHORITY}.crl")).is_file());
    let readiness = until(SEEN_WITHIN, || {
        let readiness = deployment.readiness();
        (readiness["outer-hosts-behind"] == json!(["ocsp2"])).then_some(readiness)
    });
    let readiness = readiness.expect("the dead host is told of");
    assert_eq!(readiness["parts"]["outer-hosts"], false);
    assert_eq!(readiness["outer-hosts-unread"], json!(["ocsp2"]));
    assert!(count_of(&deployment, "ocsp2") > 0, "{}", deployment.metrics());

    // The host goes away for a while, and takes up where it was.
    responder.kill();
    let meanwhile: Vec<Received> =
        ["a", "b", "c"].iter().map(|key| issue(&deployment, key)).collect();
    assert_eq!(revoke(&deployment, &meanwhile[0].id, "superseded", "s").status, 200);
    let mut responder = deployment.responder();
    said(&deployment, meanwhile[0].serial, REVOKED);
    said(&deployment, meanwhile[2].serial, GOOD);

    // It comes back just before the program ends, which finds its thread in a pause of seconds after failures.
    responder.kill();
    let failed = || count_of(&deployment, "ocsp1");
    let before = failed();
    assert_eq!(revoke(&deployment, &meanwhile[1].id, "superseded", "t").status, 200);
    let paused = until(SEEN_WITHIN, || (failed() >= before + 5).then_some(()));
    assert!(paused.is_some(), "{}", deployment.metrics());
    let _responder: Server = deployment.responder();
    deployment.stop();
    let (here, there) = (deployment.home.join("publish"), outer.folder.join("publish"));
    let same = until(SEEN_WITHIN, || {
        let read = |folder: &Path| fs::read(folder.join("checkpoint")).ok();
        (read(&here) == read(&there)).then_some(())
    });
    assert!(same.is_some(), "the last checkpoint is pushed before the end");
}

/// How often a host could not be reached.
fn count_of(deployment: &Deployment, host: &str) -> u64 {
    let counted =
        format!("sigill_push_failures_total{{host=\"{host}\",code=\"outer-host-unreachable\"}} ");
    let metrics = deployment.metrics();
    let count = metrics.lines().find_map(|line| line.strip_prefix(&counted));
    count.and_then(|count| count.parse().ok()).expect("a number")
}

/// Architecture §2.2: nothing is issued until every host has been read back; revocations are taken. Issuing
/// begins by itself when the host is back, or at once where it is waived.
fn a_host_that_is_away_stops_issuing_alone(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let early = issue(&deployment, "early");
    deployment.stop();
    let outer = Outer::of(&deployment);
    let push = PUSH.to_owned() + &outer.host("ocsp1");
    deployment.start_with(&push);

    let refused = order(&deployment, "late");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["code"], "outer-host-unread");
    assert!(refused.text().contains("ocsp1"), "{}", refused.text());
    assert_eq!(revoke(&deployment, &early.id, "superseded", "r").status, 200);

    let _responder = deployment.responder();
    let issued = until(SEEN_WITHIN, || {
        let answer = order(&deployment, "late");
        (answer.status != 503).then_some(answer)
    });
    let issued = Received::read("late", &issued.expect("issuing goes on"));
    said(&deployment, issued.serial, GOOD);
    said(&deployment, early.serial, REVOKED);
}

/// The restore drill with nothing left but the outer host: an old database without a publication folder signs nothing, takes
/// entries and lists from the host, and goes on, under CRL numbers that nobody has seen (CRL-02). So it does where nothing but
/// lists was made since the backup, of which the log tells nothing.
fn an_old_database_is_known_by_the_outer_host(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let outer = Outer::of(&deployment);
    let push = PUSH.to_owned() + &outer.host("ocsp1");
    deployment.configure(|text| text.to_owned() + &push);
    let mut responder = deployment.responder();
    deployment.start();
    let early = issue(&deployment, "early");
    said(&deployment, early.serial, GOOD);
    deployment.stop();
    let home = deployment.home.clone();
    shell(&home, "mkdir kept && cp -a state publish audit kept/");
    deployment.start();
    let lost = issue(&deployment, "lost");
    said(&deployment, lost.serial, GOOD);
    assert_eq!(revoke(&deployment, &early.id, "superseded", "r").status, 200);
    said(&deployment, early.serial, REVOKED);
    let number = || outer.crl_number();
    let known = crl_number_in(&home.join("kept/publish"));
    let listed = until(SEEN_WITHIN, || Some(number()).filter(|listed| *listed > known));
    let listed = listed.expect("the host takes another list");
    deployment.stop();
    shell(&home, "rm -r state publish audit && mv kept/state kept/audit .");

    let refused = deployment.start_refused();
    assert!(refused.contains("published-ahead"), "{refused}");
    let taken = deployment.command(&["take-over"], &["--json"]);
    assert_eq!(taken.code, 0, "{}", taken.text);
    assert!(taken.text.contains(&lost.serial.to_string()), "{}", taken.text);

    deployment.start();
    said(&deployment, early.serial, REVOKED);
    said(&deployment, lost.serial, GOOD);
    let issued = issue(&deployment, "after");
    said(&deployment, issued.serial, GOOD);
    let next = until(SEEN_WITHIN, || Some(number()).filter(|next| *next > listed));
    let listed = next.expect("the host takes the next list");
    deployment.stop();

    shell(&home, "mkdir kept1 && cp -a state publish audit kept1/ && rm -r publish/crl");
    deployment.start();
    assert!(deployment.printed().contains("brought home"), "{}", deployment.printed());
    let next = until(SEEN_WITHIN, || Some(number()).filter(|next| *next > listed));
    let listed = next.expect("the host takes the next list");
    deployment.stop();
    shell(&home, "rm -r state publish audit && mv kept1/state kept1/publish kept1/audit .");
    deployment.start();
    let next = until(SEEN_WITHIN, || Some(number()).filter(|next| *next > listed));
    assert!(next.is_some(), "no number is used again: {}", deployment.printed());
    deployment.stop();

    // Waived wrongly: an old database issues while the host that knows better is away. When that is back, the
    // program ends, and does not start again.
    shell(&home, "mkdir kept2 && cp -a state publish audit kept2/");
    deployment.start();
    let newer = issue(&deployment, "newer");
    said(&deployment, newer.serial, GOOD);
    deployment.stop();
    responder.kill();
    shell(&home, "rm -r state publish audit && mv kept2/state kept2/publish kept2/audit .");
    deployment.configure(|text| text.to_owned() + "read-back-waived-until = 2999-12-31\n");
    deployment.start();
    let forked = issue(&deployment, "forked");
    assert_eq!(revoke(&deployment, &forked.id, "superseded", "f").status, 200);
    let lists = files_of(&outer.folder.join("publish/crl"));
    let listed =
        until(SEEN_WITHIN, || (files_of(&home.join("publish/crl")) != lists).then_some(()));
    assert!(listed.is_some(), "the old database makes lists of its own");
    let number = crl_number_in(&home.join("publish"));
    assert!(number > outer.crl_number(), "it knows of none that the host has: {number}");
    let _responder = deployment.responder();
    let ended = "\"problem.code\":\"outer-host-contradicts\"";
    let told = until(SEEN_WITHIN, || deployment.printed().contains(ended).then_some(()));
    assert!(told.is_some(), "{}", deployment.printed());
    deployment.kill();
    assert!(files_of(&outer.folder.join("publish/crl")) == lists, "no older list is sent");
    let refused = deployment.start_refused();
    let codes = ["logs-disagree", "published-ahead", "published-differs"];
    assert!(codes.iter().any(|code| refused.contains(code)), "{refused}");
}

/// A host that can be reached, and has lost tiles that its checkpoint covers, keeps the CA neither from starting nor from
/// issuing: the database has all that the host has published. Where the database is to be brought up from it, it
/// must give all, unless the operator has waived it.
fn a_host_without_its_tiles_stops_no_start(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let outer = Outer::of(&deployment);
    let push = PUSH.to_owned() + &outer.host("ocsp1");
    deployment.configure(|text| text.to_owned() + &push);
    let _responder = deployment.responder();
    deployment.start();
    let early = issue(&deployment, "early");
    said(&deployment, early.serial, GOOD);
    deployment.stop();
    let home = deployment.home.clone();
    shell(&home, "rm -r outer/publish/tile publish/tile publish/checkpoint");

    let refused = deployment.command(&["take-over"], &["--json"]);
    assert!(refused.code != 0 && refused.text.contains("log-gap"), "{}", refused.text);
    deployment.configure(|text| text.to_owned() + "read-back-waived-until = 2999-12-31\n");
    let waived = deployment.command(&["take-over"], &["--json"]);
    assert!(!waived.text.contains("error: outer host"), "{}", waived.text);
    deployment.configure(|text| text.replace("read-back-waived-until = 2999-12-31\n", ""));

    // Nor does one whose manifest of lists cannot be read: it gets ours.
    let manifest = outer.folder.join("publish/crl/manifest");
    fs::write(&manifest, "no manifest").expect("a file");
    deployment.start();
    assert!(deployment.printed().contains("\"log-gap\""), "{}", deployment.printed());
    assert!(deployment.printed().contains("\"outer-host-foreign\""), "{}", deployment.printed());
    let ours = || fs::read(deployment.home.join("publish/crl/manifest")).ok();
    let taken = until(SEEN_WITHIN, || (fs::read(&manifest).ok() == ours()).then_some(()));
    assert!(taken.is_some(), "{}", deployment.printed());
    let later = issue(&deployment, "later");
    said(&deployment, later.serial, GOOD);
    said(&deployment, early.serial, GOOD);
}

/// Of two nodes the one that has the lease of the publication pushes; what the other's folder holds is
/// sent to nobody until it has the lease.
fn who_does_not_publish_does_not_push(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let outer = Outer::of(&deployment);
    let _responder = deployment.responder();
    let push = PUSH.to_owned() + &outer.host("ocsp1");
    deployment.start_with(&push);
    let early = issue(&deployment, "early");
    said(&deployment, early.serial, GOOD);
    deployment.stop();
    let taken = "UPDATE lease SET node = 'ca2', boot = randomblob(16), until = strftime('%s', 'now') + 86400
                 WHERE name = 'publication'";
    assert_eq!(deployment.database().execute(taken, []).expect("a lease"), 1);
    let mark = deployment.home.join("publish/aia/mark.cer");
    fs::write(&mark, b"mark").expect("a file");
    let there = outer.folder.join("publish/aia/mark.cer");

    deployment.start_with(&push);
    std::thread::sleep(NOT_SENT_FOR);
    assert!(!there.exists(), "a node without the lease has pushed");
    let given = "DELETE FROM lease WHERE name = 'publication'";
    assert_eq!(deployment.database().execute(given, []).expect("a lease"), 1);
    assert!(
        until(SEEN_WITHIN, || there.exists().then_some(())).is_some(),
        "{}",
        deployment.printed()
    );
}

/// Names and octets of the files of a folder.
fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: fs::DirEntry| {
        Some((entry.file_name().into_string().ok()?, fs::read(entry.path()).ok()?))
    };
    fs::read_dir(folder).expect("a folder").flatten().filter_map(read).collect()
}

/// Ends a loop when it is dropped.
struct Carrier(std::process::Child);

impl Drop for Carrier {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Architecture §2.1: without a receiver a folder that rsync carries feeds the responder just as well, by the lines of
/// docs/operations/feed.md.
fn rsync_carries_the_folder(template: &Template) {
    if tool::find("rsync").is_none() {
        return;
    }
    let Some(mut deployment) = template.copy() else { return };
    let outer = Outer::carried(&deployment);
    fs::create_dir_all(outer.folder.join("outbox")).expect("a folder");
    deployment.start();
    let page = support::workspace::root().join("docs/operations/feed.md");
    let page = fs::read_to_string(page).expect("the page");
    let lines: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("    rsync "))
        .map(|line| {
            let line = line.replace("outer:/var/lib/sigill/", "outer/");
            // It is another machine there, with an outbox of its own.
            format!("rsync {}", line.replace(" outbox/", " outbox/from/ocsp1/"))
        })
        .collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    let home = deployment.home.clone();
    shell(&home, "mkdir -p outbox/from/ocsp1 outer/publish/crl");
    let script = format!("while true; do {}; sleep 0.3; done", lines.join("; "));
    let mut carrying = Command::new("sh");
    carrying.args(["-c", &script]).current_dir(&home).stderr(std::process::Stdio::null());
    let _carrier = Carrier(carrying.spawn().expect("sh starts"));
    let _responder = deployment.responder();

    let issued = issue(&deployment, "carried");
    said(&deployment, issued.serial, GOOD);
    assert_eq!(revoke(&deployment, &issued.id, "superseded", "r").status, 200);
    said(&deployment, issued.serial, REVOKED);
}

/// A second outer host by docs/operations/feed.md: a token and an identity of its own, enrolled by two persons.
fn two_responders_answer_for_one_ca(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let first = Outer::of(&deployment);
    let second = second_host(&deployment);
    let two = ["op-7", "op-9"];
    for (name, hash, actors, code) in [
        ("ocsp2", "00".repeat(32), two, "identity-differs"),
        ("ocsp2", second.identity.clone(), ["op-7", "op-7"], "arguments-unfit"),
        ("OCSP 2", second.identity.clone(), two, "arguments-unfit"),
    ] {
        let refused = enrol(&deployment, name, &hash, actors);
        assert!(refused.code == 1 && refused.text.contains(code), "{code}: {}", refused.text);
    }
    // Before it is enrolled its requests are believed by nobody.
    let push = PUSH.to_owned() + &first.host("ocsp1") + &second.outer.host("ocsp2");
    let (_one, other) =
        (deployment.responder(), deployment.responder_by("second.toml", second.http));
    deployment.start_with(&push);
    let issued = issue(&deployment, "one");
    said(&deployment, issued.serial, GOOD);
    let url = format!("http://{}", second.http);
    assert!(!ocsp_at(&deployment, &url, issued.serial).contains(GOOD));
    deployment.stop();
    for _ in 0..2 {
        let enrolled = enrol(&deployment, "ocsp2", &second.identity, two);
        assert_eq!(enrolled.code, 0, "{}", enrolled.text);
    }
    let taken = enrol(&deployment, "ocsp3", &second.identity, two);
    assert!(taken.code == 1 && taken.text.contains("name-pinned"), "{}", taken.text);

    deployment.start_with(&push);
    let answered = until(SEEN_WITHIN, || {
        ocsp_at(&deployment, &url, issued.serial).contains(GOOD).then_some(())
    });
    assert!(answered.is_some(), "{}", other.printed());
    assert_eq!(revoke(&deployment, &issued.id, "superseded", "r").status, 200);
    said(&deployment, issued.serial, REVOKED);
    let answered = until(SEEN_WITHIN, || {
        ocsp_at(&deployment, &url, issued.serial).contains(REVOKED).then_some(())
    });
    assert!(answered.is_some(), "{}", other.printed());
}

/// Enrols the second responder, as two persons do.
fn enrol(deployment: &Deployment, name: &str, hash: &str, actors: [&str; 2]) -> Spoken {
    let file = deployment.home.join("second.spki");
    let [one, other] = actors;
    let more = ["--name", name, "--identity", file.to_str().expect("UTF-8"), "--sha256", hash];
    let both = ["--actor", one, "--actor", other, "--json"];
    deployment.command(&["enrol-responder"], &[&more[..], &both[..]].concat())
}

/// A second responder that has not been enrolled yet.
struct Second {
    outer: Outer,
    http: SocketAddr,
    identity: String,
}

/// Makes its token, its configuration from the first one's, and its identity key.
fn second_host(deployment: &Deployment) -> Second {
    let home = &deployment.home;
    let label = deployment.token_label("responder-b");
    let pin = "second-responder-pin";
    let line = format!(
        "umask 077; printf %s {pin} > pins/responder-b.pin; \
         SOFTHSM2_CONF=$PWD/softhsm2.conf softhsm2-util --init-token --free --label {label} --so-pin {pin} --pin {pin} >/dev/null; \
         SOFTHSM2_CONF=$PWD/softhsm2.conf softhsm2-util --show-slots | grep -B4 'Label: *{label}' | sed -n 's/.*Serial number: *//p'"
    );
    let serial = shell(home, &line).trim().to_owned();
    assert!(!serial.is_empty(), "the token has a serial number");
    let (http, observe, address) = (free_address(), free_address(), free_address());
    let keys = make_key(&home.join("tls"), "receive2");
    let text = fs::read_to_string(home.join("config/ocsp.toml")).expect("a configuration");
    // What a ceremony certified for the first host's token stays the first host's: the root.
    let mut sections: Vec<String> = text.split("\n[").map(str::to_owned).collect();
    sections.retain(|section| {
        !section.contains("delegates = \"ceremony\"")
            && !section.contains("aia/sigilltesteidrootcav1")
    });
    let mut text = sections.join("\n[");
    let set = |text: &mut String, key: &str, value: &str| {
        let start = text.find(&format!("\n{key} = ")).unwrap_or_else(|| panic!("no {key}: {text}"));
        let end = text[start + 1..].find('\n').map_or(text.len(), |end| start + 1 + end);
        text.replace_range(start..end, &format!("\n{key} = \"{value}\""));
    };
    for (key, value) in [
        ("state", "../ocsp-b"),
        ("folder", "../outer-b/publish"),
        ("outbox", "../outer-b/outbox"),
        ("role", "responder-b"),
        ("serial", &serial),
        ("pin", "../pins/responder-b.pin"),
        ("identity", &"0".repeat(64)),
        ("certificate", "../tls/receive2.pem"),
        ("key", "../tls/receive2.key"),
    ] {
        // `key` is the note key's name too, which comes first and stays.
        let section = if matches!(key, "certificate" | "key") { "\n[receive]" } else { "" };
        let at = text.find(section).unwrap_or_else(|| panic!("{section}"));
        let mut rest = text.split_off(at);
        set(&mut rest, key, value);
        text.push_str(&rest);
    }
    let moved = |text: String, section: &str, address: SocketAddr| {
        let at = text.find(&format!("\n[{section}]")).unwrap_or_else(|| panic!("{section}"));
        let (before, mut rest) = (text[..at].to_owned(), text[at..].to_owned());
        set(&mut rest, "listen", &address.to_string());
        before + &rest
    };
    let text = moved(text, "http", http);
    let text = moved(text, "observe", observe);
    let text = moved(text, "receive", address);
    fs::create_dir_all(home.join("outer-b/publish")).expect("a folder");
    let file = home.join("config/second.toml");
    fs::write(&file, &text).expect("a configuration");
    let out = home.join("second.spki");
    let out = out.to_str().expect("UTF-8");
    let identity = (0..2)
        .map(|_| deployment.ocsp_command("make-identity", "second.toml", &["--out", out]))
        .map(|made| {
            assert_eq!(made.code, 0, "{}", made.text);
            String::from_utf8(made.out).expect("a hash").trim().to_owned()
        })
        .reduce(|one, again| {
            assert_eq!(one, again, "the key that is there is the key");
            again
        })
        .expect("a hash");
    fs::write(&file, text.replace(&"0".repeat(64), &identity)).expect("a configuration");
    let outer = Outer { folder: home.join("outer-b"), address, keys };
    Second { outer, http, identity }
}

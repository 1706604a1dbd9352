//! An outer zone without a key: answers signed in the inner zone, carried as files, judged and given outside; files that were
//! tampered with or put back; a start without the inner zone.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::demo::until;
use support::ports::free_address;
use support::program::Server;
use support::suite::Check;
use support::{spoken, tool, workspace};
use x509::serial::SerialNumber;

use crate::accounts::Received;
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::feed::{Outer, PUSH};
use crate::revocation::{ocsp, ocsp_arguments, revoke};

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("presigned::an_outer_host_without_a_key_answers", an_outer_host_without_a_key_answers),
    ("presigned::no_file_is_believed_that_was_changed", no_file_is_believed_that_was_changed),
];

const SEEN_WITHIN: Duration = Duration::from_secs(120);
const GOOD: &str = "Cert Status: good";
const REVOKED: &str = "Cert Status: revoked";

/// The signer of the inner zone, and its configuration file beside the outer host's.
struct Signer {
    observe: SocketAddr,
}

/// The text without the section of this name.
fn without(text: &str, section: &str) -> String {
    let begins = text.find(&format!("\n[{section}]\n")).expect("the section") + 1;
    let ends = text[begins + 1..].find("\n[").map_or(text.len(), |end| begins + end + 2);
    text[..begins].to_owned() + &text[ends..]
}

impl Signer {
    /// Divides the responder of a deployment into one that signs, inside, and one that gives, outside, which takes pushes
    /// where `receives` is such a section.
    fn divide(deployment: &Deployment, receives: &str) -> Self {
        let observe = free_address();
        let file = deployment.home.join("config/ocsp.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let text = text.replace("[log]\n", "[log]\nfreshness = 1800\n");
        let section = "\n[answers]\nsigned = \"beforehand\"\n";
        let address = text.find("[observe]\nlisten = \"").expect("a section") + 20;
        let ends = address + text[address..].find('"').expect("its end");
        let inner = text[..address].to_owned() + &observe.to_string() + &text[ends..];
        let inner = without(&inner, "http") + section;
        fs::write(deployment.home.join("config/presign.toml"), inner).expect("a configuration");
        let outer = without(&text, "hsm") + section + receives;
        let outer = outer.replace("state = \"../ocsp\"", "state = \"../outer/state\"");
        fs::write(&file, outer).expect("a configuration");
        Self { observe }
    }

    fn start(&self, deployment: &Deployment) -> Server {
        deployment.responder_by("presign.toml", self.observe)
    }

    /// A figure of the signer.
    fn figure(&self, deployment: &Deployment, name: &str) -> Option<u64> {
        figure(deployment, self.observe, name)
    }
}

fn figure(deployment: &Deployment, observe: SocketAddr, name: &str) -> Option<u64> {
    let url = format!("http://{observe}/metrics");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", &url]).current_dir(deployment.folder());
    let text = spoken::run(&mut curl, &[]).text;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// What the outer host counts of a code.
fn refused(deployment: &Deployment, code: &str) -> u64 {
    let config = fs::read_to_string(deployment.home.join("config/ocsp.toml")).expect("a file");
    let (_, after) = config.split_once("[observe]\nlisten = \"").expect("an address");
    let (address, _) = after.split_once('"').expect("its end");
    let name = format!("sigill_ocsp_follow_refusals_total{{code=\"{code}\"}}");
    figure(deployment, address.parse().expect("an address"), &name).expect("a counter")
}

fn issue(deployment: &Deployment, key: &str) -> Received {
    Received::read(key, &deployment.api().persevere(&mut None, &deployment.order(key)))
}

fn said(deployment: &Deployment, serial: SerialNumber, wanted: &str) {
    let seen = until(SEEN_WITHIN, || ocsp(deployment, serial).contains(wanted).then_some(()));
    assert!(seen.is_some(), "{serial} is not {wanted:?}: {}", ocsp(deployment, serial));
}

/// The wave's file of a serial, below a publication folder.
fn file_of(serial: SerialNumber) -> String {
    format!("presigned/{AUTHORITY}/{}.answers", status::presigned::Wave::of(&serial))
}

/// OpenSSL's whole judgement: signature, delegate, chain and times, with these more words of the question.
fn judged(deployment: &Deployment, serial: SerialNumber, more: &[&str]) -> String {
    let out = deployment.home.join("ceremony/out");
    let (ca, root) = (out.join(format!("{AUTHORITY}.cer")), out.join("sigilltesteidrootcav1.cer"));
    let bundle = deployment.folder().join("chain.pem");
    let pem = |file: &Path| {
        let file = file.to_str().expect("UTF-8");
        let said = spoken::openssl(deployment.folder(), &["x509", "-in", file]);
        said.expect("openssl is there").text
    };
    fs::write(&bundle, pem(&ca) + &pem(&root)).expect("a file");
    let mut arguments = ocsp_arguments(deployment, &deployment.ocsp_url(), serial);
    arguments.retain(|word| word != "-noverify" && word != "-serial" && !word.starts_with("0x"));
    let mut words: Vec<&str> = vec!["ocsp"];
    words.extend(more);
    let serial = format!("0x{serial}");
    let bundle = bundle.display().to_string();
    words.extend(arguments[1..].iter().map(String::as_str));
    let issuer = words.iter().position(|word| *word == "-resp_text").expect("a word");
    words.remove(issuer);
    // The hash counts for what comes after it.
    words.extend(["-serial", &serial, "-CAfile", &bundle]);
    spoken::openssl(deployment.folder(), &words).expect("openssl is there").text
}

/// The certificate, its chain and the root, as other people's programs want them.
fn files(deployment: &Deployment, issued: &Received) -> PathBuf {
    let folder = deployment.folder().join("judged");
    fs::create_dir_all(&folder).expect("a folder");
    let answer: serde_json::Value = serde_json::from_slice(&issued.body).expect("JSON");
    let leaf = answer["certificate"].as_str().expect("a PEM");
    let out = deployment.home.join("ceremony/out");
    let pem = |name: &str| {
        let file = out.join(format!("{name}.cer"));
        let words = ["x509", "-in", file.to_str().expect("UTF-8")];
        let said = spoken::openssl(deployment.folder(), &words).expect("openssl is there");
        assert_eq!(said.code, 0, "{}", said.text);
        said.text
    };
    let (issuing, root) = (pem(AUTHORITY), pem("sigilltesteidrootcav1"));
    for (name, text) in [
        ("leaf.pem", leaf.to_owned()),
        ("issuing.pem", issuing.clone()),
        ("root.pem", root.clone()),
        ("chain.pem", leaf.to_owned() + &issuing),
        ("cas.pem", issuing + &root),
        ("url", deployment.ocsp_url()),
    ] {
        fs::write(folder.join(name), text).expect("a file");
    }
    folder
}

const GENUINE: &str = "Verifying OCSP Response: Success.";

/// What Java says of the whole chain, by OCSP alone, and GnuTLS of the certificate; each `None` where it is not installed.
fn others(folder: &Path) -> [Option<String>; 2] {
    let java = tool::find("java").map(|java| {
        let mut command = Command::new(java);
        let program = workspace::root().join("tests/interop/PkixCheck.java");
        command.arg(program).args(["ocsp", "0", "root.pem", "chain.pem"]).current_dir(folder);
        spoken::run(&mut command, &[]).text
    });
    let gnutls = tool::find("ocsptool").map(|ocsptool| {
        let url = fs::read_to_string(folder.join("url")).expect("a URL");
        let mut command = Command::new(ocsptool);
        command
            .arg(format!("--ask={url}"))
            .args(["--load-trust=cas.pem", "--load-cert=leaf.pem", "--load-issuer=issuing.pem"])
            .current_dir(folder);
        spoken::run(&mut command, &[]).text
    });
    println!("java: {java:?}\ngnutls: {gnutls:?}");
    [java, gnutls]
}

/// OCSP-03, OCSP-05, OCSP-08, OCSP-15: pushed over the feed to a host without a token: good and revoked by both hashes and
/// verified by OpenSSL, with a nonce as without, unauthorized for what nobody issued and for what was not made beforehand;
/// and after a start without the inner zone.
fn an_outer_host_without_a_key_answers(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let address = free_address();
    let inner = fs::read_to_string(deployment.home.join("config/ocsp.toml")).expect("a file");
    let outer = Outer::at(&deployment, address);
    let pushed = fs::read_to_string(deployment.home.join("config/ocsp.toml")).expect("a file");
    let (_, receives) = pushed.split_once("\n[receive]\n").expect("a section");
    let receives = format!("\n[receive]\n{receives}");
    fs::write(deployment.home.join("config/ocsp.toml"), &inner).expect("a file");
    let signer = Signer::divide(&deployment, &receives);
    carried(&deployment);
    let mut inside = signer.start(&deployment);
    let mut responder = deployment.responder();
    deployment.start_with(&(PUSH.to_owned() + &outer.host_at("ocsp1", address)));

    let first = issue(&deployment, "first");
    said(&deployment, first.serial, GOOD);
    for more in [&["-sha1", "-nonce"][..], &["-sha1", "-no_nonce"], &["-sha256", "-no_nonce"]] {
        let text = judged(&deployment, first.serial, more);
        assert!(text.contains("Response verify OK") && text.contains(": good"), "{more:?}: {text}");
    }
    let text = judged(&deployment, first.serial, &["-sha512"]);
    assert!(text.contains("unauthorized"), "{text}");
    let never = SerialNumber::from_random([0x5a; 16]);
    let text = judged(&deployment, never, &["-sha1"]);
    assert!(text.contains("unauthorized"), "{text}");

    let files = files(&deployment, &first);
    let [java, gnutls] = others(&files);
    assert!(java.is_none_or(|said| said.trim() == "valid"));
    assert!(gnutls.is_none_or(|said| said.contains(GENUINE) && said.contains("Status: good")));

    assert_eq!(revoke(&deployment, &first.id, "affiliationChanged", "r").status, 200);
    said(&deployment, first.serial, REVOKED);
    let [java, gnutls] = others(&files);
    assert!(java.is_none_or(|said| said.starts_with("refused: REVOKED")));
    assert!(gnutls.is_none_or(|said| said.contains(GENUINE) && said.contains("Status: revoked")));
    let text = judged(&deployment, first.serial, &["-sha256"]);
    assert!(text.contains("Response verify OK") && text.contains("affiliationChanged"), "{text}");
    assert!(signer.figure(&deployment, "sigill_ocsp_presigned_certificates ") >= Some(2));
    let outside = fs::read_dir(deployment.home.join("outer/state")).expect("a folder");
    let names: Vec<_> = outside.flatten().map(|entry| entry.file_name()).collect();
    assert!(names.iter().all(|name| name != "delegates" && name != "counters"), "{names:?}");

    // The inner zone is gone, and the outer host starts anew: it answers within the freshness of its checkpoint.
    let second = issue(&deployment, "second");
    said(&deployment, second.serial, GOOD);
    inside.kill();
    deployment.kill();
    responder.kill();
    let _responder = deployment.responder();
    said(&deployment, second.serial, GOOD);
    said(&deployment, first.serial, REVOKED);
}

/// Gives the outer host folders of its own.
fn carried(deployment: &Deployment) {
    let file = deployment.home.join("config/ocsp.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    let shared = "folder = \"../publish\"\noutbox = \"../outbox\"\n";
    let own = "folder = \"../outer/publish\"\noutbox = \"../outer/outbox\"\n";
    fs::create_dir_all(deployment.home.join("outer/publish")).expect("a folder");
    fs::write(&file, text.replace(shared, own)).expect("a configuration");
}

/// Carries all but the answers from one folder to the other, until it is dropped.
struct Carrying(std::process::Child);

impl Carrying {
    fn start(home: &Path) -> Self {
        let script = "while true; do for part in aia crl responder tile checkpoint; do \
                      cp -rup publish/$part outer/publish/; done; sleep 0.3; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(home).stderr(std::process::Stdio::null());
        Self(command.spawn().expect("sh starts"))
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Puts a file in place as a carrier does.
fn put(home: &Path, name: &str, bytes: &[u8]) {
    let path: PathBuf = home.join("outer/publish").join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let aside = path.with_extension("new");
    fs::write(&aside, bytes).expect("a file");
    fs::rename(&aside, &path).expect("a file");
}

/// The bytes with the digest that they ought to have.
fn digested(mut bytes: Vec<u8>) -> Vec<u8> {
    use sha2::Digest as _;
    let length = bytes.len() - 32;
    let digest: [u8; 32] = sha2::Sha256::digest(&bytes[..length]).into();
    bytes[length..].copy_from_slice(&digest);
    bytes
}

/// OCSP-11, promise 5: a carrier that damages, forges, exchanges or puts back a file is told of under its code, and what was believed is
/// answered from on; a revocation whose answer it withholds is tryLater and never good.
fn no_file_is_believed_that_was_changed(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    let signer = Signer::divide(&deployment, "");
    carried(&deployment);
    let home = deployment.home.clone();
    let _signer = signer.start(&deployment);
    deployment.start();
    let _carrying = Carrying::start(&home);
    let _responder = deployment.responder();
    let issued = issue(&deployment, "card");
    let name = file_of(issued.serial);
    let made = |before: Option<&[u8]>| {
        let file = home.join("publish").join(&name);
        let made = until(SEEN_WITHIN, || fs::read(&file).ok().filter(|now| before != Some(now)));
        made.expect("the answer is signed")
    };
    let first = made(None);
    said(&deployment, issued.serial, "trylater");
    put(&home, &name, &first);
    said(&deployment, issued.serial, GOOD);

    // Of the head: generation at 48; of a record: its signature is the last thing before the digest.
    let later = |mut bytes: Vec<u8>| {
        bytes[55] = bytes[55].wrapping_add(1);
        digested(bytes)
    };
    let changed = |at: usize| {
        let mut bytes = later(first.clone());
        let place = bytes.len() - at;
        bytes[place] ^= 1;
        bytes
    };
    let foreign = {
        let mut bytes = first.clone();
        bytes[8] ^= 1;
        digested(later(bytes))
    };
    let same_generation = {
        let mut bytes = first.clone();
        bytes[75] ^= 1;
        digested(bytes)
    };
    for (bytes, code) in [
        (changed(1), "presigned-corrupt"),
        (later(first[..first.len() - 40].to_vec()), "presigned-corrupt"),
        (digested(changed(60)), "presigned-signature"),
        (foreign, "presigned-foreign"),
        (same_generation, "presigned-altered"),
    ] {
        let before = refused(&deployment, code);
        put(&home, &name, &bytes);
        let told = until(SEEN_WITHIN, || (refused(&deployment, code) > before).then_some(()));
        assert!(told.is_some(), "{code} is not told of");
        said(&deployment, issued.serial, GOOD);
    }

    // Withheld, the answer good is given no more; put back, it is refused; and given over it is revoked.
    assert_eq!(revoke(&deployment, &issued.id, "superseded", "r").status, 200);
    said(&deployment, issued.serial, "trylater");
    let second = made(Some(&first));
    put(&home, &name, &second);
    said(&deployment, issued.serial, REVOKED);
    put(&home, &name, &first);
    let code = "presigned-rolled-back";
    let told = until(SEEN_WITHIN, || (refused(&deployment, code) > 0).then_some(()));
    assert!(told.is_some(), "{code} is not told of");
    said(&deployment, issued.serial, REVOKED);
}

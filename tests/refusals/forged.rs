//! Notes and tokens of other deployments, made well.

use std::fs;
use std::process::Command;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::checkpoint::CheckpointNote;
use ledger::manifest::Manifest;
use ledger::signer::NoteSigner;
use ledger::{Checkpoint, Edge, NoteSignError, NoteToSign, Timestamp};
use support::spoken;

use crate::home::{CONFIG, Home, value_of};

/// The key of a note key file, whatever its deployment.
struct Key(Ed25519KeyPair);

impl Key {
    fn read(home: &Home, file: &str) -> Self {
        let text = home.read(file);
        let digits = text.lines().nth(2).expect("three lines");
        let seed: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed of 32 octets"))
    }
}

impl NoteSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().expect("32 octets")
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        Ok(self.0.sign(&note.message()).as_ref().try_into().expect("64 octets"))
    }
}

/// Publishes the checkpoint of an empty log of this origin.
pub fn checkpoint(home: &Home, key: &str, origin: &str, file: &str) {
    let origin = origin.parse().expect("an origin");
    let checkpoint = Checkpoint { origin, size: 0, root: Edge::new().root() };
    let timestamp = Timestamp::from_secs(1_700_000_000).expect("a timestamp");
    let note = CheckpointNote::sign(checkpoint, timestamp, &Key::read(home, key));
    let path = home.path(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
    fs::write(path, note.expect("a note").to_string()).expect("the checkpoint is written");
}

/// Publishes an empty CRL manifest of this deployment.
pub fn manifest(home: &Home, key: &str, deployment: &str) {
    let deployment = deployment.parse().expect("a deployment");
    let name = status::CRL_MANIFEST.parse().expect("a name");
    let rows: [String; 0] = [];
    let manifest = Manifest::new(deployment, name, rows).expect("a manifest");
    let note = manifest.sign(&Key::read(home, key)).expect("a note");
    home.write("publish/crl/manifest", note);
}

/// Makes an empty token of this label and names its serial number and PIN in the configuration of
/// `sigill-ca`.
pub fn token(home: &Home, label: &str) {
    token_of(home, CONFIG, "pins/issuing.pin", label);
}

/// The same in another configuration, which names one token.
pub fn token_of(home: &Home, config: &str, pin: &str, label: &str) {
    let run = |arguments: &[&str]| {
        let mut command = Command::new("softhsm2-util");
        command.args(arguments).env("SOFTHSM2_CONF", home.path("softhsm2.conf"));
        let said = spoken::run(&mut command, &[]);
        assert_eq!(said.code, 0, "softhsm2-util {arguments:?}: {}", said.text);
        said.text
    };
    let before = value_of(&home.read(config), "serial");
    let known = run(&["--show-slots"]);
    run(&["--init-token", "--free", "--label", label, "--pin", "12345678", "--so-pin", "87654321"]);
    let serial = run(&["--show-slots"])
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Serial number:"))
        .map(str::trim)
        .find(|serial| !serial.is_empty() && !known.contains(serial))
        .expect("a new token")
        .to_owned();
    home.edit(config, &before, &serial);
    home.write(pin, "12345678\n");
}

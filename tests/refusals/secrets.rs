//! Where secrets must not be: PINs and the person's number, searched for octet by octet.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use support::suite::Check;

use crate::World;
use crate::requests::{base64, made, p256, person};
use crate::running::Call;

pub const CHECKS: &[Check<World>] = &[
    ("no_pin_stands_anywhere_but_in_its_file", pins_are_nowhere),
    ("a_personal_number_stands_nowhere_in_clear", numbers_are_nowhere),
];

/// KEY-02: process list, environments, logs, configurations, database, publication, state.
fn pins_are_nowhere(world: &World) {
    let home = &world.server.home;
    let pins: Vec<(String, Vec<u8>)> = files(&home.path(""))
        .into_iter()
        .filter(|path| path.ends_with(".pin") || path.ends_with(".so-pin"))
        .map(|path| {
            let pin = fs::read(&path).expect("a PIN is readable").trim_ascii().to_vec();
            (path, pin)
        })
        .collect();
    println!("{} PINs", pins.len());
    assert!(pins.len() >= 8, "each token has a PIN and an SO PIN: {pins:?}");
    assert!(pins.iter().all(|(_, pin)| pin.len() >= 32), "PINs are 32 characters");
    let distinct: BTreeSet<_> = pins.iter().map(|(_, pin)| pin).collect();
    assert_eq!(distinct.len(), pins.len(), "each PIN is one token's");

    let own: BTreeSet<&str> = pins.iter().map(|(path, _)| path.as_str()).collect();
    let mut searched = 0;
    let mut search = |path: &str| {
        let Ok(bytes) = fs::read(path) else { return };
        searched += 1;
        for (file, pin) in &pins {
            assert!(!holds(&bytes, pin), "{path} holds the PIN of {file}");
        }
    };
    // The token's own files hold its keys under the PIN, and never the PIN.
    files(&home.path(""))
        .iter()
        .filter(|path| !own.contains(path.as_str()))
        .for_each(|path| search(path));
    search(home.beside("serve.log").to_str().expect("text"));
    for process in fs::read_dir("/proc").expect("/proc is there").flatten() {
        for file in ["cmdline", "environ"] {
            search(&process.path().join(file).display().to_string());
        }
    }
    println!("{searched} files and processes");
    assert!(searched > 100, "{searched}");
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(home.path(name)).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!((mode("pins"), mode("pins/issuing.pin"), mode("keys")), (0o700, 0o600, 0o700));
}

/// DAT-06: what was ordered for a person lies sealed, in the file and its write-ahead log.
fn numbers_are_nowhere(world: &World) {
    let server = &world.server;
    let challenge = made(&["rsa:2048"], &[]);
    for order in [person(&base64(&p256())), person(&base64(&challenge))] {
        let answer = server.call(&Call::order(&order));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // A refused order is stored with its body too.
    let mut refused = person(&base64(&p256()));
    refused["subject"]["surname"] = json!("Tolv\nansson");
    assert_eq!(server.call(&Call::order(&refused)).status, 422);
    server.settle();
    let home = &server.home;
    let secrets = ["191212121212", "1212121212", "Tolvansson", "TST2321000016-1002"];
    for name in ["state/ca.sqlite", "state/ca.sqlite-wal"] {
        let bytes = fs::read(home.path(name)).expect("the database and its log are readable");
        assert!(bytes.len() > 4096, "{name} has {} octets", bytes.len());
        for secret in secrets {
            assert!(!holds(&bytes, secret.as_bytes()), "{name} holds {secret}");
        }
    }
    let log = server.log();
    for secret in secrets {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    for path in
        ["publish", "audit", "outbox", "state"].iter().flat_map(|name| files(&home.path(name)))
    {
        let bytes = fs::read(&path).unwrap_or_default();
        for secret in secrets {
            assert!(!holds(&bytes, secret.as_bytes()), "{path} holds {secret}");
        }
    }
}

fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

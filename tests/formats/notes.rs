//! Vectors of checkpoints and manifests: notes that must be believed and notes that must not.

use ledger::checkpoint::CheckpointNote;
use ledger::manifest::Manifest;
use ledger::{Checkpoint, Edge, Hash, Timestamp};
use serde_json::{Value, json};

use crate::keys::VectorKey;

const ORIGIN: &str = "sigill/test/demo/ab12/status/1";

fn sign(key: &VectorKey, origin: &str, size: u64, secs: u64) -> String {
    let mut edge = Edge::new();
    let entries: Vec<String> = (0..size).map(|index| index.to_string()).collect();
    edge.append(&entries).unwrap();
    let checkpoint = Checkpoint { origin: origin.parse().unwrap(), size, root: edge.root() };
    let timestamp = Timestamp::from_secs(secs).unwrap();
    CheckpointNote::sign(checkpoint, timestamp, key).unwrap().to_string()
}

pub fn vectors() -> Value {
    let key = VectorKey::status();
    let checkpoints: Vec<Value> = [
        ("empty log", ORIGIN, 0, 0),
        ("status log", ORIGIN, 300, 1_795_312_288),
        ("a later epoch", "sigill/prod/prod/se01/status/4294967295", 7, 1_795_312_288),
        ("audit log", "sigill/qa/test/0000/audit/1", 3, Timestamp::MAX.secs()),
    ]
    .into_iter()
    .map(|(name, origin, size, secs)| {
        let note = sign(&key, origin, size, secs);
        let opened = CheckpointNote::open(note.as_bytes(), key.public()).unwrap();
        json!({
            "name": name,
            "note": note,
            "origin": origin,
            "size": size,
            "root": opened.checkpoint().root.to_string(),
            "timestamp": secs,
        })
    })
    .collect();

    let refused: Vec<Value> = refused_checkpoints()
        .into_iter()
        .map(|(name, note)| {
            assert!(CheckpointNote::open(note.as_bytes(), key.public()).is_err(), "{name}");
            json!({"name": name, "note": note})
        })
        .collect();

    let manifest_key = VectorKey::manifest();
    let manifest = manifest();
    let rows: Vec<&str> = manifest.rows().collect();
    let note = manifest.clone().sign(&manifest_key).unwrap();
    let manifests_refused = vec![
        json!({"name": "another row", "note": note.replace(" 2A ", " 2B ")}),
        json!({"name": "a row less", "note": note.replacen(&format!("{}\n", rows[0]), "", 1)}),
        json!({"name": "another key", "note": manifest.clone().sign(&key).unwrap()}),
    ];
    for refused in &manifests_refused {
        let note = refused["note"].as_str().unwrap();
        assert!(Manifest::open(note.as_bytes(), manifest_key.public()).is_err());
    }

    json!({
        "public key": key.public().to_string(),
        "checkpoints": checkpoints,
        "refused": refused,
        "manifest public key": manifest_key.public().to_string(),
        "manifests": [{"note": note, "origin": "sigill/test/demo/ab12/crl", "rows": rows}],
        "manifests refused": manifests_refused,
    })
}

fn manifest() -> Manifest {
    let hash = Hash::of_empty_tree();
    let rows = [
        format!("crl/ca2.crl {hash} 0100 1.300"),
        format!("crl/root.crl {hash} 01 -"),
        format!("crl/ca1.crl {hash} 2A 1.17"),
    ];
    Manifest::new("test/demo/ab12".parse().unwrap(), "crl".parse().unwrap(), rows).unwrap()
}

fn refused_checkpoints() -> Vec<(&'static str, String)> {
    let key = VectorKey::status();
    let good = sign(&key, ORIGIN, 300, 1_795_312_288);
    let stranger = sign(&VectorKey::stranger(), ORIGIN, 300, 1_795_312_288);
    let later = sign(&key, ORIGIN, 300, 1_795_312_289);
    let other = sign(&key, ORIGIN, 299, 1_795_312_288);
    let elsewhere = sign(&key, "sigill/prod/prod/ab12/status/1", 300, 1_795_312_288);
    let line = |note: &str, at: usize| note.lines().nth(4 + at).unwrap().to_owned() + "\n";
    let text = |note: &str| note.split_once("\n\n").unwrap().0.to_owned() + "\n\n";
    let with = |text: &str, lines: &[String]| text.to_owned() + &lines.concat();
    let body = text(&good);
    let [plain, cosigned] = [line(&good, 0), line(&good, 1)];

    vec![
        ("only the 0x01 line", with(&body, std::slice::from_ref(&plain))),
        ("only the 0x04 line", with(&body, std::slice::from_ref(&cosigned))),
        ("two cosignatures", with(&body, &[plain.clone(), cosigned.clone(), line(&later, 1)])),
        ("cosignature of another size", with(&body, &[plain.clone(), line(&other, 1)])),
        ("signature of another size", with(&body, &[line(&other, 0), cosigned.clone()])),
        ("lines of another deployment", with(&body, &[line(&elsewhere, 0), line(&elsewhere, 1)])),
        ("a key that is not pinned", stranger),
        ("another size", good.replacen("\n300\n", "\n301\n", 1)),
        ("a leading zero", good.replacen("\n300\n", "\n0300\n", 1)),
        ("another origin", good.replace("ab12", "ab13")),
        ("a fourth line", good.replacen("\n\n", "\nmore\n\n", 1)),
        ("no newline at the end", good.trim_end().to_owned()),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("a hyphen for the dash", good.replace('\u{2014}', "-")),
        ("no signature", body.clone()),
        (
            "seventeen lines",
            with(&body, &[&[plain, cosigned][..], &vec![line(&stranger_note(), 0); 15]].concat()),
        ),
        ("nothing", String::new()),
    ]
}

fn stranger_note() -> String {
    sign(&VectorKey::stranger(), ORIGIN, 300, 1_795_312_288)
}

//! Vectors of the tree: hashes, proofs, paths.

use ledger::proof::{consistency, inclusion};
use ledger::tile::{TileReadError, paths};
use ledger::tree::TileHashes;
use ledger::{Edge, Hash, TilePath, TileSource, leaf_hash};
use serde_json::{Value, json};

use crate::{Files, hex};

/// The entries of the vectors' tree: entry n is its number in decimal, n times over at most 5.
fn entry(index: u64) -> Vec<u8> {
    index.to_string().repeat(usize::try_from(index % 6).unwrap()).into_bytes()
}

struct Map(Files);

impl TileSource for Map {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        self.0.get(&path.to_string()).cloned().ok_or(TileReadError::Missing { path: *path })
    }
}

fn tree(size: u64) -> (Edge, Map) {
    let mut edge = Edge::new();
    let entries: Vec<Vec<u8>> = (0..size).map(entry).collect();
    let files = edge.append(&entries).unwrap();
    (edge, Map(files.into_iter().map(|file| (file.path.to_string(), file.bytes)).collect()))
}

fn hashes(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(Hash::to_string).collect()
}

pub fn vectors() -> Value {
    let size = 300;
    let (_, files) = tree(size);
    let source = TileHashes::new(size, &files);
    let entries: Vec<Value> = (0..20)
        .map(|index| {
            let entry = entry(index);
            json!({"entry": hex(&entry), "leaf": leaf_hash(&entry).to_string()})
        })
        .collect();
    let roots: Vec<Value> = (0..=20)
        .chain([255, 256, 257, size])
        .map(|size| json!({"size": size, "root": tree(size).0.root().to_string()}))
        .collect();
    let inclusion: Vec<Value> = [0, 1, 6, 127, 128, 255, 256, 299]
        .map(|index| json!({"index": index, "proof": hashes(&inclusion(index, size, &source).unwrap())}))
        .into();
    let consistency: Vec<Value> = [1, 2, 3, 127, 128, 129, 255, 256, 257, 299, 300]
        .map(|old| json!({"old": old, "proof": hashes(&consistency(old, size, &source).unwrap())}))
        .into();
    let paths: Vec<Value> = [0, 1, 255, 256, 257, 65_536, 70_000]
        .map(|size| {
            let paths: Vec<String> = paths(size).map(|path| path.to_string()).collect();
            // The largest tree has 551 files: its partial ones and their number say enough.
            let named: Vec<&String> = if size > 257 {
                paths.iter().filter(|p| p.contains(".p/")).collect()
            } else {
                paths.iter().collect()
            };
            json!({"size": size, "count": paths.len(), "paths": named})
        })
        .into();
    let indexes: Vec<Value> = [0, 5, 999, 1000, 1_234_067, 999_999_999, u64::MAX]
        .map(|index| {
            let text = format!("tile/0/{}", path_of(index));
            json!({"index": index.to_string(), "path": text})
        })
        .into();
    json!({
        "entries": entries,
        "roots": roots,
        "size": size,
        "inclusion": inclusion,
        "consistency": consistency,
        "files": paths,
        "indexes": indexes,
        "entry rule": "entry n is n in decimal, repeated n mod 6 times",
    })
}

fn path_of(index: u64) -> String {
    let full: TilePath = "tile/0/000".parse().unwrap();
    let path = TilePath { index, ..full }.to_string();
    path.strip_prefix("tile/0/").unwrap().to_owned()
}

"""A second decoder of what Sigill publishes and keeps, written from docs/formats alone.

    decode.py vectors FOLDER                               reads docs/formats/vectors
    decode.py log FOLDER --key HEX [--manifest-key HEX]    judges a publication or audit folder
"""

import argparse
import hashlib
import re
import sys
from pathlib import Path

import audit_leaf
import note
import status_entry
import tlog
import vectors

ORIGIN = re.compile(r"sigill/[a-z0-9]+/[a-z0-9]+/[a-z0-9]{4}/(status|audit)/([1-9][0-9]*)")
ROW = re.compile(r"([!-~]+) ([0-9a-f]{64}) ((?:[0-9A-F]{2})+) ([0-9]+\.[0-9]+|-)")
REFUSALS = (note.NoteRefused, tlog.LogRefused, status_entry.EntryRefused, audit_leaf.LeafRefused)


class FolderRefused(Exception):
    """Something in the folder is not what it should be."""


def judge(folder: Path, key: bytes, manifest_key: bytes | None = None) -> str:
    """Reads everything under the checkpoint, and says in one line what it is."""
    octets = (folder / "checkpoint").read_bytes()
    origin = octets.split(b"\n", 1)[0].decode()
    kind = ORIGIN.fullmatch(origin)
    if not kind or int(kind[2]) >= 2**32:
        raise FolderRefused(f"origin {origin!r}")
    checkpoint = note.read_checkpoint(octets, origin, key)
    entries = tlog.read_entries(folder, checkpoint.size)
    if tlog.check_tiles(folder, entries) != checkpoint.root:
        raise FolderRefused("the tiles do not have the root that the checkpoint signs")
    if kind[1] == "status":
        detail = _status(entries, int(kind[2]))
    else:
        detail = _audit(entries)
    if manifest_key is not None:
        detail += ", " + _manifest(folder, origin, manifest_key)
    return f"{origin}: {checkpoint.size} entries, root {checkpoint.root.hex()}, {detail}"


def _status(entries: list[bytes], epoch: int) -> str:
    log = status_entry.Log(epoch)
    for octets in entries:
        log.append(status_entry.decode(octets))
    revoked = sum(state == "revoked" for state, _ in log.states.values())
    return f"{len(log.issuers)} CAs, {len(log.states)} certificates, {revoked} revoked"


def _audit(entries: list[bytes]) -> str:
    last = 0
    for index, octets in enumerate(entries):
        leaf = audit_leaf.decode(octets)
        if leaf.time < last:
            raise FolderRefused(f"leaf {index} is older than the one before")
        last = leaf.time
    return "all leaves decode"


def _manifest(folder: Path, origin: str, key: bytes) -> str:
    name = origin.rsplit("/", 2)[0] + "/crl"
    text, _ = note.verify((folder / "crl/manifest").read_bytes(), name, key, note.PLAIN)
    first, *rows = text[:-1].split("\n")
    if first != name or rows != sorted(set(rows), key=str.encode):
        raise FolderRefused("manifest of another deployment, or rows out of order")
    for row in rows:
        found = ROW.fullmatch(row)
        if not found or len(row) > 512:
            raise FolderRefused(f"manifest row {row!r}")
        if hashlib.sha256((folder / found[1]).read_bytes()).hexdigest() != found[2]:
            raise FolderRefused(f"{found[1]} is not the file that the manifest signs")
    return f"{len(rows)} CRLs"


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="decode.py", description="A second decoder, written from docs/formats alone.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    read = verbs.add_parser("vectors", help="read docs/formats/vectors")
    read.add_argument("folder", type=Path)
    log = verbs.add_parser("log", help="judge a publication or audit folder")
    log.add_argument("folder", type=Path)
    log.add_argument("--key", type=bytes.fromhex, required=True, help="Ed25519 public key of the log, hexadecimal")
    log.add_argument("--manifest-key", type=bytes.fromhex, help="Ed25519 public key of the CRL manifest, hexadecimal")
    given = parser.parse_args(words)
    try:
        if given.verb == "vectors":
            for name, count in vectors.judge(given.folder).items():
                print(f"{name}: {count} vectors")
        else:
            print(judge(given.folder, given.key, given.manifest_key))
    except (*REFUSALS, FolderRefused, vectors.VectorRefused, OSError) as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

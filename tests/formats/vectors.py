"""Reads every vector of docs/formats/vectors and compares it with what this decoder makes of the octets."""

import hashlib
import itertools
import json
from pathlib import Path

import audit_leaf
import ceremony_bundle
import exchange
import note
import pin_shares as sharing
import presigned
import receipt
import revocation_job
import status_entry
import tlog
import transcript


class VectorRefused(Exception):
    """The decoder and the vector disagree."""


def judge(folder: Path) -> dict[str, int]:
    """How many vectors of each file were read; refuses at the first that disagrees."""
    readers = {"status-entries.json": status_entries, "audit-leaves.json": audit_leaves, "merkle.json": merkle,
               "notes.json": notes, "receipts.json": receipts, "revocation-job.json": revocation_jobs,
               "presigned-answers.json": presigned_answers, "transcripts.json": transcripts,
               "ceremony-bundle.json": lambda document: ceremony(document, folder),
               "pin-shares.json": pin_shares, "exchange.json": exchanges}
    found = {path.name for path in folder.glob("*.json")}
    if found != set(readers):
        raise VectorRefused(f"files {sorted(found)}, wanted {sorted(readers)}")
    return {name: reader(json.loads((folder / name).read_text())) for name, reader in readers.items()}


def ceremony(document: dict, folder: Path) -> int:
    files = ceremony_bundle.read((folder / "ceremony-bundle.tar").read_bytes(), document["plan"], document["head"])
    rows = [f"{hashlib.sha256(octets).hexdigest()}  {name}" for name, octets in sorted(files.items())]
    _same("the bundle of a ceremony", ["# sigill-ceremony-bundle/1", *rows], document["manifest"])
    return len(files)


def exchanges(document: dict) -> int:
    request = exchange.read(document["request"], "request")
    exchange.asked(request, document)
    exchange.given(exchange.read(document["response"], "response"), request, document)
    for vector in document["refused"]:
        try:
            found = exchange.read(vector["file"], vector["kind"])
            exchange.asked(found, document) if vector["kind"] == "request" else exchange.given(found, request, document)
        except exchange.ExchangeRefused as refused:
            _same(vector["name"], refused.args[0], vector["code"])
        else:
            raise VectorRefused(f"{vector['name']} is taken")
    return len(document["refused"]) + 2


def pin_shares(document: dict) -> int:
    record = document["set"]
    shares = [sharing.octets(words) for words in document["shares"]]
    _same("custodians", [sharing.judge(record, share) for share in shares], [one["name"] for one in record["custodians"]])
    read = 0
    for count in range(1, len(shares) + 1):
        for chosen in itertools.combinations(shares, count):
            read += 1
            try:
                _same("PIN", sharing.join(record, list(chosen)), document["pin"])
            except sharing.ShareRefused:
                if count >= record["threshold"]:
                    raise
            else:
                _same("shares", count >= record["threshold"], True)
    return read


def revocation_jobs(document: dict) -> int:
    for vector in document["operations"]:
        made = revocation_job.operation(vector["deployment"], bytes.fromhex(vector["job"]), vector["reason"],
                                        vector["wave"], vector["pause"], _certificates(vector))
        _same(vector["name"], made.hex(), vector["operation"])
    for vector in document["refused"]:
        try:
            revocation_job.operation("test/demo/ab12", bytes(16), None, 1, 0, _certificates(vector))
        except revocation_job.JobRefused:
            continue
        raise VectorRefused(f"{vector['name']}: taken")
    return len(document["operations"]) + len(document["refused"])


def transcripts(document: dict) -> int:
    for vector in document["transcripts"]:
        found = transcript.read("".join(line + "\n" for line in vector["lines"]).encode())
        _same(vector["name"], [found.head.hex(), found.closed], [vector["head"], vector["closed"]])
    for vector in document["refused"]:
        try:
            transcript.read("".join(line + "\n" for line in vector["lines"]).encode())
        except transcript.TranscriptRefused as fault:
            _same(vector["name"], fault.line, vector["line"])
            continue
        raise VectorRefused(f"{vector['name']}: taken")
    for vector in document["shapes"]:
        found = transcript.read("".join(line + "\n" for line in vector["lines"]).encode())
        try:
            lines = transcript.shape(found.records)
        except KeyError:
            _same(vector["name"], None, vector["hash"])
            continue
        _same(vector["name"], [lines, transcript.shape_hash(lines)], [vector["shape"], vector["hash"]])
    return sum(len(document[part]) for part in ("transcripts", "refused", "shapes"))


def _certificates(vector: dict) -> list[tuple[bytes, bytes]]:
    return [(bytes.fromhex(one["issuer"]), bytes.fromhex(one["serial"])) for one in vector["certificates"]]


def status_entries(document: dict) -> int:
    for vector in document["entries"]:
        _same(vector["name"], entry_fields(status_entry.decode(bytes.fromhex(vector["hex"]))), vector["fields"])
    if {vector["fields"]["kind"] for vector in document["entries"]} != set(status_entry.KINDS.values()):
        raise VectorRefused("not every kind of entry has a vector")
    return len(document["entries"]) + _refused(document["refused"], status_entry.decode, status_entry.EntryRefused)


def entry_fields(entry: status_entry.Entry) -> dict:
    fields = {"kind": entry.kind, "log time": entry.log_time}
    if entry.kind == "epoch-opened":
        return fields | {"old size": entry.old_size, "old root": entry.old_root.hex()}
    if entry.kind == "issuer-declared":
        return fields | {"issuer id": entry.issuer_id.hex()}
    fields |= {"issuer reference": entry.issuer_reference, "serial": entry.serial.hex(),
               "effective time": entry.effective_time}
    if entry.kind in ("issued", "voided"):
        fields["notAfter"] = entry.not_after
    if entry.kind == "issued":
        fields |= {"class before activation": entry.before_activation, "class after expiry": entry.after_expiry}
    if entry.kind == "revoked":
        number = {name: number for number, name in status_entry.REASONS.items()}
        fields |= {"reason": number.get(entry.reason), "invalidity date": entry.invalidity_date}
    return fields


def audit_leaves(document: dict) -> int:
    for vector in document["leaves"]:
        leaf = audit_leaf.decode(bytes.fromhex(vector["hex"]))
        _same(vector["name"], leaf_fields(leaf), vector["fields"])
        salt, payload = bytes.fromhex(vector["salt"]), bytes.fromhex(vector["payload"])
        if not audit_leaf.belongs(leaf, salt, payload) or audit_leaf.belongs(leaf, salt, payload + b"x"):
            raise VectorRefused(f"{vector['name']}: salt and payload are not those of the leaf")
    return len(document["leaves"]) + _refused(document["refused"], audit_leaf.decode, audit_leaf.LeafRefused)


def leaf_fields(leaf: audit_leaf.Leaf) -> dict:
    def shown(kind: str, octets: bytes) -> str:
        if kind == "status entry":
            return f"{int.from_bytes(octets[:4], 'big')}.{int.from_bytes(octets[4:], 'big')}"
        return octets.hex()

    return {"event": leaf.event, "time": leaf.time, "result": leaf.result, "actor": leaf.actor,
            "actor id": leaf.actor_id.hex(), "payload": leaf.payload.hex(),
            "policy": leaf.policy.hex() if leaf.policy else None,
            "objects": [[kind, shown(kind, octets)] for kind, octets in leaf.objects]}


def merkle(document: dict) -> int:
    size = document["size"]
    entries = [str(index).encode() * (index % 6) for index in range(size)]
    leaves = [tlog.leaf_hash(entry) for entry in entries]
    whole = tlog.root(leaves)
    for index, vector in enumerate(document["entries"]):
        _same(f"entry {index}", {"entry": entries[index].hex(), "leaf": leaves[index].hex()}, vector)
    for vector in document["roots"]:
        _same(f"root of {vector['size']}", tlog.root(leaves[:vector["size"]]).hex(), vector["root"])
    for vector in document["inclusion"]:
        proof = [bytes.fromhex(one) for one in vector["proof"]]
        if not tlog.included(vector["index"], size, leaves[vector["index"]], proof, whole):
            raise VectorRefused(f"inclusion of {vector['index']}")
        if tlog.included(vector["index"], size, leaves[vector["index"]][::-1], proof, whole):
            raise VectorRefused(f"inclusion of another leaf at {vector['index']}")
    for vector in document["consistency"]:
        proof = [bytes.fromhex(one) for one in vector["proof"]]
        old = tlog.root(leaves[:vector["old"]])
        if not tlog.consistent(vector["old"], old, size, whole, proof):
            raise VectorRefused(f"consistency with {vector['old']}")
        if tlog.consistent(vector["old"], old[::-1], size, whole, proof):
            raise VectorRefused(f"consistency with another tree of {vector['old']}")
    for vector in document["indexes"]:
        _same(f"index {vector['index']}", tlog.tile_path("0", int(vector["index"])), vector["path"])
    for vector in document["files"]:
        names = file_names(vector["size"])
        _same(f"files of {vector['size']}", len(names), vector["count"])
        strangers = set(vector["paths"]) - names
        if strangers:
            raise VectorRefused(f"files of {vector['size']}: {sorted(strangers)}")
    return sum(len(document[name]) for name in ("entries", "roots", "inclusion", "consistency", "indexes", "files"))


def file_names(size: int) -> set[str]:
    names = {tlog.tile_path("entries", index, width) for index, width in tlog.pieces(size)}
    level, count = 0, size
    while count:
        names |= {tlog.tile_path(str(level), index, width) for index, width in tlog.pieces(count)}
        level, count = level + 1, count // tlog.WIDTH
    return names


def notes(document: dict) -> int:
    key, manifest_key = bytes.fromhex(document["public key"]), bytes.fromhex(document["manifest public key"])
    for vector in document["checkpoints"]:
        found = note.read_checkpoint(vector["note"].encode(), vector["origin"], key)
        _same(vector["name"], (found.size, found.root.hex(), found.timestamp),
              (vector["size"], vector["root"], vector["timestamp"]))
    origin = next(one["origin"] for one in document["checkpoints"] if one["name"] == "status log")
    refused = _refused(document["refused"], lambda octets: note.read_checkpoint(octets, origin, key), note.NoteRefused)
    for vector in document["manifests"]:
        text, _ = note.verify(vector["note"].encode(), vector["origin"], manifest_key, note.PLAIN)
        _same(vector["origin"], text.split("\n")[1:-1], vector["rows"])
    name = document["manifests"][0]["origin"]
    refused += _refused(document["manifests refused"],
                        lambda octets: note.verify(octets, name, manifest_key, note.PLAIN), note.NoteRefused)
    return len(document["checkpoints"]) + len(document["manifests"]) + refused


def receipts(document: dict) -> int:
    key, pinned = bytes.fromhex(document["public key"]), document["vantage points"]

    def read(octets: bytes):
        return receipt.read(octets, document["deployment"], key, pinned)

    for vector in document["receipts"]:
        found = [{"position": one.position, "issuer": one.issuer, "serial": one.serial,
                  "revoked at": int(one.status.split("@")[1].split("/")[0]), "reason": int(one.status.split("/")[1])}
                 for one in read(vector["note"].encode())]
        _same(vector["name"], found, vector["revocations"])
    for vector in document["observations"]:
        found = receipt.observation(vector["statement"])
        _same(vector["name"], {"fields": found.fields, "seen": found.seen},
              {"fields": vector["fields"], "seen": vector["seen"]})
    if {vector["fields"]["method"] for vector in document["observations"]} != {"ocsp-get", "ocsp-post", "crl", "crl-delta"}:
        raise VectorRefused("not every method of an observation has a vector")
    refused = _refused(document["refused"], read, receipt.ReceiptRefused)
    refused += _refused(document["observations refused"], lambda octets: receipt.observation(octets.decode()),
                        receipt.ReceiptRefused)
    return len(document["receipts"]) + len(document["observations"]) + refused


def presigned_answers(document: dict) -> int:
    name, key = bytes.fromhex(document["issuer name"]), bytes.fromhex(document["issuer key"])
    for vector in document["files"]:
        found = presigned.read(bytes.fromhex(vector["hex"]))
        answers = [answer.fields() for answer in found.answers]
        _same(vector["name"], {"issuer": found.issuer.hex(), "wave": found.wave, "generation": found.generation,
                               "position": found.position, "checkpoint": found.checkpoint,
                               "signers": len(found.signers), "answers": answers},
              {field: value for field, value in vector.items() if field not in ("name", "hex")})
        for answer in found.answers:
            presigned.verify(found, answer, name, key)
    return len(document["files"]) + _refused(document["refused"], presigned.read, presigned.PresignedRefused)


def _refused(vectors: list[dict], decode, refusal: type[Exception]) -> int:
    for vector in vectors:
        octets = bytes.fromhex(vector["hex"]) if "hex" in vector else vector["note"].encode()
        try:
            decode(octets)
        except refusal:
            continue
        raise VectorRefused(f"{vector['name']}: decodes, and must not")
    return len(vectors)


def _same(name: str, found, wanted) -> None:
    if found != wanted:
        raise VectorRefused(f"{name}: found {found}, the vector says {wanted}")

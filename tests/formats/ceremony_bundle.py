"""A second reader of bundles of ceremonies, written from docs/formats/ceremony-bundle.md alone. Signatures are others' to judge.

    ceremony_bundle.py FILE    says which plan and head it has, and what was made
"""

import hashlib
import io
import re
import sys
import tarfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import transcript

NAME = re.compile(r"(?:plan\.toml|(?:transcript|rehearsal)\.jsonl|approvals/[A-Za-z0-9_-][A-Za-z0-9._-]*\.approval"
                  r"|(?:in|out)(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)")
NEEDED = {"plan.toml", "transcript.jsonl", "rehearsal.jsonl"}


class BundleRefused(Exception):
    """It is no bundle, or its files do not belong together."""


def refuse(holds: bool, why: str) -> None:
    if not holds:
        raise BundleRefused(why)


def packed(files: dict[str, bytes]) -> bytes:
    """The one form of these files."""
    manifest = "# sigill-ceremony-bundle/1\n" + "".join(
        f"{hashlib.sha256(octets).hexdigest()}  {name}\n" for name, octets in sorted(files.items()))
    out = b""
    for name, octets in [("MANIFEST", manifest.encode()), *sorted(files.items())]:
        folder, file = f"bundle/{name}".rsplit("/", 1)
        fields = [(file, 100), ("0000644", 8), ("0000000", 8), ("0000000", 8), (f"{len(octets):011o}", 12),
                  ("00000000000", 12), ("        ", 8), ("0", 1), ("", 100), ("ustar\00000", 8), ("", 32), ("", 32),
                  ("0000000", 8), ("0000000", 8), (folder, 155), ("", 12)]
        header = b"".join(text.encode().ljust(length, b"\0") for text, length in fields)
        header = header[:148] + f"{sum(header):06o}\0 ".encode() + header[156:]
        out += header + octets + bytes(-len(octets) % 512)
    return out + bytes(1024)


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The files of a bundle, whose form is the one that it is to have."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            members = [(member.name, tar.extractfile(member)) for member in tar]
            files = {name.removeprefix("bundle/"): file.read() for name, file in members if file}
    except (tarfile.TarError, OSError, ValueError) as error:
        raise BundleRefused(str(error)) from error
    files.pop("MANIFEST", None)
    refuse(all(NAME.fullmatch(name) and len(name) <= 128 for name in files), "a file that has no place")
    refuse(set(files) >= NEEDED, "a file is missing")
    refuse(packed(files) == archive, "another form, or another manifest")
    return files


def read(archive: bytes, plan_hash: str, head: str) -> dict[str, bytes]:
    """The files of a bundle that belong together, under the two hashes that are on paper."""
    files = unpacked(archive)
    sha256 = {name: hashlib.sha256(octets).hexdigest() for name, octets in files.items()}
    refuse(sha256["plan.toml"] == plan_hash, "another plan")
    try:
        held, rehearsed = (transcript.read(files[name]) for name in ("transcript.jsonl", "rehearsal.jsonl"))
    except (transcript.TranscriptRefused, UnicodeDecodeError) as error:
        raise BundleRefused(str(error)) from error
    refuse(held.closed and rehearsed.closed, "not closed")
    refuse(held.head.hex() == head, "another head")
    for one, purpose in ((held, "production"), (rehearsed, "rehearsal")):
        refuse((one.records[0]["body"]["plan"], one.records[0]["body"]["purpose"]) == (plan_hash, purpose), "of something else")
    shape = transcript.shape_hash(transcript.shape(held.records))
    refuse(shape == transcript.shape_hash(transcript.shape(rehearsed.records)), "another shape than the rehearsal's")
    plan = tomllib.loads(files["plan.toml"].decode())
    inputs = {one["file"]: one["sha256"] for one in plan["input"]}
    refuse(inputs == {name: of for name, of in sha256.items() if name.startswith("in/")}, "other inputs than the plan's")
    refuse(made(held.records) == {name: of for name, of in sha256.items() if name.startswith("out/")},
           "other outputs than the transcript's")
    began = datetime.fromtimestamp(held.records[0]["time"], UTC)
    approved(files, plan, plan_hash, shape, f"{began:%Y-%m-%dT%H:%M:%SZ}")
    return files


def made(records: list[dict]) -> dict[str, str]:
    """What was signed and came to its end, with its hash."""
    found, under_way = {}, None
    for record in records:
        body = record["body"]
        if record["type"] == "INTENT":
            under_way = body if body["act"] == "sign" else None
        elif record["type"] == "RESULT" and under_way:
            found["out/" + under_way["what"]] = body["sha256"]
    return found


def approved(files: dict[str, bytes], plan: dict, plan_hash: str, shape: str, began: str) -> None:
    """Approvals are of this plan and shape, from before the ceremony, one of a person, and as many as are needed."""
    approvals = {name: octets for name, octets in files.items() if name.startswith("approvals/")}
    for name, octets in approvals.items():
        first, *lines = octets.decode().split("\n-- ")[0].split("\n")
        fields = dict(line.split(": ", 1) for line in lines)
        refuse(first == "sigill statement/1 plan-approval", f"{name} approves nothing")
        refuse((fields["plan"], fields["purpose"], fields["shape"]) == (plan_hash, "production", shape), f"{name} is of something else")
        refuse(fields["time"] <= began, f"{name} is from after the ceremony began")
        refuse(name == f"approvals/{fields['person']}.approval", f"{name} is of another person")
        approvers = {duty["person"] for duty in plan["duty"] if duty["role"] == "approver"}
        refuse(fields["person"] in approvers, f"{name} is of no approver")
    refuse(len(approvals) >= plan["quorum"]["approvers"]["m"], "too few approve")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found_files = unpacked(Path(sys.argv[1]).read_bytes())
    print("plan", hashlib.sha256(found_files["plan.toml"]).hexdigest())
    print("head", transcript.read(found_files["transcript.jsonl"]).head.hex())
    for found_name, found_hash in made(transcript.read(found_files["transcript.jsonl"]).records).items():
        print(found_hash, found_name)

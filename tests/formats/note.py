"""Signed notes and checkpoints: C2SP signed-note, tlog-checkpoint and tlog-cosignature, with Ed25519.

Written from the published specifications alone.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PLAIN, COSIGNATURE = 0x01, 0x04
LONGEST_NOTE, MOST_LINES = 1048576, 16


class NoteRefused(Exception):
    """Not a note, or not one by this key."""


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    timestamp: int


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def split(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text with its final newline, and (key name, signature octets) of each signature line."""
    if len(note) > LONGEST_NOTE:
        raise NoteRefused(f"{len(note)} octets")
    try:
        decoded = note.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise NoteRefused("not UTF-8") from cause
    if any(character < " " and character != "\n" for character in decoded):
        raise NoteRefused("a control character")
    text, found, tail = decoded.rpartition("\n\n")
    if not found or not tail.endswith("\n"):
        raise NoteRefused("no empty line before the signatures, or no newline after them")
    lines = []
    for line in tail[:-1].split("\n"):
        words = line.split(" ")
        if len(words) != 3 or words[0] != "\u2014" or not words[1] or "+" in words[1]:
            raise NoteRefused(f"not a signature line: {line!r}")
        try:
            octets = base64.b64decode(words[2], validate=True)
        except binascii.Error as cause:
            raise NoteRefused(f"not base64: {words[2]!r}") from cause
        if base64.b64encode(octets).decode() != words[2]:
            raise NoteRefused(f"not the canonical base64: {words[2]!r}")
        lines.append((words[1], octets))
    if len(lines) > MOST_LINES:
        raise NoteRefused(f"{len(lines)} signature lines")
    return text + "\n", lines


def verify(note: bytes, name: str, public_key: bytes, kind: int) -> tuple[str, bytes]:
    """The text and what stands before the 64 octets of the signature, once the one by this key has verified."""
    text, lines = split(note)
    wanted = key_id(name, kind, public_key)
    ours = [octets[4:] for found, octets in lines if found == name and octets[:4] == wanted]
    if len(ours) != 1:
        raise NoteRefused(f"{len(ours)} signature lines of type {kind:#04x} by {name}, wanted one")
    before, signature = ours[0][:-64], ours[0][-64:]
    message = text.encode()
    if kind == COSIGNATURE:
        if len(before) != 8:
            raise NoteRefused(f"a timestamp of {len(before)} octets")
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(before, "big") + message
    elif before:
        raise NoteRefused(f"{len(before)} octets too many")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature as cause:
        raise NoteRefused(f"signature of type {kind:#04x} by {name} does not verify") from cause
    return text, before


def read_checkpoint(note: bytes, origin: str, public_key: bytes) -> Checkpoint:
    """Sigill's checkpoint: both lines, plain and cosignature, carry the origin as key name, and the same key."""
    text, _ = verify(note, origin, public_key, PLAIN)
    _, timestamp = verify(note, origin, public_key, COSIGNATURE)
    lines = text[:-1].split("\n")
    if len(lines) != 3 or lines[0] != origin:
        raise NoteRefused(f"a checkpoint of {lines[0]!r} with {len(lines)} lines, wanted {origin!r} with 3")
    if not lines[1].isascii() or not lines[1].isdigit() or str(int(lines[1])) != lines[1]:
        raise NoteRefused(f"size {lines[1]!r}")
    if int(lines[1]) >= 2**64:
        raise NoteRefused(f"size {lines[1]}")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error as cause:
        raise NoteRefused(f"root {lines[2]!r}") from cause
    if len(root) != 32 or base64.b64encode(root).decode() != lines[2]:
        raise NoteRefused(f"root {lines[2]!r}")
    return Checkpoint(origin, int(lines[1]), root, int.from_bytes(timestamp, "big"))

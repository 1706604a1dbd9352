"""Receipts of revocations and the observations in them, from docs/formats/receipt.md and observation.md alone."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

import note

PROBES = {"ocsp": ("ocsp-get", "ocsp-post"), "crl": ("crl",)}
REASONS = {0, 1, 2, 3, 4, 5, 6, 8, 9, 10}
NUMBER, HASH, SERIAL = r"(?:0|[1-9][0-9]*)", r"[0-9a-f]{64}", r"(?:[0-9A-F]{2}){1,20}"
NAME, URL = r"[a-z0-9-]{1,32}", r"http[!-~]*"
STATUS = rf"revoked@{NUMBER}/{NUMBER}"
MOST = 100


class ReceiptRefused(Exception):
    """Not a receipt, or one that shows less than it says."""


@dataclass(frozen=True)
class Observation:
    key: str
    fields: dict
    seen: dict


@dataclass(frozen=True)
class Entry:
    position: str
    issuer: str
    serial: str
    status: str


def read(octets: bytes, deployment: str, public_key: bytes, pinned: dict[str, str]) -> list[Entry]:
    """The revocations of a receipt, once everything that docs/formats/receipt.md asks for has been found."""
    origin = f"sigill/{deployment}/receipt"
    try:
        text, _ = note.verify(octets, origin, public_key, note.PLAIN)
    except note.NoteRefused as cause:
        raise ReceiptRefused(str(cause)) from cause
    shape = (rf"{re.escape(origin)}\nreceipt/1 (?P<method>ocsp|crl)\ntime (?P<time>{NUMBER})\n"
             rf"(?P<points>(?:point {NAME} {HASH} [a-z-]+ {URL}\n)+)"
             rf"(?P<entries>(?:entry {NUMBER}\.{NUMBER} {HASH} {SERIAL} {STATUS}\n)+)"
             r"(?P<seen>(?:observation\n(?:\| [ -~]+\n)+)+)")
    whole = re.fullmatch(shape, text)
    if not whole:
        raise ReceiptRefused("rows of another form or order")
    method, time = whole["method"], int(whole["time"])
    points = [tuple(row.split(" ")[1:]) for row in whole["points"].splitlines()]
    entries = [Entry(*row.split(" ")[1:]) for row in whole["entries"].splitlines()]
    if len(set(points)) != len(points) or len({one.position for one in entries}) != len(entries):
        raise ReceiptRefused("a point or a position twice")
    for name, key, probe, url in points:
        if pinned.get(name) != key or probe not in PROBES[method]:
            raise ReceiptRefused(f"point {name} {probe} is not pinned so, or is of another method")
        if any((name, key, other, url) not in points for other in PROBES[method]):
            raise ReceiptRefused(f"{url} was not asked in every way from {name}")
    quoted = re.split(r"^observation\n", whole["seen"], flags=re.MULTILINE)[1:]
    observations = [observation("".join(line[2:] + "\n" for line in one.splitlines())) for one in quoted]
    for one in observations:
        place = (one.fields["vantage"], one.key, one.fields["method"], one.fields["url"])
        shows = any(one.fields["issuer"] == entry.issuer and one.seen.get(entry.serial) == entry.status for entry in entries)
        if one.fields["deployment"] != deployment or place not in points or int(one.fields["time"]) > time or not shows:
            raise ReceiptRefused(f"an observation of {place} has no business here")
    for entry in entries:
        for name, key, probe, url in points:
            if not any((one.fields["vantage"], one.key, one.fields["method"], one.fields["url"]) == (name, key, probe, url)
                       and one.fields["issuer"] == entry.issuer and one.seen.get(entry.serial) == entry.status
                       for one in observations):
                raise ReceiptRefused(f"serial {entry.serial} was not seen by {probe} from {name}")
    return entries


def observation(text: str) -> Observation:
    """A signed statement of kind `observation`, whose signature verifies under the key that it names."""
    parts = text.removesuffix("\n").rsplit("\n-- ", 3)
    if len(parts) != 4 or not text.endswith("\n"):
        raise ReceiptRefused("no signed statement")
    message, algorithm = parts[0] + "\n", parts[2]
    try:
        key, signature = base64.b64decode(parts[1], validate=True), base64.b64decode(parts[3], validate=True)
        public = load_der_public_key(key)
        if algorithm == "ed25519" and isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message.encode())
        elif algorithm == "ecdsa-p256-sha256" and isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, message.encode(), ec.ECDSA(hashes.SHA256()))
        else:
            raise ReceiptRefused(f"algorithm {algorithm!r} does not belong to the key")
    except (binascii.Error, ValueError, UnsupportedAlgorithm, InvalidSignature) as cause:
        raise ReceiptRefused("key or signature of an observation") from cause
    first, *lines = message.splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    method = fields.get("method", "")
    own = {"crl": ["crl-number"], "crl-delta": ["crl-number", "base-url", "base-object", "base-number"]}.get(method, ["produced-at"])
    wanted = ["deployment", "vantage", "method", "url", "issuer", "object", "this-update", "next-update", *own, "position",
              "time", "seen"]
    if first != "sigill statement/1 observation" or list(fields) != wanted or len(lines) != len(wanted):
        raise ReceiptRefused("fields of another statement")
    forms = {"vantage": NAME, "method": "ocsp-get|ocsp-post|crl|crl-delta", "url": URL, "issuer": HASH, "object": HASH,
             "this-update": NUMBER, "next-update": NUMBER, "produced-at": NUMBER, "crl-number": SERIAL,
             "base-url": URL, "base-object": HASH, "base-number": SERIAL, "position": rf"none|{NUMBER}\.{NUMBER}", "time": NUMBER}
    for name, form in forms.items():
        if name in fields and not re.fullmatch(form, fields[name]):
            raise ReceiptRefused(f"field {name} is {fields[name]!r}")
    seen = {}
    for one in fields["seen"].split(" "):
        if not re.fullmatch(rf"{SERIAL}=(?:good|unknown|{STATUS})", one):
            raise ReceiptRefused(f"seen {one!r}")
        serial, status = one.split("=")
        if serial in seen or ("@" in status and int(status.rsplit("/", 1)[1]) not in REASONS):
            raise ReceiptRefused(f"seen {one!r}")
        seen[serial] = status
    if len(seen) > (MOST if method in ("crl", "crl-delta") else 1):
        raise ReceiptRefused(f"{len(seen)} serials")
    return Observation(hashlib.sha256(key).hexdigest(), fields, seen)

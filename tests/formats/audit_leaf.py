"""Audit leaf v1, as docs/formats/audit-leaf.md tells it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

LAST_TIME = 253402300799
RESULTS = {0: "done", 1: "refused", 2: "failed"}
ACTORS = {1: "system", 2: "client", 3: "person"}
OBJECTS = {1: ("certificate", 16), 2: ("order", 16), 3: ("carrier", 16), 4: ("eid", 16), 5: ("job", 16), 6: ("call", 16),
           7: ("client", 16), 8: ("issuer", 32), 9: ("key", 32), 10: ("document", 32), 11: ("status entry", 12),
           12: ("organisation", 16)}
PAGE = Path(__file__).parent.parent.parent / "docs/formats/audit-leaf.md"
EVENTS = {int(code, 16): name for code, name in re.findall(r"^\| 0x([0-9a-f]{4}) \| (\S+) \|", PAGE.read_text(), re.M)}


class LeafRefused(Exception):
    """Octets that no encoder would have written."""


@dataclass(frozen=True)
class Leaf:
    event: str
    time: int
    result: str
    actor: str
    actor_id: bytes
    payload: bytes
    policy: bytes | None
    objects: tuple[tuple[str, bytes], ...]


def decode(octets: bytes) -> Leaf:
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        taken = octets[at:at + count]
        if len(taken) != count:
            raise LeafRefused(f"ends at octet {len(octets)}, inside a field")
        at += count
        return taken

    def known(value: int, names: dict, what: str):
        if value not in names:
            raise LeafRefused(f"{what} {value}")
        return names[value]

    if take(1) != b"\x01":
        raise LeafRefused(f"version {octets[0]}")
    event = known(int.from_bytes(take(2), "big"), EVENTS, "event")
    time = int.from_bytes(take(8), "big")
    if time > LAST_TIME:
        raise LeafRefused(f"time {time} is beyond the year 9999")
    result = known(take(1)[0], RESULTS, "result")
    actor = known(take(1)[0], ACTORS, "actor")
    actor_id, payload = take(16), take(32)
    length = take(1)[0]
    if length > 63:
        raise LeafRefused(f"policy of {length} octets")
    policy = take(length) if length else None
    if policy:
        _oid(policy)
    count = take(1)[0]
    if count > 16:
        raise LeafRefused(f"{count} objects")
    objects, previous = [], b""
    for _ in range(count):
        start = at
        name, size = known(take(1)[0], OBJECTS, "object")
        objects.append((name, take(size)))
        if octets[start:at] <= previous:
            raise LeafRefused(f"object {name} is out of order")
        previous = octets[start:at]
    if at != len(octets):
        raise LeafRefused(f"{len(octets) - at} octets after the last object")
    return Leaf(event, time, result, actor, actor_id, payload, policy, tuple(objects))


def belongs(leaf: Leaf, salt: bytes, payload: bytes) -> bool:
    return len(salt) == 32 and hashlib.sha256(salt + payload).digest() == leaf.payload


def _oid(content: bytes) -> None:
    """X.690 §8.19: each arc in its shortest form, the last one ended."""
    begins = True
    for octet in content:
        if begins and octet == 0x80:
            raise LeafRefused("policy with an arc that is not in its shortest form")
        begins = octet < 0x80
    if not begins:
        raise LeafRefused("policy that ends inside an arc")

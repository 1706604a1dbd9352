"""Shares of PINs, from docs/formats/pin-shares.md alone: a share from its words, judged by the record, and the PIN from enough of them."""

import hashlib
import re
from pathlib import Path

LIST = Path(__file__).parent.parent.parent / "ceremony-core/src/words/pgp.rs"
ROWS = re.findall(r'^    \("([^"]+)", "([^"]+)"\),$', LIST.read_text(), re.MULTILINE)
OCTETS = [{row[side].lower(): value for value, row in enumerate(ROWS)} for side in (0, 1)]


class ShareRefused(Exception):
    """No share, or none of the set."""


def octets(words: str) -> bytes:
    read = words.lower().split()
    if len(read) != 32 or len(ROWS) != 256:
        raise ShareRefused(f"{len(read)} words of a list of {len(ROWS)}")
    try:
        share = bytes(OCTETS[place % 2][word] for place, word in enumerate(read))
    except KeyError as error:
        raise ShareRefused(f"{error} cannot stand where it stands") from error
    if share[0] != 1 or share[28:] != hashlib.sha256(b"sigill pin share checksum/1\0" + share[:28]).digest()[:4]:
        raise ShareRefused("version or checksum")
    return share


def judge(record: dict, share: bytes) -> str:
    """Whose it is."""
    if share[1:9].hex() != record["set"]:
        raise ShareRefused("of another set")
    found = hashlib.sha256(b"sigill pin share/1\0" + share).hexdigest()
    for custodian in record["custodians"]:
        if custodian["number"] == share[9] and custodian["share_sha256"] == found:
            return custodian["name"]
    raise ShareRefused("not the one that was made")


def times(left: int, right: int) -> int:
    product = 0
    while right:
        product ^= left if right & 1 else 0
        left = (left << 1) ^ (0x11B if left & 0x80 else 0)
        right >>= 1
    return product


def inverse(value: int) -> int:
    return next(other for other in range(1, 256) if times(value, other) == 1)


def join(record: dict, shares: list[bytes]) -> str:
    """The PIN: the polynomial through the points, at 0."""
    for share in shares:
        judge(record, share)
    if len({share[9] for share in shares}) < record["threshold"]:
        raise ShareRefused("too few")
    secret = bytearray(16)
    for share in shares:
        weight = 1
        for other in shares:
            if other[9] != share[9]:
                weight = times(weight, times(other[9], inverse(other[9] ^ share[9])))
        for place, value in enumerate(share[12:28]):
            secret[place] ^= times(weight, value)
    if hashlib.sha256(b"sigill pin secret/1\0" + bytes.fromhex(record["set"]) + secret).hexdigest() != record["secret_sha256"]:
        raise ShareRefused("what comes together is not what was split")
    return secret.hex()

"""A Merkle log read from its files: RFC 6962 §2.1 hashes, C2SP tlog-tiles paths and bundles.

Written from the published specifications alone, so that it is a second opinion about what Sigill writes. It keeps
no state and is as plain as it can be; speed is no aim.
"""

import hashlib
from pathlib import Path

WIDTH = 256


class LogRefused(Exception):
    """The files are not the log that they claim to be."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: list[bytes]) -> bytes:
    """MTH over leaf hashes, by the recursion of RFC 6962 §2.1."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(root(hashes[:split]), root(hashes[split:]))


def included(index: int, size: int, leaf: bytes, proof: list[bytes], tree_root: bytes) -> bool:
    """RFC 6962 §2.1.1, by the recursion that defines the path."""

    def climb(at: int, count: int, rest: list[bytes]) -> bytes | None:
        if count == 1:
            return leaf if not rest else None
        if not rest:
            return None
        split = 1 << ((count - 1).bit_length() - 1)
        below = climb(at, split, rest[:-1]) if at < split else climb(at - split, count - split, rest[:-1])
        if below is None:
            return None
        return node_hash(below, rest[-1]) if at < split else node_hash(rest[-1], below)

    return 0 <= index < size and climb(index, size, proof) == tree_root


def consistent(old: int, old_root: bytes, size: int, new_root: bytes, proof: list[bytes]) -> bool:
    """RFC 6962 §2.1.2, by the recursion SUBPROOF(m, D[n], b)."""

    def climb(count_old: int, count: int, whole: bool, rest: list[bytes]) -> tuple[bytes, bytes] | None:
        """The roots of the old and the new tree at this node."""
        if count_old == count:
            if whole:
                return (old_root, old_root) if not rest else None
            return (rest[0], rest[0]) if len(rest) == 1 else None
        if not rest:
            return None
        split = 1 << ((count - 1).bit_length() - 1)
        if count_old <= split:
            below = climb(count_old, split, whole, rest[:-1])
            return below and (below[0], node_hash(below[1], rest[-1]))
        below = climb(count_old - split, count - split, False, rest[:-1])
        return below and (node_hash(rest[-1], below[0]), node_hash(rest[-1], below[1]))

    return 0 < old <= size and climb(old, size, True, proof) == (old_root, new_root)


def tile_path(level: str, index: int, width: int = WIDTH) -> str:
    """`level` is a number or `entries`; a width below 256 is a partial tile."""
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start:start + 3] for start in range(0, len(digits), 3)]
    name = "/".join(["x" + group for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")


def split_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle, each behind its length in two octets."""
    entries, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at:at + 2], "big")
        entry = data[at + 2:at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise LogRefused(f"bundle ends inside its entry {len(entries)}")
        entries.append(entry)
        at += 2 + length
    return entries


def pieces(count: int) -> list[tuple[int, int]]:
    """(index, width) of the tiles that hold `count` hashes of one level."""
    full, rest = divmod(count, WIDTH)
    return [(index, WIDTH) for index in range(full)] + ([(full, rest)] if rest else [])


def read_entries(folder: Path, size: int) -> list[bytes]:
    entries = []
    for index, width in pieces(size):
        present, data = _read(folder, "entries", index, width)
        found = split_bundle(data)
        if len(found) != present:
            raise LogRefused(f"bundle {index} has {len(found)} entries, wanted {present}")
        entries += found[:width]
    return entries


def check_tiles(folder: Path, entries: list[bytes]) -> bytes:
    """Compares every tile of every level with the entries, and returns the root that they give."""
    leaves = hashes = [leaf_hash(entry) for entry in entries]
    level = 0
    while hashes:
        for index, width in pieces(len(hashes)):
            wanted = hashes[index * WIDTH:index * WIDTH + width]
            present, data = _read(folder, str(level), index, width)
            if len(data) != 32 * present or data[:32 * width] != b"".join(wanted):
                raise LogRefused(f"{tile_path(str(level), index, width)} is not the tile of these entries")
        hashes = [root(hashes[start:start + WIDTH]) for start in range(0, len(hashes) - WIDTH + 1, WIDTH)]
        level += 1
    return root(leaves)


def _read(folder: Path, level: str, index: int, width: int) -> tuple[int, bytes]:
    """How wide the file is that was found, and its octets: a full one may stand in for a partial one."""
    for candidate in dict.fromkeys((width, WIDTH)):
        path = folder / tile_path(level, index, candidate)
        if path.is_file():
            return candidate, path.read_bytes()
    raise LogRefused(f"{tile_path(level, index, width)} is missing")

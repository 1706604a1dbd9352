"""The second decoder itself, judged by examples that others have published."""

import base64
import hashlib
import tempfile
import unittest
from pathlib import Path

import note
import tlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# C2SP signed-note, "Example".
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = ("This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Z"
           "tg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n").encode()

# The reference tree of RFC 6962 implementations: eight leaves and the root at each size.
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


class Published(unittest.TestCase):
    def example_key(self):
        return base64.b64decode(EXAMPLE_KEY.split("+", 2)[2])[1:]

    def test_the_example_note_verifies(self):
        text, _ = note.verify(EXAMPLE, "example.com/foo", self.example_key(), note.PLAIN)
        self.assertEqual(text, "This is an example message.\n")
        self.assertEqual(note.key_id("example.com/foo", note.PLAIN, self.example_key()).hex(), EXAMPLE_KEY.split("+")[1])

    def test_a_changed_note_is_refused(self):
        for changed in (EXAMPLE.replace(b"an example", b"no example"), EXAMPLE[:-1], EXAMPLE.replace(b"\n\n", b"\n"),
                        EXAMPLE.replace(b"Uw2QOkn8", b"Uw2QOkn9")):
            with self.subTest(changed), self.assertRaises(note.NoteRefused):
                note.verify(changed, "example.com/foo", self.example_key(), note.PLAIN)

    def test_the_reference_tree_has_its_roots(self):
        for size, wanted in ROOTS.items():
            self.assertEqual(tlog.root([tlog.leaf_hash(leaf) for leaf in LEAVES[:size]]).hex(), wanted)

    def test_paths_are_those_of_the_specification(self):
        self.assertEqual(tlog.tile_path("1", 1234067), "tile/1/x001/x234/067")
        self.assertEqual(tlog.tile_path("entries", 0, 112), "tile/entries/000.p/112")

    def test_a_tree_of_seventy_thousand_has_the_tiles_of_the_specification(self):
        sizes = [len(tlog.pieces(70000 // 256**level)) for level in range(3)]
        last = [tlog.pieces(70000 // 256**level)[-1][1] for level in range(3)]
        self.assertEqual((sizes, last), ([274, 2, 1], [112, 17, 1]))


class OwnTree(unittest.TestCase):
    """A tree of 70 000 made here, so that three levels of tiles exist."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = Path(cls.folder.name)
        cls.entries = [index.to_bytes(4, "big") for index in range(70000)]
        hashes, level = [tlog.leaf_hash(entry) for entry in cls.entries], 0
        while hashes:
            for index, width in tlog.pieces(len(hashes)):
                cls.write(tlog.tile_path(str(level), index, width), b"".join(hashes[index * 256:index * 256 + width]))
                if level == 0:
                    own = cls.entries[index * 256:index * 256 + width]
                    cls.write(tlog.tile_path("entries", index, width),
                              b"".join(len(one).to_bytes(2, "big") + one for one in own))
            hashes = [tlog.root(hashes[start:start + 256]) for start in range(0, len(hashes) - 255, 256)]
            level += 1

    @classmethod
    def write(cls, name, data):
        path = cls.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def test_tiles_and_entries_agree(self):
        entries = tlog.read_entries(self.root, len(self.entries))
        self.assertEqual(entries, self.entries)
        self.assertEqual(tlog.check_tiles(self.root, entries), tlog.root([tlog.leaf_hash(one) for one in entries]))

    def test_a_changed_tile_of_each_level_is_refused(self):
        for name in ("tile/0/100", "tile/1/000", "tile/2/000.p/1"):
            path = self.root / name
            before = path.read_bytes()
            path.write_bytes(hashlib.sha256(b"x").digest() + before[32:])
            with self.subTest(name), self.assertRaises(tlog.LogRefused):
                tlog.check_tiles(self.root, self.entries)
            path.write_bytes(before)

    def test_a_short_log_is_refused(self):
        with self.assertRaises(tlog.LogRefused):
            tlog.read_entries(self.root, len(self.entries) + 1)
        with self.assertRaises(tlog.LogRefused):
            tlog.split_bundle(b"\x00\x03ab")


class Checkpoints(unittest.TestCase):
    ORIGIN = "sigill/test/demo/a1b2/status/1"

    def setUp(self):
        self.private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.public = self.private.public_key().public_bytes_raw()

    def signed(self, text, timestamp=1700000000, cosigned=None):
        plain = note.key_id(self.ORIGIN, note.PLAIN, self.public) + self.private.sign(text.encode())
        message = f"cosignature/v1\ntime {timestamp}\n{cosigned or text}".encode()
        timed = (note.key_id(self.ORIGIN, note.COSIGNATURE, self.public) + timestamp.to_bytes(8, "big")
                 + self.private.sign(message))
        lines = "".join(f"\u2014 {self.ORIGIN} {base64.b64encode(octets).decode()}\n" for octets in (plain, timed))
        return (text + "\n" + lines).encode()

    def text(self, size="5", origin=None):
        return f"{origin or self.ORIGIN}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n"

    def test_both_lines_are_read(self):
        found = note.read_checkpoint(self.signed(self.text()), self.ORIGIN, self.public)
        self.assertEqual(found, note.Checkpoint(self.ORIGIN, 5, bytes(32), 1700000000))

    def test_others_are_refused(self):
        other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        for name, made, key in (
            ("another key", self.signed(self.text()), other),
            ("another origin", self.signed(self.text(origin="sigill/test/demo/zzzz/status/1")), self.public),
            ("leading zero", self.signed(self.text(size="05")), self.public),
            ("extension line", self.signed(self.text() + "more\n"), self.public),
            ("cosignature over another text", self.signed(self.text(), cosigned=self.text(size="6")), self.public),
        ):
            with self.subTest(name), self.assertRaises(note.NoteRefused):
                note.read_checkpoint(made, self.ORIGIN, key)


if __name__ == "__main__":
    unittest.main()

"""docs/formats/vectors: every vector, and the two logs that are kept there as folders."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

import ceremony_bundle
import decode
import presigned
import receipt
import vectors

FOLDER = Path(__file__).parent.parent.parent / "docs/formats/vectors"


class Vectors(unittest.TestCase):
    def test_every_vector_reads_as_it_says(self):
        """The formats of both logs have a second decoder (AUD-03)."""
        read = vectors.judge(FOLDER)
        self.assertEqual(len(read), 11)
        self.assertTrue(all(count > 5 for count in read.values()), read)

    def test_a_vector_that_lies_is_noticed(self):
        document = json.loads((FOLDER / "status-entries.json").read_text())
        document["entries"][0]["fields"]["log time"] += 1
        with self.assertRaises(vectors.VectorRefused):
            vectors.status_entries(document)
        document = json.loads((FOLDER / "audit-leaves.json").read_text())
        document["refused"].append({"name": "a good leaf", "hex": document["leaves"][0]["hex"]})
        with self.assertRaises(vectors.VectorRefused):
            vectors.audit_leaves(document)

    def test_no_changed_answer_verifies(self):
        """What an answer says, of whom and by whom is signed, all of it (OCSP-15)."""
        document = json.loads((FOLDER / "presigned-answers.json").read_text())
        name, key = bytes.fromhex(document["issuer name"]), bytes.fromhex(document["issuer key"])
        octets = bytes.fromhex(document["files"][0]["hex"])
        found = presigned.read(octets)
        record, slot = presigned.RECORD, 64
        first = len(octets) - 32 - len(found.answers) * (record + slot)
        for place in range(first, first + record + slot):
            changed = bytearray(octets)
            changed[place] ^= 1
            with self.subTest(place), self.assertRaises(presigned.PresignedRefused):
                read = presigned.read(presigned.digested(bytes(changed)))
                presigned.verify(read, read.answers[0], name, key)

    def test_no_changed_octet_reads_as_the_same_receipt(self):
        """A receipt holds as it was signed or not at all (REV-07)."""
        document = json.loads((FOLDER / "receipts.json").read_text())
        key, pinned = bytes.fromhex(document["public key"]), document["vantage points"]
        octets = document["receipts"][0]["note"].encode()
        for place in range(0, len(octets), 5):
            changed = bytearray(octets)
            changed[place] ^= 1
            with self.subTest(place), self.assertRaises(receipt.ReceiptRefused):
                receipt.read(bytes(changed), document["deployment"], key, pinned)

    def test_no_changed_bundle_of_a_ceremony_reads(self):
        """One octet of the archive, or of a file under a manifest made anew; two hashes on paper hold the rest (CER-06)."""
        document = json.loads((FOLDER / "ceremony-bundle.json").read_text())
        archive = (FOLDER / "ceremony-bundle.tar").read_bytes()
        files = ceremony_bundle.read(archive, document["plan"], document["head"])
        self.assertEqual(ceremony_bundle.packed(files), archive)
        for spoiled in spoil(archive, 997):
            self.refused(spoiled, document)
        for name, octets in files.items():
            if name == "rehearsal.jsonl":  # Its last line is held by nothing, and says nothing that anybody relies on.
                octets = octets[:octets[:-1].rindex(b"\n") + 1]
            # Signatures, which are not judged here, stand behind the text.
            for place in range(0, len(octets.split(b"\n-- ")[0]) if name.startswith("approvals/") else len(octets), 499):
                changed = bytearray(files[name])
                changed[place] ^= 1
                self.refused(ceremony_bundle.packed(files | {name: bytes(changed)}), document)

    def refused(self, archive: bytes, document: dict):
        with self.subTest(), self.assertRaises((ceremony_bundle.BundleRefused, KeyError, ValueError)):
            ceremony_bundle.read(archive, document["plan"], document["head"])


class Folders(unittest.TestCase):
    KEYS = {name: bytes.fromhex(key) for name, key in json.loads((FOLDER / "tree/keys.json").read_text()).items()}

    def test_both_logs_verify_from_their_files(self):
        """Roots are rebuilt from the tiles and both signature lines verify (AUD-03)."""
        self.assertIn("300 entries", decode.judge(FOLDER / "tree/publish", self.KEYS["publish"]))
        self.assertIn("all leaves decode", decode.judge(FOLDER / "tree/audit", self.KEYS["audit"]))

    def test_the_key_of_the_other_log_is_refused(self):
        with self.assertRaises(decode.REFUSALS):
            decode.judge(FOLDER / "tree/publish", self.KEYS["audit"])

    def test_a_change_of_any_file_is_refused(self):
        """Changing, removing, cutting or adding an octet in any file of either log is detected (AUD-03)."""
        for name in ("publish", "audit"):
            with tempfile.TemporaryDirectory() as scratch:
                copy = Path(scratch) / name
                shutil.copytree(FOLDER / "tree" / name, copy)
                for path in sorted(path for path in copy.rglob("*") if path.is_file()):
                    octets = path.read_bytes()
                    path.unlink()
                    self.refused(copy, name, f"{path.name} missing")
                    for spoiled in spoil(octets, 1 if path.name == "checkpoint" else 89):
                        path.write_bytes(spoiled)
                        self.refused(copy, name, path.name)
                    path.write_bytes(octets)
                decode.judge(copy, self.KEYS[name])

    def refused(self, folder: Path, name: str, what: str):
        with self.subTest(what), self.assertRaises((*decode.REFUSALS, decode.FolderRefused, OSError)):
            decode.judge(folder, self.KEYS[name])


def spoil(octets: bytes, step: int):
    """The octets with one of them changed, at every `step`, and shorter and longer by one."""
    yield octets[:-1]
    yield octets + b"\0"
    for place in {*range(0, len(octets), step), len(octets) - 1}:
        changed = bytearray(octets)
        changed[place] ^= 1
        yield bytes(changed)


if __name__ == "__main__":
    unittest.main()

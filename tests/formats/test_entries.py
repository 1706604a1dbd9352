"""Entries and leaves, by the tables of docs/formats and the example there."""

import re
import unittest
from pathlib import Path

import audit_leaf
import status_entry
from status_entry import EntryRefused

DOCS = Path(__file__).parent.parent.parent / "docs/formats"


def example() -> bytes:
    """The octets of the worked example in docs/formats/status-entry.md."""
    text = (DOCS / "status-entry.md").read_text().split("## Example", 1)[1]
    return bytes.fromhex("".join(re.findall(r"^    ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?:  .*)?$", text, re.M)))


class StatusEntries(unittest.TestCase):
    def test_the_example_decodes(self):
        entry = status_entry.decode(example())
        self.assertEqual((entry.kind, entry.serial.hex(), entry.reason, entry.issuer_reference),
                         ("revoked", "40906612", "keyCompromise", 0))
        self.assertEqual(entry.log_time, entry.effective_time)

    def test_a_changed_octet_is_another_entry_or_refused(self):
        known = status_entry.decode(example())
        for index in range(66):
            for value in {0, 1, 6, 128, 255} - {example()[index]}:
                changed = bytearray(example())
                changed[index] = value
                try:
                    self.assertNotEqual(status_entry.decode(bytes(changed)), known)
                except EntryRefused:
                    pass

    def test_other_lengths_are_refused(self):
        for octets in (b"", example()[:-1], example() + b"\x00"):
            with self.assertRaises(EntryRefused):
                status_entry.decode(octets)

    def test_only_what_may_follow_is_taken(self):
        issuer = bytes([1, 2]) + bytes(8) + bytes(range(32)) + bytes(24)
        issued = bytes([1, 3]) + bytes(16) + bytes([1, 5]) + bytes(19) + b"\xff" + bytes(26)
        revoked = bytes([1, 7]) + bytes(16) + bytes([1, 5]) + bytes(19) + b"\xff" + bytes(26)
        held = bytes([1, 5]) + revoked[2:]

        def taken(*entries):
            log = status_entry.Log(1)
            for one in entries:
                log.append(status_entry.decode(one))
            return log

        self.assertEqual(taken(issuer, issued, revoked).states[(0, b"\x05")][0], "revoked")
        for wrong in ((issued,), (issuer, issuer), (issuer, revoked), (issuer, issued, issued),
                      (issuer, issued, revoked, held)):
            with self.subTest(wrong), self.assertRaises(EntryRefused):
                taken(*wrong)


class AuditLeaves(unittest.TestCase):
    LEAF = (b"\x01\x01\x02" + bytes(8) + b"\x00\x02" + bytes(16) + bytes(32) + b"\x03\x2a\x85\x70" + b"\x02"
            + b"\x01" + bytes(16) + b"\x0b" + bytes(12))

    def test_a_leaf_decodes(self):
        leaf = audit_leaf.decode(self.LEAF)
        self.assertEqual((leaf.event, leaf.result, leaf.actor, [name for name, _ in leaf.objects]),
                         ("certificate.issued", "done", "client", ["certificate", "status entry"]))

    def test_the_page_lists_the_events(self):
        self.assertEqual(audit_leaf.EVENTS[0x0107], "certificate.revoked")
        self.assertGreater(len(audit_leaf.EVENTS), 40)

    def test_what_no_encoder_writes_is_refused(self):
        objects = self.LEAF[66:]
        for wrong in (self.LEAF[:-1], self.LEAF + b"\x00", b"\x02" + self.LEAF[1:], self.LEAF[:11] + b"\x03" + self.LEAF[12:],
                      self.LEAF[:66] + objects[:1] + objects[18:] + objects[1:18],
                      self.LEAF.replace(b"\x03\x2a\x85\x70", b"\x03\x2a\x80\x70"),
                      self.LEAF.replace(b"\x03\x2a\x85\x70", b"\x03\x2a\x85\xf0")):
            with self.subTest(wrong.hex()), self.assertRaises(audit_leaf.LeafRefused):
                audit_leaf.decode(wrong)


if __name__ == "__main__":
    unittest.main()

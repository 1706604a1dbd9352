import tempfile
import unittest
from pathlib import Path

from conformance import cited, judge, uncovered

SOURCE = '''
/// Serials have a fixed length (ISS-02).
#[test]
fn serials_have_sixteen_octets() {}

/// Not a test, cites ISS-03.
fn other() {}
'''

ROW = "| ISS-02 | serials | `room/src/serial.rs` | `room/src/serial.rs::serials_have_sixteen_octets` |\n"


class Conformance(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "room/src").mkdir(parents=True)
        (self.root / "room/src/serial.rs").write_text(SOURCE)

    def test_a_living_row_passes(self):
        self.assertEqual(judge(ROW, self.root), [])
        self.assertEqual(uncovered(ROW, cited(SOURCE, ".rs")), [])

    def test_a_missing_file_is_named(self):
        self.assertIn("room/src/gone.rs does not exist",
                      judge(ROW.replace("`room/src/serial.rs` ", "`room/src/gone.rs` "), self.root)[0])

    def test_a_missing_test_is_named(self):
        self.assertIn("has no test serials_have_ten", judge(ROW.replace("have_sixteen_octets", "have_ten"), self.root)[0])

    def test_a_row_without_a_test_is_named(self):
        self.assertIn("names no test", judge("| ISS-02 | serials | `room/src/serial.rs` | none yet |\n", self.root)[0])

    def test_a_rust_file_alone_is_no_test(self):
        self.assertIn("without ::function", judge(ROW.replace("::serials_have_sixteen_octets", ""), self.root)[0])

    def test_a_cited_requirement_without_a_row_is_named(self):
        self.assertIn("PRO-06 has no row", uncovered(ROW, {"PRO-06": ["room/src/serial.rs::x"]})[0])

    def test_a_requirement_has_one_row(self):
        self.assertIn("ISS-02 has two rows", judge(ROW + ROW, self.root)[0])

    def test_an_empty_table_is_a_fault(self):
        self.assertEqual(judge("# Conformance\n", self.root), ["the table is empty"])

    def test_only_tests_cite(self):
        self.assertEqual(cited(SOURCE, ".rs"), {"ISS-02": ["serials_have_sixteen_octets"]})
        self.assertEqual(cited('def test_x():\n    """Says PRO-06."""\n', ".py"), {"PRO-06": ["test_x"]})


if __name__ == "__main__":
    unittest.main()

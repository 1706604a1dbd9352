import tempfile
import unittest
from pathlib import Path

from links import anchors, dead_links, lost_pages


class Links(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        (self.root / "docs").mkdir()
        (self.root / "docs/there.md").write_text("# A heading, twice\n\n# A heading, twice\n")

    def faults(self, text):
        page = self.root / "page.md"
        page.write_text(text)
        return dead_links(page, self.root)

    def test_living_links_pass(self):
        self.assertEqual(self.faults("[a](docs/there.md) [b](docs/there.md#a-heading-twice-1) [c](https://example.org)"
                                     " [d](#self)\n# self\n\n[e]: docs/there.md\n"), [])

    def test_a_missing_file_is_named(self):
        self.assertEqual(self.faults("[a](docs/gone.md)"), ["page.md: docs/gone.md does not exist"])
        self.assertEqual(len(self.faults("[a]: docs/gone.md\n")), 1)

    def test_a_missing_heading_is_named(self):
        self.assertIn("names a heading", self.faults("[a](docs/there.md#nowhere)")[0])

    def test_a_link_out_of_the_repository_is_named(self):
        self.assertIn("leads out", self.faults("[a](../elsewhere.md)")[0])

    def test_code_holds_no_links(self):
        self.assertEqual(self.faults("`[a](gone.md)`\n\n```\n[b](gone.md)\n```\n"), [])

    def test_a_page_that_only_code_knows_is_named(self):
        code = self.root / "rule.rs"
        code.write_text("/// See there.md and domain.md 2.4.\nfn rule() {}\n")
        self.assertEqual(lost_pages(code, self.root, {"there.md"}),
                         ["rule.rs: cites domain.md, which is not in the repository"])

    def test_anchors_drop_punctuation(self):
        self.assertEqual(anchors("## 2.1 `Programs` and zones!\n"), {"21-programs-and-zones"})


if __name__ == "__main__":
    unittest.main()

import tempfile
import unittest
from pathlib import Path

from stages import Evidence, FileRefused, Stage, read_budget, read_stages, seconds, tests_without_stage, turns

STAGE = '[[stage]]\nname = "unit"\ncommand = "cargo test"\ntimeout = "2m"\n'


class DataFiles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "data.toml"

    def stages(self, text):
        self.path.write_text(text)
        return read_stages(self.path)[1]

    def budget(self, text):
        self.path.write_text(text)
        return read_budget(self.path)

    def test_reads_a_stage(self):
        self.assertEqual(self.stages(STAGE), [Stage("unit", "cargo test", 120)])

    def test_fast_is_the_same_command_or_another(self):
        self.assertEqual(self.stages(STAGE + "fast = true")[0].fast, "cargo test")
        self.assertEqual(self.stages(STAGE + 'fast = "cargo check"')[0].fast, "cargo check")
        self.assertIsNone(self.stages(STAGE + "fast = false")[0].fast)

    def test_refuses_slips(self):
        for slip in ('timout = "1m"', 'needs = ["nosuch"]', 'counts = "guess"'):
            with self.subTest(slip), self.assertRaises(FileRefused):
                self.stages(STAGE + slip)
        with self.assertRaises(FileRefused):
            self.stages(STAGE + STAGE)
        with self.assertRaises(FileRefused):
            self.stages(STAGE.replace('"2m"', '"2 minutes"'))

    def test_a_stage_runs_beside_the_one_before_it(self):
        beside = STAGE.replace("unit", "{}") + 'beside = "unit"\n'
        alone = STAGE.replace("unit", "last")
        found = turns(self.stages(STAGE + beside.format("one") + beside.format("two") + alone))
        self.assertEqual([(first.name, [other.name for other in others]) for first, others in found],
                         [("unit", ["one", "two"]), ("last", [])])
        for slip in (beside.format("one") + STAGE, STAGE + alone + beside.format("one"),
                     STAGE + beside.format("one") + alone.replace('"last"', '"two"') + 'beside = "one"\n'):
            with self.subTest(slip), self.assertRaises(FileRefused):
                self.stages(slip)
        self.assertEqual(len(turns(self.stages(STAGE + beside.format("one"))[1:])), 1, "its own turn without the other")

    def test_a_count_exports_its_figure(self):
        counts, _ = self.budget('[count.crash-kills]\ncheck = 2\nevidence = 20\nvariable = "KILLS"')
        self.assertEqual(counts[0].variables("check"), {"SIGILL_COUNT_CRASH_KILLS": "2", "KILLS": "2"})
        self.assertEqual(counts[0].variables("evidence"), {"SIGILL_COUNT_CRASH_KILLS": "20", "KILLS": "20"})

    def test_refuses_a_check_larger_than_its_evidence(self):
        with self.assertRaises(FileRefused):
            self.budget("[count.x]\ncheck = 3\nevidence = 2")

    def test_refuses_evidence_on_an_unknown_count(self):
        with self.assertRaises(FileRefused):
            self.budget('[evidence.crash]\ncommand = "x"\ntimeout = "1m"\ncounts = ["nosuch"]')

    def test_a_timeout_is_a_number_and_a_unit(self):
        self.assertEqual([seconds(text, "here") for text in ("90s", "20m", "1h")], [90, 1200, 3600])

    def test_a_test_target_that_no_stage_runs_is_named(self):
        self.path.write_text('[[test]]\nname = "crash"\n[[test]]\nname = "crash-long"\n[[test]]\nname = "lost"\n')
        stages = [Stage("a", "cargo test --test crash-long", 60)]
        evidences = [Evidence("b", "cargo test --test=crash -- x", 60, "cargo", ())]
        self.assertEqual(tests_without_stage(self.path, stages, evidences), ["lost"])
        self.assertEqual(tests_without_stage(self.path, stages), ["crash", "lost"])


if __name__ == "__main__":
    unittest.main()

import contextlib
import io
import tempfile
import unittest
from datetime import UTC, datetime
from pathlib import Path

from changed import touched
from counts import Result
from evidence import describe, measured
from runner import LIMIT_S, Outcome, over_the_limit, run
from stages import Evidence


class Running(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.logs = Path(folder.name)

    def run_quietly(self, command, timeout_s=30, counting="stage", variables=None):
        with contextlib.redirect_stderr(io.StringIO()):
            return run("one", command, timeout_s, counting, variables or {}, self.logs)

    def test_keeps_the_output_and_counts_it(self):
        outcome = self.run_quietly('echo "$FIGURE passed, 0 failed"', counting="line", variables={"FIGURE": "4"})
        self.assertEqual(outcome.result, Result(4))
        self.assertEqual((self.logs / "one.log").read_text(), "4 passed, 0 failed\n")

    def test_a_check_that_takes_too_long_is_told(self):
        self.assertIsNone(over_the_limit(LIMIT_S))
        told = over_the_limit(LIMIT_S + 60)
        self.assertIn("took 46.0 min, limit 45 min", told)

    def test_a_failing_command_fails(self):
        self.assertEqual(self.run_quietly("exit 3").note, "exit 3")

    def test_a_command_past_its_time_is_stopped_with_its_children(self):
        marker = self.logs / "marker"
        outcome = self.run_quietly(f"(sleep 3; touch {marker}) & sleep 30", timeout_s=1)
        self.assertEqual((outcome.result.failed, outcome.note), (1, "stopped after its 1 s"))
        self.assertLess(outcome.seconds, 3)
        self.assertEqual(self.run_quietly("sleep 3; true").result, Result(1))
        self.assertFalse(marker.exists())

    def test_there_is_no_standard_input(self):
        self.assertEqual(self.run_quietly("! read -r line").result, Result(1))


class Evidences(unittest.TestCase):
    ONE = Evidence("crash", "cargo test --test crash", 60, "cargo", ("kills",))

    def described(self, result):
        return describe(self.ONE, Outcome("crash", result, 1.25), {"kills": 20}, "abc", False,
                        datetime(2026, 1, 2, tzinfo=UTC), {})

    def test_a_record_says_what_ran_and_how_it_ended(self):
        record = self.described(Result(3))
        self.assertEqual((record["result"], record["counts"], record["started"]),
                         ("passed", {"kills": 20}, "2026-01-02T00:00:00Z"))

    def test_evidence_that_skipped_something_is_none(self):
        self.assertEqual(self.described(Result(3, 0, 1))["result"], "incomplete")
        self.assertEqual(self.described(Result(3, 1))["result"], "failed")

    def test_figures_that_the_test_prints_are_kept(self):
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            log.write("measured: kills = 100\nnoise\nmeasured: not a figure\n")
            log.flush()
            self.assertEqual(measured(Path(log.name)), {"kills": "100"})


class Changed(unittest.TestCase):
    FOLDERS = {"x509": "x509", "tests": "support"}

    def test_a_file_belongs_to_the_room_of_its_folder(self):
        self.assertEqual(touched(["x509/src/lib.rs", "README.md", "tests/support/lib.rs"], self.FOLDERS),
                         ["support", "x509"])

    def test_a_file_of_a_room_within_a_folder_belongs_to_that_room_alone(self):
        folders = {"tests": "support", "tests/laboratory": "laboratory", "examples/portal": "portal"}
        self.assertEqual(touched(["examples/portal/src/lib.rs", "examples/README.md"], folders), ["portal"])
        self.assertEqual(touched(["tests/laboratory/src/lib.rs"], folders), ["laboratory"])

    def test_a_change_of_the_root_touches_every_room(self):
        self.assertEqual(touched(["Cargo.toml"], self.FOLDERS), ["support", "x509"])


if __name__ == "__main__":
    unittest.main()

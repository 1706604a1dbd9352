import unittest

from counts import Result, count, without_excuses

TWO_BINARIES = """\
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""

SHOWN = """\
successes:

---- import::survives stdout ----
skipped: ../shared/reference is not beside this checkout
skipped: said twice

---- import::other stdout ----
something else

successes:
    import::survives
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""


class CargoOutput(unittest.TestCase):
    def test_sums_all_binaries(self):
        self.assertEqual(count("cargo", TWO_BINARIES, 0), Result(15, 0, 1))

    def test_a_passing_test_that_says_skipped_is_skipped_once(self):
        self.assertEqual(count("cargo", SHOWN, 0),
                         Result(1, 0, 1, ("import::survives: ../shared/reference is not beside this checkout",)))

    def test_where_tools_are_installed_a_missing_one_is_a_failure(self):
        reasons = ("a: openssl is not installed", "b: ../shared/vectors is not beside this checkout")
        self.assertEqual(without_excuses(Result(3, 0, 2, reasons)), Result(3, 1, 1, reasons))

    def test_a_build_that_broke_is_a_failure(self):
        self.assertEqual(count("cargo", "error: could not compile", 101).failed, 1)

    def test_an_error_after_passing_tests_is_a_failure(self):
        self.assertEqual(count("cargo", TWO_BINARIES, 101), Result(15, 1, 1))

    def test_no_test_at_all_is_a_failure(self):
        empty = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\n"
        self.assertEqual(count("cargo", empty, 0).failed, 1)


class OtherOutput(unittest.TestCase):
    def test_unittest_verdicts(self):
        self.assertEqual(count("unittest", "Ran 5 tests in 0.1s\n\nOK\n", 0), Result(5))
        self.assertEqual(count("unittest", "Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=1)\n", 1),
                         Result(2, 2, 1))

    def test_the_last_plain_line_counts(self):
        self.assertEqual(count("line", "1 passed, 0 failed\n7 passed, 0 failed, 2 skipped\n", 0), Result(7, 0, 2))
        self.assertEqual(count("line", "interop: 7 passed, 1 failed\n", 1), Result(7, 1))

    def test_a_line_stage_without_a_line_is_a_failure(self):
        self.assertEqual(count("line", "all well\n", 0).failed, 1)

    def test_a_stage_is_one_check(self):
        self.assertEqual(count("stage", "", 0), Result(1))
        self.assertEqual(count("stage", "", 124), Result(0, 1))

    def test_the_closing_line_has_the_plain_form(self):
        self.assertEqual(str(Result(3, 0, 1)), "3 passed, 0 failed, 1 skipped")


if __name__ == "__main__":
    unittest.main()

"""Turns what a stage printed into numbers.

A stage that ended with an error never counts as all passed, and one that ran nothing is a failure: a suite that
silently runs no test is the worst way to be green.
"""

import re
from dataclasses import dataclass, field

CARGO = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;", re.M)
LINE = re.compile(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
RAN = re.compile(r"^Ran (\d+) tests? in ", re.M)
VERDICT = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$", re.M)
BLOCK = re.compile(r"^---- (\S+) stdout ----$")
SKIPPED = re.compile(r"^skipped: (.+)$")


@dataclass(frozen=True)
class Result:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    reasons: tuple[str, ...] = field(default=())

    def __add__(self, other: "Result") -> "Result":
        return Result(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped,
                      self.reasons + other.reasons)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def without_excuses(result: Result) -> Result:
    """Where every tool has been installed, a test that skipped for want of one has failed."""
    lacking = sum(reason.endswith("is not installed") for reason in result.reasons)
    return Result(result.passed, result.failed + lacking, result.skipped - lacking, result.reasons)


def count(counting: str, output: str, exit_code: int) -> Result:
    result = {"cargo": _cargo, "unittest": _unittest, "line": _line, "stage": _stage}[counting](output, exit_code)
    if exit_code != 0 and result.failed == 0:
        return Result(result.passed, 1, result.skipped, result.reasons)
    if exit_code == 0 and result.passed + result.failed + result.skipped == 0:
        return Result(failed=1, reasons=("ran no test",))
    return result


def _cargo(output: str, _exit_code: int) -> Result:
    totals = [tuple(map(int, found)) for found in CARGO.findall(output)]
    passed, failed, ignored = (sum(column) for column in zip(*totals)) if totals else (0, 0, 0)
    reasons = _skips(output)
    return Result(passed - len(reasons), failed, ignored + len(reasons), reasons)


def _skips(output: str) -> tuple[str, ...]:
    """One reason for each passing test that said `skipped: ...` (shown by libtest's --show-output)."""
    reasons, test = {}, None
    for line in output.splitlines():
        if block := BLOCK.match(line):
            test = block[1]
        elif line in ("successes:", "failures:"):
            test = None
        elif test and test not in reasons and (said := SKIPPED.match(line)):
            reasons[test] = f"{test}: {said[1]}"
    return tuple(reasons.values())


def _unittest(output: str, _exit_code: int) -> Result:
    ran = sum(map(int, RAN.findall(output)))
    details = dict(part.split("=") for verdict in VERDICT.findall(output) for part in verdict.split(", ") if "=" in part)
    failed = int(details.get("failures", 0)) + int(details.get("errors", 0)) + int(details.get("unexpected successes", 0))
    skipped = int(details.get("skipped", 0))
    reasons = tuple(re.findall(r"\.\.\. skipped '(.*)'$", output, re.M))
    return Result(max(ran - failed - skipped, 0), failed, skipped, reasons)


def _line(output: str, _exit_code: int) -> Result:
    found = LINE.findall(output)
    if not found:
        return Result()
    passed, failed, skipped = found[-1]
    return Result(int(passed), int(failed), int(skipped or 0), tuple(re.findall(r"^skipped: (.+)$", output, re.M)))


def _stage(_output: str, exit_code: int) -> Result:
    return Result(passed=1) if exit_code == 0 else Result(failed=1)

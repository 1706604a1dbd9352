"""docs/conformance.md: each requirement, the code that meets it, and the tests that show it.

Fails on a row whose code or test is not there, so the table cannot rot; names each requirement that a test cites and
no row has, so that it does not fall behind. A test is written `path::function`; a script without functions, its path alone.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("docs/conformance.md")
ID = re.compile(r"\b(?:ISS|PRO|REV|CRL|OCSP|KEY|CER|AUD|API|DAT|MIG|ENV|PQ)-\d{2}\b")
SPAN = re.compile(r"`([^`]+)`")
ROW = re.compile(r"^\| *((?:[A-Z]+-\d{2}(?:, )?)+) *\|", re.M)
RUST_TEST = re.compile(r"((?:^[ \t]*(?:///|#\[)[^\n]*\n)+)[ \t]*(?:pub(?:\([a-z]+\))? )?fn (\w+)", re.M)
PYTHON_TEST = re.compile(r'^[ \t]*def (test_\w+)[^\n]*:\n[ \t]*"""(.*?)"""', re.M | re.S)


@dataclass(frozen=True)
class Row:
    line: int
    ids: tuple[str, ...]
    code: tuple[str, ...]
    tests: tuple[str, ...]


def rows(text: str) -> tuple[list[Row], list[str]]:
    found, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not ROW.match(line):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 4:
            faults.append(f"line {number}: {len(cells)} cells, wanted id, requirement, code, tests")
            continue
        row = Row(number, tuple(cells[0].split(", ")), tuple(SPAN.findall(cells[2])), tuple(SPAN.findall(cells[3])))
        if not row.code or not row.tests:
            faults.append(f"line {number}: {cells[0]} names no {'code' if not row.code else 'test'}")
        found.append(row)
    return found, faults


def dead(row: Row, root: Path) -> list[str]:
    """What the row names and the checkout does not have."""
    faults = []
    for code in row.code:
        if not (root / code).exists():
            faults.append(f"line {row.line}: {code} does not exist")
    for test in row.tests:
        path, _, function = test.partition("::")
        if not (root / path).is_file():
            faults.append(f"line {row.line}: {path} does not exist")
        elif function and not re.search(rf"^\s*(?:pub(?:\([a-z]+\))? )?(?:async )?(?:fn|def) {re.escape(function)}\b",
                                        (root / path).read_text(), re.M):
            faults.append(f"line {row.line}: {path} has no test {function}")
        elif not function and path.endswith(".rs"):
            faults.append(f"line {row.line}: {path} without ::function")
    return faults


def cited(text: str, suffix: str) -> dict[str, list[str]]:
    """Requirement -> the test functions of this file whose documentation cites it."""
    found: dict[str, list[str]] = {}
    if suffix == ".rs":
        tests = [(name, head) for head, name in RUST_TEST.findall(text) if re.search(r"#\[(?:\w+::)*test\b", head)]
    else:
        tests = PYTHON_TEST.findall(text)
    for name, documentation in tests:
        comments = documentation if suffix == ".py" else "\n".join(
            line for line in documentation.splitlines() if line.lstrip().startswith("///"))
        for one in dict.fromkeys(ID.findall(comments)):
            found.setdefault(one, []).append(name)
    return found


def citations(root: Path) -> dict[str, list[str]]:
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.rs", "*.py"],
                            cwd=root, capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    # This checker's own tests cite requirements that they make up.
    paths = [path for path in listed.split("\0") if path and not path.startswith("tests/check/")]
    for path in paths:
        if (root / path).exists():
            for one, names in cited((root / path).read_text(), Path(path).suffix).items():
                found.setdefault(one, []).extend(f"{path}::{name}" for name in names)
    return found


def judge(text: str, root: Path) -> list[str]:
    table, faults = rows(text)
    if not table:
        faults.append("the table is empty")
    for row in table:
        faults += dead(row, root)
    covered = {one for row in table for one in row.ids}
    twice = [one for one in covered if sum(one in row.ids for row in table) > 1]
    return faults + [f"{one} has two rows" for one in sorted(twice)]


def uncovered(text: str, citations_found: dict[str, list[str]]) -> list[str]:
    covered = {one for row in rows(text)[0] for one in row.ids}
    return [f"{one} has no row, although {tests[0]} cites it" for one, tests in sorted(citations_found.items())
            if one not in covered]


def main(words: list[str]) -> int:
    root = Path.cwd()
    found = citations(root)
    if words == ["--cited"]:
        for one, tests in sorted(found.items()):
            print(one, *tests, sep="\n    ")
        return 0
    text = (root / TABLE).read_text()
    faults = judge(text, root)
    for fault in faults:
        print(f"{TABLE}: {fault}")
    for gap in uncovered(text, found):
        print(f"{TABLE}: note: {gap}")
    print(f"{len(rows(text)[0])} rows; {len(found)} requirements cited by tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`./check evidence`: the full counts, and a record of each run that others can judge and repeat."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from runner import Outcome, run
from stages import Count, Evidence

FOLDER = Path("docs/evidence")


def collect(name: str | None, counts: list[Count], evidences: list[Evidence], logs: Path) -> int:
    chosen = [one for one in evidences if name in (None, one.name)]
    if not chosen:
        known = ", ".join(one.name for one in evidences) or "none yet"
        print(f"error: no evidence {name or ''} in tests/budget.toml; known: {known}", file=sys.stderr)
        return 2
    failed = 0
    for one in chosen:
        failed += collect_one(one, counts, logs)
    return 1 if failed else 0


def collect_one(one: Evidence, counts: list[Count], logs: Path) -> int:
    variables = {"SIGILL_BUDGET": "evidence"}
    for count in counts:
        variables |= count.variables("evidence")
    started = datetime.now(UTC)
    commit, dirty = git_state()
    print(f"evidence {one.name} ...", file=sys.stderr, flush=True)
    outcome = run(f"evidence-{one.name}", one.command, one.timeout_s, one.result, variables, logs)
    record = describe(one, outcome, {count.name: count.evidence for count in counts if count.name in one.counts},
                      commit, dirty, started, measured(logs / f"evidence-{one.name}.log"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{one.name}.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(f"{path}: {record['result']} in {outcome.seconds:.0f} s\n{outcome.result}")
    return 0 if record["result"] == "passed" else 1


def describe(one: Evidence, outcome: Outcome, counts: dict[str, int], commit: str, dirty: bool, started: datetime,
             figures: dict[str, str]) -> dict:
    return {
        "evidence": one.name,
        "command": one.command,
        "commit": commit,
        "dirty": dirty,
        "counts": counts,
        "result": verdict(outcome),
        "tests": {"passed": outcome.result.passed, "failed": outcome.result.failed, "skipped": outcome.result.skipped},
        "measured": figures,
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(outcome.seconds, 1),
        "machine": {"cores": os.cpu_count()},
    }


def verdict(outcome: Outcome) -> str:
    """Evidence that skipped something is no evidence."""
    if outcome.result.failed:
        return "failed"
    return "incomplete" if outcome.result.skipped or not outcome.result.passed else "passed"


def measured(log: Path) -> dict[str, str]:
    """What the test said about itself: its lines `measured: NAME = VALUE`."""
    found = {}
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("measured: ") and " = " in line:
            name, _, value = line.removeprefix("measured: ").partition(" = ")
            found[name.strip()] = value.strip()
    return found


def git_state() -> tuple[str, bool]:
    """The commit, and whether tracked or new files differ from it (earlier evidence records apart)."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    status = subprocess.run(["git", "status", "--porcelain", "--", ".", f":!{FOLDER}"], capture_output=True, text=True,
                            check=True).stdout
    return commit, bool(status.strip())

"""Runs one command under a time limit, keeps what it printed, and says how it ended."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tools
from counts import Result, count

TAIL_LINES = 80
# What a whole check may take on two cores with nothing built (CONTRIBUTING.md).
LIMIT_S = 45 * 60


@dataclass(frozen=True)
class Outcome:
    name: str
    result: Result
    seconds: float
    note: str = ""


def run(name: str, command: str, timeout_s: int, counting: str, variables: dict[str, str], logs: Path) -> Outcome:
    """Runs `command` in a process group of its own, so that a server it left behind ends with it."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    started = time.monotonic()
    environment = {**os.environ, "PATH": tools.search_path(), "CARGO_TERM_COLOR": "never", **variables}
    with log.open("wb") as sink:
        process = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=sink,
                                   stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        try:
            exit_code, note = process.wait(timeout=timeout_s), ""
        except subprocess.TimeoutExpired:
            exit_code, note = 124, f"stopped after its {timeout_s} s"
        finally:
            _end_group(process)
    seconds = time.monotonic() - started
    output = log.read_text(errors="replace")
    result = count(counting, output, exit_code)
    if result.failed:
        note = note or (result.reasons[0] if result.reasons[:1] == ("ran no test",) else f"exit {exit_code}")
        _show_tail(name, log, output)
    return Outcome(name, result, seconds, note)


def over_the_limit(spent_s: float) -> str | None:
    """Says so when a whole check took longer than it may."""
    if spent_s <= LIMIT_S:
        return None
    return (f"warning: took {spent_s / 60:.1f} min, limit {LIMIT_S // 60} min on two cores with nothing built; "
            "the stages above say where: lower the `check` counts of tests/budget.toml or split a journey")


def _end_group(process: subprocess.Popen) -> None:
    for blow in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, blow)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    process.wait()


def _show_tail(name: str, log: Path, output: str) -> None:
    lines = output.splitlines()
    print(f"\n{name} failed; the end of {log}:", file=sys.stderr)
    for line in lines[-TAIL_LINES:]:
        print(f"  {line}", file=sys.stderr)
    print(file=sys.stderr, flush=True)

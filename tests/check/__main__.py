"""`./check`: everything that must hold before a change lands."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import changed
import evidence
import tools
import workspace
from counts import Result, without_excuses
from runner import Outcome, over_the_limit, run
from stages import FileRefused, Stage, read_budget, read_stages, tests_without_stage, turns

USAGE = """\
usage: ./check                    every stage of tests/stages.toml, tests at the reduced counts of tests/budget.toml
       ./check fast               format, clippy and unit tests of the rooms that differ from main
       ./check stage NAME...      these stages only
       ./check evidence [NAME]    full counts of tests/budget.toml; writes docs/evidence/NAME.json
       ./check list               names the stages and the evidences
exit code: 0 all passed, 1 something failed, 2 wrong use"""

STAGES, BUDGET, MANIFEST = Path("tests/stages.toml"), Path("tests/budget.toml"), Path("tests/Cargo.toml")


def main(words: list[str]) -> int:
    try:
        described, stages = read_stages(STAGES)
        counts, evidences = read_budget(BUDGET)
    except FileRefused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return 1
    unnamed = tests_without_stage(MANIFEST, stages, evidences)
    if unnamed:
        print(f"error: {STAGES} has no stage that runs --test {', --test '.join(unnamed)}", file=sys.stderr)
        return 1

    match words:
        case []:
            return check(described, stages, reduced(counts), "full")
        case ["fast"]:
            return check(described, fast(stages), reduced(counts), "fast")
        case ["stage", first, *rest]:
            names = [first, *rest]
            strangers = [name for name in names if name not in [stage.name for stage in stages]]
            if not strangers:
                return check(described, [stage for stage in stages if stage.name in names], reduced(counts), "part")
            print(f"error: no stage is called {', '.join(strangers)}; see ./check list", file=sys.stderr)
            return 2
        case ["evidence", *name] if len(name) < 2:
            return evidence.collect(name[0] if name else None, counts, evidences, logs_folder())
        case ["list"]:
            for stage in stages:
                print(f"stage     {stage.name:<16} {stage.command}")
            for one in evidences:
                print(f"evidence  {one.name:<16} {one.command}")
            return 0
        case ["help"] | ["-h"] | ["--help"]:
            print(USAGE)
            return 0
        case _:
            print(USAGE, file=sys.stderr)
            return 2


def check(described, stages: list[Stage], variables: dict[str, str], kind: str) -> int:
    began = time.monotonic()
    strict = os.environ.get("CI") == "true"
    wanted = {need for stage in stages for need in stage.needs}
    # Tests look for programs by themselves, so a whole check wants them all.
    needed = [tool for tool in described if kind == "full" or tool.program in wanted]
    absent = tools.install(needed) if kind != "fast" else tools.missing(needed)
    for sentence in absent:
        print(sentence, file=sys.stderr)
    missing = {tool.program for tool in needed if not tools.present(tool)}
    if strict:
        variables = {**variables, "SIGILL_REQUIRE_TOOLS": "1"}

    outcomes = []
    if kind == "full":
        outcomes.append(Outcome("tools", tools.verdict(needed, strict), time.monotonic() - began))

    def in_turn(chosen: list[Stage]) -> list[Outcome]:
        return [judge(stage, missing, strict, variables) for stage in chosen]

    for stage, others in turns(stages):
        with ThreadPoolExecutor(1) as lane:
            beside = lane.submit(in_turn, others)
            outcomes += in_turn([stage])
            outcomes += beside.result()
    return report(outcomes, kind, time.monotonic() - began)


def judge(stage: Stage, missing: set[str], strict: bool, variables: dict[str, str]) -> Outcome:
    lacking = sorted(missing & set(stage.needs))
    if lacking:
        note = "missing: " + ", ".join(lacking)
        return Outcome(stage.name, Result(failed=1) if strict else Result(skipped=1, reasons=(note,)), 0, note)
    print(f"{stage.name} ...", file=sys.stderr, flush=True)
    command = workspace.filled(stage.command)
    outcome = run(stage.name, command, stage.timeout_s, stage.counts, variables, logs_folder())
    return replace(outcome, result=without_excuses(outcome.result)) if strict else outcome


def report(outcomes: list[Outcome], kind: str, spent: float) -> int:
    total = sum((outcome.result for outcome in outcomes), Result())
    print(f"\n{'stage':<18} {'passed':>6} {'failed':>6} {'skipped':>7} {'time':>8}")
    for one in outcomes:
        print(f"{one.name:<18} {one.result.passed:>6} {one.result.failed:>6} {one.result.skipped:>7} "
              f"{one.seconds:>7.1f}s  {one.note}".rstrip())
    if total.reasons:
        print("\nskipped, and why:")
        for reason in total.reasons:
            print(f"  {reason}")
    print(f"\n{'whole time':<18} {spent / 60:.1f} min; logs in {logs_folder()}")
    slow = over_the_limit(spent) if kind == "full" else None
    if slow:
        print(slow)
    if kind == "full":
        print("This is the reduced check: tests that repeat ran at the `check` counts of tests/budget.toml;"
              " `./check evidence` runs the full ones.")
    elif kind == "fast":
        print("This is the fast check: it proves less than ./check, which is what must pass.")
    print(f"\n{total}")
    return 1 if total.failed else 0


def fast(stages: list[Stage]) -> list[Stage]:
    rooms = changed.rooms()
    chosen = []
    for stage in stages:
        if stage.fast is None or ("{changed}" in stage.fast and not rooms):
            continue
        command = stage.fast.replace("{changed}", " ".join(f"-p {room}" for room in rooms))
        chosen.append(Stage(stage.name, command, stage.timeout_s, stage.needs, stage.counts))
    return chosen


def reduced(counts) -> dict[str, str]:
    variables = {"SIGILL_BUDGET": "check"}
    for one in counts:
        variables |= one.variables("check")
    return variables


def logs_folder() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "check"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

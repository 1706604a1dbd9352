"""Reads tests/stages.toml and tests/budget.toml and refuses what they may not say.

Both files are edited by everyone who adds a test suite, so a slip in them must be named, never skipped over.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

COUNTINGS = ("cargo", "unittest", "line", "stage")
SOURCES = ("apt", "venv", "cargo")


class FileRefused(Exception):
    """A data file says something that `./check` cannot obey."""


@dataclass(frozen=True)
class Tool:
    program: str
    source: str
    package: str
    optional: bool = False


@dataclass(frozen=True)
class Stage:
    name: str
    command: str
    timeout_s: int
    needs: tuple[str, ...] = ()
    counts: str = "stage"
    fast: str | None = None
    beside: str | None = None


@dataclass(frozen=True)
class Count:
    name: str
    check: int
    evidence: int
    variable: str | None = None

    def variables(self, mode: str) -> dict[str, str]:
        figure = str(self.evidence if mode == "evidence" else self.check)
        names = ["SIGILL_COUNT_" + self.name.upper().replace("-", "_")]
        if self.variable:
            names.append(self.variable)
        return dict.fromkeys(names, figure)


@dataclass(frozen=True)
class Evidence:
    name: str
    command: str
    timeout_s: int
    result: str
    counts: tuple[str, ...]


def read_stages(path: Path) -> tuple[list[Tool], list[Stage]]:
    document = _read(path, {"tool", "stage"})
    tools = [_tool(entry, path) for entry in document.get("tool", [])]
    stages = [_stage(entry, path) for entry in document.get("stage", [])]
    _unique([tool.program for tool in tools], path)
    _unique([stage.name for stage in stages], path)
    known = {tool.program for tool in tools}
    for stage in stages:
        strangers = set(stage.needs) - known
        if strangers:
            raise FileRefused(f"{path}: stage {stage.name} needs {sorted(strangers)}, which no [[tool]] describes")
    _lanes_together(stages, path)
    return tools, stages


def turns(stages: list[Stage]) -> list[tuple[Stage, list[Stage]]]:
    """What runs after what: a stage, and those that run one after the other beside it."""
    turns = []
    for stage in stages:
        if turns and stage.beside == turns[-1][0].name:
            turns[-1][1].append(stage)
        else:
            turns.append((stage, []))
    return turns


def read_budget(path: Path) -> tuple[list[Count], list[Evidence]]:
    document = _read(path, {"count", "evidence"})
    counts = []
    for name, entry in document.get("count", {}).items():
        _keys(entry, {"check", "evidence"}, {"variable"}, f"{path}: count.{name}")
        if not 0 < entry["check"] <= entry["evidence"]:
            raise FileRefused(f"{path}: count.{name}: check is {entry['check']}, evidence {entry['evidence']}; "
                              "wanted 0 < check <= evidence")
        counts.append(Count(name, entry["check"], entry["evidence"], entry.get("variable")))
    known = {count.name for count in counts}
    evidences = []
    for name, entry in document.get("evidence", {}).items():
        where = f"{path}: evidence.{name}"
        _keys(entry, {"command", "timeout"}, {"counts", "result"}, where)
        strangers = set(entry.get("counts", ())) - known
        if strangers:
            raise FileRefused(f"{where} names the unknown counts {sorted(strangers)}")
        evidences.append(Evidence(name, entry["command"], seconds(entry["timeout"], where),
                                  _counting(entry.get("result", "cargo"), where), tuple(entry.get("counts", ()))))
    return counts, evidences


def tests_without_stage(manifest: Path, stages: list[Stage], evidences: list[Evidence] = ()) -> list[str]:
    """Names the test targets of the tests package that no stage and no evidence ever runs."""
    targets = [target["name"] for target in tomllib.loads(manifest.read_text())["test"]]
    commands = " ".join([stage.command for stage in stages] + [evidence.command for evidence in evidences])
    return [name for name in targets if not re.search(rf"--test[ =]{re.escape(name)}(?![\w-])", commands)]


def seconds(text: str, where: str) -> int:
    found = re.fullmatch(r"([1-9]\d*)([smh])", text) if isinstance(text, str) else None
    if not found:
        raise FileRefused(f"{where}: timeout {text!r} is not a number followed by s, m or h")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _read(path: Path, tables: set[str]) -> dict:
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as cause:
        raise FileRefused(f"{path}: {cause}") from cause
    if set(document) - tables:
        raise FileRefused(f"{path}: unknown tables {sorted(set(document) - tables)}; known are {sorted(tables)}")
    return document


def _tool(entry: dict, path: Path) -> Tool:
    where = f"{path}: tool {entry.get('program', '(without program)')}"
    _keys(entry, {"program", "from"}, {"package", "optional"}, where)
    if entry["from"] not in SOURCES:
        raise FileRefused(f"{where}: from is {entry['from']!r}, known are {SOURCES}")
    if ("package" in entry) == (entry["from"] == "venv"):
        raise FileRefused(f"{where}: apt and cargo want a package, venv none")
    return Tool(entry["program"], entry["from"], entry.get("package", ""), entry.get("optional", False))


def _stage(entry: dict, path: Path) -> Stage:
    where = f"{path}: stage {entry.get('name', '(without name)')}"
    _keys(entry, {"name", "command", "timeout"}, {"needs", "fast", "counts", "beside"}, where)
    if not re.fullmatch(r"[a-z][a-z0-9-]*", entry["name"]):
        raise FileRefused(f"{where}: a name is lower-case letters, digits and hyphens")
    fast = {True: entry["command"], False: None}.get(entry["fast"], entry["fast"]) if "fast" in entry else None
    return Stage(entry["name"], entry["command"], seconds(entry["timeout"], where), tuple(entry.get("needs", ())),
                 _counting(entry.get("counts", "stage"), where), fast, entry.get("beside"))


def _counting(name: str, where: str) -> str:
    if name not in COUNTINGS:
        raise FileRefused(f"{where}: counted as {name!r}, known are {COUNTINGS}")
    return name


def _keys(entry: dict, wanted: set[str], allowed: set[str], where: str) -> None:
    missing, surplus = wanted - set(entry), set(entry) - wanted - allowed
    if missing or surplus:
        raise FileRefused(f"{where}: missing keys {sorted(missing)}, unknown keys {sorted(surplus)}")


def _lanes_together(stages: list[Stage], path: Path) -> None:
    """A stage that runs beside another stands right behind it, or behind one that does the same."""
    leaders = {stage.name for stage in stages if stage.beside is None}
    before = ()
    for stage in stages:
        if stage.beside is not None and (stage.beside not in leaders or stage.beside not in before):
            raise FileRefused(f"{path}: stage {stage.name} is to run beside {stage.beside!r}, which is not the stage before it")
        before = (stage.name, stage.beside)


def _unique(names: list[str], path: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileRefused(f"{path}: named twice: {twice}")

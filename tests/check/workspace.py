"""What the packages of the workspace hold, as cargo says."""

import json
import subprocess
from pathlib import Path

# The package of the suites, each of which has a stage of its own.
SUITES = "support"


def packages() -> dict:
    return json.loads(output(["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"]))


def folders() -> dict[str, str]:
    """Folder -> name of each package."""
    described = packages()
    root = Path(described["workspace_root"])
    return {Path(package["manifest_path"]).parent.relative_to(root).as_posix(): package["name"]
            for package in described["packages"]}


def tests_of_rooms(described: dict) -> list[str]:
    """The test binaries that rooms have beside their units."""
    return sorted({target["name"] for package in described["packages"] if package["name"] != SUITES
                   for target in package["targets"] if "test" in target["kind"]})


def filled(command: str) -> str:
    """A stage's command with `--test NAME` for each test of a room in the place of {tests-of-rooms}."""
    if "{tests-of-rooms}" not in command:
        return command
    return command.replace("{tests-of-rooms}", " ".join(f"--test {name}" for name in tests_of_rooms(packages())))


def output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

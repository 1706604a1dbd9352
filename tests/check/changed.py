"""Which rooms differ from main, and so want `./check fast`."""

import json
import subprocess
from pathlib import Path, PurePosixPath


def rooms() -> list[str]:
    """Names the packages with a file that differs from where this branch left main; all of them if the root changed."""
    described = json.loads(_output(["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"]))
    root = Path(described["workspace_root"])
    folders = {Path(package["manifest_path"]).parent.relative_to(root).as_posix(): package["name"]
               for package in described["packages"]}
    return touched(_changed_files(), folders)


def touched(files: list[str], folders: dict[str, str]) -> list[str]:
    """The packages (folder -> name) that these files belong to."""
    if any(name in ("Cargo.toml", "rust-toolchain.toml", "clippy.toml") for name in files):
        return sorted(folders.values())
    return sorted({folders[top] for name in files if (top := PurePosixPath(name).parts[0]) in folders})


def _changed_files() -> list[str]:
    base = _output(["git", "merge-base", "HEAD", _main()]).strip()
    tracked = _output(["git", "diff", "--name-only", base]).splitlines()
    return tracked + _output(["git", "ls-files", "--others", "--exclude-standard"]).splitlines()


def _main() -> str:
    """The remote's main when there is one; on main itself, the commit before."""
    here = _output(["git", "rev-parse", "HEAD"]).strip()
    for name in ("origin/main", "main"):
        found = subprocess.run(["git", "rev-parse", "--verify", "--quiet", name], capture_output=True, text=True)
        if found.returncode == 0 and found.stdout.strip() != here:
            return name
    parent = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD~1"], capture_output=True)
    return "HEAD~1" if parent.returncode == 0 else "HEAD"


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

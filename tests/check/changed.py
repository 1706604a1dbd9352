"""Which rooms differ from main, and so want `./check fast`."""

import subprocess
from pathlib import PurePosixPath

import workspace


def rooms() -> list[str]:
    """Names the packages with a file that differs from where this branch left main; all of them if the root changed."""
    return touched(_changed_files(), workspace.folders())


def touched(files: list[str], folders: dict[str, str]) -> list[str]:
    """The packages (folder -> name) that these files belong to."""
    if any(name in ("Cargo.toml", "rust-toolchain.toml", "clippy.toml") for name in files):
        return sorted(folders.values())
    nearest = (next((folders[str(above)] for above in PurePosixPath(name).parents if str(above) in folders), None)
               for name in files)
    return sorted({room for room in nearest if room})


def _changed_files() -> list[str]:
    base = workspace.output(["git", "merge-base", "HEAD", _main()]).strip()
    tracked = workspace.output(["git", "diff", "--name-only", base]).splitlines()
    return tracked + workspace.output(["git", "ls-files", "--others", "--exclude-standard"]).splitlines()


def _main() -> str:
    """The remote's main when there is one; on main itself, the commit before."""
    here = workspace.output(["git", "rev-parse", "HEAD"]).strip()
    for name in ("origin/main", "main"):
        found = subprocess.run(["git", "rev-parse", "--verify", "--quiet", name], capture_output=True, text=True)
        if found.returncode == 0 and found.stdout.strip() != here:
            return name
    parent = subprocess.run(["git", "rev-parse", "--verify", "--quiet", "HEAD~1"], capture_output=True)
    return "HEAD~1" if parent.returncode == 0 else "HEAD"

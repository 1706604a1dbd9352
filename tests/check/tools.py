"""Finds the programs that stages need and installs the missing ones where that is possible."""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from counts import Result
from stages import Tool

VENV = Path("tests/python/.venv")
REQUIREMENTS = Path("tests/python/requirements.txt")
POLICY = Path("/usr/sbin/policy-rc.d")
# Where Debian keeps libraries and PKCS#11 modules.
LIBRARIES = (Path("/usr/lib"), *sorted(Path("/usr/lib").glob("*-linux-gnu")))


def search_path() -> str:
    """PATH with the virtual environment and cargo's programs, and with sbin, where Debian keeps nginx."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    return os.pathsep.join([str((VENV / "bin").absolute()), os.environ.get("PATH", ""), str(cargo), "/usr/sbin", "/sbin"])


def present(tool: Tool) -> bool:
    if tool.source == "venv":
        return (VENV / "bin" / tool.program).exists() and _venv_stamp().exists()
    if ".so" in tool.program:
        return any(any(folder.glob(tool.program)) or any(folder.glob("pkcs11/" + tool.program)) for folder in LIBRARIES)
    return shutil.which(tool.program, path=search_path()) is not None


def install(tools: list[Tool]) -> list[str]:
    """Installs what is missing; returns what [`missing`] says afterwards."""
    absent = [tool for tool in tools if not present(tool)]
    by_source = {source: [tool for tool in absent if tool.source == source] for source in ("apt", "venv", "cargo")}
    if by_source["apt"]:
        _install_packages(sorted({tool.package for tool in by_source["apt"]}))
    if by_source["venv"]:
        _install_venv()
    for tool in by_source["cargo"]:
        _say(f"building {tool.package} (once for this machine)")
        # Unoptimised: it runs for seconds here, and optimising it costs minutes.
        _run(["cargo", "install", "--locked", "--quiet", "--debug", tool.package])
    return missing(tools)


def verdict(tools: list[Tool], strict: bool) -> Result:
    """Where all must be there, a missing one has failed, save an optional one: its tests say what they leave out."""
    absent = [tool for tool in tools if not present(tool)]
    failed = sum(strict and not tool.optional for tool in absent)
    return Result(passed=len(tools) - len(absent), failed=failed, skipped=len(absent) - failed)


def missing(tools: list[Tool]) -> list[str]:
    """One plain sentence for each tool that is not there."""
    return [_sentence(tool) for tool in tools if not present(tool)]


def _install_packages(packages: list[str]) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    _say("installing " + " ".join(packages))
    with _no_service_starts():
        _run(["apt-get", "update", "-qq"])
        # One that cannot be had must not keep out the others.
        if not _apt(packages) and len(packages) > 1:
            for package in packages:
                _apt([package])


def _apt(packages: list[str]) -> bool:
    return _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
                DEBIAN_FRONTEND="noninteractive")


@contextmanager
def _no_service_starts():
    """Packages such as nginx start a server when they are installed; a policy of 101 forbids it (invoke-rc.d)."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


def _install_venv() -> None:
    _say(f"installing {REQUIREMENTS} into {VENV}")
    if not _run([sys.executable, "-m", "venv", "--clear", str(VENV)]):
        _install_packages(["python3-venv"])
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if _run([str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
             "-r", str(REQUIREMENTS)]):
        _venv_stamp().touch()


def _venv_stamp() -> Path:
    """Stands in the virtual environment once these very requirements are installed in it."""
    return VENV / ("installed-" + hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16])


def _sentence(tool: Tool) -> str:
    remedy = {
        "apt": f"sudo apt-get install {tool.package}",
        "venv": f"python3 -m venv {VENV} && {VENV}/bin/pip install -r {REQUIREMENTS}",
        "cargo": f"cargo install --locked {tool.package}",
    }[tool.source]
    return f"{tool.program} is missing; hint: {remedy}"


def _run(command: list[str], **variables: str) -> bool:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=1800,
                              env={**os.environ, "PATH": search_path(), **variables})
    except (OSError, subprocess.TimeoutExpired) as cause:
        _say(f"{command[0]}: {cause}")
        return False
    return done.returncode == 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

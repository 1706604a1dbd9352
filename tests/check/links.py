"""Finds links in Markdown files that lead nowhere inside the repository, and pages that code cites and that are not there.

Links to other hosts are not followed: a check must not depend on a network.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s]+(?:\([^()\s]*\))?[^()\s]*)(?:\s+\"[^\"]*\")?\)")
DEFINITION = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.M)
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.M | re.S)
CODE = re.compile(r"`[^`\n]*`")
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.I)


def dead_links(path: Path, root: Path) -> list[str]:
    text = CODE.sub("", FENCE.sub("", path.read_text()))
    targets = LINK.findall(text) + DEFINITION.findall(text)
    return [f"{path.relative_to(root)}: {fault}" for target in targets if (fault := _fault(target, path, root))]


def _fault(target: str, path: Path, root: Path) -> str | None:
    if SCHEME.match(target) or target.startswith("//"):
        return None
    name, _, fragment = unquote(target.strip("<>")).partition("#")
    aim = (path.parent / name).resolve() if name else path
    if not aim.is_relative_to(root):
        return f"{target} leads out of the repository"
    if not aim.exists():
        return f"{target} does not exist"
    if fragment and aim.suffix == ".md" and fragment not in anchors(aim.read_text()):
        return f"{target} names a heading that {aim.relative_to(root)} does not have"
    return None


def anchors(text: str) -> set[str]:
    """The heading anchors of a page, formed the way the common forges form them."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCE.sub("", text), re.M):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        seen = found.get(name, 0)
        found[name] = seen + 1
        names.add(f"{name}-{seen}" if seen else name)
    return names


PAGE = re.compile(r"[\w.-]+\.md\b")
CODE_FILES = ["*.rs", "*.sql", "*.toml"]


def lost_pages(path: Path, root: Path, names: set[str]) -> list[str]:
    """Pages that a file of code cites by a name that no page of the repository has: a reader would search in vain."""
    cited = set(PAGE.findall(path.read_text())) - names
    return [f"{path.relative_to(root)}: cites {name}, which is not in the repository" for name in sorted(cited)]


def pages(root: Path) -> list[Path]:
    return _files(root, ["*.md"])


def _files(root: Path, patterns: list[str]) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
                            cwd=root, capture_output=True, text=True, check=True).stdout
    return [root / name for name in listed.split("\0") if name and (root / name).exists()]


def main() -> int:
    root = Path.cwd().resolve()
    found = pages(root)
    faults = [fault for page in found for fault in dead_links(page, root)]
    names = {page.name for page in found}
    faults += [fault for path in _files(root, CODE_FILES) for fault in lost_pages(path, root, names)]
    for fault in faults:
        print(f"dead link: {fault}")
    print(f"{len(found)} pages read")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

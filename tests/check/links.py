"""Finds links in Markdown files that lead nowhere inside the repository.

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


def pages(root: Path) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
                            cwd=root, capture_output=True, text=True, check=True).stdout
    return [root / name for name in listed.split("\0") if name and (root / name).exists()]


def main() -> int:
    root = Path.cwd().resolve()
    found = pages(root)
    faults = [fault for page in found for fault in dead_links(page, root)]
    for fault in faults:
        print(f"dead link: {fault}")
    print(f"{len(found)} pages read")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

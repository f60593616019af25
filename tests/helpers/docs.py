"""README.md and docs/*.md as the tests read them: commands, Python, files, links, inline code."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED_BLOCK = re.compile(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
INSTALL = "pip install -q uv && "
OURS = ["python", "-m", "eaglebench"]


class Session(NamedTuple):
    """A command of a console block, and what the page shows of its output."""

    command: str
    output: str


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's code blocks of one language."""
    return [content for found, content in BLOCK.findall(page.read_text()) if found == language]


def commands(page: Path) -> list[str]:
    """The commands of a page's `sh` blocks, those that a reader runs as they stand."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [line.split("   #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def sessions(page: Path) -> Iterator[Session]:
    """The commands of a page's `console` blocks, each with its output."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = re.sub(r"\\\n\s*", "", part).partition("\n")
            yield Session(command, output.rstrip("\n"))


def arguments(line: str) -> list[str] | None:
    """The arguments after `python -m eaglebench`; None if a line runs something else."""
    words = shlex.split(line.removeprefix(INSTALL), comments=True)
    words = words[2:] if words[:2] == ["uv", "run"] else words
    return words[3:] if words[:3] == OURS else None


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write the files of a page: code blocks after a line with the file's name, as `mine/experts/stem.yaml`."""
    written = []
    for name, content in NAMED_BLOCK.findall(page.read_text()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        written.append(path)
    return written


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", page.read_text())


def inline_code(page: Path) -> list[str]:
    """The code within a page's prose."""
    return INLINE.findall(prose(page))


def links(page: Path) -> list[str]:
    """The links of a page to files and headings, not those to other sites."""
    return [link for link in LINK.findall(INLINE.sub("", prose(page))) if "://" not in link]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose(page)))
    return frozenset(heading.strip().replace(" ", "-") for heading in kept)

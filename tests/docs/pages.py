"""README and the pages of the docs as the tests read them: commands, code, links, anchors."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELLS = ("bash", "sh", "shell", "console")


@cache
def text(page: Path) -> str:
    """A page's source."""
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    """A page's path from the root."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """A page's fenced blocks in these languages."""
    return [content for language, content in FENCE.findall(text(page)) if language in languages]


def prose(page: Path) -> str:
    """A page's source without its fenced blocks."""
    return FENCE.sub("", text(page))


def shell_lines(page: Path) -> list[str]:
    """The command lines of a page's shell blocks, continued lines joined, comments dropped."""
    joined = "\n".join(blocks(page, *SHELLS)).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def all_lines() -> list[str]:
    """The command lines of all pages, each once."""
    return list(dict.fromkeys(line for page in PAGES for line in shell_lines(page)))


def words(line: str) -> list[str]:
    """A command's words up to a redirection, a pipe or a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    before: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>"):
            break
        before.append(word)
    return before


def our_commands() -> list[str]:
    """The lines that call dmdd-edge, each once."""
    return [line for line in all_lines() if words(line)[0] == "dmdd-edge"]


def links(page: Path) -> list[tuple[str, str]]:
    """Links and images of a page that stay in the repository, as file (empty for the page) and anchor."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    inside = [target for target in targets if "://" not in target]
    return [(file, anchor) for file, _, anchor in (target.partition("#") for target in inside)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ +(.*?) *$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[\s]+", "-", heading) for heading in plain}

"""Every text of the repository that a person reads: strings, docstrings, comments, and the pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CODE = ("dmdd_edge", "train", "export", "runtime", "benchmarks")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples", "deploy")


class Text(NamedTuple):
    """A text and the file and line where it begins."""

    where: str
    words: str


def code_files(*folders: str) -> list[Path]:
    """The Python files below the folders, which may also be single files."""
    found = []
    for folder in folders:
        path = ROOT / folder
        found += [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    return [path for path in found if "__pycache__" not in path.parts]


@cache
def tree_of(path: Path) -> ast.Module:
    """A file's syntax, parsed once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def texts_of(path: Path) -> Iterator[Text]:
    """Strings, docstrings and comments of a Python file; neighbouring comment lines are one text."""
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    yield from (Text(f"{name}:{line}", words) for line, words in _strings(tree_of(path)))
    yield from (Text(f"{name}:{line}", words) for line, words in _comments(source))


def _strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            yield node.lineno, "".join(_shown(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value


def _shown(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


def _comments(source: str) -> Iterator[tuple[int, str]]:
    begin, last, words = 0, -1, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, comment = token.start[0], token.string.lstrip("#: ")
        if line == last + 1:
            words += " " + comment
        else:
            if words:
                yield begin, words
            begin, words = line, comment
        last = line
    if words:
        yield begin, words


def page_texts() -> Iterator[Text]:
    """The paragraphs of README and the pages, without their code blocks and generated tables."""
    for name in PAGES:
        path = ROOT / name
        for page in [path] if path.suffix == ".md" else sorted(path.rglob("*.md")):
            if page.is_file():
                yield from _paragraphs(page)


def _paragraphs(page: Path) -> Iterator[Text]:
    code, begin, words = False, 1, ""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate([*lines, ""], start=1):
        if line.lstrip().startswith("```"):
            code, line = not code, ""
        if not code and line.strip():
            begin, words = (begin, f"{words} {line}") if words else (number, line)
        elif words:
            yield Text(f"{page.relative_to(ROOT).as_posix()}:{begin}", words)
            words = ""


def prose(words: str) -> str:
    """A text without what is quoted from elsewhere: code spans, addresses, link targets, options, paths."""
    words = re.sub(r"``.*?``|`[^`\n]*`", "`code`", words, flags=re.DOTALL)
    words = re.sub(r"\w+://\S+|\]\([^)]*\)|(?<!\w)--[a-z][\w-]*|\S*/\S*\.\w+|\b\w+_\w+\b", " ", words)
    return re.sub(r"\s+", " ", words)


class Sentence(NamedTuple):
    """How a message or a fix of a ``DmddError`` reads; what an f-string computes is ``{}``."""

    where: str
    words: str
    is_fix: bool


def error_texts(path: Path) -> Iterator[Sentence]:
    """What a file gives to ``DmddError`` and its subclasses as message and fix, where it is literal."""
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call) or not _makes_an_error(node):
            continue
        fixes = [keyword.value for keyword in node.keywords if keyword.arg == "fix"]
        for is_fix, values in ((False, node.args[:1]), (True, [*fixes, *node.args[1:2]])):
            for value in values:
                yield from (Sentence(f"{name}:{node.lineno}", text, is_fix) for text in _literal(value))


def _makes_an_error(node: ast.Call) -> bool:
    name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
    return name in error_names() or (
        name.endswith("Error") and any(keyword.arg == "fix" for keyword in node.keywords)
    )


@cache
def error_names() -> set[str]:
    """``DmddError`` and every class of the package that descends from it, by their names."""
    bases: dict[str, set[str]] = {}
    for path in code_files(*CODE):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
    names = {"DmddError"}
    while more := {name for name, parents in bases.items() if parents & names} - names:
        names |= more
    return names


def _literal(value: ast.expr) -> Iterator[str]:
    """The texts that an expression can be; nothing where it is only computed."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.JoinedStr):
        yield "".join(_shown(part) for part in value.values)
    elif isinstance(value, ast.IfExp):
        yield from (*_literal(value.body), *_literal(value.orelse))
    elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        for first in list(_literal(value.left)) or ["{}"]:
            yield from (first + second for second in list(_literal(value.right)) or ["{}"])

"""What README shows must exist as written: commands, options, make targets, scripts, extras, files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge.cli.main import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL_BLOCK = re.compile(r"^```(?:bash|sh|shell|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Options in README's prose that belong to other programs.
FOREIGN_OPTIONS = {"--no-deps", "--system-site-packages"}


def shell_lines() -> list[str]:
    """The command lines of README's shell blocks, continued lines joined, comments dropped."""
    text = "\n".join(SHELL_BLOCK.findall(README)).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def words(line: str) -> list[str]:
    """A command's words up to a redirection, a pipe or a comment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>"):
            break
        found.append(word)
    return found


def our_commands() -> list[str]:
    return [line for line in shell_lines() if words(line)[0] == "dmdd-edge"]


def parse(command: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    """Let the program's own parser read a command without running it; it raises on what it does not know."""
    with command.make_context(name, list(arguments), parent=parent) as context:
        if not hasattr(command, "resolve_command"):
            return
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if rest:
            inner_name, inner, inner_arguments = command.resolve_command(context, rest)
            parse(inner, inner_name, inner_arguments, context)


def every_option(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from every_option(inner)


def test_readme_shows_the_whole_way() -> None:
    shown = {words(line)[1] for line in our_commands()}
    assert {"train", "evaluate", "export", "run", "models", "calibrate"} <= shown


@pytest.mark.parametrize("line", our_commands())
def test_a_command_is_read_by_the_program_as_written(line: str) -> None:
    parse(get_command(app), "dmdd-edge", words(line)[1:])


@pytest.mark.parametrize(
    "wrong", ["train --no-such-option", "no-such-command", "run --every none --source x"]
)
def test_the_check_itself_refuses_what_does_not_exist(wrong: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|valid"):
        parse(get_command(app), "dmdd-edge", wrong.split())


def test_options_named_in_the_prose_exist() -> None:
    prose = SHELL_BLOCK.sub("", README)
    named = {
        option for code in re.findall(r"`([^`\n]+)`", prose) for option in re.findall(r"--[a-z-]+", code)
    }
    known = {"--help", *every_option(get_command(app))}
    assert len(named) > 20
    assert named - known - FOREIGN_OPTIONS == set()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    in_blocks = {word for line in shell_lines() if words(line)[0] == "make" for word in words(line)[1:]}
    in_prose = set(re.findall(r"`make ([a-z-]+)`", README))
    assert in_blocks | in_prose <= targets


def test_scripts_and_linked_files_exist() -> None:
    scripts = {word for line in shell_lines() for word in words(line) if word.endswith(".py")}
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link}
    files = set(re.findall(r"`((?:train|export|runtime|tests|benchmarks|dmdd_edge)/[\w./]*)`", README))
    assert {name for name in scripts | links | files if not (ROOT / name).exists()} == set()


def test_extras_exist() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = pyproject.split("[project.optional-dependencies]")[1].split("\n[")[0]
    known = set(re.findall(r"^([a-z]+) = \[", table, re.MULTILINE))
    named = {extra for group in re.findall(r"\.\[([a-z,]+)\]'", README) for extra in group.split(",")}
    assert named <= known
    assert known - named == {"dev"}


def test_the_python_example_names_what_exists() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    compile(example, "README.md", "exec")
    names: dict[str, Any] = {}
    exec("\n".join(line for line in example.splitlines() if line.startswith("from ")), names)
    assert callable(names["Detector"].load)
    assert callable(names["read_image"])

"""What a message tells a user to type exists: every command and every option that the code's texts name."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import read_calibration
from dmdd_edge.bundle.versions import find_version
from dmdd_edge.cli.main import app
from dmdd_edge.workspace import find_bundle, find_run

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("dmdd_edge", "train", "export", "runtime")
PROGRAM: Any = get_command(app)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9](?![\w-]*[…*])")
#: Options of other programs (pip, apt, git, docker, nvidia-smi, ray, systemctl, udevadm, useradd) that the
#: code gives or names.
FOREIGN = {
    "--abbrev", "--address", "--always", "--dirty", "--disable-usage-stats",
    "--force", "--force-reinstall", "--format", "--gpus", "--id",
    "--index-url", "--no-create-home", "--no-deps", "--now", "--num-gpus",
    "--query-gpu", "--reload", "--shell",
    "--subsystem-match", "--system", "--system-site-packages", "--yes",
}  # fmt: skip
#: Holds CSS, whose variables look like options.
STYLE = ROOT / "train" / "report" / "style.py"


def texts() -> Iterator[tuple[Path, int, str]]:
    """Every string of the code that is no docstring; what an f-string computes stands as ``{}``."""
    for folder in FOLDERS:
        for path in sorted(set((ROOT / folder).rglob("*.py")) - {STYLE}):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            skipped = {
                id(node.body[0].value)
                for node in ast.walk(tree)
                if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    skipped |= {id(part) for part in node.values}
                    parts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
                    yield path, node.lineno, "".join(parts)
                elif (
                    isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
                ):
                    yield path, node.lineno, node.value


def options_of(command: Any) -> set[str]:
    found = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return found | {"--help"}


def all_options(command: Any = PROGRAM) -> set[str]:
    return options_of(command).union(*(all_options(c) for c in getattr(command, "commands", {}).values()))


KNOWN = all_options() | FOREIGN


def problems(text: str) -> list[str]:
    """What a text names that does not exist."""
    found = [option for option in OPTION.findall(text) if option not in KNOWN]
    for match in re.finditer(r"\bdmdd-edge ([a-z]+)((?: [a-z]+\b)?)(.*)", text):
        name, inner, rest = match[1], match[2].strip(), match[3]
        command = PROGRAM.commands.get(name)
        if command is None:
            continue  # prose: "this dmdd-edge reads"
        command = getattr(command, "commands", {}).get(inner, command)
        named = re.split(r"[.;,)`](?:\s|$)", rest)[0]
        found += [f"{name} {option}" for option in OPTION.findall(named) if option not in options_of(command)]
    return found


def test_every_option_and_command_in_a_message_exists() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {', '.join(found)}"
        for path, line, text in texts()
        if (found := problems(text))
    ]
    assert wrong == []


def built_commands() -> Iterator[tuple[str, list[str], list[str]]]:
    """Every call of ``command``: where, its words as far as they are constant, and the options it names."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "command" and node.args:
                    words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                    options = ["--" + k.arg.replace("_", "-") for k in node.keywords if k.arg]
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", words, options


def test_every_command_that_is_built_exists_with_its_options() -> None:
    built = list(built_commands())
    assert len(built) > 15
    for where, words, options in built:
        command = PROGRAM.commands[words[0]]
        if getattr(command, "commands", {}) and len(words) > 1:
            command = command.commands[words[1]]
        assert set(options) <= options_of(command), where
        if words[0] in ("train", "export", "evaluate"):
            assert {"--category", "--run", "--runs-dir"} <= options_of(command)


def parsed(line: str) -> None:
    """Let the program's own parser read a printed command; it raises on what it does not take."""
    words = shlex.split(line)
    assert words[0] == "dmdd-edge"
    name, inner, rest = words[1], PROGRAM.commands[words[1]], words[2:]
    if getattr(inner, "commands", {}) and rest and rest[0] in inner.commands:
        name, inner, rest = rest[0], inner.commands[rest[0]], rest[1:]
    with inner.make_context(name, rest):
        pass


def named_in(text: str) -> str:
    """The command that a fix ends with."""
    found = re.search(r"dmdd-edge .*", text)
    assert found, text
    return found[0]


def test_the_fixes_carry_the_folders_on_and_are_quoted(
    write_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    models = tmp_path / "my models"
    bundle = write_bundle("my part")
    (tmp_path / "models").rename(models)
    path = models / "my part"
    fixes = []
    with pytest.raises(DmddError) as caught:
        find_bundle("bolt", models_dir=models)
    fixes.append(caught.value.fix)
    with pytest.raises(DmddError) as caught:
        find_bundle(model="nowhere", models_dir=models)
    fixes.append(caught.value.fix)
    with pytest.raises(DmddError) as caught:
        find_run("bolt", runs_dir=tmp_path / "my runs")
    fixes.append(caught.value.fix)
    (path / "CURRENT").write_text("20990101T000000Z-00000000")
    with pytest.raises(DmddError) as caught:
        find_version(path)
    fixes.append(caught.value.fix)
    (path / f"calibration-{bundle.version}.json").write_text("{")
    with pytest.raises(DmddError) as caught:
        read_calibration(Bundle.open_unverified(path / bundle.version))
    fixes.append(caught.value.fix)
    assert [named_in(fix) for fix in fixes] == [
        "dmdd-edge train --data DIR",
        f"dmdd-edge models --models-dir '{models}'",
        f"dmdd-edge train --data DIR --runs-dir '{tmp_path / 'my runs'}'",
        f"dmdd-edge models use 'my part' VERSION --models-dir '{models}'",
        f"dmdd-edge calibrate --model '{path / bundle.version}' --reset",
    ]
    for fix in fixes:
        parsed(named_in(fix))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Name another folder with --out.", ["--out"]),
        ("Run: dmdd-edge export --source DIR", ["export --source"]),
        ("Run: dmdd-edge models use {} VERSION --reset", ["models --reset"]),
        ("Undo: dmdd-edge calibrate --reset. Then add --source.", []),
    ],
)
def test_the_check_itself_finds_what_does_not_exist(text: str, named: list[str]) -> None:
    assert problems(text) == named

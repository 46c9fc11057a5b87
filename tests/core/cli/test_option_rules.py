"""An option that nothing on the command line gives a meaning is refused: none is ignored in silence."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge.cli.main import app
from dmdd_edge.errors import DmddError
from dmdd_edge.options.model import option_fields

ROOT: Any = get_command(app)
WITHOUT_EFFECT = {
    "run --source x --video-fps 5": "--video-fps has no effect without --video",
    "run --source x --save-maps y --save-format jpg": "--save-format has no effect without --save",
    "run --source x --no-save-caption": "--save-caption has no effect without --save",
    "run --source x --keep 1GB --json": "--keep has no effect without --jsonl, --csv, --video, --save,",
    "run --source x --jsonl y --spool z": "--spool has no effect without --mqtt or --webhook",
    "run --source x --mqtt mqtt://h/t --webhook-token-env T": "--webhook-token-env has no effect without",
    "run --source x --serve-token-env T": "--serve-token-env has no effect without --serve",
    "calibrate --reset --false-alarm-rate 0.1": "--false-alarm-rate has no effect with --reset",
}
WITH_EFFECT = (
    "run --source x --video v.webm --video-fps 5",
    "run --source x --save y --save-format jpg --no-save-caption",
    "run --source x --csv y --keep 1GB --fsync always",
    "run --source x --webhook http://h/ --notify anomalous --webhook-secret-env S",
    "calibrate --reset --yes --models-dir m",
    "calibrate --source x --limit 3",
)


def check(line: str) -> None:
    """What the program checks of a command line before the command begins."""
    name, *arguments = shlex.split(line)
    with ROOT.make_context("dmdd-edge", [name]) as root:
        command = ROOT.get_command(root, name)
        with command.make_context(name, arguments, parent=root) as context:
            command.callback.read(context, dict(context.params))


@pytest.mark.parametrize("line", WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(line: str) -> None:
    with pytest.raises(DmddError) as caught:
        check(line)
    assert caught.value.message.startswith(WITHOUT_EFFECT[line])
    assert caught.value.fix.startswith("Leave it out, or ")


@pytest.mark.parametrize("line", WITH_EFFECT)
def test_an_option_with_its_companion_is_taken(line: str) -> None:
    check(line)


def test_every_rule_names_options_that_there_are() -> None:
    models = [getattr(command.callback, "model", None) for command in ROOT.commands.values()]
    for model in filter(None, models):
        declared = {field.name for field in option_fields(model)}
        for base in model.__mro__:
            rules = vars(base).get("RULES", ())
            assert {option for rule in rules for option in rule.options} <= declared
            assert {name for names in vars(base).get("EXCLUSIVE", ()) for name in names} <= declared

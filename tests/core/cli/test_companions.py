"""An option that nothing on the command line gives a meaning is refused: none is ignored in silence."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge.cli import companions
from dmdd_edge.cli.main import app
from dmdd_edge.cli.strict import tighten
from dmdd_edge.errors import DmddError

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
            given = {key for key in context.params if context.get_parameter_source(key).name == "COMMANDLINE"}
            spelled = {item.name: item.opts[0] for item in command.params}
            companions.check_companions(name, context.params, {key: spelled[key] for key in given})


@pytest.mark.parametrize("line", WITHOUT_EFFECT)
def test_an_option_without_effect_is_refused(line: str) -> None:
    with pytest.raises(DmddError) as caught:
        check(line)
    assert caught.value.message.startswith(WITHOUT_EFFECT[line])
    assert caught.value.fix.startswith("Leave it out, or ")


@pytest.mark.parametrize("line", WITH_EFFECT)
def test_an_option_with_its_companion_is_taken(line: str) -> None:
    check(line)


def test_the_program_checks_before_the_command_begins() -> None:
    with ROOT.make_context("dmdd-edge", ["run"]) as root:
        command = ROOT.get_command(root, "run")
        tighten(command)  # twice does no harm
        with (
            command.make_context("run", ["--source", "x", "--video-fps", "5"], parent=root) as context,
            pytest.raises(DmddError, match="--video-fps has no effect"),
        ):
            command.invoke(context)


def test_every_rule_names_options_that_there_are() -> None:
    for name, rules in companions._RULES.items():
        known = {parameter.name for parameter in ROOT.commands[name].params}
        assert {option for rule in rules for option in rule.options} <= known

"""An option that nothing on the command line gives a meaning is refused: none is ignored in silence."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dmdd_edge.cli import companions
from dmdd_edge.cli.evaluate import _means_bundle
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
    "export --model m --false-alarm-rate 0.1": "--false-alarm-rate has no effect with --model",
    "export --target onnx --precision fp32": "--precision has no effect with --target onnx",
    "export --target onnx --triton-dir t": "--triton-dir has no effect without --target triton",
    "evaluate --model m --runs-dir r": "--runs-dir has no effect with --model",
    "evaluate --model m --all": "--all has no effect with --model",
}
WITH_EFFECT = (
    "run --source x --video v.webm --video-fps 5",
    "run --source x --save y --save-format jpg --no-save-caption",
    "run --source x --csv y --keep 1GB --fsync always",
    "run --source x --webhook http://h/ --notify anomalous --webhook-secret-env S",
    "calibrate --reset --yes --models-dir m",
    "calibrate --source x --limit 3",
    "export --precision fp32",
    "export --target onnx,triton --precision fp32 --triton-dir t",
    "evaluate --model m --backend cpu",
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


@pytest.mark.parametrize(
    ("given", "bundle"),
    [
        ("", False),  # there are both: without own images it is the run
        ("models_dir", True),
        ("backend", True),
        ("runs_dir", False),
        ("device", False),
        ("models_dir runs_dir", False),
        ("run models_dir", False),
        ("every backend", False),
    ],
)
def test_options_of_bundles_or_runs_say_which_is_evaluated(given: str, bundle: bool, tmp_path: Path) -> None:
    (tmp_path / "runs" / "plate").mkdir(parents=True)
    (tmp_path / "runs" / "plate" / "run.json").touch()
    (tmp_path / "models" / "plate").mkdir(parents=True)
    (tmp_path / "models" / "plate" / "CURRENT").touch()
    names = frozenset(given.split())
    assert _means_bundle("plate", False, tmp_path / "runs", tmp_path / "models", names) is bundle

from __future__ import annotations

from pathlib import Path

from dmdd_edge.messages.commands import bundle_options, command, run_options
from dmdd_edge.messages.suggest import did_you_mean


def test_a_command_can_be_pasted() -> None:
    assert command("models", "use", "my part", "VERSION") == "dmdd-edge models use 'my part' VERSION"
    assert (
        command("train", category="a'b", run=None, resume=True, json=False, data=Path("my data"))
        == "dmdd-edge train --category 'a'\"'\"'b' --resume --data 'my data'"
    )
    assert command("run", camera_control=["a=1", "b=2"]) == (
        "dmdd-edge run --camera-control a=1 --camera-control b=2"
    )


def test_default_folders_need_no_option() -> None:
    assert command("export", **run_options(Path("runs/screw"), "screw")) == (
        "dmdd-edge export --category screw"
    )
    assert command("export", **run_options(Path("/data/my runs/long"), "screw")) == (
        "dmdd-edge export --category screw --run long --runs-dir '/data/my runs'"
    )
    assert command("run", **bundle_options("screw", None, Path("models"))) == "dmdd-edge run --category screw"
    assert command("run", **bundle_options("screw", Path("m/screw"), Path("elsewhere"))) == (
        "dmdd-edge run --model m/screw"
    )


def test_what_may_have_been_meant() -> None:
    assert did_you_mean("Screv", ["bottle", "screw"]) == "Did you mean 'screw'?"
    assert did_you_mean("xyz", ["bottle", "screw"]) == ""
    assert did_you_mean("xyz", []) == ""


def test_a_name_that_begins_with_a_dash_is_no_option() -> None:
    assert command("models", "use", "-x", "VERSION", models_dir="m") == (
        "dmdd-edge models use --models-dir m -- -x VERSION"
    )

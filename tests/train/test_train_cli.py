"""`train` and `evaluate` as a user calls them: exit codes, messages, JSON on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dmdd_edge.cli.main import app, main
from dmdd_edge.errors import DmddError

OPTIONS = """
--data --category --backbone --weights --textures --roi --rotate --ignore-mask --holdout --recipe --image-size
--steps --epochs --max-minutes --batch-size --lr --seed --device --amp --workers --foreground --branches --pmn
--head --no-fas --no-pu --no-mm --run --runs-dir --resume --overwrite --json
"""


def call(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Run the program as its entry point does: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["dmdd-edge", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


def refused(result: Result) -> DmddError:
    """The user's error that a command ended with."""
    assert isinstance(result.exception, DmddError), result.output
    return result.exception


@pytest.fixture
def options(plates: Path, tiny_weights: Path, tmp_path: Path) -> list[object]:
    """Of a training that takes about a second."""
    return [
        "train", "--data", plates, "--category", "plate", "--runs-dir", tmp_path / "runs",
        "--backbone", "timm:test_efficientnet", "--weights", tiny_weights, "--image-size", 64,
        "--steps", 2, "--batch-size", 2, "--device", "cpu", "--head", "sum",
    ]  # fmt: skip


def test_help_names_the_options() -> None:
    result = call("train", "--help")
    assert result.exit_code == 0
    for option in OPTIONS.split():
        assert option in result.output, option
    assert call("evaluate", "--help").exit_code == 0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom dmdd_edge.cli.main import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['train', '--help']).exit_code == 0\n"
        "print([name for name in ('torch', 'numpy', 'cv2', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "wrong",
    [["--recipe", "magic"], ["--steps", "many"], ["--foreground", "magic"], ["--nonsense"], ["--amp", "fp8"]],
)
def test_wrong_usage_is_exit_code_two(wrong: list[str]) -> None:
    result = call("train", "--data", ".", *wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.output


def test_an_unknown_category_is_exit_code_one_and_names_those_found(
    program: Callable[..., tuple[object, str, str]], plates: Path, tmp_path: Path
) -> None:
    code, out, err = program("train", "--data", plates, "--category", "srew", "--runs-dir", tmp_path / "runs")
    assert code == 1
    assert out == ""
    lines = err.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert "srew" in lines[0]
    assert "plate" in lines[0]
    assert lines[1].startswith("fix: ")
    assert len(lines) == 2  # no traceback
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--steps", 5, "--epochs", 2], ["--steps", "--epochs"]),
        (["--image-size", 100], ["--image-size", "100"]),
        (["--backbone", "resnet19"], ["resnet19"]),
        (["--device", "gpu"], ["gpu"]),
        (["--weights", "nowhere.pth"], ["nowhere.pth"]),
        (["--textures", "nowhere"], ["nowhere"]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--run", "../elsewhere"], ["../elsewhere"]),
        (["--roi", "0,0,9000,9000"], ["9000"]),
    ],
)
def test_a_users_error_names_the_value(wrong: list[object], words: list[str], options: list[object]) -> None:
    error = refused(call(*options, *wrong))
    assert [word for word in words if word not in error.message] == []
    assert error.fix


@pytest.mark.slow
def test_train_and_evaluate(
    options: list[object], program: Callable[..., tuple[object, str, str]], tmp_path: Path
) -> None:
    """The whole way: JSON alone on standard output, the next command last, an existing run left alone."""
    head = ["--head", "msn", "--head-steps", 2, "--no-pu"]
    result = call(*options, "--json", *head, "--branches", "normality", "--no-fas")
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)
    assert (metrics["category"], metrics["steps"], metrics["image_size"]) == ("plate", 2, 64)
    next_line = result.stderr.strip().splitlines()[-1]
    assert next_line.startswith("next: dmdd-edge export --category plate")
    assert f"--runs-dir {tmp_path / 'runs'}" in next_line
    stored = json.loads((tmp_path / "runs" / "plate" / "config.json").read_text())
    assert stored["model"]["branches"] == "normality"
    assert not stored["model"]["pyramid_upsampling"]
    assert not stored["synthesis"]["fas"]

    code, _, err = program(*options)
    assert code == 1
    assert "already holds a run" in err
    assert "--overwrite" in err

    named = call(*options, "--run", "second", "--quiet")
    assert named.exit_code == 0, named.output
    assert "--run second" in named.stderr
    assert "log: " in result.stderr
    assert "log: " not in named.stderr

    measured = call("evaluate", "--run", "plate", "--runs-dir", tmp_path / "runs", "--json")
    assert measured.exit_code == 0, measured.output
    found = json.loads(measured.stdout)
    assert found["image_auroc"] == pytest.approx(metrics["image_auroc"], abs=1e-6)
    assert "PRO" in measured.stderr
    assert "score_histogram.png" in measured.stderr

    several = refused(call("evaluate", "--runs-dir", tmp_path / "runs"))
    assert "plate" in several.message
    assert "second" in several.message


def test_resuming_a_finished_run_is_refused(tiny_outcome: Any) -> None:
    runs = tiny_outcome.run.folder.parent
    error = refused(call("train", "--resume", "--category", "plate", "--runs-dir", runs))
    assert "nothing to resume" in error.message
    missing = refused(call("train", "--resume", "--category", "screw", "--runs-dir", runs))
    assert "screw" in missing.message
    assert "plate" in missing.message


@pytest.mark.slow
def test_a_region_of_interest_is_kept_with_the_run(
    options: list[object], tmp_path: Path, tiny_config: Callable[..., Any]
) -> None:
    result = call(*options, "--roi", "8,4,40,48", "--rotate", 90)
    assert result.exit_code == 0, result.output
    stored = json.loads((tmp_path / "runs" / "plate" / "config.json").read_text())
    assert stored["preprocess"]["roi"] == [8, 4, 40, 48]
    assert stored["preprocess"]["rotate"] == 90

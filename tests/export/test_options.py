"""The options of an export and of an evaluation check themselves, whoever builds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.cli.evaluate import EvaluateCommand
from dmdd_edge.errors import DmddError
from dmdd_edge.export.evaluate_detector import evaluate_detector, means_bundle
from dmdd_edge.export.options import EvaluateOptions, ExportOptions

HERE = Path()


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (
            ExportOptions,
            {"model": HERE, "false_alarm_rate": 0.1},
            "--false-alarm-rate has no effect with --mod",
        ),
        (
            ExportOptions,
            {"target": "onnx", "precision": "fp32"},
            "--precision has no effect with --target onnx",
        ),
        (
            ExportOptions,
            {"target": "onnx", "triton_dir": "t"},
            "--triton-dir has no effect without --target tr",
        ),
        (ExportOptions, {"target": "typo"}, "Unknown target 'typo'."),
        (ExportOptions, {"target": ","}, "--target ',' names no target."),
        (ExportOptions, {"batch": "x"}, "--batch: 'x' is not a batch size or a range of them."),
        (ExportOptions, {"opt_level": 6}, "--opt-level is 6; it must be at most 5."),
        (ExportOptions, {"false_alarm_rate": 1.0}, "--false-alarm-rate is 1; it must be between 0 and 1."),
        (EvaluateOptions, {"device": "cuda:x"}, "--device 'cuda:x' is unknown."),
        (EvaluateOptions, {"model": HERE, "runs_dir": "r"}, "--runs-dir has no effect with --model"),
        (EvaluateOptions, {"masks": HERE}, "--masks has no effect without --bad"),
        (EvaluateCommand, {"model": HERE, "every": True}, "--all has no effect with --model"),
        (EvaluateCommand, {"every": True, "good": HERE}, "--all is given together with --good or --bad"),
        (EvaluateCommand, {"every": True, "run": "a"}, "--all is given together with one run"),
    ],
)
def test_an_option_without_effect_is_refused(model: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(DmddError) as caught:
        model(**values)
    assert caught.value.message.startswith(message)
    assert caught.value.fix


def test_an_option_with_its_companion_is_accepted() -> None:
    assert ExportOptions(precision="fp32").given() == {"precision"}
    assert ExportOptions(target="onnx,triton", precision="fp32", triton_dir="t").triton_dir == Path("t")
    assert EvaluateOptions(model=HERE, backend="cpu").backend == "cpu"


@pytest.mark.parametrize(
    ("given", "bundle"),
    [
        ("", False),  # both exist: without the user's own images it is the run
        ("models_dir", True),
        ("backend", True),
        ("runs_dir", False),
        ("device", False),
        ("models_dir runs_dir", False),
        ("run models_dir", False),
    ],
)
def test_options_of_bundles_or_runs_choose_which_is_evaluated(
    given: str, bundle: bool, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "plate").mkdir(parents=True)
    (tmp_path / "runs" / "plate" / "run.json").touch()
    (tmp_path / "models" / "plate").mkdir(parents=True)
    (tmp_path / "models" / "plate" / "CURRENT").touch()
    options = EvaluateOptions(category="plate", runs_dir=tmp_path / "runs", models_dir=tmp_path / "models")
    assert means_bundle(options, frozenset(given.split())) is bundle


def test_a_backend_is_refused_for_a_run() -> None:
    with pytest.raises(DmddError, match="--backend is for bundles"):
        evaluate_detector(EvaluateOptions(run="a", backend="cpu"))

"""What a user can mistype is reported before torch is loaded, and before anything else is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError, EvaluateOptions, ExportOptions, evaluate_detector, export_bundle
from dmdd_edge.export.export_bundle import ExportReporter
from dmdd_edge.messages.reporter import Reporter
from dmdd_edge.train.config import make_config
from dmdd_edge.train.evaluate_all import evaluate_all


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A finished run of plates, whose data set is gone, and an unfinished one."""
    config = make_config("edge", data=tmp_path / "gone", category="plate")
    for name in ("plate", "half"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text(config.model_dump_json())
    (tmp_path / "runs" / "plate" / "model.safetensors").touch()
    return tmp_path / "runs"


class _Notes(ExportReporter):
    """Keeps what was reported."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def left_out(self, target: str, reason: str) -> None:
        self.lines.append(target)

    def update(self, phase: str, *rest: Any, **more: Any) -> None:
        self.lines.append(phase)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"category": "typo"}, "there is no run 'typo'"),
        ({"category": "plate", "data": Path("nope")}, "nope: no such folder"),
        ({"run": "half"}, "is not finished"),
    ],
)
def test_an_export_checks_its_run_first(runs: Path, values: dict[str, Any], message: str) -> None:
    notes = _Notes()
    with pytest.raises(DmddError, match=message):
        export_bundle(ExportOptions(runs_dir=runs, models_dir=runs.parent / "models", **values), notes)
    assert notes.lines == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"run": "plate", "data": Path("nope")}, "nope: no such folder"),
        ({"run": "plate"}, "gone: no such folder"),
        ({"run": "plate", "good": Path("nope")}, "there is no such folder"),
        ({"run": "half"}, "is not finished"),
        ({"run": "half", "good": Path("nope")}, "is not finished"),
    ],
)
def test_an_evaluation_checks_its_run_first(runs: Path, values: dict[str, Any], message: str) -> None:
    phases: list[str] = []
    with pytest.raises(DmddError, match=message):
        evaluate_detector(
            EvaluateOptions(runs_dir=runs, **values), lambda phase, done, total: phases.append(phase)
        )
    assert phases == []


def test_an_evaluation_of_all_runs_checks_its_data_first(runs: Path) -> None:
    phases: list[str] = []
    reporter = Reporter(lambda phase, done, total: phases.append(phase))
    with pytest.raises(DmddError, match="nope: no such folder"):
        evaluate_all(runs, Path("nope"), None, "cpu", reporter, lambda name, outcome: None)
    assert phases == []

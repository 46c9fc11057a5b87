"""Training time against the first form: what counts as reached, and a training of code laid out elsewhere."""

from __future__ import annotations

import subprocess
from argparse import Namespace
from pathlib import Path

import common
import pytest

training_time = pytest.importorskip("training_time", reason="needs onnx, torch and ONNX Runtime")


def metrics(seconds: float, pixel_auroc: float, pro: float) -> dict[str, float]:
    return {"steps": 3, "train_seconds": seconds, "image_auroc": 1.0, "pixel_auroc": pixel_auroc, "pro": pro}


@pytest.mark.parametrize(
    ("pixel_auroc", "pro", "as_good"), [(0.9, 0.8, True), (0.95, 0.79, False), (0.89, 0.9, False)]
)
def test_both_figures_must_be_reached(pixel_auroc: float, pro: float, as_good: bool) -> None:
    found = training_time.verdict(metrics(90.0, 0.9, 0.8), metrics(30.0, pixel_auroc, pro))
    assert found == {"ratio": 3.0, "as_good": as_good}


def test_a_result_in_a_line() -> None:
    shown = training_time.short(metrics(30.4, 0.98765, 0.9))
    assert shown == "3 steps in 30 s: I-AUROC 100.00, P-AUROC 98.77, PRO 90.00"


def test_a_command_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(common.ROOT / "benchmarks" / "training_time.py")
    monkeypatch.setattr("sys.argv", [script, "--data", "/srv/images/mvtec", "--steps", "3"])
    assert common.command() == "python benchmarks/training_time.py --data mvtec --steps 3"


@pytest.mark.slow
def test_code_laid_out_elsewhere_trains(tmp_path: Path, plates: Path) -> None:
    asked = ["git", "cat-file", "-e", "HEAD^{commit}"]
    if subprocess.run(asked, cwd=common.ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a clone")
    training_time.check_out("HEAD", tmp_path)
    options = Namespace(data=plates, category="plate", seed=0)
    found = training_time.train(tmp_path, 2, options)
    assert found["steps"] == 2
    assert 0.0 <= found["pro"] <= 1.0
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SystemExit, match="nothing"):
        training_time.train(tmp_path, 2, Namespace(data=plates, category="nothing", seed=0))

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


TARGET = {"pixel_auroc": 0.9, "pro": 0.8}
SHORT, LONG = metrics(30.0, 0.9, 0.79), metrics(90.0, 0.9, 0.8)


@pytest.mark.parametrize(
    ("pixel_auroc", "pro", "there"), [(0.9, 0.8, True), (0.95, 0.79, False), (0.89, 0.9, False)]
)
def test_both_figures_must_be_reached(pixel_auroc: float, pro: float, there: bool) -> None:
    assert training_time.reached(metrics(90.0, pixel_auroc, pro), TARGET) is there


def test_the_trainings_that_end_at_the_target_are_compared() -> None:
    found = training_time.verdict(TARGET, [metrics(30.0, 0.95, 0.85)], [SHORT, LONG])
    assert found == {"now_reached": True, "first_reached": True, "ratio": 3.0}
    assert training_time.sentence(found) == "the first version takes 3.00 times as long to reach the target"


def test_a_first_form_that_is_not_there_gives_a_bound() -> None:
    found = training_time.verdict(TARGET, [SHORT, LONG], [metrics(180.0, 0.9, 0.7)])
    assert found == {"now_reached": True, "first_reached": False, "ratio": 2.0}
    assert (
        training_time.sentence(found)
        == "the first version has not reached the target after 2.00 times as long"
    )


def test_without_today_at_the_target_there_is_no_ratio() -> None:
    found = training_time.verdict(TARGET, [SHORT], [LONG])
    assert found == {"now_reached": False, "first_reached": True, "ratio": None}
    assert "the current version does not reach" in training_time.sentence(found)


def test_longer_trainings_follow_until_the_target_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def train(code: Path, steps: int, options: Namespace) -> dict[str, float]:
        asked.append(steps)
        return {**metrics(1.0 * steps, 0.9, 0.001 * steps), "steps": steps}

    monkeypatch.setattr(training_time, "train", train)
    done = training_time.train_until(TARGET, Path(), [600, 790, 800, 900], "now", Namespace())
    assert asked == [600, 790, 800]
    assert [item["train_seconds"] for item in done] == asked


def test_the_target_is_the_paper_s_or_given() -> None:
    assert training_time.options_from(["--data", "x"]).target == [98.99, 97.07]
    other = training_time.options_from(["--data", "x", "--category", "plate", "--target", "90", "80"])
    assert other.target == [90.0, 80.0]
    assert other.first_steps == other.steps
    with pytest.raises(SystemExit):
        training_time.options_from(["--data", "x", "--category", "plate"])


def test_a_result_in_a_line() -> None:
    shown = training_time.short(metrics(30.4, 0.98765, 0.9))
    assert shown == "3 steps in 30 s: I-AUROC 100.00, P-AUROC 98.77, PRO 90.00"


def test_a_command_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(common.ROOT / "benchmarks" / "training_time.py")
    monkeypatch.setattr("sys.argv", [script, "--data", "/srv/images/mvtec", "--steps", "3"])
    assert common.command() == "python benchmarks/training_time.py --data mvtec --steps 3"


@pytest.mark.parametrize("textures", [[], ["--textures", "dtd/images"]])
def test_both_forms_train_with_the_textures_that_are_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, textures: list[str]
) -> None:
    given: list[list[str]] = []

    def run_code(code: Path, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        given.append(command)
        run = Path(command[command.index("--runs-dir") + 1]) / "run"
        run.mkdir()
        (run / "metrics.json").write_text('{"steps": 3}')
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(training_time, "run_code", run_code)
    monkeypatch.chdir(tmp_path)
    options = training_time.options_from(["--data", "mvtec", *textures])
    assert training_time.train(Path("elsewhere"), 3, options) == {"steps": 3}
    # The code runs in a folder of its own, so that a relative one would lead nowhere.
    expected = ["--textures", str(tmp_path / "dtd" / "images")] if textures else []
    assert given[0][given[0].index("--runs-dir") + 2 :] == expected


@pytest.mark.slow
@pytest.mark.long
def test_code_laid_out_elsewhere_trains(
    tmp_path: Path, plates: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["git", "cat-file", "-e", "HEAD^{commit}"]
    if subprocess.run(asked, cwd=common.ROOT, capture_output=True, check=False).returncode:
        pytest.skip("not a clone")
    quick = {
        "BACKBONE": "timm:test_efficientnet",
        "WEIGHTS": str(tiny_weights),
        "BATCH_SIZE": "2",
        "HEAD": "sum",
    }
    for name, value in quick.items():
        monkeypatch.setenv(f"DMDD_{name}", value)
    training_time.check_out("HEAD", tmp_path)
    options = Namespace(data=plates, category="plate", seed=0, textures=None, image_size=64)
    found = training_time.train(tmp_path, 2, options)
    assert found["steps"] == 2
    assert 0.0 <= found["pro"] <= 1.0
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SystemExit, match="nothing"):
        training_time.train(tmp_path, 2, Namespace(**{**vars(options), "category": "nothing"}))

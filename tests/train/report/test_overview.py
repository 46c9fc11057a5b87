"""`evaluate --all`: a row a run, the mean of the rows, a failure that is named while the rest go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dmdd_edge.cli.main import app
from dmdd_edge.errors import DmddError
from dmdd_edge.train.report.overview import Overview, overview_page


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(argument) for argument in arguments)])


def refused(result: Result) -> DmddError:
    assert isinstance(result.exception, DmddError), result.output
    return result.exception


def figures(category: str, image: float | None, pixel: float, pro: float) -> dict[str, Any]:
    same = {"pro_per_image": pro, "image_ap": image, "pixel_ap": pixel, "image_f1_max": image}
    values = {"image_auroc": image, "pixel_auroc": pixel, "pro": pro, **same}
    return {"category": category, "train_seconds": 90.0, **values}


def test_the_mean_is_of_the_rows_and_the_papers_of_the_same() -> None:
    found = Overview({"a": figures("bottle", 1.0, 0.99, 0.96), "b": figures("screw", 0.9, 0.98, 0.94)})
    assert found.mean()["image_auroc"] == pytest.approx(0.95)
    assert found.mean()["pro"] == pytest.approx(0.95)
    paper = found.paper_mean()
    assert paper["image_auroc"] == pytest.approx((1.0 + 0.9619) / 2)
    assert paper["pro"] == pytest.approx((0.9707 + 0.9732) / 2)
    head, rows = found.cells()
    assert len({len(row) for row in [head, *rows]}) == 1
    assert rows[0][:5] == ["a", "bottle", "100.00", "99.00", "96.00"]
    assert rows[1][5:8] == ["96.19", "99.32", "97.32"]
    assert rows[2][0] == "mean of 2"
    assert rows[2][2:5] == ["95.00", "98.50", "95.00"]


def test_a_mean_over_rows_that_lack_a_figure_is_not_shown() -> None:
    """The paper gives no image AUROC for BTAD and does not know a category of our own."""
    found = Overview({"01": figures("01", None, 0.9, 0.8), "part": figures("part", 0.9, 0.9, 0.8)})
    assert found.mean()["image_auroc"] is None
    assert found.mean()["pixel_auroc"] == pytest.approx(0.9)
    assert set(found.paper_mean().values()) == {None}
    assert found.cells()[1][2][2] == "–"
    assert Overview().mean()["pro"] is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_page_lists_links_and_failures() -> None:
    found = Overview({"a&b": figures("screw", 0.9, 0.98, 0.94)}, {"<broken>": "training was not finished"})
    body = overview_page(found, {"a&b": "a%26b.html"}, "now")
    assert '<a href="a%26b.html">a&amp;b</a>' in body
    assert "&lt;broken&gt;: training was not finished" in body


@pytest.fixture
def runs(copied: Any, tmp_path: Path) -> Path:
    """Two finished runs and one that was not finished."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.move(tmp_path / "run", folder / "plate")
    shutil.copytree(folder / "plate", folder / "second")
    shutil.copytree(folder / "plate", folder / "third")
    (folder / "third" / "model.safetensors").unlink()
    return folder


@pytest.mark.slow
def test_all_runs_are_measured_and_the_broken_one_is_named(runs: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    result = call("--all", "--runs-dir", runs, "--report", report, "--json")
    error = refused(result)
    assert "1 of 3" in error.message
    assert "third" in error.message
    found = json.loads(result.stdout)
    assert [row["run"] for row in found["rows"]] == ["plate", "second"]
    assert found["rows"][0]["category"] == "plate"
    stored = json.loads((runs / "second" / "metrics.json").read_text())
    assert found["rows"][1] == {"run": "second", **stored}
    assert found["mean"]["pro"] == pytest.approx((found["rows"][0]["pro"] + found["rows"][1]["pro"]) / 2)
    assert found["failed"][0]["run"] == "third"
    assert "not finished" in found["failed"][0]["reason"]
    assert "mean of 2" in result.stderr
    assert {path.name for path in report.iterdir()} == {"plate.html", "second.html", "index.html"}
    assert "second.html" in (report / "index.html").read_text()


def test_all_without_failures_ends_with_the_next_command(runs: Path) -> None:
    shutil.rmtree(runs / "third")
    result = call("--all", "--runs-dir", runs)
    assert result.exit_code == 0, result.output
    assert result.stderr.strip().splitlines()[-1].startswith("next: dmdd-edge export --category plate")


def test_data_chooses_the_runs_of_its_categories(runs: Path, plates: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "screw" / "train" / "good"
    other.mkdir(parents=True)
    error = refused(call("--all", "--runs-dir", runs, "--data", tmp_path / "other"))
    assert "screw" in error.message
    # The held-out images are known by their paths, so the data set may be named where it is.
    shutil.rmtree(runs / "third")
    result = call("--all", "--runs-dir", runs, "--data", tmp_path / "data", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["rows"]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--category", "plate"], "--all"),
        (["--run", "second"], "--all"),
        (["--report", "page.html"], "page.html"),
    ],
)
def test_all_with_what_means_one_run_is_refused(options: list[str], words: str, runs: Path) -> None:
    error = refused(call("--all", "--runs-dir", runs, *options))
    assert words in error.message
    assert error.fix


def test_all_without_runs(tmp_path: Path) -> None:
    assert "no run" in refused(call("--all", "--runs-dir", tmp_path)).message


def test_a_report_of_one_run(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    result = call("--run", "second", "--runs-dir", runs, "--report", file)
    assert result.exit_code == 0, result.output
    assert f"wrote {file}" in result.stderr
    assert "<h1>plate</h1>" in file.read_text()

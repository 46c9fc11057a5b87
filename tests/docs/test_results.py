"""Published figures are those of benchmarks/results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs import pages


@pytest.fixture
def make_results(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(pages.ROOT / "docs"))
    monkeypatch.syspath_prepend(str(pages.ROOT / "benchmarks"))
    import make_results

    return make_results


def test_every_table_is_up_to_date(make_results: ModuleType) -> None:
    old = [page for page in make_results.pages() if make_results.filled(pages.text(page)) != pages.text(page)]
    assert old == [], "run python docs/make_results.py"


def test_every_table_is_shown(make_results: ModuleType) -> None:
    shown = {
        name
        for page in make_results.pages()
        for name in re.findall(r"<!-- table: ([\w-]+)", pages.text(page))
    }
    assert shown == set(make_results.TABLES)


def test_a_marked_table_is_replaced_and_the_rest_stays(make_results: ModuleType) -> None:
    page = "before\n<!-- table: numbers -->\nold\n<!-- end -->\nafter\n"
    made = make_results.filled(page, {"numbers": lambda: "| 1 |\n"})
    assert made == "before\n<!-- table: numbers -->\n\n| 1 |\n\n<!-- end -->\nafter\n"
    assert make_results.filled(made, {"numbers": lambda: "| 1 |\n"}) == made


def test_a_row_is_what_the_result_file_says(make_results: ModuleType) -> None:
    results = pages.ROOT / "benchmarks" / "results"
    runs = json.loads((results / "default_runs.json").read_text())["figures"]["runs"]
    screw = next(run for run in runs if run["category"] == "screw")
    expected = [f"{100 * screw[name]:.2f}" for name in ("image_auroc", "pixel_auroc", "pro")]
    lines = make_results.TABLES["readme-default"]().splitlines()
    row = next(line for line in lines if line.startswith("| screw"))
    assert [cell.strip() for cell in row.split("|")[2:5]] == expected
    full = [
        row
        for line in (results / "accuracy.jsonl").read_text().splitlines()
        if (row := json.loads(line))["name"] == "full-screw"
    ][-1]
    assert f"{100 * full['test']['head']['pro']:.2f}" in make_results.TABLES["full"]()


def test_readme_repeats_figures_of_the_results() -> None:
    results = pages.ROOT / "benchmarks" / "results"

    def figures(name: str) -> dict[str, dict[str, object]]:
        return json.loads((results / f"{name}.json").read_text())["figures"]

    readme = pages.text(Path(pages.ROOT / "README.md"))
    words = " ".join(readme.split())
    for peer in ("padim", "patchcore"):
        found = figures("peers")["screw"]["peers"][peer]["accuracy"]
        assert (
            ", ".join(f"{100 * found[name]:.2f}" for name in ("image_auroc", "pixel_auroc", "pro")) in words
        )
    loop, memory, lean = figures("run_loop"), figures("run_memory"), figures("footprint")["cpu"]
    assert f"{loop['folder_frames_per_second']['median']:.0f} frames/s" in readme
    assert f"{memory['resident_mib']['growth']:.1f} MiB in {memory['minutes']:.0f} minutes" in readme
    assert f"weighs {lean['site_packages_mb']:.0f} MB" in readme

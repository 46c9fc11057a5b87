from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from regressions import Watched, compare, figures, main

LOWER = Watched("figures.*.ratio", "lower", 0.05)
HIGHER = Watched("figures.*.share.value", "higher", 0.05)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a made-up result of the fused graph's cost."""

    def make(folder: str, load: float = 0.0, command: str = "", **ratios: float) -> Path:
        path = tmp_path / folder / "graph_cost.json"
        path.parent.mkdir(exist_ok=True)
        document = {
            "command": command,
            "machine": {"cpu": "Z80", "logical_cores": 2, "load_average_before": load},
            "figures": {name: {"ratio": value, "milliseconds": 1.0} for name, value in ratios.items()},
        }
        path.write_text(json.dumps(document))
        return path

    return make


def test_figures_at_a_path() -> None:
    document = {
        "figures": {"b": {"ratio": 2}, "a": {"ratio": 1.5, "x": 9}, "c": 7, "d": {"ratio": True}, "e": {}}
    }
    assert list(figures(document, "figures.*.ratio")) == [("figures.a.ratio", 1.5), ("figures.b.ratio", 2.0)]
    assert list(figures(document, "figures.c")) == [("figures.c", 7.0)]
    assert list(figures(document, "nowhere.*.ratio")) == []
    assert list(figures([1], "figures")) == []


@pytest.mark.parametrize(
    ("watched", "kept", "new", "state"),
    [
        (LOWER, 1.50, 1.50, "same"),
        (LOWER, 1.50, 1.574, "same"),
        (LOWER, 1.50, 1.576, "worse"),
        (LOWER, 1.50, 1.40, "better"),
        (LOWER, 1.50, 1.44, "same"),
    ],
)
def test_where_less_is_better(watched: Watched, kept: float, new: float, state: str) -> None:
    def document(value: float) -> Any:
        return {"figures": {"lite": {"ratio": value}}}

    (verdict,) = compare("graph_cost", document(kept), document(new), [watched])
    assert (verdict.state, verdict.figure) == (state, "figures.lite.ratio")
    assert verdict.failed == (state == "worse")


@pytest.mark.parametrize(
    ("new", "state"), [(0.60, "same"), (0.58, "same"), (0.57, "worse"), (0.64, "better"), (0.62, "same")]
)
def test_where_more_is_better(new: float, state: str) -> None:
    def document(value: float) -> Any:
        return {"figures": {"lite": {"share": {"value": value}}}}

    (verdict,) = compare("roofline", document(0.60), document(new), [HIGHER])
    assert verdict.state == state


def test_a_figure_that_is_gone_fails_and_a_new_one_does_not() -> None:
    kept = {"figures": {"a": {"ratio": 1.0}, "b": {"ratio": 1.0}}}
    new = {"figures": {"b": {"ratio": 1.0}, "c": {"ratio": 1.0}}}
    states = {v.figure: (v.state, v.failed) for v in compare("graph_cost", kept, new, [LOWER])}
    assert states == {
        "figures.a.ratio": ("missing", True),
        "figures.b.ratio": ("same", False),
        "figures.c.ratio": ("new", False),
    }


def test_files_against_the_kept_ones(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    kept = write("kept", lite=1.50, resnet=1.50)
    good, bad = write("good", lite=1.51, resnet=1.30), write("bad", load=3.0, lite=1.70, resnet=1.50)
    assert main([str(good), "--kept", str(kept.parent)]) == 0
    output = capsys.readouterr().out
    assert "2 ratios, none worse" in output
    assert "better  graph_cost figures.resnet.ratio" in output
    assert main([str(bad), "--kept", str(kept.parent)]) == 1
    output = capsys.readouterr().out
    assert "worse   graph_cost figures.lite.ratio        1.5000      1.7000   +13.3 %" in output
    assert "1 of 2 ratios are worse or missing" in output
    assert "the new result was made at a load average of 3 on 2 cores" in output


def test_the_kept_command_is_run_again(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again.py"
    again.write_text(
        "import json, sys\n"
        "out = sys.argv[sys.argv.index('--out') + 1]\n"
        "figures = {'lite': {'ratio': float(sys.argv[1])}}\n"
        "json.dump({'figures': figures, 'machine': {'cpu': 'other'}}, open(out, 'w'))\n"
    )
    kept = write("kept", command=f"python {again} 1.52", lite=1.50).parent
    assert main(["--rerun", "graph_cost", "--kept", str(kept)]) == 0
    assert "made on Z80, now on other" in capsys.readouterr().out
    write("kept", command=f"python {again} 1.9", lite=1.50)
    assert main(["--rerun", "--kept", str(kept)]) == 1, "without names, all that are watched and kept"
    write("kept", command=f"python {again} nonsense", lite=1.50)
    with pytest.raises(SystemExit, match="ended with exit code 1"):
        main(["--rerun", "graph_cost", "--kept", str(kept)])


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [("other.json", "{}", "has no checked ratio"), ("graph_cost.json", "{", "cannot be read as a result")],
)
def test_what_cannot_be_compared(tmp_path: Path, name: str, content: str, part: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SystemExit, match=part):
        main([str(tmp_path / name), "--kept", str(tmp_path)])


def test_the_kept_results_of_this_clone_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) in (0, 1)
    assert capsys.readouterr().out

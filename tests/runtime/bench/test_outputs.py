"""The document of a run, and its forms: Markdown, CSV, a plot."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from dmdd_edge.cli import bench_report
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.circumstances import circumstances
from dmdd_edge.runtime.bench.document import KEPT_SAMPLES, make_document, markdown_row, thinned
from dmdd_edge.runtime.bench.history import COLUMNS, append_history, check_history
from dmdd_edge.runtime.bench.images import ImageSet
from dmdd_edge.runtime.bench.interference import Interference, Reason
from dmdd_edge.runtime.bench.plot import check_plot, draw, write_plot
from dmdd_edge.runtime.bench.scenarios import Offline
from dmdd_edge.runtime.bench.session import Accuracy, Outcome
from dmdd_edge.runtime.bench.settings import BOUNDARIES, PRESETS, Settings, make_settings, preset_named
from dmdd_edge.runtime.bench.stream import ARRIVAL, Stream, Trial
from dmdd_edge.runtime.bench.timed_detector import TimedDetector
from dmdd_edge.runtime.bench.timing import Series

from .conftest import FakeClock, TimedBackend, TimedEngine

SVG = "{http://www.w3.org/2000/svg}"


def series(
    count: int, batch: int = 1, interference: Interference | None = None, **boundaries: float
) -> Series:
    """``count`` queries, each a little longer than the one before; 100 take a second."""
    made = Series(batch, seconds=count / 100, interference=interference or Interference())
    for number in range(count):
        made.add(number / 100, {name: value + number / count for name, value in boundaries.items()})
    return made


@pytest.fixture
def outcome(
    make_bundle: Callable[..., Any], clock: FakeClock, make_timed: Callable[..., TimedDetector]
) -> Outcome:
    busy = Interference((Reason("other processes used 20 % of the CPU", "others", 0.2),), {"others": 0.2})
    busier = Interference((Reason("other processes used 30 % of the CPU", "others", 0.3),))
    trials = tuple(
        Trial(rate, 30, dropped, series(700, **{ARRIVAL: 11.0})) for rate, dropped in [(80, 0), (90, 2)]
    )
    return Outcome(
        make_timed(TimedBackend(clock)).as_dict(),
        {"single": series(100, call=10.0, from_frame=12.0), "multi": series(50, 8, busy, call=70.0)},
        [Offline(1, series(100)), Offline(8, series(50, 8, busier)), Offline(16, None, "too large")],
        Stream(trials[0], (trials[1], trials[0])),
        Accuracy(None, reason="no data set was given"),
        123.4,
    )


@pytest.fixture
def document(outcome: Outcome, image_set: ImageSet) -> dict[str, Any]:
    return make_document(outcome, make_settings(preset_named(None)), image_set, circumstances())


def test_the_documents_figures(document: dict[str, Any]) -> None:
    json.dumps(document, allow_nan=False)
    single = document["scenarios"]["single"]
    assert single["headline"] == "call"
    # 100 values 10.00, 10.01, ...: the 50th is 10.49.
    assert single["latency_ms"]["call"]["p50"] == 10.49
    assert single["latency_ms"]["call"]["p90"] == 10.89
    assert single["latency_ms"]["call"]["p99"] is None
    assert single["throughput"] == 100
    assert document["scenarios"]["multi"]["throughput"] == 800
    assert len(single["samples_ms"]["call"]) == 100
    assert document["offline"]["throughput"] == 800
    assert document["offline"]["batch"] == 8
    assert document["offline"]["sweep"][2] == {"batch": 16, "throughput": None, "reason": "too large"}
    assert document["stream"]["held_rate"] == 80
    assert [trial["dropped"] for trial in document["stream"]["trials"]] == [2, 0]
    assert document["accuracy"] == {"reason": "no data set was given"}


def test_every_boundary_is_there_or_has_its_reason(document: dict[str, Any]) -> None:
    for row in document["scenarios"].values():
        measured = {name for name, spread in row["latency_ms"].items() if spread is not None}
        assert measured | set(row["not_measured"]) == set(BOUNDARIES) - {ARRIVAL}
        assert not measured & set(row["not_measured"])
    reasons = document["scenarios"]["single"]["not_measured"]
    assert reasons["compute"] == "the cpu backend computes on the host"
    assert reasons["decode"] == "source images have no files to decode"


def test_interference_marks_its_row_and_the_whole(document: dict[str, Any]) -> None:
    assert document["scenarios"]["single"]["reliable"]
    assert not document["scenarios"]["multi"]["reliable"]
    assert document["scenarios"]["multi"]["meanwhile"] == {"others": 0.2}
    assert document["unreliable_because"] == ["other processes used 30 % of the CPU"], "the worst of its kind"
    assert not document["reliable"]


@pytest.mark.parametrize(
    ("name", "headline"), [("trtexec10", "device"), ("trtexec11", "compute"), ("mlperf", "call")]
)
def test_the_boundary_that_another_tool_would_print(
    make_timed: Callable[..., TimedDetector], clock: FakeClock, image_set: ImageSet, name: str, headline: str
) -> None:
    settings = make_settings(preset_named(name))
    on_gpu = Outcome(
        make_timed(TimedEngine(clock)).as_dict(), {"single": series(100, call=9, device=7, compute=6)}
    )
    row = make_document(on_gpu, settings, image_set, circumstances())["scenarios"]["single"]
    assert row["headline"] == headline
    assert row["not_measured"]["prepare"] == f"not part of the preset {name}"
    assert ("bounds_ms" in row) == (name == "mlperf")
    on_cpu = Outcome(make_timed(TimedBackend(clock)).as_dict(), {"single": series(100, call=9)})
    document = make_document(on_cpu, settings, image_set, circumstances())
    assert document["scenarios"]["single"]["headline"] == "call"
    assert document["note"] == PRESETS[name].note
    short = make_settings(preset_named(name), duration=0.5)
    note = make_document(on_cpu, short, image_set, circumstances())["note"]
    assert note == f"{PRESETS[name].note}; but for 0.5 s instead of {PRESETS[name].seconds:g} s"


def test_samples_are_thinned_evenly() -> None:
    assert thinned(np.arange(5.0)) == [0, 1, 2, 3, 4]
    found = thinned(np.arange(10_000.0))
    assert len(found) <= KEPT_SAMPLES
    assert found[:3] == [0, 3, 6]


def test_settings_from_options_and_a_preset() -> None:
    assert make_settings(preset_named("mlperf")).plan.seconds == 600
    made = make_settings(preset_named("mlperf"), ["offline,single"], 5.0, 0.5, 3, batches=(1, 2))
    assert isinstance(made, Settings)
    assert made.scenarios == ("single", "offline"), "in the order in which they are run"
    assert (made.plan.seconds, made.plan.warm_up_seconds, made.plan.warm_up_count) == (5, 0.5, 3)
    assert made.plan.fewest == 64
    with pytest.raises(DmddError, match="--scenario: unknown scenario 'server'"):
        make_settings(preset_named(None), ["single,server"])
    with pytest.raises(DmddError, match=r"--duration must be above 0 .*, got 0"):
        make_settings(preset_named(None), duration=0.0)
    for rate in (0.0, -5.0, float("inf"), float("nan")):
        with pytest.raises(DmddError, match=r"--rate must be above 0, got "):
            make_settings(preset_named(None), rate=rate)
    with pytest.raises(DmddError, match="--rate applies to the scenario stream only, not to single, offline"):
        make_settings(preset_named(None), ["single", "offline"], rate=20.0)
    with pytest.raises(DmddError, match="--accuracy needs a data set"):
        make_settings(preset_named(None), accuracy=True)
    with pytest.raises(DmddError, match="--preset: unknown preset 'trtexec'"):
        preset_named("trtexec")


def test_the_row_of_a_markdown_table(document: dict[str, Any]) -> None:
    head, rule, row, end = markdown_row(document).split("\n")
    assert end == ""
    cells = [
        dict(zip((c.strip() for c in head.split("|")), (c.strip() for c in row.split("|")), strict=True))
    ]
    assert head.count("|") == rule.count("|") == row.count("|")
    assert cells[0]["p50 ms"] == "10.49"
    assert cells[0]["p99 ms"] == "n/a"
    assert cells[0]["images/s"] == "800.0 (batch 8)"
    assert cells[0]["stream fps"] == "80.0"
    assert cells[0]["I-AUROC"] == "n/a"
    assert cells[0]["reliable"] == "no: other processes used 30 % of the CPU"
    assert markdown_row(document, header=False) == row + "\n"


def test_the_history_grows_under_one_head(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "kept" / "history.csv"
    # call and from_frame of single, call of multi, two batch sizes, the stream.
    assert append_history(path, document) == 6
    assert append_history(path, document) == 6
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[:6] == rows[6:]
    assert [(row["scenario"], row["boundary"]) for row in rows[:6]] == [
        ("single", "call"), ("single", "from_frame"), ("multi", "call"),
        ("offline", ""), ("offline", ""), ("stream", ARRIVAL),
    ]  # fmt: skip
    assert (rows[0]["p50"], rows[0]["p99"], rows[0]["reliable"]) == ("10.49", "", "yes")
    assert (rows[5]["throughput"], rows[5]["dropped"]) == ("80", "0")
    assert rows[2]["unreliable_because"] == "other processes used 20 % of the CPU"
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["image_auroc"], rows[0]["pro"]) == ("", "")
    document["accuracy"] = {"image_auroc": 0.9275, "pixel_auroc": 0.99, "pro": None, "images": 160}
    append_history(path, document)
    with path.open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert (row["image_auroc"], row["pixel_auroc"], row["pro"]) == ("0.9275", "0.99", "")


def test_a_person_sees_which_rows_were_spoilt_and_accuracy_beside_speed(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = StringIO()
    monkeypatch.setattr(bench_report, "console", Console(file=said, width=110))
    bench_report.print_report(document)
    lines = said.getvalue().splitlines()
    (multi,) = [number for number, line in enumerate(lines) if line.startswith("multi")]
    assert lines[multi - 1].startswith(" "), "single was not spoilt"
    assert lines[multi + 1].startswith("unreliable")
    (offline,) = [line for line in lines if line.startswith("offline")]
    assert offline.endswith("unreliable")
    assert not next(line for line in lines if line.startswith("stream")).endswith("unreliable")
    assert "speed and accuracy" not in said.getvalue()
    document["accuracy"] = {"image_auroc": 0.9275, "pixel_auroc": 0.99, "pro": 0.955, "images": 160}
    bench_report.print_report(document)
    lines = said.getvalue().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("speed and accuracy"))
    assert lines[start + 2].split() == [
        *("10.49", "10.89", "n/a", "800.0", "(batch", "8)", "80.0", "92.75", "99.00", "95.50"),
        *(lines[start + 2].split()[-2], "no"),
    ]


def test_a_gpu_that_nothing_watches_is_reported(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = StringIO()
    monkeypatch.setattr(bench_report, "console", Console(file=output, width=110))
    bench_report.print_report(document)
    assert "not watched" not in output.getvalue()
    document["circumstances"]["gpu"]["unwatched_because"] = "nvidia-ml-py is not installed"
    bench_report.print_report(document)
    expected = "GPU not watched for throttling: nvidia-ml-py is not installed (pip install nvidia-ml-py)"
    assert expected in output.getvalue()


def test_a_history_with_other_columns_is_left_alone(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DmddError, match="its columns differ"):
        append_history(path, document)
    assert path.read_text() == "a,b\n1,2\n"
    with pytest.raises(DmddError, match="Cannot write"):
        append_history(tmp_path, document)


def _check(history: Path | None, plot: Path | None) -> None:
    if history is not None:
        check_history(history)
    if plot is not None:
        check_plot(plot, ("single",))


def test_output_files_are_checked_before_anything_is_measured(tmp_path: Path) -> None:
    check_history(tmp_path / "new" / "h.csv")
    check_plot(tmp_path / "new" / "p.svg", ("stream",))
    (tmp_path / "file").touch()
    (tmp_path / "p.svg").mkdir()
    (tmp_path / "other.csv").write_text("a,b\n")
    for history, plot, part in [
        (tmp_path / "other.csv", None, "its columns differ"),
        (tmp_path / "new", None, r"Cannot write --history .*: it is a folder"),
        (tmp_path / "file" / "h.csv", None, r"Cannot write --history .*: "),
        (None, tmp_path / "p.svg", r"Cannot write --plot .*: it is a folder"),
        (None, tmp_path / "p.png", "only SVG is supported"),
    ]:
        with pytest.raises(DmddError, match=part):
            _check(history, plot)
    with pytest.raises(DmddError, match="needs latencies"):
        check_plot(tmp_path / "q.svg", ("offline",))


def test_the_drawing(tmp_path: Path) -> None:
    made = series(100, call=10.0, from_frame=30.0)
    made.values["call"][40] = 500.0  # one disturbance
    root = ElementTree.fromstring(draw("screw <1> & 2", {"single": made, "multi": series(20, 8, call=70.0)}))
    assert root.tag == f"{SVG}svg"
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert texts[0] == "screw <1> & 2"
    assert "single: 100 queries of 1 in 1.0 s" in texts
    assert "call: median 10.50 ms" in texts
    assert "from_frame: median 30.49 ms" in texts
    assert len(list(root.iter(f"{SVG}polygon"))) == 3, "a distribution for each boundary"
    dots = [path.get("d", "").count("M") for path in root.iter(f"{SVG}path")]
    assert dots == [100, 100, 20]
    panel_top, panel_bottom = 46.0, 266.0
    for path in root.iter(f"{SVG}path"):
        ys = [float(dot.split(" ")[1].split("h")[0]) for dot in path.get("d", "").split("M")[1:]]
        assert all(panel_top <= y <= panel_bottom for y in ys), "the disturbance is drawn at the edge"
    assert min(ys) >= panel_top
    write_plot(tmp_path / "plots" / "a.svg", "t", {"single": made})
    assert (tmp_path / "plots" / "a.svg").read_text().startswith("<svg")


def test_of_many_queries_the_slowest_of_each_group_is_drawn() -> None:
    made = series(10_000, call=10.0)
    made.values["call"][5005] = 10.9  # the largest of its group
    root = ElementTree.fromstring(draw("t", {"single": made}))
    (path,) = root.iter(f"{SVG}path")
    assert 1000 < path.get("d", "").count("M") <= 1500


def test_equal_values_can_be_drawn() -> None:
    made = Series(seconds=1.0)
    for number in range(5):
        made.add(number / 5, {"call": 3.0})
    assert ElementTree.fromstring(draw("t", {"single": made})) is not None


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="only SVG is supported"):
        write_plot(tmp_path / "a.png", "t", {"single": series(5, call=1.0)})
    with pytest.raises(DmddError, match="needs latencies"):
        write_plot(tmp_path / "a.svg", "t", {})

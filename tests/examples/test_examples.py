"""Every example runs as it is printed, on drawn parts and with a network that trains in seconds."""

from __future__ import annotations

import contextlib
import json
import runpy
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomllib
from jsonschema import Draft7Validator

import dmdd_edge
from dmdd_edge import Bundle
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.file.schema import station_schema

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Run = Callable[..., str]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tiny_weights: Path, graphs_once: None) -> None:
    """Few images, few steps and a small network, whatever the example sets; all else is as printed.

    Images and settings are those of the tiny run, so that the graph is, too: an export takes long even of a
    small network, and equal ones are written once.
    """
    train_options, write_sample = dmdd_edge.TrainOptions, dmdd_edge.write_sample

    def options(**values: Any) -> Any:
        quick = {
            "backbone": "timm:test_efficientnet",
            "weights": tiny_weights,
            "image_size": 64,
            "steps": 6,
            "head": "msn",
            "head_steps": 6,
            "holdout": 0.3,
            "seed": 3,
        }
        return train_options(**{**values, **quick, "batch_size": 2, "workers": 1, "device": "cpu"})

    def sample(folder: Path, category: str = "plate", **values: Any) -> Path:
        few = {"train": 10, "test_good": 3, "test_bad": 1, "size": 64, "seed": 5}
        return write_sample(folder, category, **{**values, **few})

    monkeypatch.setattr(dmdd_edge, "TrainOptions", options)
    monkeypatch.setattr(dmdd_edge, "write_sample", sample)


@pytest.fixture
def run_example(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a script in ``tmp_path``; returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with contextlib.suppress(SystemExit):
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.usefixtures("small")
def test_the_whole_way_in_25_lines(run_example: Run, tmp_path: Path) -> None:
    shown = run_example("whole_way.py").splitlines()
    results = [line for line in shown if line.startswith("<Result ")]
    assert 1 <= len(results) <= 8  # a camera drops what comes while a frame is inspected
    rejected = [line for line in results if ": good," not in line]
    assert len(list((tmp_path / "whole_way").glob("rejected-*.png"))) == len(rejected)
    assert len((EXAMPLES / "whole_way.py").read_text().splitlines()) <= 27


@pytest.mark.usefixtures("small")
def test_the_notebook_runs_cell_by_cell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((EXAMPLES / "first_hour.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    assert (tmp_path / "first_hour" / "models" / "plate" / "CURRENT").is_file()
    assert names["counts"]["good"] == 3
    assert repr(names["run"]).startswith("<TrainedRun plate at first_hour/runs/plate, 6 steps>")
    assert repr(names["export"]).startswith("<Export <Bundle plate ")
    assert repr(names["evaluation"]).startswith("<Evaluated plate: ")
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")


def test_detect_image(run_example: Run, make_bundle: Callable[..., Bundle], images: Path) -> None:
    bundle = make_bundle()
    bad, good = images / "bad" / "0.png", images / "good" / "0.png"
    shown = run_example("detect_image.py", bundle.path, bad, good, "nowhere.png").splitlines()
    assert shown[0] == f"{bad}: anomalous, score 0.800 (threshold 0.500)"
    assert shown[1] == "  Region(x=100, y=20, width=40, height=20, area=800, peak=0.8)"
    assert shown[2] == f"{good}: good, score 0.118 (threshold 0.500)"
    assert shown[3] == "nowhere.png: no such file."
    assert Path(f"{bad}.overlay.png").is_file()
    assert not Path(f"{good}.overlay.png").exists()


def test_camera_loop(
    run_example: Run, make_bundle: Callable[..., Bundle], images: Path, tmp_path: Path
) -> None:
    shown = run_example("camera_loop.py", make_bundle().path, images).splitlines()
    assert shown[-1] == "2 good, 2 anomalous, 0 unreliable"
    assert len(shown) == 5


def test_custom_sink(
    run_example: Run, make_bundle: Callable[..., Bundle], images: Path, tmp_path: Path
) -> None:
    shown = run_example("custom_sink.py", make_bundle().path, images, tmp_path / "defects.csv")
    assert shown == "4 frames, 2 anomalous\n"
    rows = (tmp_path / "defects.csv").read_text().splitlines()
    assert rows[1:] == ["bad/0.png,100,20,40,20,800,0.800", "bad/1.png,100,20,40,20,800,1.000"]


def test_plc_reject(run_example: Run, make_bundle: Callable[..., Bundle], images: Path) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as lines:
                received.extend(lines)

        plc = threading.Thread(target=listen, daemon=True)
        plc.start()
        run_example("plc_reject.py", make_bundle().path, images, f"127.0.0.1:{server.getsockname()[1]}")
        plc.join(10)
    assert received == [b"NOK 0\r\n", b"NOK 1\r\n", b"OK 2\r\n", b"OK 3\r\n"]


def test_station_report(
    run_example: Run, make_bundle: Callable[..., Bundle], images: Path, tmp_path: Path
) -> None:
    make_bundle()
    # In the mode free each image is a part, without a PLC.
    source = f'[cameras.top]\nsource = "images:{images}?fps=50"\ntrigger = "free"\n'
    text = f'{source}[inspections.lid]\ncategory = "screw"\n[results]\njsonl = "parts.jsonl"\n'
    (tmp_path / "line1.toml").write_text(text)
    shown = run_example("station_report.py", tmp_path / "line1.toml", 4).splitlines()
    verdicts = {line.partition(" of recipe 1 ")[2] for line in shown[:-1]}
    assert verdicts == {"passes", "is a reject: lid is anomalous"}
    assert [line.split()[1] for line in shown[:4]] == ["1", "2", "3", "4"]
    summary = json.loads((tmp_path / "parts.jsonl").read_text().splitlines()[-1])
    parts = summary["parts"]
    assert shown[-1] == f"{parts['passed']} of {parts['total']} passed"
    assert parts["total"] == len(shown) - 1


def test_triton_client(
    run_example: Run, make_bundle: Callable[..., Bundle], images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tritonclient.grpc")
    from dmdd_edge.export.triton import repository_from_bundle
    from tests.examples.triton_stand_in import serving

    with serving(repository_from_bundle(make_bundle(), tmp_path / "triton")) as address:
        shown = run_example("triton_client.py", address, "screw", images / "bad" / "0.png")
        good = run_example("triton_client.py", address, "screw", images / "good" / "0.png")
    assert shown.endswith("0.png: anomalous, score 0.800 (threshold 0.500)\n")
    assert good.endswith("0.png: good, score 0.118 (threshold 0.500)\n")


@pytest.mark.parametrize(
    "name",
    [
        "detect_image.py",
        "camera_loop.py",
        "custom_sink.py",
        "plc_reject.py",
        "station_report.py",
        "triton_client.py",
    ],
)
def test_without_arguments_an_example_shows_its_usage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "triton_client.py":
        pytest.importorskip("tritonclient.grpc")
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(SystemExit, match=f"usage: python {name} [A-Z]"):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_the_station_file_is_read_without_a_remark() -> None:
    settings = read_station(EXAMPLES / "line1.toml")
    assert settings.remarks == ()
    assert {recipe.number: recipe.inspections for recipe in settings.recipes} == {
        1: ("thread_left", "thread_right"),
        2: ("thread_left", "thread_right", "label"),
    }
    text = (EXAMPLES / "line1.toml").read_text(encoding="utf-8")
    assert list(Draft7Validator(station_schema()).iter_errors(tomllib.loads(text))) == []
    with_lines = text.replace("# [gpio]", "[gpio]")
    for key in ("chip", "reject", "ready"):
        with_lines = with_lines.replace(f"# {key} =", f"{key} =")
    assert set(tomllib.loads(with_lines)["gpio"]) == {"chip", "reject", "ready"}


def test_every_example_is_listed_and_tested() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    tests = Path(__file__).read_text()
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".ipynb", ".toml"):
            assert path.name in listed
            assert path.name in tests

"""The commands and the Python of README and docs run as written, or there is a reason why not here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli.main import app
from tests.docs import pages

#: Why a command is not run here; the first pattern that is found in it counts.
NOT_RUN = {
    r"^(export|git|cd|\.|python3|(python -m )?pip|\.venv/bin/pip) ": "sets up a machine",
    r"^minisign |models (push|pull)|--remote": "needs a store of a fleet; its tests run the commands",
    r"^sudo (useradd|install|systemctl|sysctl|setcap) ": "sets up a machine",
    r"station install ": "sets up a machine; the tests of the service run the command",
    r"^gpioinfo": "needs 24 V lines; a program of the kernel's library",
    r"^make ": "takes minutes",
    r"^docker |^(sudo )?deploy/|deploy/compose": "needs a container engine, or root and minutes",
    r"^ray start|--ray": "needs a cluster; tests/test_cluster.py runs the commands where Ray is installed",
    r"^python (benchmarks|tests)": "measures for minutes; has its own tests",
    r"/dev/video|--source 0|csi://|genicam://": "needs a camera",
    r"--config line1.toml($| --limit)": "reads a file that names a camera",
    r"rtsp://|http://": "needs a network camera",
    r"--watch |loop=1": "runs until it is stopped",
    r"^dmdd-edge train": "trains for minutes; the tests of train run the command with few steps",
    r"--backend tensorrt|--target tensorrt": "needs a GPU",
    r"^dmdd-edge export": "needs a training run; the tests of export run the command",
    r"^dmdd-edge evaluate (--all|--category \w+( --report \S+)?$)": "needs a training run",
    r"^dmdd-edge judge": "needs an archive of images, some in a store; its tests run the command",
    r"--precision int8": "needs a bundle with INT8; its tests run the command",
    r"^dmdd-edge sample large --size 2048": "draws for a minute; has its own tests",
    r"--category (panel|foil) ": "needs a tiled bundle, or strips of a web; their tests run the command",
    r"^dmdd-edge compare": "needs two versions; the tests of compare run the command",
    r"--from-feedback|^dmdd-edge review": "needs an archive with verdicts; their tests run both",
    r"^dmdd-edge (station )?challenge|run --challenge": "needs known-bad parts; its tests run it",
    r"^dmdd-edge collect": "needs a camera, or different parts; the tests of collect run the command",
    r"^dmdd-edge drift": "needs results of a run; the tests of drift run the command",
    r"--undo|--suspect-rate|--min-area \d+": "needs a calibration or many parts; their tests run them",
    r"models use bracket": "needs the version of a continued run; the tests of compare run the command",
    r"^dmdd-edge bench": "measures for a minute; the tests of bench run the command",
    r"^dmdd-edge station (run|simulate)": "does not end, or needs a station file; its tests run both",
    r"^dmdd-edge station (init|check)": "needs a camera; the tests of the station file run both",
    r"^dmdd-edge doctor": "tries the whole machine; the tests of doctor run the command",
}


def reason(line: str) -> str:
    """Why a command is not run here; empty when it is."""
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, line)), "")


RUN = [line for line in pages.all_lines() if not reason(line)]


@pytest.fixture
def workplace(
    tmp_path: Path, images: Path, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A folder with the bundles and images that the pages name; versions that they name, as they are here."""
    old = make_bundle("screw")
    new = make_bundle("screw")
    for category in ("bracket", "bottle"):
        make_bundle(category)
    for place in ("incoming", "parts/to_check", "mvtec/screw/test/thread_top"):
        shutil.copytree(images, tmp_path / place)
    for place, source in (("photos/ok", "good"), ("photos/ng", "bad"), ("good_parts_on_the_line", "good")):
        shutil.copytree(images / source, tmp_path / place)
    for number in range(20):  # fewer good parts set a threshold only after a question
        shutil.copy(images / "good" / "0.png", tmp_path / "good_parts_on_the_line" / f"more{number}.png")
    (tmp_path / "photos" / "masks").mkdir()
    for path in (images / "bad").iterdir():
        mask = np.zeros((128, 256), np.uint8)  # the size of the images
        mask[20:40, 100:140] = 255
        cv2.imwrite(str(tmp_path / "photos" / "masks" / path.name), mask)
    (tmp_path / "part.png").write_bytes((images / "bad" / "1.png").read_bytes())
    (toml,) = pages.blocks(pages.ROOT / "docs" / "reference" / "configuration.md", "toml")
    (tmp_path / "line1.toml").write_text(toml)
    monkeypatch.chdir(tmp_path)
    return {"20261124": new.version, "20261120": old.version}


@pytest.mark.parametrize("line", RUN)
def test_a_command_runs_as_written(line: str, workplace: dict[str, str]) -> None:
    arguments = [workplace.get(word, word) for word in pages.words(line)[1:]]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f"{done.output}\n{done.exception!r}"


def test_most_kinds_of_commands_run_here() -> None:
    assert {" ".join(pages.words(line)[:2]) for line in RUN} >= {
        "dmdd-edge run",
        "dmdd-edge calibrate",
        "dmdd-edge evaluate",
        "dmdd-edge models",
    }


def test_each_reason_has_a_command() -> None:
    lines = pages.all_lines()
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)] == []


#: Python that needs something beside the workplace, and the tests that run it.
RUN_ELSEWHERE = {
    "docs/plc.md": "runtime/station/plc/test_documented.py",
    "docs/station.md": "runtime/station/test_station_simulate.py",
}
PYTHON_PAGES = [page for page in pages.PAGES if pages.blocks(page, "python")]


def test_the_python_that_does_not_run_here_runs_elsewhere() -> None:
    assert set(RUN_ELSEWHERE) <= {pages.name(page) for page in PYTHON_PAGES}
    for page, place in RUN_ELSEWHERE.items():
        assert Path(page).name in (pages.ROOT / "tests" / place).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page", [page for page in PYTHON_PAGES if pages.name(page) not in RUN_ELSEWHERE], ids=pages.name
)
def test_the_python_runs_as_written(
    page: Path, workplace: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for code in pages.blocks(page, "python"):
        if "pyarrow" in code:
            pytest.skip("needs the results of an archive; the tests of judge read them")
        exec(compile(code, pages.name(page), "exec"), {})
    assert "anomalous" in capsys.readouterr().out

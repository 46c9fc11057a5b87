"""What every test folder shares."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dmdd_edge  # noqa: F401 - the first import, which keeps the telemetry of libraries off
from tests.graphs import shared_folder, written_once

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each core has its process already

#: CPU seconds of a test, and of the processes that it waits for, above which it is to be marked as slow.
SLOW = 2.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Note what a test costs; CPU time, because it hardly depends on what else the machine does."""
    before = os.times()
    try:
        return (yield)
    finally:
        item.user_properties.append(("cpu_seconds", sum(os.times()[:4]) - sum(before[:4])))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a slow test, or one of a station, that fails a second try, which the last lines list as RERUN.

    These drive real processes, servers and browsers, which a busy machine may hold up for seconds. A test
    that needs its second try has a mistake all the same, in the test or in the product.
    """
    for item in items:
        if item.get_closest_marker("slow") or "station" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))
    items[:] = slow_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")))


def slow_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The tests in such an order that each process begins with its share of the files with slow ones.

    Each gets as long a piece of the list as the others, and takes tests from another's end when it has no
    more: what is left at the end is short, so that no process works alone for long. A file stays together,
    for its fixtures.
    """
    files = {item.path for item in items if item.get_closest_marker("slow")}
    slow = [item for item in items if item.path in files]
    rest = [item for item in items if item.path not in files]
    order: list[pytest.Item] = []
    for left in range(processes, 0, -1):
        share, length = len(slow) // left, (len(slow) + len(rest)) // left
        order += slow[:share] + rest[: length - share]
        slow, rest = slow[share:], rest[length - share :]
    return order or items


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the garbage collector skip what stays until the end, which is a million objects."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show why a test was tried again, and name the tests that ought to be marked as slow."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"tried again: {report.nodeid}")
        terminalreporter.line(report.longreprtext)
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    costs = {report.nodeid: dict(report.user_properties).get("cpu_seconds", 0.0) for report in reports}
    marked = {report.nodeid for report in reports if "slow" in report.keywords}
    slow = {name: seconds for name, seconds in costs.items() if seconds > SLOW and name not in marked}
    if slow and len(costs) > 100:  # the first tests of a process also pay for its imports
        terminalreporter.section(f"more than {SLOW:.0f} s of CPU time without the marker slow")
        for name, seconds in sorted(slow.items(), key=lambda item: -item[1]):
            terminalreporter.line(f"{seconds:5.1f} s  {name}")


def _data_folder() -> Path:
    named = os.environ.get("DMDD_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real images (DMDD_DATA, or shared/data beside the repository); skips without it."""
    folder = _data_folder()
    if not (folder / "mvtec").is_dir():
        pytest.skip(f"no real images at {folder}: set DMDD_DATA to a folder that holds mvtec/")
    return folder


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with one drawn category, "plate": 10 good training images, 3 good and 5 bad test images."""
    from dmdd_edge.sample import write_sample

    root = tmp_path_factory.mktemp("plates")
    write_sample(root, train=10, test_good=3, test_bad=1, size=64, seed=5)
    return root


@pytest.fixture
def store(plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a store in memory with the drawn plates as the categories left and right."""
    pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setenv("DMDD_DATA_CACHE", str(tmp_path / "cache"))
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    for name in ("left", "right"):
        MemoryFileSystem().put(str(plates / "plate"), f"/plant/set/{name}", recursive=True)
        MemoryFileSystem().pipe_file(f"/plant/set/{name}/licence.txt", b"drawn")
    yield "memory://plant/set"
    MemoryFileSystem.store.clear()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of timm's test_efficientnet, drawn at random: a backbone that trains in milliseconds."""
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = timm.create_model("test_efficientnet", pretrained=False)
    file = tmp_path_factory.mktemp("weights") / "test_efficientnet.pth"
    torch.save(model.state_dict(), file)
    return file


@pytest.fixture(scope="session")
def tiny_config(plates: Path, tiny_weights: Path) -> Callable[..., Any]:
    """Make the configuration of a training that takes about a second; keywords change it."""
    from dmdd_edge.train.config import make_config

    def make(model: dict[str, Any] | None = None, **run: Any) -> Any:
        values: dict[str, Any] = {
            "data": plates,
            "category": "plate",
            "weights": tiny_weights,
            "batch_size": 2,
            "head_steps": 6,
            "holdout": 0.3,
            "workers": 1,
            "device": "cpu",
            "seed": 3,
        }
        if "epochs" not in run and "max_minutes" not in run:
            values["steps"] = 6
        shape = {"backbone": "timm:test_efficientnet", "image_size": 64, "head": "msn", **(model or {})}
        return make_config("edge", model=shape, **{**values, **run})

    return make


@pytest.fixture(scope="session")
def tiny_outcome(tiny_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A whole training session on the drawn plates, in the folder runs/plate; not to be changed."""
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.session import train

    folder = tmp_path_factory.mktemp("trained") / "runs" / "plate"
    return train(tiny_config(), folder, Listener(), resume=False, tensorboard=False)


@pytest.fixture(scope="session")
def graphs_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exports of equal models share their ONNX files, also those of other test processes."""
    from dmdd_edge.export import onnx_file, pipeline

    folder = shared_folder(tmp_path_factory.getbasetemp(), "graphs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_onnx", written_once(onnx_file.write_onnx, folder))
        yield


@pytest.fixture
def copied(tiny_outcome: Any, plates: Path, tmp_path: Path) -> Any:
    """The trained run with its data set in a folder of its own, to be changed at will."""
    from dmdd_edge.train.checkpoint import load_run

    shutil.copytree(plates, tmp_path / "data")
    shutil.copytree(tiny_outcome.run.folder, tmp_path / "run")
    for name in ("config.json", "run.json"):
        file = tmp_path / "run" / name
        file.write_text(file.read_text().replace(str(plates), str(tmp_path / "data")))
    return load_run(tmp_path / "run")


@pytest.fixture(scope="session")
def tiled_run(tiny_outcome: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The trained run, made a tiled one of images of 200 x 330 and 180 x 260 pixels; not to be changed.

    6 good training images, 4 of which are held out; 3 good test images and 3 with a dark square and its mask.
    Tiles are 64 pixels wide and overlap by 16.
    """
    import json

    import cv2
    import numpy as np

    from dmdd_edge.train.checkpoint import load_run

    root = tmp_path_factory.mktemp("tiled")
    rng = np.random.default_rng(4)

    def draw(name: str, index: int, damaged: bool = False) -> Path:
        rows, columns = ((200, 330), (180, 260))[index % 2]
        coarse = rng.integers(90, 160, (rows // 8, columns // 8, 3), np.uint8)
        image = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
        file = root / "data" / "plate" / name / f"{index:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        if damaged:
            x, y = (int(place) for place in rng.integers(20, 150, 2))
            mask = np.zeros((rows, columns), np.uint8)
            mask[y : y + 12, x : x + 12] = 255
            image[mask > 0] //= 6
            truth = root / "data" / "plate" / "ground_truth" / "hole" / f"{index:03d}_mask.png"
            truth.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(truth), mask)
        cv2.imwrite(str(file), image)
        return file

    good = [str(draw("train/good", index)) for index in range(6)]
    for index in range(3):
        draw("test/good", index)
        draw("test/hole", index, damaged=True)
    folder = root / "runs" / "plate"
    shutil.copytree(tiny_outcome.run.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["data"] = str(root / "data")
    config["preprocess"]["tiling"] = {"tile": 64, "overlap": 16}
    (folder / "config.json").write_text(json.dumps(config))
    facts = json.loads((folder / "run.json").read_text())
    facts |= {"train": good[:2], "holdout": good[2:]}
    (folder / "run.json").write_text(json.dumps(facts))
    return load_run(folder)

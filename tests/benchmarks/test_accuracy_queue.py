"""The queue: rows written at once, stopped and gone on with, images laid out, heads changed untrained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from accuracy import measure, runner
from accuracy.declaration import Experiment
from accuracy.folders import prepare
from accuracy.heads import with_head
from accuracy.measure import infer, sum_head
from accuracy.rows import read_rows
from accuracy.runner import Queue, outliers, plain
from accuracy.study import choose, main

from dmdd_edge.data.datasets import load_category
from dmdd_edge.train import scales
from dmdd_edge.train.checkpoint import load_run, read_json
from dmdd_edge.train.evaluation import torch_predictor


@pytest.fixture(scope="module")
def root(plates: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets, as --data names it: the drawn plates, and a file of weights."""
    folder = tmp_path_factory.mktemp("root")
    (folder / "plates").symlink_to(plates)
    shutil.copy(tiny_weights, folder / "tiny.pth")
    return folder


def tiny(name: str, **changes: Any) -> Experiment:
    values: dict[str, Any] = {
        "category": "plate",
        "steps": 2,
        "data": "plates",
        "model": {"backbone": "timm:test_efficientnet", "image_size": 64},
        "run": {"weights": "tiny.pth", "batch_size": 2, "holdout": 0.3, "workers": 1},
    }
    return Experiment(name, **{**values, **changes})


def make_queue(root: Path, folder: Path, *experiments: Experiment, **changes: Any) -> Queue:
    """A queue over some experiments that works in a folder."""
    return Queue(
        root=root,
        work=folder / "work",
        results=folder / "results.jsonl",
        experiments={experiment.name: experiment for experiment in experiments},
        device="cpu",
        **{"say": lambda text: None, **changes},
    )


def few_validation_images(patch: pytest.MonkeyPatch) -> None:
    """They take longest, and those that choose the weights of the maps."""
    patch.setattr(scales, "_COUNT", scales._LEAST)
    made = measure.measure.__globals__["validation_set"]
    few = lambda images, parts: made(images, parts, count=2)  # noqa: E731
    patch.setitem(measure.measure.__globals__, "validation_set", few)


@pytest.fixture
def queue(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Queue]:
    """Make a queue over some experiments; few validation images."""
    few_validation_images(monkeypatch)
    return partial(make_queue, root, tmp_path)


#: A row that fails, one that trains, and one that measures the trained run with another head.
ROWS = (
    tiny("nowhere", category="screw"),
    tiny("plain"),
    Experiment("summed", "plate", 2, data="plates", after="plain", model={"head": "sum"}),
)


class Finished(NamedTuple):
    """A queue that went through ``ROWS``: its folder, the rows that failed, and what it said."""

    folder: Path
    failed: list[str]
    said: list[str]


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        few_validation_images(patch)
        return Finished(folder, make_queue(root, folder, *ROWS, say=said.append).run(ROWS), said)


@pytest.mark.slow
def test_a_finished_row_is_not_done_again_and_a_failure_costs_that_row_alone(
    root: Path, finished: Finished
) -> None:
    assert finished.failed == ["nowhere"]
    assert any("nowhere FAILED" in line and "'screw'" in line for line in finished.said)
    said: list[str] = []
    made = make_queue(root, finished.folder, *ROWS, say=said.append)
    rows = read_rows(made.results)
    assert [row["name"] for row in rows] == ["plain", "summed"]
    row = rows[0]
    assert row["images"] == {"train": 7, "holdout": 3}
    assert row["steps"] == 2
    assert row["config"]["data"] == "plates"
    assert row["config"]["weights"] == "tiny.pth"
    assert {"commit", "code", "versions", "machine", "seconds", "train_seconds", "cpu_seconds"} <= row.keys()
    assert set(row["validation"]["head"]["kinds"]) <= {
        "misplaced",
        "scratch",
        "spot",
        "missing",
        "warp",
        "bent",
        "worn",
        "shifted",
    }
    kinds = row["validation"]["head"]["kinds"].values()
    mean = np.mean([kind["pixel_auroc"] for kind in kinds])
    assert row["validation"]["head"]["pixel_auroc"] == pytest.approx(mean, abs=2e-6)
    # The sum measured beside the first run's own head is what the second experiment has for its head.
    assert rows[1]["test"]["head"] == row["test"]["sum"] == rows[1]["test"]["sum"]
    assert rows[1]["validation"]["head"] == row["validation"]["sum"]

    assert made.run(ROWS[1:]) == []
    assert said == ["plain: already has a row", "summed: already has a row"]
    assert len(read_rows(made.results)) == 2


@pytest.mark.slow
def test_test_figures_are_those_of_the_session(finished: Finished) -> None:
    row = read_rows(finished.folder / "results.jsonl")[0]
    stored = read_json(finished.folder / "work" / "runs" / "plain" / "metrics.json")
    for name in ("image_auroc", "pixel_auroc", "pro", "pro_per_image", "image_ap", "pixel_ap"):
        assert row["test"]["head"][name] == pytest.approx(stored[name], abs=1e-5)


@pytest.mark.slow
def test_a_killed_queue_goes_on_with_the_step_it_had_reached(
    queue: Callable[..., Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = tiny("long", steps=6)

    class Killed(BaseException):
        pass

    def stop(self: Any, phase: str, progress: Any, losses: Any, rate: float) -> None:
        if progress.step == 3:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(runner.Talk, "step", stop)
        with pytest.raises(Killed):
            queue(wanted).run([wanted])
    made = queue(wanted)
    assert read_rows(made.results) == []
    said: list[str] = []
    again = queue(wanted, say=said.append)
    assert again.run([wanted]) == []
    assert any("resuming" in line for line in said)
    assert read_rows(made.results)[0]["steps"] == 6


@pytest.mark.slow
def test_other_code_begins_anew(queue: Callable[..., Queue], finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    wanted = tiny("plain")
    made = queue(wanted)
    stamp = (made.work / "runs" / "plain" / "model.safetensors").stat().st_mtime_ns
    made.trained(wanted)
    assert (made.work / "runs" / "plain" / "model.safetensors").stat().st_mtime_ns == stamp
    queue(wanted, code="another").trained(wanted)
    assert (made.work / "runs" / "plain" / "model.safetensors").stat().st_mtime_ns != stamp


def test_few_images_are_a_part_of_more_and_the_rest_is_spare(root: Path, tmp_path: Path) -> None:
    found = {}
    for count in (4, 6):
        data = prepare(tiny(f"few-{count}", images=count), root, tmp_path / "links")
        category = load_category(data.data, "plate")
        found[count] = {path.resolve() for path in category.train}
        assert len(found[count]) == count
        assert len(category.test) == 8
        assert all(item.has_mask for item in category.test)
        spare = {path.resolve() for path in data.spare}
        assert len(spare) == 10 - count
        assert not spare & found[count]
    assert found[4] < found[6]


def test_contaminated_runs_share_their_test_images(root: Path, tmp_path: Path) -> None:
    tests, counts = [], []
    for share in (0.0, 0.1, 0.3):
        data = prepare(tiny(f"bad-{share}", defective=share, seed=2), root, tmp_path / "links")
        category = load_category(data.data, "plate")
        counts.append(len(data.defective))
        assert len(category.train) == 10 + counts[-1]
        added = {path.resolve() for path in data.defective}
        tested = {item.path.resolve() for item in category.test}
        assert all("good" not in path.parts[-2] for path in added)
        assert not added & tested
        tests.append(tested)
    assert counts == [0, 1, 4]  # 0.1 of 11, 0.3 of 14
    assert tests[0] == tests[1]  # one image is kept back for both; 0.3 is beyond what is reserved
    assert len(tests[0]) == 7
    data = prepare(tiny("plain"), root, tmp_path / "links")
    assert data.data == root / "plates"


def test_the_outlier_warning_is_counted() -> None:
    info = {"outliers": {"images": [{"file": "/a/x.png", "z": 9.0}, {"file": "/a/good.png", "z": 7.0}]}}
    found = outliers(info, [Path("/b/x.png"), Path("/b/y.png")])
    assert found == {"named": ["x.png", "good.png"], "defective": 2, "hits": 1}
    assert outliers({}, []) is None


def test_several_heads_judge_the_same_maps(tiny_outcome: Any) -> None:
    model = tiny_outcome.run.model.eval()
    images = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)
    found = infer(model, {"head": model.head, "sum": sum_head(tiny_outcome.run.config.model)}, images)
    maps, scores = torch_predictor(model)(images)
    np.testing.assert_allclose(found["head"][0], maps, atol=1e-6)
    np.testing.assert_allclose(found["head"][1], scores, atol=1e-6)
    assert np.abs(found["sum"][0] - maps).max() > 1e-3


@pytest.mark.slow
def test_another_head_needs_no_training(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    few_validation_images(monkeypatch)
    run = load_run(finished.folder / "work" / "runs" / "plain")
    level = run.model.head.level.clone()
    smoother = with_head(load_run(run.folder), {"smoothing": 8.0, "abnormality_weight": 1.0})
    assert smoother.config.model.smoothing == 8.0
    assert smoother.model.head.smoothing.radius > run.model.head.smoothing.radius
    branches = smoother.model.head.share[:8]  # without those of the maps that a choice may add
    assert torch.allclose(branches / branches.sum(), torch.tensor([1, 1, 2, 0.5] * 2) / 9)
    assert (smoother.model.head.level < level).any()  # a smoother map has lower peaks
    same = with_head(load_run(run.folder), {"top_k": run.config.model.top_k})
    # The level of the prototypes' map is nearly nothing on these images.
    assert torch.allclose(same.model.head.level, level, rtol=2e-2, atol=5e-5)
    with pytest.raises(ValueError, match="branches"):
        with_head(load_run(run.folder), {"branches": "normality"})
    with pytest.raises(ValueError, match="msn"):
        with_head(load_run(run.folder), {"head": "msn"})


def test_a_configuration_is_stored_without_folders(tiny_config: Callable[..., Any]) -> None:
    shown = plain(tiny_config())
    assert "/" not in shown["data"]
    assert shown["weights"] == "test_efficientnet.pth"


def test_only_chooses_sets_and_names() -> None:
    sets = {"a": [tiny("one"), tiny("two")], "b": [tiny("three")]}
    assert {name: [e.name for e in group] for name, group in choose(sets, ["a"]).items()} == {
        "a": ["one", "two"]
    }
    assert list(choose(sets, ["t*"])) == ["a", "b"]
    assert [e.name for e in choose(sets, ["t*"])["a"]] == ["two"]
    with pytest.raises(SystemExit, match="nothing"):
        choose(sets, ["nothing"])


def test_the_command_lists_and_tabulates(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["--list", "--only", "few", "--results", str(tmp_path / "none.jsonl")])
    assert "few-10" in capsys.readouterr().out
    main(["--table", "--only", "ablation", "--results", str(tmp_path / "none.jsonl")])
    assert "24 of 24 are not measured yet" in capsys.readouterr().out
    main(["--list", "--steps", "60", "--only", "heads", "--results", str(tmp_path / "none.jsonl")])
    assert "head-sum-60" in capsys.readouterr().out

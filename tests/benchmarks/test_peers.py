"""anomalib's models against ours, without anomalib: files, what is made and kept, the whole way."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from peers import table
from peers.accuracy import accuracy
from peers.files import File, Form, outputs_of, own_form, peer_form
from peers.making import Maker, prepare_images
from peers.memory import measure_memory
from peers.study import main
from peers.timing import time_pair

from dmdd_edge.bundle.bundle import FP32_GRAPH, BundleWriter
from dmdd_edge.bundle.manifest import graph_specs
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.test_set import load_test_set

SIZE = 64
FULL = 256

WORKER = """\
import json, pathlib, shutil, sys
spec = json.loads(pathlib.Path(sys.argv[-1]).read_text())
here = pathlib.Path(__file__).parent
with (here / "calls.txt").open("a") as calls:
    calls.write(f"{spec['name']} {spec['epochs']} {spec['images']}\\n")
if spec["name"] in (here / "broken.txt").read_text().split():
    print("Traceback (most recent call last):")
    sys.exit("ModuleNotFoundError: No module named 'anomalib'")
out = pathlib.Path(spec["out"])
shutil.copy(here / "peer.onnx", out / "model.onnx")
note = {"seconds": 90.0, "cpu_seconds": 120.0, "versions": {"anomalib": "2.7.0"}}
(out / "worker.json").write_text(json.dumps(note))
"""


def peer_graph(size: int, shrink: int = 1) -> onnx.ModelProto:
    """In the form of anomalib's: the map is the red plane, the first of RGB; the score its largest value."""
    nodes = [
        helper.make_node("Slice", ["input", "from", "to", "axis"], ["red"]),
        helper.make_node(
            "AveragePool", ["red"], ["anomaly_map"], kernel_shape=[shrink] * 2, strides=[shrink] * 2
        ),
        helper.make_node("ReduceMax", ["anomaly_map", "axes"], ["pred_score"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("from", TensorProto.INT64, [1], [0]),
        helper.make_tensor("to", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
    ]
    return _model(nodes, constants, "input", TensorProto.FLOAT, [1, 3, size, size], "pred_score")


def own_graph(size: int) -> onnx.ModelProto:
    """In the form of ours: the map is the red plane, the last of BGR, / 255; the score its largest value."""
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["real", "last"], ["red"], axis=3),
        helper.make_node("Div", ["red", "full"], ["anomaly_map"]),
        helper.make_node("ReduceMax", ["anomaly_map", "axes"], ["score"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("last", TensorProto.INT64, [], [2]),
        helper.make_tensor("full", TensorProto.FLOAT, [], [255.0]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
    ]
    return _model(nodes, constants, "image", TensorProto.UINT8, ["N", size, size, 3], "score")


def _model(
    nodes: list[Any], constants: list[Any], name: str, dtype: int, shape: list[Any], score: str
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info(name, dtype, shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None) for out in ("anomaly_map", score)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def red(level: int, size: int = SIZE, patch: int | None = None) -> NDArray[np.uint8]:
    """BGR: blue 200 all over, red of a level, with a brighter square of red in the middle where asked."""
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, level
    if patch is not None:
        image[size // 4 : size // 2, size // 4 : size // 2, 2] = patch
    return image


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of one category, "tile": red squares are defects; one of the four is fainter than dirt."""
    root = tmp_path / "data"
    mask = red(0, 128, 255)[..., 2]
    for name, image in {
        "train/good/0.png": red(10, 128),
        "train/good/1.png": red(20, 128),
        "test/good/0.png": red(10, 128),
        "test/good/1.png": red(40, 128),
        "test/spot/0.png": red(10, 128, 250),
        "test/spot/1.png": red(10, 128, 240),
        "test/spot/2.png": red(10, 128, 230),
        "test/spot/3.png": red(10, 128, 30),
        **{f"ground_truth/spot/{number}_mask.png": mask for number in range(4)},
    }.items():
        path = root / "tile" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    return root


@pytest.fixture
def write(tmp_path: Path) -> Callable[[onnx.ModelProto, Form], File]:
    def make(model: onnx.ModelProto, form: Form) -> File:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        onnx.save(model, folder / f"{form.input}.onnx")
        return File(folder / f"{form.input}.onnx", form)

    return make


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A Python that runs another worker, in the place of anomalib's environment."""
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "fake.py").write_text(WORKER)
    (folder / "broken.txt").write_text("")
    (folder / "calls.txt").write_text("")
    onnx.save(peer_graph(FULL), folder / "peer.onnx")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/fake.py" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return python


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of the category tile."""
    graph_input, outputs = graph_specs(FULL)
    with BundleWriter(tmp_path / "models", "tile") as writer:
        (writer.path / FP32_GRAPH).write_bytes(own_graph(FULL).SerializeToString())
        writer.commit(
            backbone="none",
            image_size=FULL,
            input=graph_input,
            outputs=outputs,
            threshold=threshold_from_normals([0.25, 0.5]),
            licences={"code": "Apache-2.0", "weights": "none", "data": "none"},
            metrics={"train_seconds": 600.0, "steps": 7},
        )
    return tmp_path / "models" / "tile"


def maker(work: Path, python: Path, **changes: Any) -> Maker:
    return Maker(work, python, **{"threads": 1, "epochs": 3, "say": lambda text: None, **changes})


def test_both_forms_see_the_same_red(write: Callable[..., File]) -> None:
    """What is 102 in the last channel of BGR is 0.4 in the first plane of RGB."""
    image = red(51, patch=102)
    for file in (write(own_graph(SIZE), own_form(SIZE)), write(peer_graph(SIZE), peer_form(SIZE))):
        anomaly_map, score = file.predictor(1)(image)
        assert anomaly_map.shape == (SIZE, SIZE)
        assert anomaly_map[0, 0] == pytest.approx(0.2)
        assert anomaly_map[20, 20] == pytest.approx(0.4)
        assert score == pytest.approx(0.4)


def test_an_image_is_resized_to_the_file_and_its_map_back(write: Callable[..., File]) -> None:
    file = write(peer_graph(2 * SIZE, shrink=4), peer_form(2 * SIZE))
    assert file.form.to_input(red(51)).shape == (1, 3, 2 * SIZE, 2 * SIZE)
    anomaly_map, _ = file.predictor(1)(red(51))
    np.testing.assert_allclose(anomaly_map, np.full((SIZE, SIZE), 0.2, np.float32), rtol=1e-6)


def test_a_map_is_enlarged_by_interpolation() -> None:
    outputs = [np.array([[[[0.0, 1.0]] * 2]], np.float32), np.array([[0.5]], np.float32)]
    anomaly_map, score = outputs_of(outputs, 4)
    np.testing.assert_allclose(anomaly_map[0], [0, 0.25, 0.75, 1])
    assert score == 0.5


def test_a_file_of_another_form_is_refused(write: Callable[..., File]) -> None:
    file = write(own_graph(SIZE), own_form(SIZE))
    with pytest.raises(DmddError, match=r"inputs \['image'\].*expected are input, anomaly_map"):
        File(file.path, peer_form(SIZE)).open(1)
    file.path.write_bytes(b"no graph")
    with pytest.raises(DmddError, match="cannot be opened"):
        file.open(1)


def test_external_data_counts(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"12345")
    (tmp_path / "model.onnx.data").write_bytes(b"123")
    (tmp_path / "other.onnx").write_bytes(b"1")
    file = File(tmp_path / "model.onnx", peer_form(SIZE))
    assert file.bytes == 8
    before = file.digest
    (tmp_path / "model.onnx.data").write_bytes(b"124")
    assert file.digest != before


def test_accuracy_is_worked_out_once(
    data: Path, write: Callable[..., File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4 x 2 pairs of a defective and a good image one is in the wrong order: 30 is under 40, over 10."""
    file = write(peer_graph(SIZE), peer_form(SIZE))
    test = load_test_set(load_category(data, "tile"), Preprocess(), SIZE)
    kept = tmp_path / "accuracy.json"
    found = accuracy(file, test, 1, kept)
    assert found["image_auroc"] == pytest.approx(7 / 8)
    # A sixteenth of each of four images is marked. Only the pixels of the good image at 40 lie above a marked
    # one, at 30: of all normal pixels, 4 x 15/16 + 2 images, that is 1 / 5.75, for a quarter of the marked.
    assert found["pixel_auroc"] == pytest.approx(1 - 0.25 / 5.75, abs=1e-6)
    assert found["images"] == 6
    monkeypatch.setattr(File, "predictor", lambda *given: pytest.fail("evaluated again"))
    assert accuracy(file, test, 1, kept) == found
    onnx.save(peer_graph(SIZE, shrink=2), file.path)
    with pytest.raises(pytest.fail.Exception, match="evaluated again"):
        accuracy(file, test, 1, kept)
    kept.write_text("{")
    with pytest.raises(pytest.fail.Exception, match="evaluated again"):
        accuracy(file, test, 1, kept)


def test_a_process_that_runs_a_file_takes_memory(write: Callable[..., File]) -> None:
    found = measure_memory(write(own_graph(SIZE), own_form(SIZE)), 1)
    assert 1 < found["before"] <= found["peak"]
    with pytest.raises(DmddError, match=r"could not be measured: .*nowhere\.onnx"):
        measure_memory(File(Path("nowhere.onnx"), own_form(SIZE)), 1)


def test_both_files_take_the_same_images_in_turns(
    write: Callable[..., File], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(own_graph(SIZE), own_form(SIZE)), write(peer_graph(SIZE), peer_form(SIZE))
    seen: dict[str, list[float]] = {"image": [], "input": []}
    call = File.call

    def noted(self: File, session: Any, given: NDArray[Any]) -> list[NDArray[Any]]:
        found = call(self, session, given)
        seen[self.form.input].append(round(float(found[1].item()), 4))
        return found

    monkeypatch.setattr(File, "call", noted)
    pair = time_pair(*files, [red(51), red(102), red(153)], 1, seconds=0.05)
    assert len(pair.own) == len(pair.peer) >= 64, "enough for a 90th percentile"
    assert pair.ratio.low <= pair.ratio.value <= pair.ratio.high
    assert seen["image"][:60] == seen["input"][:60]
    assert {0.2, 0.4, 0.6} == set(seen["image"])


def test_images_are_prepared_once_as_ours(data: Path, tmp_path: Path) -> None:
    category = load_category(data, "tile")
    folder, count = prepare_images(category, Preprocess(), 32, tmp_path / "work")
    files = sorted((folder / "train" / "good").iterdir())
    assert (count, [file.name for file in files]) == (2, ["0000.png", "0001.png"])
    np.testing.assert_array_equal(cv2.imread(str(files[1])), red(20, 32))
    files[1].unlink()
    prepare_images(category, Preprocess(), 32, tmp_path / "work")
    assert not files[1].exists(), "there already, so not looked at"
    prepare_images(category, Preprocess(roi=(0, 0, 64, 64)), 32, tmp_path / "work")
    assert files[1].exists(), "another region makes other images"


def test_without_the_environment_the_message_makes_it(tmp_path: Path) -> None:
    missing = tmp_path / "venv" / "bin" / "python"
    with pytest.raises(DmddError) as caught:
        maker(tmp_path, missing).make("padim", "tile", tmp_path, 2)
    assert str(missing) in caught.value.message
    assert f"python -m venv {tmp_path}/venv && {tmp_path}/venv/bin/pip install -r" in caught.value.fix


def test_what_is_made_is_not_made_again(tmp_path: Path, environment: Path) -> None:
    calls = environment.parent / "calls.txt"
    made = maker(tmp_path / "work", environment)
    for category, images in (("tile", 2), ("wood", 2)):
        for name in ("stfpm", "padim", "efficient_ad"):
            made.make(name, category, tmp_path, images)
    assert calls.read_text().split("\n")[:-1] == [
        "stfpm 3 2",
        "padim 1 2",
        "efficient_ad 1 2",
        "stfpm 3 2",
        "padim 1 2",
    ], "what needs no images is the same for every category"
    calls.write_text("")
    more = maker(tmp_path / "work", environment, epochs=4)
    for name in ("stfpm", "padim", "efficient_ad"):
        more.make(name, "tile", tmp_path, 2)
    assert calls.read_text() == "stfpm 4 2\n", "the number of epochs decides about one of them"
    assert more.note("stfpm", "tile", 2) is not None
    assert more.note("stfpm", "tile", 3) is None
    assert more.note("efficient_ad", "tile", 3) is not None
    calls.write_text("")
    maker(tmp_path / "work", environment, again=True).make("padim", "tile", tmp_path, 2)
    assert calls.read_text() == "padim 1 2\n"


def test_one_that_fails_is_not_kept(tmp_path: Path, environment: Path) -> None:
    (environment.parent / "broken.txt").write_text("padim")
    made = maker(tmp_path / "work", environment)
    with pytest.raises(DmddError, match=r"No module named 'anomalib'.*exit code 1.*worker\.log") as caught:
        made.make("padim", "tile", tmp_path, 2)
    assert "pip install -r benchmarks/peers/requirements.txt" in caught.value.fix
    assert made.note("padim", "tile", 2) is None


@pytest.mark.slow
def test_the_whole_way(
    data: Path, bundle: Path, environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (environment.parent / "broken.txt").write_text("stfpm")
    out = tmp_path / "peers.json"
    given = [
        *("--data", str(data), "--model", str(bundle), "--work", str(tmp_path / "work"), "--out", str(out)),
        *("--python", str(environment), "--threads", "1", "--seconds", "0.05"),
        *("--peer", "padim", "stfpm", "efficient_ad"),
    ]
    main(given)
    document = json.loads(out.read_text())
    found = document["figures"]["tile"]
    assert found["not_measured"].keys() == {"stfpm"}
    padim, untrained, own = found["peers"]["padim"], found["peers"]["efficient_ad"], found["own"]
    assert padim["accuracy"]["image_auroc"] == own["accuracy"]["image_auroc"] == pytest.approx(7 / 8)
    assert (padim["train_seconds"], own["train_seconds"]) == (90, 600)
    assert untrained["accuracy"] is None
    assert untrained["train_seconds"] is None
    assert padim["low"] <= padim["ratio"] <= padim["high"]
    assert padim["latency_ms"]["count"] == padim["own_latency_ms"]["count"] >= 64
    assert own["file_bytes"] == len(own_graph(FULL).SerializeToString())
    assert document["settings"]["as_good"]["tile"]["strictly"]["fastest"] is None
    printed = capsys.readouterr().out
    assert table.NOT_MEASURED in printed
    assert "Not measured: stfpm" in printed
    main([*given[:-4], "--table"])
    shown = capsys.readouterr().out
    assert "| dmdd-edge, none | 87.50 |" in shown
    assert "- tile: dmdd-edge against PaDiM, 100 features, Lite0: I-AUROC +0.00" in shown


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--make"], "--data is required"),
        (["--data", "x", "--epochs", "0"], "--epochs and --threads must be at least 1"),
        (["--data", "x", "--peer", "ours"], "invalid choice"),
    ],
)
def test_what_the_command_line_refuses(
    arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert part in capsys.readouterr().err


def test_a_user_is_told_in_a_line(data: Path, bundle: Path, tmp_path: Path) -> None:
    given = ["--data", str(data), "--work", str(tmp_path / "work"), "--python", str(tmp_path / "python")]
    with pytest.raises(SystemExit, match=r"No Python at .*\nMake it: python -m venv"):
        main([*given, "--model", str(bundle), "--make"])
    with pytest.raises(SystemExit, match="--model names two bundles of tile"):
        main([*given, "--model", str(bundle), str(bundle)])
    with pytest.raises(SystemExit, match="No peer could be measured"):
        main([*given, "--model", str(bundle), "--measure"])
    with pytest.raises(SystemExit, match="cannot be read as a result"):
        main(["--table", "--out", str(tmp_path / "nothing.json")])

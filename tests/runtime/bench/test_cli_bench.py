from __future__ import annotations

import csv
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dmdd_edge.bundle.bundle import INT8_GRAPH, Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.cli.main import app
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.runtime.bench.timing import Bench

Make = Callable[..., Bundle]
Cli = Callable[..., Result]

SHORT = ("--duration", "0.3", "--warm-up", "0", "--warm-up-count", "2")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command in this process, in ``tmp_path``."""

    def run(*arguments: object) -> Result:
        monkeypatch.chdir(tmp_path)
        done = CliRunner().invoke(app, ["bench", *map(str, arguments)])
        if done.exception is not None:
            raise done.exception
        return done

    return run


def test_of_a_tiled_bundle_the_tiles_of_an_image_are_counted(
    make_bundle: Make, images: Path, bench: Cli
) -> None:
    make_bundle(preprocess=Preprocess(tiling=Tiling(tile=64, overlap=0)))
    how = ("--source", "images", "--scenario", "single,offline", "--batches", "1,3", "--tile-batch", 3)
    done = bench(*how, *SHORT, "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["tiles"]["per_image"] == [8]  # 256 x 128 pixels
    assert document["tiles"]["batch"] == 3
    call = document["scenarios"]["single"]["samples_ms"]["call"]
    assert document["tiles"]["ms_per_tile"] == pytest.approx(float(np.median(call)) / 8, abs=1e-3)
    assert "8 tiles per image, at most 3 at once" in done.stderr
    assert "offline, tiles/s by batch: 1: " in done.stderr


def test_all_scenarios(make_bundle: Make, images: Path, bench: Cli, tmp_path: Path) -> None:
    bundle = make_bundle()
    outputs = ("--json", "--history", "h.csv", "--plot", "p.svg")
    done = bench("--source", "images", "--batches", "1,3", "--rate", 20, *SHORT, *outputs)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["bundle"]["version"] == bundle.version
    assert document["backend"]["name"] == "cpu"
    assert document["images"]["count"] == 4
    assert {name: row["batch"] for name, row in document["scenarios"].items()} == {"single": 1, "multi": 8}
    for row in document["scenarios"].values():
        spreads = row["latency_ms"]
        parts = [spreads[name]["mean"] for name in ("decode", "prepare", "call", "finish")]
        assert sum(parts) == pytest.approx(spreads["from_encoded"]["mean"], rel=1e-3)
        assert spreads["from_frame"]["mean"] < spreads["from_encoded"]["mean"]
        assert spreads["compute"] is None
    assert [row["batch"] for row in document["offline"]["sweep"]] == [1, 3]
    assert document["offline"]["throughput"] > 0
    assert document["stream"]["asked_rate"] == 20
    assert document["stream"]["trials"][0]["judged"] + document["stream"]["dropped"] == 6
    assert document["accuracy"]["reason"].startswith("not requested")
    assert document["peak_memory_mb"] > 20
    assert document["circumstances"]["machine"]["cpu"]
    with (tmp_path / "h.csv").open(newline="") as file:
        assert {row["scenario"] for row in csv.DictReader(file)} == {"single", "multi", "offline", "stream"}
    assert (tmp_path / "p.svg").read_text().startswith("<svg")
    for part in ("backend cpu", "from_encoded", "computes on the host", "next: dmdd-edge bench"):
        assert part in done.stderr


def test_one_scenario_as_a_row_with_accuracy(make_bundle: Make, plates: Path, bench: Cli) -> None:
    make_bundle("plate")
    arguments = ("--scenario", "single", "--data", plates, "--accuracy", "--markdown", "--like", "mlperf")
    done = bench(*arguments, *SHORT)
    head, _, row = done.stdout.splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert 0 <= float(cells["I-AUROC"]) <= 100
    assert 0 <= float(cells["PRO"]) <= 100
    assert cells["backend"] == "cpu, fp32, as mlperf"
    assert cells["stream fps"] == "n/a"
    assert "as MLPerf's edge scenarios" in done.stderr
    assert "accuracy of this file: I-AUROC" in done.stderr


def test_without_images_the_noise_is_told(make_bundle: Make, bench: Cli) -> None:
    make_bundle()
    done = bench("--scenario", "single", *SHORT)
    assert done.stdout == ""
    assert "generated noise, not images" in done.stderr


def test_two_bundles_in_one_run(make_bundle: Make, bench: Cli) -> None:
    bundles = [make_bundle(name) for name in ("nut", "screw")]
    done = bench("--compare", "nut", "models/screw@cpu", "--json", *SHORT)
    document = json.loads(done.stdout)
    assert document["ratio_low"] <= document["ratio"] <= document["ratio_high"]
    assert min(document["round_ratios"]) <= document["ratio"] <= max(document["round_ratios"])
    assert document["rounds"] == len(document["round_ratios"]) >= 12
    assert document["ratio_is"].startswith("median host call of B / median host call of A")
    assert document["interleaved"]
    assert [document[side]["bundle"]["version"] for side in "ab"] == [b.version for b in bundles]
    assert "B takes" in done.stderr


def test_int8_against_other_precisions(make_bundle: Make, bench: Cli) -> None:
    make_bundle(graph_name=INT8_GRAPH, thresholds={"int8": threshold_from_normals([0.25, 0.5])})
    make_bundle("nut")
    document = json.loads(bench("--compare", "screw@int8", "nut@fp32", "--json", *SHORT).stdout)
    assert [document[side]["backend"]["precision"] for side in "ab"] == ["int8", "fp32"]
    with pytest.raises(
        BackendError, match=r"--compare screw@fp16: No backend .* in fp16: tensorrt: "
    ) as caught:
        bench("--compare", "screw@int8", "screw@fp16", *SHORT)
    assert "cpu: The backend cpu does not run fp16" in caught.value.message
    assert "here compare with @fp32" in caught.value.fix


def test_against_a_past_result(make_bundle: Make, bench: Cli, tmp_path: Path) -> None:
    make_bundle()
    before = bench("--scenario", "single", "--json", *SHORT)
    (tmp_path / "before.json").write_text(before.stdout)
    done = bench("--compare", "before.json", "cpu", "--json", *SHORT)
    document = json.loads(done.stdout)
    assert not document["interleaved"]
    assert not document["reliable"]
    assert document["unreliable_because"][-1].startswith("not measured in one run")
    slower = json.loads(before.stdout)
    samples = slower["scenarios"]["single"]["samples_ms"]["call"]
    slower["scenarios"]["single"]["samples_ms"]["call"] = [2 * value for value in samples]
    slower["circumstances"]["machine"]["cpu"] = "Z80"
    slower["scenarios"]["single"]["unreliable_because"] = ["thermally throttled by cpufreq"]
    slower["like"] = "mlperf"
    (tmp_path / "slower.json").write_text(json.dumps(slower))
    done = bench("--compare", "before.json", "slower.json", "--json")
    document = json.loads(done.stdout)
    assert document["ratio"] == pytest.approx(2)
    reasons = document["unreliable_because"]
    assert "Z80" in reasons[-1]
    assert "slower.json: thermally throttled by cpufreq" in reasons
    assert "measured with different presets: none and mlperf" in reasons


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--scenario", "server"], "--scenario: unknown scenario 'server'"),
        (["--duration", "0"], "--duration is 0; it must be more than 0"),
        (["--category", "bolt"], "there is no bundle 'bolt'"),
        (["--model", "nowhere"], "there is no bundle folder nowhere"),
        (["--source", "nowhere"], "nowhere does not exist"),
        (["--data", "nowhere"], "no such folder"),
        (["--preset", "trtexec"], "--preset 'trtexec' is unknown"),
        (["--batches", "x"], "--batches: 'x' is not a list"),
        (["--rate", "0"], "--rate is 0; it must be more than 0"),
        (["--rate", "5", "--scenario", "single"], "--rate applies to the scenario stream only"),
        (["--accuracy"], "--accuracy needs a data set"),
        (["--accuracy", "--data", "nowhere", "--source", "images"], "nowhere: no such folder"),
        (["--accuracy", "--data", "images/good", "--source", "images"], "has no test images"),
        (["--plot", "a.png"], "only SVG is supported"),
        (["--history", "broken.json"], "its columns differ"),
        (["--backend", "tpu", *SHORT], "--backend 'tpu' is unknown"),
        (["--json", "--markdown"], "both want standard output"),
        (["--compare", "screw", "bolt"], "no bundle 'bolt'"),
        (["--compare", "screw", "old.json"], "No result old.json"),
        (["--compare", "broken.json", "screw"], "broken.json is not JSON"),
        (["--compare", "screw", "screw", "--plot", "a.svg"], "--compare goes with none of"),
        (["--compare", "screw", "screw", "--scenario", "stream"], "--compare measures one of single, multi"),
        (["--compare", "screw", "screw", "--rate", "5"], "--compare goes with none of"),
        (["--scenario", "offline", "--plot", "a.svg"], "needs latencies"),
    ],
)
def test_a_users_error_is_one_message_with_the_fix_before_anything_is_measured(
    make_bundle: Make,
    bench: Cli,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    part: str,
) -> None:
    def repeat(*arguments: object) -> None:
        raise AssertionError("too late")

    monkeypatch.setattr(Bench, "repeat", repeat)
    make_bundle()
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DmddError) as caught:
        bench(*arguments)
    assert part in caught.value.message
    assert caught.value.fix


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begun", "arguments"),
    [
        ("single:", ["--scenario", "single,stream"]),
        ("stream:", ["--scenario", "stream", "--warm-up", "600", "--plot", "p.svg"]),
    ],
)
def test_ctrl_c_leaves_what_was_measured(
    make_bundle: Make, program: list[str], tmp_path: Path, begun: str, arguments: list[str]
) -> None:
    make_bundle()
    arguments = ["bench", *arguments, "--duration", "600", "--json"]
    with subprocess.Popen(
        [*program, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith(begun):
            pass
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    document = json.loads(output)
    assert document["interrupted"]
    assert document["stream"] is None
    assert "Traceback" not in errors

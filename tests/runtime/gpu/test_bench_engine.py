"""``dmdd-edge bench`` on an engine: the GPU's own times, two slots offline, and how other tools drive it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.cli.main import app
from dmdd_edge.runtime.engines.engine import BatchProfile
from tests.runtime.gpu.engine_files import GPU
from tests.runtime.gpu.simulated_gpu import Gpu
from tests.runtime.gpu.simulated_tensorrt import engine_bytes

Make = Callable[..., Bundle]
Put = Callable[..., Path]
Bench = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("cudart", "trt", "clean")


@pytest.fixture
def bench(cache: Path) -> Bench:
    """Run the command on a bundle's engine; returns the document."""

    def run(bundle: Bundle, *arguments: str) -> dict[str, Any]:
        short = ["--duration", "0.1", "--warm-up", "0", "--warm-up-count", "1", "--json"]
        line = ["bench", "--model", str(bundle.path), "--engine-cache", str(cache), *short, *arguments]
        done = CliRunner().invoke(app, line)
        if done.exception is not None:
            raise done.exception
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def put_for_four(both_graphs: Make, put_engine: Put) -> Bundle:
    bundle = both_graphs()
    put_engine(bundle, engine_bytes(batch=(1, 4, 4)), batch=BatchProfile(minimum=1, optimum=4, maximum=4))
    return bundle


def test_the_gpus_times_stand_beside_the_hosts(both_graphs: Make, put_engine: Put, bench: Bench) -> None:
    bundle = put_for_four(both_graphs, put_engine)
    document = bench(bundle, "--scenario", "single,multi", "--io-memory", "copy")
    backend = document["backend"]
    assert (backend["name"], backend["precision"], backend["engine_batch"]) == ("tensorrt", "fp16", "1:4")
    assert backend["graph_sha256"] == bundle.manifest.files["model.fp16.onnx"]
    assert document["circumstances"]["gpu"]["name"] == GPU.name
    single = document["scenarios"]["single"]["latency_ms"]
    # The simulated GPU copies a megabyte a millisecond: 64 x 64 x 3 bytes in, 64 x 64 floats and a score out.
    assert single["h2d"]["mean"] == pytest.approx(64 * 64 * 3 / 1e6, abs=1e-4)
    assert single["d2h"]["mean"] == pytest.approx((64 * 64 * 4 + 4) / 1e6, abs=1e-4)
    assert single["compute"]["mean"] > 0
    whole = single["h2d"]["mean"] + single["compute"]["mean"] + single["d2h"]["mean"]
    assert single["device"]["mean"] == pytest.approx(whole, abs=3e-4)
    multi = document["scenarios"]["multi"]
    assert multi["latency_ms"]["call"] is not None
    assert multi["latency_ms"]["device"] is None
    assert multi["not_measured"]["device"] == "the engine splits a batch of 8 into parts"


def test_offline_uses_two_slots_and_leaves_out_what_the_engine_does_not_take(
    both_graphs: Make, put_engine: Put, bench: Bench, gpu: Gpu
) -> None:
    document = bench(
        put_for_four(both_graphs, put_engine), "--scenario", "single,offline", "--batches", "1,4,8"
    )
    rows = {row["batch"]: row for row in document["offline"]["sweep"]}
    assert rows[1]["throughput"] > 0
    assert rows[4]["throughput"] > 0
    assert rows[8]["reason"] == "the engine's largest batch is 4"
    assert len(gpu.streams) == 3, "one for single, two for offline"


@pytest.mark.parametrize(
    ("like", "headline", "graphs", "blocking"),
    [("trtexec10", "device", False, True), ("trtexec11", "compute", True, False)],
)
def test_driven_as_trtexec_drives_it(
    both_graphs: Make,
    put_engine: Put,
    bench: Bench,
    gpu: Gpu,
    like: str,
    headline: str,
    graphs: bool,
    blocking: bool,
) -> None:
    document = bench(put_for_four(both_graphs, put_engine), "--like", like)
    assert list(document["scenarios"]) == ["single"]
    row = document["scenarios"]["single"]
    assert row["headline"] == headline
    assert row["latency_ms"]["from_frame"] is None
    assert bool(gpu.graphs) == graphs
    assert {event.blocking for event in gpu.events} == {blocking}


@pytest.mark.slow
def test_an_engine_against_the_cpu(both_graphs: Make, put_engine: Put, bench: Bench, cache: Path) -> None:
    bundle = put_for_four(both_graphs, put_engine)
    document = bench(bundle, "--compare", "tensorrt", "cpu")
    assert [document[side]["backend"]["name"] for side in "ab"] == ["tensorrt", "cpu"]
    assert document["interleaved"]
    assert document["ratio"] > 0

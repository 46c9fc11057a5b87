"""Which engine is taken, which are refused before anything of them is deserialized, and the messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import FP16_GRAPH, Bundle
from dmdd_edge.bundle.manifest import Manifest
from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.engine import BatchProfile, write_engine
from dmdd_edge.runtime.engines.find import find_engine
from tests.runtime.gpu.engine_files import GPU, make_sidecar
from tests.runtime.gpu.simulated_tensorrt import engine_bytes

Make = Callable[..., Bundle]
Put = Callable[..., Path]


def test_one_from_the_cache(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs()
    path = put_engine(bundle)
    found = find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)
    assert (found.path, found.data) == (path, engine_bytes())
    assert found.sidecar.precision == "fp16"


def test_fp16_goes_before_fp32_and_newer_before_older(
    both_graphs: Make, put_engine: Put, cache: Path
) -> None:
    import os

    bundle = both_graphs()
    old = put_engine(bundle, engine_bytes(batch=(1, 1, 1)), batch=BatchProfile())
    new = put_engine(bundle)
    full = put_engine(bundle, precision="fp32", half_convolutions=0)
    for age, path in enumerate([full, new, old]):
        os.utime(path, (1e9 - age, 1e9 - age))
    assert find_engine(bundle, "tensorrt", "10.3.0", GPU, cache).path == new
    assert find_engine(bundle, "tensorrt", "10.3.0", GPU, cache, batch=1).path == new
    new.unlink()
    assert find_engine(bundle, "tensorrt", "10.3.0", GPU, cache).path == old
    old.unlink()
    assert find_engine(bundle, "tensorrt", "10.3.0", GPU, cache).path == full


def test_the_batch_that_is_wanted_decides(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs()
    put_engine(bundle, engine_bytes(batch=(1, 1, 1)), batch=BatchProfile())
    larger = put_engine(bundle)
    assert find_engine(bundle, "tensorrt", "10.3.0", GPU, cache, batch=3).path == larger
    with pytest.raises(DmddError, match=r"it supports batches of 1:4, not 9") as caught:
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache, batch=9)
    assert "it supports batches of 1, not 9" in caught.value.message


def test_one_that_came_with_the_bundle(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs({"gpu.engine": (engine_bytes(), {})})
    found = find_engine(bundle, "tensorrt", "10.3.0", GPU, None)
    assert found.path == bundle.path / "engines" / "gpu.engine"
    ours = put_engine(bundle, engine_bytes(batch=(1, 2, 2)), batch=BatchProfile.parse("1:2"))
    assert find_engine(bundle, "tensorrt", "10.3.0", GPU, cache).path == ours, "built here goes first"


def test_of_the_bundle_only_what_its_manifest_lists(both_graphs: Make) -> None:
    """Put beside it by hand, with a sidecar that fits perfectly."""
    bundle = both_graphs({"other.engine": (engine_bytes(), {"gpu": "another GPU"})})
    write_engine(
        bundle.path / "engines" / "planted.engine",
        engine_bytes(),
        make_sidecar(engine_bytes(), bundle.file(FP16_GRAPH)),
    )
    with pytest.raises(DmddError, match="it was built on another GPU") as caught:
        find_engine(bundle, "tensorrt", "10.3.0", GPU, None)
    assert "planted" not in caught.value.message


def test_an_engine_of_the_bundle_without_a_listed_sidecar_is_not_looked_at(both_graphs: Make) -> None:
    bundle = both_graphs({"gpu.engine": (engine_bytes(), {})})
    files = {name: digest for name, digest in bundle.manifest.files.items() if not name.endswith(".json")}
    unlisted = Bundle(bundle.path, Manifest.model_validate(bundle.manifest.model_dump() | {"files": files}))
    with pytest.raises(DmddError, match="No TensorRT engine"):
        find_engine(unlisted, "tensorrt", "10.3.0", GPU, None)


@pytest.mark.parametrize(
    ("changes", "version", "gpu", "reason"),
    [
        ({}, "10.16.1", GPU, "it was built with TensorRT 10.3.0; this machine has 10.16.1"),
        ({}, "10.3.0", replace(GPU, name="Orin", sm="sm87"), r"this GPU is Orin \(sm87\)"),
        ({"image_size": 32}, "10.3.0", GPU, "was built for images of 32 pixels, the bundle for 64"),
    ],
)
def test_what_does_not_fit_names_both_sides_and_the_command(
    changes: dict[str, Any],
    version: str,
    gpu: GpuFacts,
    reason: str,
    both_graphs: Make,
    put_engine: Put,
    cache: Path,
) -> None:
    bundle = both_graphs()
    put_engine(bundle, **changes)
    with pytest.raises(DmddError, match=reason) as caught:
        find_engine(bundle, "tensorrt", version, gpu, cache)
    assert f"dmdd-edge export --model {bundle.path} --target tensorrt" in caught.value.fix


def test_an_altered_engine_and_one_of_another_graph_are_refused(
    both_graphs: Make, put_engine: Put, cache: Path
) -> None:
    bundle = both_graphs()
    path = put_engine(bundle)
    path.write_bytes(engine_bytes(scratch=1))
    with pytest.raises(DmddError, match="was altered or truncated"):
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)
    put_engine(bundle, onnx_sha256="ab" * 32)  # is among those of another graph
    path.unlink()
    with pytest.raises(DmddError, match="No TensorRT engine"):
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)


def test_a_cache_that_others_can_write_is_not_used(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs()
    put_engine(bundle)
    cache.chmod(0o777)
    with pytest.raises(DmddError, match="other users can write to"):
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)


def test_of_many_that_do_not_fit_three_are_named(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs()
    for largest in range(1, 6):
        put_engine(bundle, batch=BatchProfile(maximum=largest), gpu=f"GPU {largest}")
    with pytest.raises(DmddError, match="; and 2 more") as caught:
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)
    assert caught.value.message.count("cannot be used on this machine") == 3


def test_an_engine_without_a_sidecar_is_told(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs()
    path = put_engine(bundle)
    path.with_name(path.name + ".json").unlink()
    with pytest.raises(DmddError, match="has no sidecar") as caught:
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)
    assert "--target tensorrt" in caught.value.fix


def test_none_at_all(both_graphs: Make, cache: Path) -> None:
    bundle = both_graphs()
    with pytest.raises(DmddError, match="in the bundle or in the engine cache") as caught:
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)
    assert caught.value.fix.endswith("--target tensorrt")
    with pytest.raises(DmddError, match=r"No TensorRT-RTX engine of screw .* in the bundle\.") as caught:
        find_engine(bundle, "rtx", "1.7.1", GPU, None)
    assert "--target rtx --gpu sm86" in caught.value.fix


def test_engines_of_the_other_library_are_no_reason(both_graphs: Make, put_engine: Put, cache: Path) -> None:
    bundle = both_graphs()
    put_engine(bundle, flavour="rtx")
    with pytest.raises(DmddError, match="No TensorRT engine"):
        find_engine(bundle, "tensorrt", "10.3.0", GPU, cache)

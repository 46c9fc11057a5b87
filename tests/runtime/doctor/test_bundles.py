from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.runtime.doctor import bundles
from dmdd_edge.runtime.doctor.bundles import examine_bundles
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.subprocess_call import Reply


def call(function: str, *arguments: Any, limit: float = 0) -> Reply:
    """Reply in this process."""
    return Reply(value=getattr(bundles, function.partition(":")[2])(*arguments))


def test_a_whole_bundle_runs_and_is_timed(
    make_bundle: Callable[..., Bundle], make_context: Callable[..., Context]
) -> None:
    version = make_bundle(preprocess=Preprocess(roi=(900, 700, 64, 64))).version
    (found,) = examine_bundles(replace(make_context({}), call=call))
    assert (found.name, found.title, found.state) == ("bundles.screw", "bundle screw", "ok")
    facts = found.facts
    assert (facts["version"], facts["verified"], facts["runs"]) == (version, True, True)
    assert facts["backend"] == "cpu" or facts["passed_over"] == []
    assert facts["frame_ms"] >= facts["infer_ms"] > 0
    assert f"a frame in {facts['frame_ms']:.1f} ms, by ONNX Runtime" in found.detail


def test_of_a_tiled_bundle_the_tiles_and_the_memory_of_a_large_frame_are_named(
    make_bundle: Callable[..., Bundle], make_context: Callable[..., Context]
) -> None:
    make_bundle(preprocess=Preprocess(tiling=Tiling(tile=128, overlap=0)))
    (found,) = examine_bundles(replace(make_context({}), call=call))
    assert found.facts["tiles"] == 20  # 640 x 480 pixels
    # 20 million pixels of 3 bytes, a quarter of them with 3 + 4 bytes in the view and its map.
    assert found.facts["mib_of_20_megapixels"] == round((60e6 + 5e6 * 7) / 2**20)
    assert "a frame of 20 tiles in" in found.detail
    assert "20 megapixels takes 91 MiB" in found.detail


def test_an_altered_one_is_not_run(
    make_bundle: Callable[..., Bundle], make_context: Callable[..., Context]
) -> None:
    make_bundle("nut")
    broken = make_bundle()
    graph = broken.file(FP32_GRAPH)
    content = bytearray(graph.read_bytes())
    content[20] ^= 1
    graph.write_bytes(bytes(content))
    nut, screw = examine_bundles(replace(make_context({}), call=call))
    assert nut.state == "ok"
    assert screw.state == "broken"
    assert f"`{FP32_GRAPH}` was altered" in screw.detail
    assert screw.fix.startswith("Copy the bundle again")
    assert (screw.facts["verified"], screw.facts["runs"]) == (False, False)


def test_a_current_that_names_nothing_is_broken(
    make_bundle: Callable[..., Bundle], make_context: Callable[..., Context]
) -> None:
    bundle = make_bundle()
    (bundle.path.parent / "CURRENT").write_text("20200101T000000Z-00000000\n")
    (found,) = examine_bundles(replace(make_context({}), call=call))
    assert found.state == "broken"
    assert "which does not exist" in found.detail


def test_no_bundle_is_missing(make_context: Callable[..., Context]) -> None:
    (found,) = examine_bundles(replace(make_context({}), call=call))
    assert (found.name, found.state) == ("bundles.none", "missing")
    assert not found.facts  # so that the report counts no bundle


WHOLE = {"version": "V", "backbone": "B", "image_size": 64, "precisions": ["fp32"]}
RAN = {"description": "D", "frame_ms": 3.0}


@pytest.mark.parametrize(
    ("plain", "fix", "suffix"),
    [
        (
            RAN,
            "dmdd-edge run --category screw --models-dir {} --backend cpu --source SOURCE",
            "; it runs with --backend cpu",
        ),
        (Reply(failure="it crashed (SIGSEGV)", kind="crash"), "", ""),
    ],
)
def test_a_backend_that_crashes_is_reported_with_one_that_runs(
    make_context: Callable[..., Context], plain: Any, fix: str, suffix: str
) -> None:
    context = make_context(
        {
            "list_categories": ["screw"],
            "verify": {"problems": [], **WHOLE},
            "run_once auto": Reply(failure="it crashed (SIGSEGV)", kind="crash"),
            "run_once cpu": plain,
        }
    )
    (found,) = examine_bundles(context)
    assert found.state == "broken"
    assert found.detail == f"V, B 64 px, fp32: intact, but does not run: it crashed (SIGSEGV){suffix}"
    assert found.fix == fix.format(context.models_dir)


@pytest.mark.parametrize(
    ("installed", "fix"), [(True, "Build it."), (False, "python -m pip install '/path/to/dmdd-edge[cpu]'")]
)
def test_a_users_error_is_reported_unchanged(
    make_context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch, installed: bool, fix: str
) -> None:
    monkeypatch.setattr(bundles, "version_of", lambda name: "1.23" if installed else "")
    failed = Reply(failure="No backend can run this bundle.", fix="Build it.", kind="DmddError")
    context = make_context(
        {"list_categories": ["screw"], "verify": {"problems": [], **WHOLE}, "run_once auto": failed}
    )
    (found,) = examine_bundles(context)
    assert (found.state, found.fix) == ("broken", fix)


def test_a_folder_that_cannot_be_read_is_reported(
    make_context: Callable[..., Context], tmp_path: Path
) -> None:
    context = make_context({"list_categories": Reply(failure="ImportError: cv2", kind="ImportError")})
    (found,) = examine_bundles(context)
    assert (found.state, found.detail) == (
        "broken",
        f"cannot read {tmp_path / 'models'}/: ImportError: cv2",
    )

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.runtime.doctor import bundles
from dmdd_edge.runtime.doctor.bundles import examine_bundles
from dmdd_edge.runtime.doctor.isolate import Answer
from dmdd_edge.runtime.doctor.surroundings import Surroundings


def call(question: str, *arguments: Any, limit: float = 0) -> Answer:
    """Answer in this process."""
    return Answer(value=getattr(bundles, question.partition(":")[2])(*arguments))


def test_a_whole_bundle_runs_and_is_timed(
    make_bundle: Callable[..., Bundle], surroundings: Callable[..., Surroundings]
) -> None:
    version = make_bundle(preprocess=Preprocess(roi=(900, 700, 64, 64))).version
    (found,) = examine_bundles(replace(surroundings({}), ask=call))
    assert (found.name, found.title, found.state) == ("bundles.screw", "bundle screw", "ok")
    facts = found.facts
    assert (facts["version"], facts["verified"], facts["runs"]) == (version, True, True)
    assert facts["backend"] == "cpu" or facts["passed_over"] == []
    assert facts["frame_ms"] >= facts["infer_ms"] > 0
    assert f"a frame in {facts['frame_ms']:.1f} ms, by ONNX Runtime" in found.detail


def test_an_altered_one_is_not_run(
    make_bundle: Callable[..., Bundle], surroundings: Callable[..., Surroundings]
) -> None:
    make_bundle("nut")
    broken = make_bundle()
    graph = broken.file(FP32_GRAPH)
    content = bytearray(graph.read_bytes())
    content[20] ^= 1
    graph.write_bytes(bytes(content))
    nut, screw = examine_bundles(replace(surroundings({}), ask=call))
    assert nut.state == "ok"
    assert screw.state == "broken"
    assert f"`{FP32_GRAPH}` was altered" in screw.detail
    assert screw.fix.startswith("Copy the bundle again")
    assert (screw.facts["verified"], screw.facts["runs"]) == (False, False)


def test_a_current_that_names_nothing_is_broken(
    make_bundle: Callable[..., Bundle], surroundings: Callable[..., Surroundings]
) -> None:
    bundle = make_bundle()
    (bundle.path.parent / "CURRENT").write_text("20200101T000000Z-00000000\n")
    (found,) = examine_bundles(replace(surroundings({}), ask=call))
    assert found.state == "broken"
    assert "which is not there" in found.detail


def test_none_is_missing(surroundings: Callable[..., Surroundings]) -> None:
    (found,) = examine_bundles(replace(surroundings({}), ask=call))
    assert (found.name, found.state) == ("bundles.none", "missing")
    assert not found.facts  # so that the report counts no bundle


WHOLE = {"version": "V", "backbone": "B", "image_size": 64}
RAN = {"description": "D", "frame_ms": 3.0}


@pytest.mark.parametrize(
    ("plain", "fix", "said"),
    [
        (
            RAN,
            "dmdd-edge run --category screw --models-dir {} --backend cpu --source SOURCE",
            "; with --backend cpu it runs",
        ),
        (Answer(failure="it crashed (SIGSEGV)", kind="crash"), "", ""),
    ],
)
def test_a_back_end_that_crashes_is_told_with_what_does_without(
    surroundings: Callable[..., Surroundings], plain: Any, fix: str, said: str
) -> None:
    around = surroundings(
        {
            "list_categories": ["screw"],
            "verify": {"problems": [], **WHOLE},
            "run_once auto": Answer(failure="it crashed (SIGSEGV)", kind="crash"),
            "run_once cpu": plain,
        }
    )
    (found,) = examine_bundles(around)
    assert found.state == "broken"
    assert found.detail == f"V, B 64 px: it is whole and does not run: it crashed (SIGSEGV){said}"
    assert found.fix == fix.format(around.models_dir)


@pytest.mark.parametrize(
    ("installed", "fix"), [(True, "Build it."), (False, "python -m pip install 'dmdd-edge[cpu]'")]
)
def test_a_users_error_is_told_as_it_is(
    surroundings: Callable[..., Surroundings], monkeypatch: pytest.MonkeyPatch, installed: bool, fix: str
) -> None:
    monkeypatch.setattr(bundles, "version_of", lambda name: "1.23" if installed else "")
    failed = Answer(failure="no back end can run this bundle.", fix="Build it.", kind="DmddError")
    around = surroundings(
        {"list_categories": ["screw"], "verify": {"problems": [], **WHOLE}, "run_once auto": failed}
    )
    (found,) = examine_bundles(around)
    assert (found.state, found.fix) == ("broken", fix)


def test_a_folder_that_cannot_be_read_is_told(
    surroundings: Callable[..., Surroundings], tmp_path: Path
) -> None:
    around = surroundings({"list_categories": Answer(failure="ImportError: cv2", kind="ImportError")})
    (found,) = examine_bundles(around)
    assert (found.state, found.detail) == (
        "broken",
        f"{tmp_path / 'models'}/ cannot be looked at: ImportError: cv2",
    )

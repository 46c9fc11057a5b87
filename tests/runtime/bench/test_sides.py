from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.sides import LiveSide, PastSide, parse_side, read_result

Make = Callable[..., Bundle]

WHOLE: dict[str, Any] = {
    "type": "dmdd-edge bench",
    "bundle": {"version": "v"},
    "backend": {"name": "cpu"},
    "circumstances": {"machine": {"cpu": "Z80"}},
    "scenarios": {"single": {"samples_ms": {"call": [1.0, 2.0]}}},
}


@pytest.fixture
def here(make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle models/screw in the folder that one is in."""
    bundle = make_bundle()
    monkeypatch.chdir(tmp_path)
    return bundle


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "path", "backend"),
    [
        ("screw", "models/screw", "auto"),
        ("models/screw", "models/screw", "auto"),
        ("screw@cpu", "models/screw", "cpu"),
        ("./models/screw@rtx", "models/screw", "rtx"),
        ("tensorrt", "models/screw", "tensorrt"),
        ("auto", "models/screw", "auto"),
    ],
)
def test_what_a_side_means(text: str, path: str, backend: str) -> None:
    assert parse_side(text) == LiveSide(text, Path(path), backend)


@pytest.mark.usefixtures("here")
def test_a_bundle_alone_takes_the_commands_back_end() -> None:
    assert parse_side("screw", backend="cpu") == LiveSide("screw", Path("models/screw"), "cpu")


def test_a_back_end_alone_takes_the_commands_bundle(here: Bundle, make_bundle: Make) -> None:
    make_bundle("nut")
    with pytest.raises(DmddError, match="several bundles"):
        parse_side("cpu")
    assert parse_side("cpu", category="nut") == LiveSide("cpu", Path("models/nut"), "cpu")
    assert parse_side("cpu", model=here.path) == LiveSide("cpu", here.path, "cpu")


def test_a_category_with_a_back_ends_name_can_be_meant(here: Bundle, make_bundle: Make) -> None:
    make_bundle("cpu")
    assert parse_side("cpu") == LiveSide("cpu", Path("models/cpu"), "auto")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "a side of --compare is empty"),
        ("bolt", r"there is no bundle 'bolt' \(models/ holds: screw\)"),
        ("bolt@cpu", "there is no bundle 'bolt'"),
        ("screw@tpu", "there is no backend 'tpu'"),
        ("screw@", "there is no backend ''"),
        ("before.json", r"there is no result before\.json"),
    ],
)
def test_what_is_none_of_these(text: str, part: str) -> None:
    with pytest.raises(DmddError, match=part) as caught:
        parse_side(text)
    assert caught.value.fix


def test_a_past_result(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    path.write_text(json.dumps(WHOLE))
    side = parse_side(str(path))
    assert isinstance(side, PastSide)
    assert side.samples("single").tolist() == [1.0, 2.0]
    assert side.cpu == "Z80"
    with pytest.raises(DmddError, match=r"no latencies of the scenario multi \(there: single\)"):
        side.samples("multi")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[]", "is not a result of"),
        (b'{"type": "summary"}', "is not a result of"),
        (b'{"type": "dmdd-edge bench", "bundle": {}}', "is not whole: it lacks backend, scenarios, circumst"),
    ],
)
def test_a_file_that_is_no_result(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "before.json"
    path.write_bytes(content)
    with pytest.raises(DmddError, match=part) as caught:
        read_result(path)
    assert "bench --scenario single --json" in caught.value.fix

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.operands import LiveOperand, PastOperand, parse_operand, read_result

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
    """A bundle models/screw in the current folder."""
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
def test_what_an_operand_means(text: str, path: str, backend: str) -> None:
    assert parse_operand(text) == LiveOperand(text, Path(path), backend)


@pytest.mark.usefixtures("here")
def test_a_bundle_alone_uses_the_commands_backend() -> None:
    assert parse_operand("screw", backend="cpu") == LiveOperand("screw", Path("models/screw"), "cpu")


def test_a_backend_alone_uses_the_commands_bundle(here: Bundle, make_bundle: Make) -> None:
    make_bundle("nut")
    with pytest.raises(DmddError, match="several bundles"):
        parse_operand("cpu")
    assert parse_operand("cpu", category="nut") == LiveOperand("cpu", Path("models/nut"), "cpu")
    assert parse_operand("cpu", model=here.path) == LiveOperand("cpu", here.path, "cpu")


def test_a_category_may_have_a_backends_name(here: Bundle, make_bundle: Make) -> None:
    make_bundle("cpu")
    assert parse_operand("cpu") == LiveOperand("cpu", Path("models/cpu"), "auto")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "An operand of --compare is empty"),
        ("bolt", r"no bundle 'bolt' \(models/ holds: screw\)"),
        ("bolt@cpu", "no bundle 'bolt'"),
        ("screw@tpu", "unknown backend 'tpu'"),
        ("screw@", "unknown backend ''"),
        ("before.json", r"No result before\.json"),
    ],
)
def test_an_operand_that_is_none_of_these(text: str, part: str) -> None:
    with pytest.raises(DmddError, match=part) as caught:
        parse_operand(text)
    assert caught.value.fix


def test_a_past_result(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    path.write_text(json.dumps(WHOLE))
    side = parse_operand(str(path))
    assert isinstance(side, PastOperand)
    assert side.samples("single").tolist() == [1.0, 2.0]
    assert side.cpu == "Z80"
    with pytest.raises(DmddError, match=r"no latencies of the scenario multi \(available: single\)"):
        side.samples("multi")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "Cannot read"),
        (b"[]", "is not a result of"),
        (b'{"type": "summary"}', "is not a result of"),
        (
            b'{"type": "dmdd-edge bench", "bundle": {}}',
            "is incomplete: backend, scenarios, circumstances missing",
        ),
    ],
)
def test_a_file_that_is_not_a_result(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "before.json"
    path.write_bytes(content)
    with pytest.raises(DmddError, match=part) as caught:
        read_result(path)
    assert "bench --scenario single --json" in caught.value.fix

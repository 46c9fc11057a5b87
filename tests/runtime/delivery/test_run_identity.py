"""A frame that a resumed run processes again is sent with the same id; another frame never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery import Delivery
from dmdd_edge.runtime.delivery.run_identity import frame_key, run_identity
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.summary import RunStatistics
from tests.runtime.delivery.delivery_receiver import Receiver
from tests.runtime.delivery.delivery_results import make_result

Deliver = Callable[..., Delivery]


def test_a_resumed_run_keeps_its_name(tmp_path: Path) -> None:
    results = tmp_path / "out" / "r.jsonl"
    first = run_identity(results, resumed=False)
    first.keep()  # no folder yet: nothing to keep, and no error
    results.parent.mkdir()
    first.keep()
    assert run_identity(results, resumed=True) == first
    assert run_identity(results.parent / ".." / "out" / "r.jsonl", resumed=True) == first
    for other in (
        run_identity(results, resumed=False),
        run_identity(results.with_name("s.jsonl"), resumed=True),
    ):
        assert other.name != first.name
    long = run_identity(results.with_name("é" * 125 + ".json"), resumed=False)
    long.keep()
    assert run_identity(results.with_name("é" * 125 + ".json"), resumed=True) == long
    first.path.write_bytes(b"\xff damaged")
    assert run_identity(results, resumed=True).name != first.name


def test_frames_are_distinguished() -> None:
    keys = {
        frame_key("a/0.png", "0.png"),
        frame_key("b/0.png", "0.png"),
        frame_key("film.mp4", "film.mp4/frame-000000"),
        frame_key("film.mp4", "film.mp4/frame-000001"),
        frame_key("a/0.png\0", "0.png"),
        frame_key("a\udcff.png", "0.png"),
    }
    assert len(keys) == 6
    assert frame_key("a/0.png", "0.png") == frame_key("a/0.png", "0.png")


def test_a_frame_that_is_judged_again_has_the_same_id(receiver: Receiver, deliver: Deliver) -> None:
    def start(first: int) -> list[str]:
        before = len(receiver.requests)
        delivery = deliver(webhook=receiver.url, run="a" * 32)
        for index in range(first, 4):
            frame = Frame(None, f"in/{index}.png", f"{index}.png", index - first)  # type: ignore[arg-type]
            delivery.result(frame, make_result(index))
        delivery.broken(BrokenFrame("in/x.png", 9, DmddError("cut off")))
        delivery.summary(RunStatistics("cpu").summary())
        delivery.close()
        return [request.message["id"] for request in receiver.requests[before:]]

    once, again = start(0), start(2)
    assert again[:3] == once[2:5], "also when files before them were removed, so that their index is another"
    assert len(set(once + again)) == 7, "each summary is a separate message"

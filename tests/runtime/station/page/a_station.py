"""A station without cameras and graphs: a desk that the tests set, and results made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.station.counts import InspectionCounts, PartCounts
from dmdd_edge.runtime.station.model import (
    ErrorCode,
    InspectionResult,
    PartResult,
    StationState,
    Trigger,
)
from dmdd_edge.runtime.station.page import StationPage, StationView
from dmdd_edge.runtime.station.plc.transport import Image
from dmdd_edge.runtime.station.settings import CameraSettings
from tests.runtime.page.a_run import FakeSource, result_of
from tests.runtime.station.constant_bundles import station_settings

#: 2026-11-24T08:00:00Z
MOMENT = 1795507200.0


@dataclass
class FakeDesk:
    """Keeps what was requested."""

    now: StationState
    requested: list[int] = field(default_factory=list)
    cleared: int = 0
    triggered: int = 0
    answer: int | ErrorCode = 7

    def state(self) -> StationState:
        return self.now

    def change(self, **fields: Any) -> None:
        self.now = replace(self.now, **fields)

    def request_recipe(self, number: int) -> None:
        self.requested.append(number)

    def clear_error(self) -> None:
        self.cleared += 1

    def trigger(self, origin: str, part_id: int | None = None, **more: Any) -> int | ErrorCode:
        assert origin == "page"
        self.triggered += 1
        return self.answer


class FakeStation:
    """A station with two cameras, three inspections and two recipes, of which the first is in force."""

    def __init__(self, folder: Path) -> None:
        inspections: dict[str, Any] = {
            "lid": "lid",
            "seal": {"category": "seal", "camera": "side"},
            "cap <b>": {"category": "cap", "camera": "side"},
        }
        sources = {"top": FakeSource("genicam://1234"), "side": FakeSource("rtsp://camera/side", frames=8)}
        self.settings = station_settings(
            folder,
            inspections,
            {1: ["lid", "seal"], 12: ["cap <b>"]},
            cameras={name: CameraSettings(name=name, source=each.name) for name, each in sources.items()},
        )
        self.sources = sources
        state = StationState(
            online=True, ready=True, recipe=1, recipe_name="product 1", parts=9, passed=6, anomalous=2,
            unreliable=1, late=1, missed=3, queued=2, cameras={"top": "", "side": ""},
        )  # fmt: skip
        self.desk = FakeDesk(state)
        self.counts = SimpleNamespace(
            recipes={
                1: PartCounts(parts=8, passed=5, anomalous=2, unreliable=1, late=1),
                99: PartCounts(parts=1, passed=1),
            },
            inspections={"lid": InspectionCounts(good=6, anomalous=2, failed=1), "gone": InspectionCounts()},
            problem="",
        )
        self.image = Image({"Trigger": 1, "PartID": 70000}, {"Ready": 1, "Pass": 0, "AcquisitionID": 42})
        loaded = [
            (self.settings.inspections[name], _detector(name, threshold))
            for name, threshold in (("lid", 0.5), ("seal", 0.25))
        ]
        self.loaded = SimpleNamespace(number=1, name="product 1", inspections=loaded)

    def view(self) -> StationView:
        """What the page sees."""
        return StationView(
            self.settings,
            self.desk,
            self.counts,
            {
                name: SimpleNamespace(state=lambda source=source: source)
                for name, source in self.sources.items()
            },
            lambda: self.loaded,
            lambda: self.image,
        )


def _detector(category: str, threshold: float) -> Any:
    return SimpleNamespace(
        bundle=SimpleNamespace(category=category, version="20261124-080000"),
        threshold=SimpleNamespace(image=threshold, suspect=None),
        backend=SimpleNamespace(name="cpu"),
    )


def judged(
    page: StationPage, number: int, late: bool = False, **scores: float | None
) -> list[tuple[Frame, Result]]:
    """Give the page a part with the scores of its inspections by name; None was not judged."""
    found: list[InspectionResult] = []
    frames: list[tuple[Frame, Result]] = []
    for name, score in scores.items():
        if score is None:
            found.append(InspectionResult(name, "top", None, None, "no frame came", ErrorCode.NO_FRAME))
            continue
        frame, result = result_of(number, score)
        frame, result = replace(frame, source=name), replace(result, source=name, time=MOMENT + number)
        page.result(frame, result)
        found.append(InspectionResult(name, "top", None, result))
        frames.append((frame, result))
    statuses = {"unreliable" if each.result is None else each.result.status for each in found}
    status = "anomalous" if "anomalous" in statuses else "unreliable" if "unreliable" in statuses else "good"
    trigger = Trigger(number, 1000 + number, 1, "modbus", MOMENT + number, 0.0)
    page.part(PartResult(trigger, "product 1", status, late, tuple(found), 12.5))
    return frames

"""Looking after what spoils a measurement: throttling, a falling clock, and others at work on the machine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dmdd_edge.cores import allowed_cores

#: More of the cores' time than this, spent by others, and a figure is theirs as much as ours.
_OTHERS, _STOLEN = 0.10, 0.01
#: A clock that falls below this share of its highest was held back.
_CLOCK = 0.85
#: Seconds between two looks at the clocks.
_EVERY = 1.0
#: Cooling devices that slow something down; the others are fans.
_SLOWS = re.compile(r"cpufreq|devfreq|processor|gpu", re.IGNORECASE)

#: What counts how often a processor was held back: of x86, and of a Jetson's over-current protection.
_COUNTERS = (
    "sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count",
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
)


@dataclass(frozen=True)
class Reason:
    """Why figures cannot be relied on.

    Attributes:
        text: for a person.
        kind: reasons of one kind are alike but for how bad it was.
        size: how bad, among those of its kind.
    """

    text: str
    kind: str
    size: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What was seen during a measurement.

    Attributes:
        reasons: why the figures cannot be relied on; empty when nothing was seen.
        facts: shares of the cores' time (0..1) that others took and that the hypervisor took, lowest and
            highest clock in MHz, throttling events, what the GPU said; what cannot be read is left out.
    """

    reasons: tuple[Reason, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def reliable(self) -> bool:
        """Whether nothing was seen."""
        return not self.reasons

    @property
    def texts(self) -> list[str]:
        """The worst reason of each kind, for a person."""
        return worst(self.reasons)


def worst(reasons: Iterable[Reason]) -> list[str]:
    """The worst reason of each kind, for a person."""
    found: dict[str, Reason] = {}
    for reason in reasons:
        if reason.kind not in found or reason.size > found[reason.kind].size:
            found[reason.kind] = reason
    return [reason.text for reason in found.values()]


class GpuWatch(Protocol):
    """Looks after a GPU."""

    def start(self) -> None:
        """A measurement begins."""
        ...

    def sample(self) -> None:
        """Look at it now."""
        ...

    def stop(self) -> Seen:
        """What was seen since ``start``."""
        ...


@dataclass(frozen=True)
class _Times:
    """Seconds that the cores spent at work and that a hypervisor took from them; and we ourselves."""

    wall: float
    busy: float
    stolen: float
    own: float


class Watch:
    """Looks after a machine; never raises, and what cannot be read is not looked at.

    Args:
        gpu: looks after the GPU; None where there is none.
        root: of the file system.
        cores: numbers of the cores that this process may use; None asks the system.
    """

    def __init__(
        self, gpu: GpuWatch | None = None, root: Path = Path("/"), cores: Iterable[int] | None = None
    ) -> None:
        self._gpu, self._root = gpu, root
        self._cores = sorted(allowed_cores() if cores is None else cores)
        self._clock_files = [
            root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq" for core in self._cores
        ]
        self._begin()

    def _begin(self) -> None:
        self._times = self._read_times()
        self._events = self._read_events()
        self._clocks: list[float] = []
        self._slowed: set[str] = set()
        self._next = 0.0

    def start(self) -> None:
        """A measurement begins."""
        self._begin()
        if self._gpu is not None:
            self._gpu.start()
        self.sample()

    def sample(self) -> None:
        """Look at the clocks, once a second at most: for calling between two queries."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY
        found = [_number(path) for path in self._clock_files]
        if known := [value for value in found if value is not None]:
            # The core that works hardest: one that idles may well be slow.
            self._clocks.append(max(known) / 1000)
        self._slowed |= set(self._cooling())
        if self._gpu is not None:
            self._gpu.sample()

    def stop(self) -> Seen:
        """What was seen since ``start``."""
        self._next = 0.0
        self.sample()
        reasons: list[Reason] = []
        facts: dict[str, Any] = {"load_average": round(os.getloadavg()[0], 2)}
        self._judge_times(reasons, facts)
        events = {name: n for name, n in self._new_events().items() if n > 0}
        if events:
            count = sum(events.values())
            reasons.append(Reason(f"held back {count} times ({', '.join(sorted(events))})", "events", count))
            facts["throttle_events"] = events
        if self._slowed:
            reasons.append(Reason(f"slowed down for heat by {', '.join(sorted(self._slowed))}", "heat"))
        if self._clocks:
            facts["cpu_mhz"] = {"low": round(min(self._clocks)), "high": round(max(self._clocks))}
            low, high = min(self._clocks), max(self._clocks)
            if low < _CLOCK * high:
                reasons.append(
                    Reason(f"the clock fell from {high:.0f} to {low:.0f} MHz", "clock", high / low)
                )
        if self._gpu is not None:
            seen = self._gpu.stop()
            reasons.extend(seen.reasons)
            facts["gpu"] = seen.facts
        return Seen(tuple(reasons), facts)

    def _judge_times(self, reasons: list[Reason], facts: dict[str, Any]) -> None:
        before, after = self._times, self._read_times()
        if before is None or after is None or after.wall - before.wall < 0.1:
            return  # the system counts in hundredths of a second
        whole = (after.wall - before.wall) * len(self._cores)
        others = max((after.busy - before.busy) - (after.own - before.own), 0.0) / whole
        stolen = (after.stolen - before.stolen) / whole
        facts |= {"others": round(others, 3), "stolen": round(stolen, 4)}
        if others > _OTHERS:
            reasons.append(Reason(f"others took {100 * others:.0f} % of the cores", "others", others))
        if stolen > _STOLEN:
            text = f"the hypervisor took {100 * stolen:.1f} % of the cores"
            reasons.append(Reason(text, "stolen", stolen))

    def _read_times(self) -> _Times | None:
        names = {f"cpu{core}" for core in self._cores}
        try:
            lines = (self._root / "proc/stat").read_text().splitlines()
            ticks = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            return None
        busy = stolen = 0
        for line in lines:
            name, _, rest = line.partition(" ")
            if name in names:
                # user, nice, system, idle, waiting, interrupts, soft interrupts, stolen; guests are in user.
                fields = [int(value) for value in rest.split()[:8]] + [0] * 8
                busy += sum(fields[:3]) + sum(fields[5:7])
                stolen += fields[7]
        return _Times(time.monotonic(), busy / ticks, stolen / ticks, time.process_time())

    def _read_events(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for pattern in _COUNTERS:
            for path in self._root.glob(pattern):
                value = _number(path)
                if value is not None:
                    found[path.relative_to(self._root).as_posix()] = value
        return found

    def _new_events(self) -> dict[str, int]:
        """New events by what counts them; a package's count stands in each of its cores' folders."""
        found: dict[str, int] = {}
        for name, value in self._read_events().items():
            short = name.rpartition("/")[2]
            found[short] = max(found.get(short, 0), int(value - self._events.get(name, value)))
        return found

    def _cooling(self) -> Iterable[str]:
        for folder in self._root.glob("sys/class/thermal/cooling_device*"):
            kind = read_text(folder / "type")
            if kind and _SLOWS.search(kind) and (_number(folder / "cur_state") or 0) > 0:
                yield kind


def read_text(path: Path) -> str | None:
    """A small file's text without what is invisible at its ends, or None."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().strip("\0") or None
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = read_text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None

"""Detect what distorts a measurement: throttling, a falling clock, and other processes on the machine."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dmdd_edge.cores import allowed_cores
from dmdd_edge.runtime.cuda.nvml import THROTTLED_BY, GpuState
from dmdd_edge.runtime.machine import read_number, read_text

#: Figures are unreliable when other processes use, or the hypervisor takes, more than this CPU share.
_OTHERS, _STOLEN = 0.10, 0.01
#: A clock below this share of its highest value was throttled.
_CLOCK = 0.85
#: Seconds between two readings of the clocks.
_EVERY = 1.0
#: Cooling devices that slow something down; the rest are fans.
_SLOWS = re.compile(r"cpufreq|devfreq|processor|gpu", re.IGNORECASE)

#: Counters of throttling: of x86 processors, and of a Jetson's over-current protection.
_COUNTERS = (
    "sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count",
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
)


@dataclass(frozen=True)
class Reason:
    """Why figures are unreliable.

    Attributes:
        text: for a person.
        kind: reasons of one kind differ only in size.
        size: severity among reasons of its kind.
    """

    text: str
    kind: str
    size: float = 0.0


@dataclass(frozen=True)
class Interference:
    """What was detected during a measurement.

    Attributes:
        reasons: why the figures are unreliable; empty when nothing was detected.
        facts: shares of the CPU time (0..1) used by other processes and taken by the hypervisor, lowest and
            highest clock in MHz, throttling events, facts of the GPU; what cannot be read is left out.
    """

    reasons: tuple[Reason, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def reliable(self) -> bool:
        """Whether nothing was detected."""
        return not self.reasons

    @property
    def texts(self) -> list[str]:
        """The worst reason of each kind, for a person."""
        return worst(self.reasons)


def worst(reasons: Iterable[Reason]) -> list[str]:
    """The worst reason of each kind, for a person."""
    by_kind: dict[str, Reason] = {}
    for reason in reasons:
        if reason.kind not in by_kind or reason.size > by_kind[reason.kind].size:
            by_kind[reason.kind] = reason
    return [reason.text for reason in by_kind.values()]


class GpuWatch(Protocol):
    """Detects interference on a GPU."""

    def start(self) -> None:
        """Begin a measurement."""
        ...

    def sample(self) -> None:
        """Read the GPU's state now."""
        ...

    def stop(self) -> Interference:
        """Return what was detected since ``start``."""
        ...


class NvidiaWatch:
    """Detects throttling of an NVIDIA GPU; see ``GpuWatch``.

    Args:
        read: reads its state now, as ``open_nvml`` does.
    """

    def __init__(self, read: Callable[[], GpuState]) -> None:
        self._read = read
        self._states: list[GpuState] = []

    def start(self) -> None:
        """See ``GpuWatch``."""
        self._states = []
        self.sample()

    def sample(self) -> None:
        """See ``GpuWatch``."""
        self._states.append(self._read())

    def stop(self) -> Interference:
        """See ``GpuWatch``."""
        self.sample()
        bits = 0
        for state in self._states:
            bits |= state.reasons
        reasons = [
            Reason(f"the GPU was throttled by {cause}", f"gpu {bit}")
            for bit, cause in THROTTLED_BY.items()
            if bits & bit
        ]
        facts: dict[str, Any] = {}
        for name in ("sm_mhz", "memory_mhz", "temperature_c", "power_w"):
            values = [state.values[name] for state in self._states if name in state.values]
            if values:
                facts[name] = {"low": min(values), "high": max(values)}
        return Interference(tuple(reasons), facts)

    def facts(self) -> dict[str, Any]:
        """What is set on the GPU: driver, power limit, highest clock."""
        values = self._read().values
        names = ("driver", "power_limit_w", "persistence", "sm_mhz_max")
        return {name: values[name] for name in names if name in values}


@dataclass(frozen=True)
class _Times:
    """Seconds: wall time, time the cores were busy, time a hypervisor took, and this process's CPU time."""

    wall: float
    busy: float
    stolen: float
    own: float


class InterferenceWatch:
    """Detects interference on a machine; never raises, and skips what cannot be read.

    Args:
        gpu: detects interference on the GPU; None without one.
        root: of the file system.
        cores: numbers of the cores that this process may use; None reads them from the system.
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
        """Begin a measurement."""
        self._begin()
        if self._gpu is not None:
            self._gpu.start()
        self.sample()

    def sample(self) -> None:
        """Read the clocks, at most once per second; call it between two queries."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY
        clocks = [value for path in self._clock_files if (value := read_number(path)) is not None]
        if clocks:
            # The busiest core: an idle one may well be slow.
            self._clocks.append(max(clocks) / 1000)
        self._slowed |= set(self._cooling())
        if self._gpu is not None:
            self._gpu.sample()

    def stop(self) -> Interference:
        """Return what was detected since ``start``."""
        self._next = 0.0
        self.sample()
        reasons: list[Reason] = []
        facts: dict[str, Any] = {"load_average": round(os.getloadavg()[0], 2)}
        self._compare_times(reasons, facts)
        events = {name: n for name, n in self._new_events().items() if n > 0}
        if events:
            count = sum(events.values())
            reasons.append(Reason(f"throttled {count} times ({', '.join(sorted(events))})", "events", count))
            facts["throttle_events"] = events
        if self._slowed:
            reasons.append(Reason(f"thermally throttled by {', '.join(sorted(self._slowed))}", "heat"))
        if self._clocks:
            facts["cpu_mhz"] = {"low": round(min(self._clocks)), "high": round(max(self._clocks))}
            low, high = min(self._clocks), max(self._clocks)
            if low < _CLOCK * high:
                reasons.append(
                    Reason(f"the clock fell from {high:.0f} to {low:.0f} MHz", "clock", high / low)
                )
        if self._gpu is not None:
            gpu = self._gpu.stop()
            reasons.extend(gpu.reasons)
            facts["gpu"] = gpu.facts
        return Interference(tuple(reasons), facts)

    def _compare_times(self, reasons: list[Reason], facts: dict[str, Any]) -> None:
        before, after = self._times, self._read_times()
        if before is None or after is None or after.wall - before.wall < 0.1:
            return  # the system counts in hundredths of a second
        whole = (after.wall - before.wall) * len(self._cores)
        others = max((after.busy - before.busy) - (after.own - before.own), 0.0) / whole
        stolen = (after.stolen - before.stolen) / whole
        facts |= {"others": round(others, 3), "stolen": round(stolen, 4)}
        if others > _OTHERS:
            text = f"other processes used {100 * others:.0f} % of the CPU"
            reasons.append(Reason(text, "others", others))
        if stolen > _STOLEN:
            text = f"the hypervisor took {100 * stolen:.1f} % of the CPU"
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
        events: dict[str, float] = {}
        for pattern in _COUNTERS:
            for path in self._root.glob(pattern):
                value = read_number(path)
                if value is not None:
                    events[path.relative_to(self._root).as_posix()] = value
        return events

    def _new_events(self) -> dict[str, int]:
        """New events by counter; a package's count is repeated in each of its cores' folders."""
        events: dict[str, int] = {}
        for name, value in self._read_events().items():
            short = name.rpartition("/")[2]
            events[short] = max(events.get(short, 0), int(value - self._events.get(name, value)))
        return events

    def _cooling(self) -> Iterable[str]:
        for folder in self._root.glob("sys/class/thermal/cooling_device*"):
            kind = read_text(folder / "type")
            if kind and _SLOWS.search(kind) and (read_number(folder / "cur_state") or 0) > 0:
                yield kind

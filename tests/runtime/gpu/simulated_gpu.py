"""A GPU that is not there: memory, streams, events and graphs that catch what a real one would not tell.

Work that is queued is done as late as can be: only when somebody waits for it. Until then what a copy will
write is full of poison (0xFF: not a number as a float, 255 as a byte), so whoever reads too early reads
nonsense. Whatever is undefined on a real GPU is a ``Violation`` here.

On top of this are ``simulated_cudart``, ``simulated_pycuda`` and ``simulated_tensorrt``, which answer as the
packages of those names do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

POISON = 0xFF
_FIRST_DEVICE_ADDRESS = 0x7F00_0000_0000
_GAP = 1 << 20  # between two allocations, so that an overrun hits nothing


class Violation(AssertionError):  # noqa: N818
    """Something that is undefined, or silently wrong, on a real GPU."""


@dataclass(eq=False)
class Memory:
    """One allocation.

    Attributes:
        kind: ``device`` or ``pinned``.
        base: its address.
        seen_at: where the GPU sees pinned memory; None unless it is mapped.
    """

    kind: str
    base: int
    data: NDArray[np.uint8]
    seen_at: int | None = None
    freed: bool = False


@dataclass(eq=False)
class Work:
    """Something in a stream.

    Attributes:
        what: for messages.
        do: does it.
        milliseconds: how long it takes on the device's clock.
        uses: the memory that it reads or writes.
        check: called when it is queued, also as part of a graph; may return a check for when it is done.
        owner: the execution context that queued it, if one did.
    """

    what: str
    do: Callable[[], None]
    milliseconds: float = 0.0
    uses: tuple[Memory, ...] = ()
    check: Callable[[], Callable[[], None] | None] = lambda: None
    owner: object = None


@dataclass(eq=False)
class Stream:
    handle: int
    destroyed: bool = False
    queue: list[tuple[Work, Callable[[], None] | None]] = field(default_factory=list)
    capture: list[Work] | None = None
    captured_by: int = 0


@dataclass(eq=False)
class Event:
    blocking: bool
    destroyed: bool = False
    stream: Stream | None = None
    pending: bool = False
    passed_at: float | None = None


@dataclass(eq=False)
class Graph:
    """A captured graph, or what was made of one to be launched."""

    work: list[Work]
    launchable: bool
    destroyed: bool = False


class Refused(Exception):  # noqa: N818
    """What the simulated packages turn into their kind of error."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Gpu:
    """The device.

    Attributes:
        name, major, minor, integrated: what it says of itself.
        calls: the names of all calls, in order.
        late: do work when it is waited for; False: at once.
        violations: those found where raising is impossible.
        broken: what every call is refused with from now on, as after a launch that failed.
    """

    def __init__(self, integrated: bool = False) -> None:
        self.name, self.major, self.minor = "Simulated GPU", 8, 6
        self.integrated = integrated
        self.calls: list[str] = []
        self.late = True
        self.clock = 0.0
        self.violations: list[str] = []
        self.memories: list[Memory] = []
        self.streams: list[Stream] = []
        self.events: list[Event] = []
        self.graphs: list[Graph] = []
        self._next_address = _FIRST_DEVICE_ADDRESS
        self._failures: dict[str, tuple[int, str]] = {}
        self.last_error = "cudaSuccess"
        self.broken = ""

    # -- failures on request ---------------------------------------------------------------------------

    def fail(self, call: str, status: str, after: int = 0) -> None:
        """Let a call be refused, once, after it has been answered ``after`` times more."""
        self._failures[call] = (after, status)

    def called(self, call: str) -> None:
        """Note a call; raises ``Refused`` where the test requests it."""
        self.calls.append(call)
        if self.broken:
            raise Refused(self.broken)
        if call in self._failures:
            left, status = self._failures[call]
            if left:
                self._failures[call] = (left - 1, status)
                return
            del self._failures[call]
            self.last_error = status
            raise Refused(status)

    # -- memory ----------------------------------------------------------------------------------------

    def allocate(self, kind: str, nbytes: int, mapped: bool = False) -> Memory:
        self.forbid_in_capture(f"allocating {kind} memory")
        if nbytes <= 0:
            raise Violation(f"allocating {nbytes} bytes")
        data = np.full(nbytes, POISON, np.uint8)
        base = int(data.ctypes.data) if kind == "pinned" else self._address(nbytes)
        seen_at = self._address(nbytes) if mapped else None
        memory = Memory(kind, base, data, seen_at)
        self.memories.append(memory)
        return memory

    def _address(self, nbytes: int) -> int:
        address = self._next_address
        self._next_address += (nbytes + _GAP) // 512 * 512 + 512
        return address

    def free(self, memory: Memory) -> None:
        self.forbid_in_capture("freeing memory")
        if memory.freed:
            raise Violation(f"{memory.kind} memory was freed twice")
        for stream in self.streams:
            if any(memory in work.uses for work, _ in stream.queue):
                raise Violation(f"{memory.kind} memory was freed while work with it was under way")
        memory.freed = True
        memory.data[:] = POISON

    def at(self, address: int, nbytes: int, side: str) -> tuple[Memory, NDArray[np.uint8]]:
        """The bytes at an address, as ``device`` or ``host`` sees it.

        Raises:
            Violation: they are not all in one living allocation.
        """
        for memory in self.memories:
            base = memory.base if (memory.kind == "device") == (side == "device") else memory.seen_at
            if side == "host" and memory.kind == "device":
                base = None
            if base is None or not base <= address < base + len(memory.data) or memory.freed:
                continue
            start = address - base
            if start + nbytes > len(memory.data):
                raise Violation(f"{nbytes} bytes at {start} of {len(memory.data)}: past the end")
            return memory, memory.data[start : start + nbytes]
        raise Violation(f"{address:#x} is in no living memory that the {side} sees")

    # -- streams and events ----------------------------------------------------------------------------

    def new_stream(self) -> Stream:
        stream = Stream(handle=0x5000 + 16 * len(self.streams))
        self.streams.append(stream)
        return stream

    def stream_of(self, handle: int) -> Stream:
        for stream in self.streams:
            if stream.handle == handle and not stream.destroyed:
                return stream
        raise Violation(f"there is no living stream {handle:#x}; the default stream is not to be used")

    def destroy_stream(self, stream: Stream) -> None:
        self._alive(stream, "stream")
        if stream.queue or stream.capture is not None:
            raise Violation("a stream was destroyed with work in it")
        stream.destroyed = True

    def new_event(self, blocking: bool) -> Event:
        event = Event(blocking)
        self.events.append(event)
        return event

    def destroy_event(self, event: Event) -> None:
        self._alive(event, "event")
        if event.pending:
            raise Violation("an event was destroyed before it was passed")
        event.destroyed = True

    def enqueue(self, stream: Stream, work: Work) -> None:
        """Queue work, or note it where the stream is being captured."""
        self._alive(stream, "stream")
        if stream.capture is not None:
            if stream.captured_by != threading.get_ident():
                raise Violation(f"{work.what}: another thread is capturing this stream")
            stream.capture.append(work)
            return
        stream.queue.append((work, work.check()))
        if not self.late:
            self.run(stream)

    def run(self, stream: Stream, until: Event | None = None) -> None:
        """Do what is queued, up to an event's mark."""
        while stream.queue and (until is None or until.pending):
            work, check = stream.queue[0]
            for memory in work.uses:
                if memory.freed:
                    raise Violation(f"{work.what}: its memory is freed")
            if check is not None:
                check()
            self.clock += work.milliseconds
            work.do()
            del stream.queue[0]

    def record(self, event: Event, stream: Stream) -> None:
        self._alive(event, "event")
        if event.pending:
            raise Violation("an event was recorded again before it was passed")
        event.stream = stream

        def passed() -> None:
            event.pending, event.passed_at = False, self.clock

        def queued() -> None:
            event.pending, event.passed_at = True, None

        self.enqueue(stream, Work("event", passed, check=queued))

    def wait(self, event: Event) -> None:
        self._alive(event, "event")
        self.forbid_in_capture("waiting")
        if event.stream is None:
            raise Violation("waiting for an event that was never recorded: CUDA would not wait at all")
        if event.pending:
            self.run(event.stream, until=event)

    def synchronize(self, stream: Stream) -> None:
        self._alive(stream, "stream")
        self.forbid_in_capture("waiting")
        self.run(stream)

    def milliseconds(self, start: Event, end: Event) -> float:
        self._alive(start, "event")
        self._alive(end, "event")
        if start.stream is not end.stream:
            raise Violation("the events are of two streams")
        if start.passed_at is None or end.passed_at is None:
            raise Violation("the time is taken before the event is passed")
        return end.passed_at - start.passed_at

    # -- copies ----------------------------------------------------------------------------------------

    def copy(self, target: int, source: int, nbytes: int, to_device: bool, stream: Stream) -> None:
        """Queue a copy between pinned and device memory."""
        sides = ("device", "host") if to_device else ("host", "device")
        target_memory, target_bytes = self.at(target, nbytes, sides[0])
        source_memory, source_bytes = self.at(source, nbytes, sides[1])
        if nbytes <= 0:
            raise Violation(f"a copy of {nbytes} bytes")

        def do() -> None:
            target_bytes[:] = source_bytes

        def queued() -> Callable[[], None] | None:
            if not to_device:
                target_bytes[:] = POISON
                return None
            return self.unchanged(
                source_bytes, "pinned memory was written while a copy from it was under way"
            )

        what = f"copy {'to' if to_device else 'from'} the device"
        self.enqueue(stream, Work(what, do, nbytes / 1e6, (target_memory, source_memory), queued))

    def unchanged(self, data: NDArray[np.uint8], message: str) -> Callable[[], None]:
        """A check that bytes are still what they are now."""
        now = data.copy()

        def check() -> None:
            if not np.array_equal(now, data):
                raise Violation(message)

        return check

    # -- graphs ----------------------------------------------------------------------------------------

    def begin_capture(self, stream: Stream) -> None:
        self._alive(stream, "stream")
        self.forbid_in_capture("beginning a capture")
        stream.capture, stream.captured_by = [], threading.get_ident()

    def end_capture(self, stream: Stream) -> Graph:
        if stream.capture is None:
            raise Violation("a capture was ended that had not begun")
        work, stream.capture = stream.capture, None
        return self._graph(work, launchable=False)

    def instantiate(self, graph: Graph) -> Graph:
        self._alive(graph, "graph")
        if not graph.work:
            raise Violation("an empty graph")
        return self._graph(list(graph.work), launchable=True)

    def _graph(self, work: list[Work], launchable: bool) -> Graph:
        graph = Graph(work, launchable)
        self.graphs.append(graph)
        return graph

    def launch(self, graph: Graph, stream: Stream) -> None:
        self._alive(graph, "graph")
        if not graph.launchable:
            raise Violation("a graph was launched that was not made launchable")
        for work in graph.work:
            self.enqueue(stream, work)

    def destroy_graph(self, graph: Graph) -> None:
        self._alive(graph, "graph")
        if any(work in graph.work for stream in self.streams for work, _ in stream.queue):
            raise Violation("a graph was destroyed while it was under way")
        graph.destroyed = True

    # -- rules -----------------------------------------------------------------------------------------

    def forbid_in_capture(self, what: str) -> None:
        """Raise for what breaks a capture of this thread."""
        if any(s.capture is not None and s.captured_by == threading.get_ident() for s in self.streams):
            raise Violation(f"{what} while a capture is under way")

    def _alive(self, thing: Stream | Event | Graph, kind: str) -> None:
        if thing.destroyed:
            raise Violation(f"a {kind} is used that was destroyed")

    def left_over(self) -> dict[str, int]:
        """What was not released, by kind; what is left of zero is left out."""
        counts = {
            "device memory": sum(m.kind == "device" and not m.freed for m in self.memories),
            "pinned memory": sum(m.kind == "pinned" and not m.freed for m in self.memories),
            "streams": sum(not s.destroyed for s in self.streams),
            "events": sum(not e.destroyed for e in self.events),
            "graphs": sum(not g.destroyed for g in self.graphs),
        }
        return {kind: count for kind, count in counts.items() if count}

    def require_clean(self) -> None:
        """Raise unless everything was released and nothing was written afterwards."""
        if self.violations:
            raise Violation("; ".join(self.violations))
        if left := self.left_over():
            raise Violation(f"not released: {left}")
        for memory in self.memories:
            if memory.data.min() != POISON:
                raise Violation(f"{memory.kind} memory was written after it was freed")

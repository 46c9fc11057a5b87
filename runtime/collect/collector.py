"""Takes images into a set: measures each, keeps or refuses it, and counts."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dmdd_edge._version import __version__
from dmdd_edge.data.images import read_image
from dmdd_edge.data.quality import hint_of_bits
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.collect.faults import Fault
from dmdd_edge.runtime.collect.folder import SetFolder, Stored
from dmdd_edge.runtime.collect.good_set import GoodSet, Measured
from dmdd_edge.runtime.collect.position import Position
from dmdd_edge.runtime.collect.record import CameraFacts, FrameFacts, Mark, Nearest, PlaceFacts, Record
from dmdd_edge.runtime.collect.sketch import sketch_of
from dmdd_edge.runtime.collect.spread import Spread, seconds_of, spread_of
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import utc_time

#: Images that the page lists.
_NEWEST = 12


@dataclass(frozen=True)
class TakenImage:
    """A frame that was taken, and what became of it.

    Attributes:
        source: name of the frame, for a person.
        time: when it was grabbed, in seconds since 1970.
        number: its number in the set; None when it was refused.
        faults: what was noticed about it, the gravest first.
    """

    source: str
    time: float
    number: int | None
    faults: tuple[Fault, ...]

    @property
    def text(self) -> str:
        """What was noticed, in words; empty when nothing was."""
        return "; ".join(fault.text for fault in self.faults)


@dataclass(frozen=True)
class Counts:
    """What became of the frames that were taken.

    Attributes:
        images: in the set, with those of earlier calls.
        added: by this call.
        refused: by kind of fault.
        marked: kept with a mark, by kind of fault.
        unreadable: frames that could not be read.
    """

    images: int
    added: int
    refused: dict[str, int] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0


class Collector:
    """The set of a folder, and what comes to it; safe from several threads.

    Args:
        folder: held by this program.
        live: whether frames come from a camera or a stream.
        bits: of 16-bit files.
        accept: kinds of faults that do not refuse an image.
        camera: reads the camera's settings.

    Attributes:
        newest: the images that were kept or refused last, in order.
    """

    def __init__(
        self,
        folder: SetFolder,
        live: bool,
        bits: int = 16,
        accept: Collection[str] = (),
        camera: Callable[[], CameraFacts | None] = lambda: None,
    ) -> None:
        self._folder, self._live, self._bits = folder, live, bits
        self._accept, self._camera = frozenset(accept), camera
        self._lock = threading.RLock()
        self._set = GoodSet()
        self._times: list[float | None] = []
        self._marks: list[str | None] = []
        self._refused: Counter[str] = Counter()
        self._added = self._unreadable = 0
        self._doubtful: tuple[int, list[tuple[int, Fault]]] = (-1, [])
        self.newest: deque[TakenImage] = deque(maxlen=_NEWEST)

    def __len__(self) -> int:
        return len(self._set)

    def load(self, stored: Stored, on_image: Callable[[int, int], None]) -> None:
        """Take over what the folder holds.

        Args:
            stored: its records.
            on_image: called with the number of images read and of all.

        Raises:
            DataError: an image cannot be read.
        """
        for done, (number, record) in enumerate(stored.records.items(), 1):
            sketch = sketch_of(read_image(self._folder.image_path(number)))
            place, positions = record.place, self._set.positions
            if place is not None and place.reference == positions.reference:
                position: Position | None = Position(place.x, place.y, place.turn, place.match)
            else:
                position = positions.of(sketch)
            self._set.add(number, Measured(record.measures, sketch, position, (), None))
            self._times.append(seconds_of(record.time) if record.frame.live else None)
            self._marks.append(record.marks[0].kind if record.marks else None)
            on_image(done, len(stored.records))

    def offer(self, frame: Frame) -> TakenImage:
        """Measure a frame, and keep it unless something speaks against it.

        Raises:
            StorageError: it cannot be written.
        """
        with self._lock:
            measured = self._set.look_at(frame.image)
            refusing = next((f for f in measured.faults if f.refuses and f.kind not in self._accept), None)
            number = None
            if refusing is None:
                number = self._write(frame, measured)
            else:
                self._refused[refusing.kind] += 1
            faults = measured.faults
            if refusing is not None:  # what refuses it comes first, whatever --accept lets pass
                faults = (refusing, *(fault for fault in faults if fault is not refusing))
                if hint := hint_of_bits("too dark", frame.peak) if refusing.kind == "dark" else "":
                    hint = hint.replace("train with", "collect with")
                    faults = (Fault("dark", refusing.text + hint, refusing.weight), *faults[1:])
            taken = TakenImage(visible(frame.source), frame.time, number, faults)
            self.newest.append(taken)
            return taken

    def broken(self, frame: BrokenFrame) -> None:
        """Count a frame that could not be read."""
        with self._lock:
            self._unreadable += 1

    def undo(self) -> int | None:
        """Remove the image that was kept last; returns its number, None when this call has kept none."""
        with self._lock:
            if not self._added:
                return None
            number = self._set.members[-1].number
            self._folder.remove(number)
            self._set.remove_last()
            self._times.pop()
            self._marks.pop()
            self._added -= 1
            return number

    def counts(self) -> Counts:
        """The counts now."""
        with self._lock:
            marked = Counter(
                kind for kind in self._marks[len(self._marks) - self._added :] if kind is not None
            )
            return Counts(len(self._set), self._added, dict(self._refused), dict(marked), self._unreadable)

    def spread(self) -> Spread | None:
        """How varied the set is; None while it is empty."""
        with self._lock:
            return spread_of(self._set.members, self._times, self._set.positions.spread())

    def doubtful(self) -> list[tuple[int, Fault]]:
        """Images that the set would refuse today, unless their kind is kept."""
        with self._lock:
            return [
                (number, fault) for number, fault in self._set.doubtful() if fault.kind not in self._accept
            ]

    def doubtful_cached(self) -> list[tuple[int, Fault]]:
        """The same as of the last change of the set, for whoever asks twice a second."""
        with self._lock:
            if self._doubtful[0] != len(self._set):
                self._doubtful = (len(self._set), self.doubtful())
            return self._doubtful[1]

    def _write(self, frame: Frame, measured: Measured) -> int:
        number = self._folder.next_number()
        self._folder.write(self._record(number, frame, measured), frame.image)
        self._set.add(number, measured)
        self._times.append(frame.time if self._live else None)
        self._marks.append(measured.faults[0].kind if measured.faults else None)
        self._added += 1
        return number

    def _record(self, number: int, frame: Frame, measured: Measured) -> Record:
        place, reference = measured.position, self._set.positions.reference
        return Record(
            number=number,
            time=utc_time(frame.time),
            measures=measured.measures,
            frame=FrameFacts(
                source=visible(frame.source),
                name=visible(frame.name),
                index=frame.index,
                frame_id=frame.frame_id,
                device_time_ns=frame.device_time_ns,
                bits=None if frame.peak is None else self._bits,
                peak=frame.peak,
                live=self._live,
            ),
            camera=self._camera(),
            place=None
            if place is None or reference is None
            else PlaceFacts(
                reference=reference,
                x=round(place.x, 3),
                y=round(place.y, 3),
                turn=round(place.turn, 3),
                match=round(place.match, 4),
            ),
            nearest=None
            if measured.nearest is None
            else Nearest(number=measured.nearest[0], difference=round(measured.nearest[1], 3)),
            marks=tuple(
                Mark(kind=fault.kind, text=fault.text, weight=round(fault.weight, 3))
                for fault in measured.faults
            ),
            created_with=f"dmdd-edge {__version__}",
        )

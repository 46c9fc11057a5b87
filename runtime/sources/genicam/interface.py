"""What is used of a GenICam library: finding cameras, their features, and frames as the camera sent them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dmdd_edge.errors import SourceError

Kind = Literal["integer", "float", "boolean", "enumeration", "string", "command", "other"]


class InUseError(SourceError):
    """Another program controls the camera."""


@dataclass(frozen=True)
class Found:
    """A camera that answered a search.

    Attributes:
        serial: its serial number; the address if it does not name one.
        model: as the camera names it; may be empty.
        vendor: as the camera names it; may be empty.
        address: the IP address, or the place on the USB bus.
        transport: ``GigE Vision`` or ``USB3 Vision``.
        handle: what the driver opens it by.
    """

    serial: str
    model: str
    vendor: str
    address: str
    transport: str
    handle: Any = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.serial} ({' '.join(filter(None, [self.vendor, self.model]))}, {self.address})"


@dataclass(frozen=True)
class Feature:
    """A feature of a camera at one moment.

    Attributes:
        name: as the camera spells it.
        kind: of its value.
        value: None where nothing can be read, as of a command.
        writable: whether the camera accepts a value now.
        available: whether it has a meaning with the present settings.
        minimum: of a number; None if it is unlimited.
        maximum: of a number; None if it is unlimited.
        increment: of a number; None if every value is allowed.
        entries: of an enumeration, those that can be chosen now.
        unit: such as ``us``; may be empty.
    """

    name: str
    kind: Kind
    value: int | float | bool | str | None = None
    writable: bool = True
    available: bool = True
    minimum: float | None = None
    maximum: float | None = None
    increment: float | None = None
    entries: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class RawFrame:
    """A frame as the camera sent it.

    Attributes:
        data: the image's lines one after another.
        width: in pixels.
        height: in pixels.
        padding: bytes after each line that are not pixels.
        pixel_format: number of the format in the Pixel Format Naming Convention (PFNC).
        frame_id: the number that the camera gave it; None without one.
        timestamp_ns: the camera's clock at the exposure, in nanoseconds; None without one.
        problem: why it is not an image, such as lost packets; empty if it is complete.
    """

    data: bytes = field(repr=False)
    width: int
    height: int
    padding: int
    pixel_format: int
    frame_id: int | None = None
    timestamp_ns: int | None = None
    problem: str = ""


class GenicamCamera(Protocol):
    """An open camera. Features may be read, set and executed from any thread; frames come to one."""

    def names(self) -> list[str]:
        """The names of its features."""
        ...

    def feature(self, name: str) -> Feature | None:
        """A feature as the camera reports it now; None if it has no such feature.

        Raises:
            SourceError: the camera does not answer.
        """
        ...

    def set(self, feature: Feature, value: int | float | bool | str) -> None:
        """Set a feature to a value of its kind.

        Raises:
            SourceError: the camera refuses, or does not answer.
        """
        ...

    def execute(self, name: str) -> None:
        """Execute a command.

        Raises:
            SourceError: the camera refuses, or does not answer.
        """
        ...

    def start(self, keep_packet_size: bool) -> None:
        """Start the stream of frames.

        Args:
            keep_packet_size: leave GevSCPSPacketSize as it is, instead of choosing what the network carries.

        Raises:
            SourceError: the camera refuses, or does not answer.
        """
        ...

    def next(self, seconds: float) -> RawFrame | None:
        """Wait for a frame; None if none came in this time.

        Raises:
            SourceError: the stream broke.
        """
        ...

    def alive(self) -> bool:
        """Whether the camera still answers, and still obeys this program. May take a second."""
        ...

    def close(self) -> None:
        """Stop the stream and release the camera; no-op if that is done. It may be gone already."""
        ...


class GenicamDriver(Protocol):
    """A library that speaks to cameras.

    Attributes:
        name: of the library, as ``--genicam-driver`` spells it.
        version: of the library.
    """

    name: str
    version: str

    def find(self) -> list[Found]:
        """Search the networks and the USB buses of this machine. Takes about a second."""
        ...

    def open(self, found: Found) -> GenicamCamera:
        """Take control of a camera.

        Raises:
            InUseError: another program has it.
            SourceError: it does not answer.
        """
        ...

"""The driver viva-genicam: a wheel for x86-64 that needs no other software."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

from dmdd_edge.errors import BackendError, SourceError
from dmdd_edge.extras import install_command
from dmdd_edge.runtime.sources.genicam.interface import Feature, Found, InUseError, Kind, RawFrame

_SEARCH_MS = 500
#: Of the GigE Vision standard: the serial number, 16 bytes, and who controls the camera.
_SERIAL_REGISTER, _CONTROL_REGISTER = 0x00D8, 0x0A00
#: Failed requests in a row after which a camera counts as gone; each takes up to a second.
_LAST_CHANCES = 3
_KINDS: dict[str, Kind] = {
    "Integer": "integer",
    "IntConverter": "integer",
    "Float": "float",
    "Converter": "float",
    "Boolean": "boolean",
    "Enumeration": "enumeration",
    "StringReg": "string",
    "String": "string",
    "Command": "command",
}


class Viva:
    """Finds and opens cameras by viva-genicam.

    Raises:
        BackendError: it is not installed, or does not load.
    """

    name = "viva"

    def __init__(self) -> None:
        try:
            import viva_genicam
        except ModuleNotFoundError as error:
            if error.name != "viva_genicam":
                raise
            raise BackendError(
                "viva-genicam is not installed.", f"Install it: {install_command('genicam')}"
            ) from None
        except ImportError as error:  # a wheel for another system
            raise BackendError(
                f"viva-genicam does not load: {error}.", f"Install it again: {install_command('genicam')}"
            ) from None
        self._viva: Any = viva_genicam
        self.version = metadata.version("viva-genicam")
        self._serials: dict[tuple[str, str], str] = {}

    def find(self) -> list[Found]:
        """Search all networks, the loopback included, and USB."""
        found = []
        with _failures("The search for cameras failed"):
            # The loopback has simulated cameras only, and costs nothing.
            devices = self._viva.discover(timeout_ms=_SEARCH_MS, all=True)
        for device in devices:
            serial = self._serial(device)
            found.append(
                Found(serial, device.model or "", device.manufacturer or "", device.ip, "GigE Vision", device)
            )
        with suppress(self._viva.GenicamError):  # no USB in this machine or container
            for device in self._viva.discover_u3v():
                place = f"usb{device.bus}-{device.address}"
                serial = device.serial or place
                found.append(
                    Found(serial, device.model or "", device.manufacturer or "", place, "USB3 Vision", device)
                )
        return found

    def open(self, found: Found) -> Camera:
        """Take control of a camera."""
        connect = self._viva.connect_gige if found.transport == "GigE Vision" else self._viva.connect_u3v
        with _failures(f"Camera {found.serial} does not open"):
            return Camera(connect(found.handle))

    def _serial(self, device: Any) -> str:
        """The serial number of a GigE camera, which viva-genicam's search leaves out."""
        key = (device.mac, device.ip)
        if key not in self._serials:
            serial = ""
            with suppress(self._viva.GenicamError):
                # As a monitor it also reads from a camera that another program controls.
                camera = self._viva.connect_gige(device, monitor=True)
                try:
                    raw = camera.read_register(_SERIAL_REGISTER, 16)
                    serial = raw.partition(b"\0")[0].decode("latin-1").strip()
                    serial = serial or camera.get("DeviceSerialNumber").strip()
                finally:
                    camera.close()
            if not serial:
                return str(device.ip)  # not kept: it may answer the next time
            self._serials[key] = serial
        return self._serials[key]


class Camera:
    """A camera that viva-genicam opened."""

    def __init__(self, camera: Any) -> None:
        self._camera = camera
        self._stream: Any = None
        self._failed = 0
        self._nanoseconds = 1.0
        self._gige = camera.transport == "gige"

    def names(self) -> list[str]:
        """The names of its features, without registers behind them."""
        listed = [name for names in self._camera.categories().values() for name in names]
        return list(dict.fromkeys(listed)) or list(self._camera.nodes())

    def feature(self, name: str) -> Feature | None:
        """A feature, read from the camera rather than from the library's memory."""
        if self._camera.node_info(name) is None:
            return None
        with _failures(f"{name} cannot be read"):
            self._camera.invalidate(name)
            state = self._camera.feature_state(name)
        bounds = state.range
        return Feature(
            name,
            _KINDS.get(state.kind, "other"),
            state.value,
            writable=state.access in ("RW", "WO"),
            available=state.is_implemented and state.is_available,
            minimum=None if bounds is None else bounds.min,
            maximum=None if bounds is None else bounds.max,
            increment=None if bounds is None else bounds.inc,
            entries=tuple(state.enum_entries or ()),
            unit=state.unit or "",
        )

    def set(self, feature: Feature, value: int | float | bool | str) -> None:
        """Set a feature."""
        camera = self._camera
        setters = {
            "integer": camera.set_integer,
            "float": camera.set_float,
            "boolean": camera.set_bool,
            "enumeration": camera.set_enum,
            "string": camera.set_string,
        }
        with _failures(f"{feature.name} cannot be set to {value}"):
            setters[feature.kind](feature.name, value)

    def execute(self, name: str) -> None:
        """Execute a command."""
        with _failures(f"{name} failed"):
            # A trigger must not wait for the camera to report completion; a loaded user set must.
            self._camera.execute(name, wait=not name.startswith("Trigger"))

    def start(self, keep_packet_size: bool) -> None:
        """Start the stream."""
        from viva_genicam import GenicamError

        if self._gige:
            with suppress(GenicamError):
                ticks = self._camera.get_integer("GevTimestampTickFrequency")
                self._nanoseconds = 1e9 / ticks if ticks > 0 else 1.0
        with _failures("The stream does not start"):
            try:
                stream = self._camera.stream(
                    deliver_incomplete=True, auto_packet_size=self._gige and not keep_packet_size
                )
            except GenicamError:  # a camera that answers no test packet keeps its packet size
                stream = self._camera.stream(deliver_incomplete=True)
            self._stream = stream
            stream.__enter__()

    def next(self, seconds: float) -> RawFrame | None:
        """Wait for a frame."""
        from viva_genicam import TransportError

        try:
            frame = self._stream.next_frame(timeout_ms=max(round(1000 * seconds), 1))
        except TransportError as error:
            if "timeout" in str(error):
                return None
            raise SourceError(f"The stream broke: {error}.") from None
        if frame is None:
            raise SourceError("The stream ended.")
        ticks = frame.ts_dev
        return RawFrame(
            frame.payload(),
            frame.width,
            frame.height,
            frame.padding_x,
            frame.pixel_format_code,
            frame.block_id,
            None if ticks is None else round(ticks * self._nanoseconds),
            "" if frame.is_complete else _problem(frame),
        )

    def alive(self) -> bool:
        """Whether it answers and obeys; some lost answers in a row are forgiven."""
        from viva_genicam import GenicamError

        try:
            if self._gige:
                self._camera.read_register(_CONTROL_REGISTER, 4)
                if self._camera.control_state != "Held":
                    return False
            else:
                self._camera.invalidate("DeviceModelName")
                self._camera.get("DeviceModelName")
        except GenicamError:
            self._failed += 1
        else:
            self._failed = 0
        return self._failed < _LAST_CHANCES

    def close(self) -> None:
        """Stop and release it."""
        from viva_genicam import GenicamError

        stream, self._stream = self._stream, None
        with suppress(GenicamError):
            if stream is not None:
                stream.__exit__(None, None, None)
        with suppress(GenicamError):
            self._camera.close()


def _problem(frame: Any) -> str:
    if frame.missing_packets:
        return f"{frame.missing_packets} packets were lost"
    if frame.device_status is not None:
        return f"the camera reports error 0x{frame.device_status:04X}"
    return "its last packet was lost"


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Say what failed where the library raises."""
    from viva_genicam import GenicamError

    try:
        yield
    except GenicamError as error:
        if "ACCESS_DENIED" in str(error) and "control" in str(error):
            raise InUseError(
                f"{what}: another program controls it.",
                "Close that program. After a crash the camera is free within some seconds.",
            ) from None
        raise SourceError(f"{what}: {error}.", "Check its cable and its power.") from None

"""The driver Aravis 0.8, through PyGObject: of the system's packages on Debian, Ubuntu and a Jetson."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dmdd_edge.errors import BackendError, SourceError
from dmdd_edge.runtime.sources.genicam.interface import Feature, Found, InUseError, Kind, RawFrame

_FIX = "sudo apt install gir1.2-aravis-0.8 python3-gi (a virtual environment needs --system-site-packages)."
#: Room for frames that arrive while this program is busy.
_BUFFERS = 16
_KINDS: dict[str, Kind] = {
    "GcEnumeration": "enumeration",  # which is an integer, too
    "GcBoolean": "boolean",
    "GcCommand": "command",
    "GcString": "string",
    "GcInteger": "integer",
    "GcFloat": "float",
}
# Its list of devices is one for the whole process.
_lock = threading.Lock()


class Aravis:
    """Finds and opens cameras by Aravis.

    Raises:
        BackendError: it is not installed, or not visible to this Python.
    """

    name = "aravis"

    def __init__(self) -> None:
        try:
            import gi

            gi.require_version("Aravis", "0.8")
            from gi.repository import Aravis as Library
            from gi.repository import GLib
        except ImportError as error:
            reason = "PyGObject (gi) is not installed" if error.name == "gi" else str(error)
            raise BackendError(f"Aravis is not available: {reason}.", f"Install it: {_FIX}") from None
        except ValueError:
            raise BackendError("Aravis 0.8 is not installed.", f"Install it: {_FIX}") from None
        self._aravis, self._error = Library, GLib.Error
        self.version = "0.8"  # it says no more of itself

    def find(self) -> list[Found]:
        """Search all networks, the loopback included, and USB."""
        library = self._aravis
        with _lock:
            library.update_device_list()
            return [
                Found(
                    library.get_device_serial_nbr(number) or library.get_device_address(number) or "",
                    library.get_device_model(number) or "",
                    library.get_device_vendor(number) or "",
                    library.get_device_address(number) or "",
                    "USB3 Vision" if library.get_device_protocol(number) == "USB3Vision" else "GigE Vision",
                    library.get_device_id(number),
                )
                for number in range(library.get_n_devices())
                if library.get_device_protocol(number) in ("GigEVision", "USB3Vision")
            ]

    def open(self, found: Found) -> Camera:
        """Take control of a camera."""
        with _failures(self._error, f"Camera {found.serial} does not open"), _lock:
            camera = self._aravis.Camera.new(found.handle)
        if camera is None:
            raise SourceError(f"Camera {found.serial} does not open.", "Check its cable and its power.")
        if camera.is_gv_device() and not camera.get_device().is_controller():
            raise InUseError(
                f"Camera {found.serial} does not open: another program controls it.",
                "Close that program. After a crash the camera is free within some seconds.",
            )
        return Camera(self._aravis, self._error, camera)


class Camera:
    """A camera that Aravis opened."""

    def __init__(self, library: Any, error: type[Exception], camera: Any) -> None:
        self._aravis, self._error, self._camera = library, error, camera
        self._device = camera.get_device()
        self._stream: Any = None
        self._gone = threading.Event()
        # Comes from the thread that keeps the connection alive; it needs no main loop.
        self._signal = self._device.connect("control-lost", lambda device: self._gone.set())

    def names(self) -> list[str]:
        """The names of its features."""
        found: list[str] = []

        def walk(name: str) -> None:
            node = self._device.get_feature(name)
            if isinstance(node, self._aravis.GcCategory):
                for below in node.get_features():
                    walk(below)
            elif node is not None:
                found.append(name)

        walk("Root")
        return list(dict.fromkeys(found))

    def feature(self, name: str) -> Feature | None:
        """A feature as the camera reports it now."""
        node = self._device.get_feature(name)
        if node is None or not isinstance(node, self._aravis.GcFeatureNode):
            return None
        kind = self._kind(node)
        with _failures(self._error, f"{name} cannot be read"):
            available = bool(node.is_implemented() and node.is_available())
            modes = self._aravis.GcAccessMode
            mode = node.get_actual_access_mode()
            writable = mode in (modes.RW, modes.WO) and not node.is_locked()
            value = self._value(name, kind) if available and mode in (modes.RW, modes.RO) else None
            low = high = step = None
            if available:
                with suppress(self._error):  # a number need not have bounds
                    low, high, step = self._bounds(name, kind)
            entries: tuple[str, ...] = ()
            if kind == "enumeration":
                entries = tuple(entry.get_name() for entry in node.get_entries() if entry.is_available())
            unit = (node.get_unit() or "") if kind in ("integer", "float") else ""
        return Feature(name, kind, value, writable, available, low, high, step, entries, unit)

    def set(self, feature: Feature, value: int | float | bool | str) -> None:
        """Set a feature."""
        device = self._device
        setters = {
            "integer": device.set_integer_feature_value,
            "float": device.set_float_feature_value,
            "boolean": device.set_boolean_feature_value,
            "enumeration": device.set_string_feature_value,
            "string": device.set_string_feature_value,
        }
        with _failures(self._error, f"{feature.name} cannot be set to {value}"):
            setters[feature.kind](feature.name, value)

    def execute(self, name: str) -> None:
        """Execute a command."""
        device = self._device
        if device is None:
            raise SourceError(f"{name} failed: the camera is closed.")
        with _failures(self._error, f"{name} failed"):
            device.execute_command(name)

    def start(self, keep_packet_size: bool) -> None:
        """Start the stream."""
        with _failures(self._error, "The stream does not start"):
            if self._camera.is_gv_device() and keep_packet_size:
                self._camera.gv_set_packet_size_adjustment(self._aravis.GvPacketSizeAdjustment.NEVER)
            stream = self._camera.create_stream(None, None)
            if stream is None:
                raise SourceError("The stream does not start.", "Check the network of the camera.")
            size = self._camera.get_payload()
            for _ in range(_BUFFERS):
                stream.push_buffer(self._aravis.Buffer.new_allocate(size))
            self._stream = stream
            self._camera.start_acquisition()

    def next(self, seconds: float) -> RawFrame | None:
        """Wait for a frame."""
        stream = self._stream
        buffer = stream.timeout_pop_buffer(round(1e6 * seconds))
        if buffer is None:
            return None
        try:
            statuses = self._aravis.BufferStatus
            status = buffer.get_status()
            complete = status == statuses.SUCCESS
            problem = "" if complete else f"its transfer ended with: {_word(status)}"
            return RawFrame(
                buffer.get_data() if complete else b"",
                buffer.get_image_width() if complete else 0,
                buffer.get_image_height() if complete else 0,
                buffer.get_image_padding().x_padding if complete else 0,
                buffer.get_image_pixel_format() & 0xFFFFFFFF if complete else 0,
                buffer.get_frame_id(),
                buffer.get_timestamp() or None,
                problem,
            )
        finally:
            stream.push_buffer(buffer)

    def alive(self) -> bool:
        """Whether it answers and obeys; Aravis asks it in the background."""
        return not self._gone.is_set()

    def close(self) -> None:
        """Stop and release it."""
        if self._camera is None:
            return
        stream, camera, device = self._stream, self._camera, self._device
        self._stream = None
        with suppress(self._error):
            if stream is not None and not self._gone.is_set():
                camera.stop_acquisition()
        with suppress(self._error, TypeError):
            device.disconnect(self._signal)
        # The last reference releases the sockets and the control of the camera.
        self._camera = self._device = None
        del stream, device, camera

    def _kind(self, node: Any) -> Kind:
        for name, kind in _KINDS.items():
            interface = getattr(self._aravis, name, None)
            if interface is not None and isinstance(node, interface):
                return kind
        return "other"

    def _value(self, name: str, kind: Kind) -> int | float | bool | str | None:
        device = self._device
        if kind == "integer":
            return int(device.get_integer_feature_value(name))
        if kind == "float":
            return float(device.get_float_feature_value(name))
        if kind == "boolean":
            return bool(device.get_boolean_feature_value(name))
        if kind in ("enumeration", "string"):
            return str(device.get_string_feature_value(name))
        return None

    def _bounds(self, name: str, kind: Kind) -> tuple[float | None, float | None, float | None]:
        device = self._device
        if kind == "integer":
            bounds = device.get_integer_feature_bounds(name)
            return bounds.min, bounds.max, device.get_integer_feature_increment(name)
        if kind == "float":
            bounds = device.get_float_feature_bounds(name)
            return bounds.min, bounds.max, None
        return None, None, None


def _word(status: Any) -> str:
    return str(getattr(status, "value_nick", status)).replace("-", " ")


@contextmanager
def _failures(error: type[Exception], what: str) -> Iterator[None]:
    """Say what failed where the library raises."""
    try:
        yield
    except error as failure:
        reason = str(getattr(failure, "message", failure)).rstrip(".")
        raise SourceError(f"{what}: {reason}.", "Check its cable and its power.") from None

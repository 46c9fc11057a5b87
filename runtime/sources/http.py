"""Streams over http and https: MJPEG, or single images that are requested repeatedly."""

from __future__ import annotations

import threading
import time
from http.client import HTTPException, HTTPResponse

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.decoding import decode_bytes
from dmdd_edge.data.image_header import read_header
from dmdd_edge.data.images import to_uint8
from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.proxy import proxy_address
from dmdd_edge.runtime.sources.http_request import read_body, request, why
from dmdd_edge.runtime.sources.live_device import Device, LostError, damaged
from dmdd_edge.runtime.sources.multipart import NoImageError, PartReader
from dmdd_edge.runtime.sources.stream import FfmpegStream, reach
from dmdd_edge.runtime.sources.urls import host_label

#: Requests per second to a server of single images, unless --fps is lower.
SNAPSHOTS_PER_SECOND = 10.0
_MAX_BYTES = 64 << 20
_CONNECT = 2.0
#: Bytes that identify a body's format, and the image formats that cannot be mistaken for text.
_SNIFFED = 64
_UNMISTAKABLE = ("JPEG", "PNG", "WebP", "GIF")
_PAGES = ("text/", "application/json", "application/xml", "application/xhtml")


def http_device(url: str, timeout: float, fps: float | None = None) -> Device:
    """Choose the device for an address by what its server sends.

    Args:
        url: http:// or https://, which may contain user name and password (basic or digest).
        timeout: seconds until a response, and then each frame, must arrive.
        fps: requests per second for single images; None for ``SNAPSHOTS_PER_SECOND``.

    Raises:
        DmddError: the server is unreachable, rejects the request, or does not send images.
    """
    _reach(url, timeout)
    with request(url, timeout) as response:
        kind, length = response.headers.get_content_type(), response.headers["Content-Length"]
        if "Content-Type" not in response.headers:
            kind = "no content type"
        if kind.startswith("multipart/"):
            return MjpegStream(url, timeout)
        if kind.startswith("video/") and length is not None:
            # Read as a stream, it would restart at its end, forever.
            raise SourceError(
                f"{redacted(url)} is a video file, not a stream.",
                "Download it and pass the file to --source.",
            )
        first = b"" if kind.startswith("video/") else _first_bytes(response, redacted(url), timeout)
    # The content counts more than its declared type: many cameras declare none, or a wrong one.
    if first.lstrip().startswith(b"--"):
        return MjpegStream(url, timeout, named=False)
    header = read_header(memoryview(first))
    if kind.startswith("image/") or (header is not None and header.kind in _UNMISTAKABLE):
        return Snapshots(url, timeout, fps or SNAPSHOTS_PER_SECOND)
    if kind.startswith(_PAGES) or first.lstrip()[:1] in (b"<", b"{"):
        raise SourceError(
            f"{redacted(url)} is a page ({kind}), not a stream.",
            "Use the address of the stream itself, which the camera's manual states.",
        )
    return FfmpegStream(url, timeout)


def _reach(url: str, timeout: float) -> None:
    """See ``reach``; with a proxy, the proxy is reached."""
    reach(proxy_address() or url, min(_CONNECT, timeout))


def _first_bytes(response: HTTPResponse, name: str, timeout: float) -> bytes:
    """The beginning of a body: enough to distinguish images from pages."""
    data, deadline = b"", time.monotonic() + timeout
    try:
        while len(data) < _SNIFFED and (piece := response.read1(_SNIFFED)):
            data += piece
            if time.monotonic() > deadline:
                raise TimeoutError
    except (OSError, HTTPException) as error:
        raise SourceError(f"{name}: {why(error, timeout)}.", "Check the address.") from None
    return data


class _Images:
    """Shared by both kinds: JPEG bytes that are read and decoded in separate steps."""

    def __init__(self, url: str, timeout: float) -> None:
        self.name, self.label = redacted(url), host_label(url)
        self._url, self._timeout = url, timeout
        self._data = b""

    def retrieve(self) -> NDArray[np.uint8]:
        """Decode the image that was read."""
        if not self._data:
            raise damaged(self.name)
        try:
            return to_uint8(decode_bytes(self._data, f"{self.name}: a damaged frame").image)
        except DmddError as error:
            raise SourceError(error.message, "Check the network and the camera's load.") from None


class MjpegStream(_Images):
    """A series of JPEG images in one endless response (multipart/x-mixed-replace).

    Args:
        url: its address.
        timeout: seconds until the response, and then each image, must arrive.
        named: whether the response's header declares it.
    """

    def __init__(self, url: str, timeout: float, named: bool = True) -> None:
        super().__init__(url, timeout)
        self._named = named
        self._response: HTTPResponse | None = None
        self._parts: PartReader | None = None

    def open(self, stop: threading.Event) -> None:
        """Request it."""
        _reach(self._url, self._timeout)
        response = request(self._url, self._timeout)
        kind = response.headers.get_content_type()
        packed = response.headers.get("Content-Encoding", "identity").strip().lower()
        if (self._named and not kind.startswith("multipart/")) or packed not in ("identity", ""):
            response.close()
            what = kind if packed in ("identity", "") else f"a stream in {packed} compression"
            raise SourceError(
                f"{self.name} does not send an MJPEG stream (got {what}).",
                "Check the camera's stream settings and the address.",
            )
        boundary = response.headers.get_boundary() if self._named else None
        self._response = response
        self._parts = PartReader(response, boundary, _MAX_BYTES, self._timeout)

    def grab(self, stop: threading.Event) -> None:
        """Read the next image's bytes."""
        assert self._parts is not None
        try:
            self._data = self._parts.read()
        except NoImageError as error:
            raise LostError(
                f"{self.name}: receives data but no image: {error}",
                "Check in a browser that it shows images; the address may be of another kind of stream.",
            ) from None
        except ValueError as error:
            raise LostError(
                f"{self.name}: receives data but no image: {error}", "Check the camera's stream settings."
            ) from None
        except (OSError, HTTPException) as error:
            raise LostError(f"{self.name}: {why(error, self._timeout)}") from None

    def close(self) -> None:
        """Disconnect."""
        if self._response is not None:
            self._response.close()
            self._response = self._parts = None

    def detail(self) -> str:
        """The kind of stream."""
        return "MJPEG stream"


class Snapshots(_Images):
    """A single image, requested repeatedly: each response is a frame."""

    def __init__(self, url: str, timeout: float, fps: float) -> None:
        super().__init__(url, timeout)
        self.requests_per_second, self._next = fps, 0.0
        self._pending = False  # whether the image that opening fetched is still to be used

    def open(self, stop: threading.Event) -> None:
        """Fetch a first image, to check that it is available."""
        _reach(self._url, self._timeout)
        self._fetch()
        self._pending = True

    def grab(self, stop: threading.Event) -> None:
        """Fetch the next image when it is due."""
        if stop.wait(max(0.0, self._next - time.monotonic())):
            return
        self._next = time.monotonic() + 1 / self.requests_per_second
        if self._pending:
            self._pending = False
            return
        try:
            self._fetch()
        except DmddError as error:
            raise LostError(error.message.rstrip("."), error.fix) from None

    def close(self) -> None:
        """Do nothing: no connection stays open between two images."""

    def detail(self) -> str:
        """The rate of requests."""
        return f"single images, {self.requests_per_second:g} requests/s"

    def _fetch(self) -> None:
        try:
            with request(self._url, self._timeout) as response:
                self._data = read_body(response, _MAX_BYTES, self._timeout)
        except (OSError, HTTPException) as error:
            raise SourceError(f"{self.name}: {why(error, self._timeout)}.") from None

"""What comes over http and https: a row of JPEG pictures (MJPEG), or single ones, asked for repeatedly."""

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
from dmdd_edge.runtime.sources.device import Device, LostError, damaged
from dmdd_edge.runtime.sources.http_request import ask, read_body, why
from dmdd_edge.runtime.sources.multipart import NoImageError, PartReader
from dmdd_edge.runtime.sources.proxy import proxy_address
from dmdd_edge.runtime.sources.stream import FfmpegStream, reach
from dmdd_edge.runtime.sources.urls import host_label

#: Pictures a second that are asked for where only single ones are to be had, unless --fps says less.
SNAPSHOTS_A_SECOND = 10.0
_MAX_BYTES = 64 << 20
_CONNECT = 2.0
#: Bytes that tell what a body is, and the formats that are told apart from any text by them.
_TELLING = 64
_PLAIN_TO_SEE = ("JPEG", "PNG", "WebP", "GIF")
_PAGES = ("text/", "application/json", "application/xml", "application/xhtml")


def http_device(url: str, timeout: float, fps: float | None = None) -> Device:
    """The device for an address, by what its server says it sends.

    Args:
        url: http:// or https://, which may hold user name and password (basic or digest).
        timeout: seconds that an answer, and then each frame, may take.
        fps: how many single pictures a second to ask for; None for ``SNAPSHOTS_A_SECOND``.

    Raises:
        DmddError: the server cannot be reached, refuses, or sends something else than pictures.
    """
    _reach(url, timeout)
    with ask(url, timeout) as answer:
        kind, length = answer.headers.get_content_type(), answer.headers["Content-Length"]
        if "Content-Type" not in answer.headers:
            kind = "no content type"
        if kind.startswith("multipart/"):
            return MjpegStream(url, timeout)
        if kind.startswith("video/") and length is not None:
            # Read as a stream, it would begin again at its end, for ever.
            raise SourceError(
                f"{redacted(url)} is a video file, not a stream.", "Download it, and name the file."
            )
        first = b"" if kind.startswith("video/") else _first_bytes(answer, redacted(url), timeout)
    # What comes counts more than what the head calls it: many cameras name no kind, or a wrong one.
    if first.lstrip().startswith(b"--"):
        return MjpegStream(url, timeout, named=False)
    header = read_header(memoryview(first))
    if kind.startswith("image/") or (header is not None and header.kind in _PLAIN_TO_SEE):
        return Snapshots(url, timeout, fps or SNAPSHOTS_A_SECOND)
    if kind.startswith(_PAGES) or first.lstrip()[:1] in (b"<", b"{"):
        raise SourceError(
            f"{redacted(url)} is a page ({kind}), not a stream.",
            "Take the address of the stream itself; the camera's manual names it.",
        )
    return FfmpegStream(url, timeout)


def _reach(url: str, timeout: float) -> None:
    """See ``reach``; with a proxy, that is what must be reached."""
    reach(proxy_address() or url, min(_CONNECT, timeout))


def _first_bytes(answer: HTTPResponse, name: str, timeout: float) -> bytes:
    """The beginning of a body: enough of it to tell pictures from pages."""
    data, deadline = b"", time.monotonic() + timeout
    try:
        while len(data) < _TELLING and (piece := answer.read1(_TELLING)):
            data += piece
            if time.monotonic() > deadline:
                raise TimeoutError
    except (OSError, HTTPException) as error:
        raise SourceError(f"{name}: {why(error, timeout)}.", "Check the address.") from None
    return data


class _Pictures:
    """What both kinds share: JPEG bytes that are decoded apart from being read."""

    def __init__(self, url: str, timeout: float) -> None:
        self.name, self.label = redacted(url), host_label(url)
        self._url, self._timeout = url, timeout
        self._data = b""

    def retrieve(self) -> NDArray[np.uint8]:
        """Decode what was read."""
        if not self._data:
            raise damaged(self.name)
        try:
            return to_uint8(decode_bytes(self._data, f"{self.name}: a damaged frame").image)
        except DmddError as error:
            raise SourceError(error.message, "Check the network, and how busy the camera is.") from None


class MjpegStream(_Pictures):
    """A row of JPEG pictures in one answer without an end (multipart/x-mixed-replace).

    Args:
        url: its address.
        timeout: seconds that the answer, and then each picture, may take.
        named: whether the head of the answer says what it is.
    """

    def __init__(self, url: str, timeout: float, named: bool = True) -> None:
        super().__init__(url, timeout)
        self._named = named
        self._answer: HTTPResponse | None = None
        self._parts: PartReader | None = None

    def open(self, stop: threading.Event) -> None:
        """Ask for it."""
        _reach(self._url, self._timeout)
        answer = ask(self._url, self._timeout)
        kind = answer.headers.get_content_type()
        packed = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if (self._named and not kind.startswith("multipart/")) or packed not in ("identity", ""):
            answer.close()
            what = kind if packed in ("identity", "") else f"a stream in {packed} compression"
            raise SourceError(
                f"{self.name} does not send an MJPEG stream (got {what}).",
                "Check the camera's stream settings and the address.",
            )
        boundary = answer.headers.get_boundary() if self._named else None
        self._answer = answer
        self._parts = PartReader(answer, boundary, _MAX_BYTES, self._timeout)

    def grab(self, stop: threading.Event) -> None:
        """Read the next picture's bytes."""
        assert self._parts is not None
        try:
            self._data = self._parts.read()
        except NoImageError as error:
            raise LostError(
                f"{self.name}: receives data but no image: {error}",
                "Check in a browser that it shows pictures; the address may be of another kind of stream.",
            ) from None
        except ValueError as error:
            raise LostError(
                f"{self.name}: receives data but no image: {error}", "Check the camera's stream settings."
            ) from None
        except (OSError, HTTPException) as error:
            raise LostError(f"{self.name}: {why(error, self._timeout)}") from None

    def close(self) -> None:
        """Hang up."""
        if self._answer is not None:
            self._answer.close()
            self._answer = self._parts = None

    def detail(self) -> str:
        """How it comes."""
        return "a row of JPEG pictures (MJPEG)"


class Snapshots(_Pictures):
    """One picture, asked for again and again: each answer is a frame."""

    def __init__(self, url: str, timeout: float, fps: float) -> None:
        super().__init__(url, timeout)
        self._period, self._next = 1 / fps, 0.0
        self._at_hand = False  # whether the picture that opening asked for is still to be used

    def open(self, stop: threading.Event) -> None:
        """Ask for a first one, to see whether it is to be had."""
        _reach(self._url, self._timeout)
        self._fetch()
        self._at_hand = True

    def grab(self, stop: threading.Event) -> None:
        """Ask for the next one, when it is time."""
        if stop.wait(max(0.0, self._next - time.monotonic())):
            return
        self._next = time.monotonic() + self._period
        if self._at_hand:
            self._at_hand = False
            return
        try:
            self._fetch()
        except DmddError as error:
            raise LostError(error.message.rstrip("."), error.fix) from None

    def close(self) -> None:
        """Nothing is held between two pictures."""

    def detail(self) -> str:
        """How often it is asked for."""
        return f"single pictures, asked for {1 / self._period:g} times a second"

    def _fetch(self) -> None:
        try:
            with ask(self._url, self._timeout) as answer:
                self._data = read_body(answer, _MAX_BYTES, self._timeout)
        except (OSError, HTTPException) as error:
            raise SourceError(f"{self.name}: {why(error, self._timeout)}.") from None

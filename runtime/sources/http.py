"""What comes over http and https: a row of JPEG pictures (MJPEG), or single ones, asked for repeatedly."""

from __future__ import annotations

import ssl
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.parse import unquote, urlunsplit

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.addresses import redacted, split_address
from dmdd_edge.decoding import decode_bytes
from dmdd_edge.errors import DmddError
from dmdd_edge.images import to_uint8
from dmdd_edge.runtime.sources.device import Device, LostError, damaged
from dmdd_edge.runtime.sources.multipart import PartReader
from dmdd_edge.runtime.sources.stream import FfmpegStream, reach
from dmdd_edge.runtime.sources.urls import host_label

#: Pictures a second that are asked for where only single ones are to be had, unless --fps says less.
SNAPSHOTS_A_SECOND = 10.0
_MAX_BYTES = 64 << 20
_CONNECT = 2.0


def http_device(url: str, timeout: float, fps: float | None = None) -> Device:
    """The device for an address, by what its server says it sends.

    Args:
        url: http:// or https://, which may hold user name and password (basic or digest).
        timeout: seconds that an answer, and then each frame, may take.
        fps: how many single pictures a second to ask for; None for ``SNAPSHOTS_A_SECOND``.

    Raises:
        DmddError: the server cannot be reached, refuses, or sends something else than pictures.
    """
    reach(url, min(_CONNECT, timeout))
    with _ask(url, timeout) as answer:
        kind, length = answer.headers.get_content_type(), answer.headers["Content-Length"]
        if answer.headers.get_content_maintype() == "multipart":
            return MjpegStream(url, timeout)
        if answer.headers.get_content_maintype() == "image":
            return Snapshots(url, timeout, fps or SNAPSHOTS_A_SECOND)
    if kind.startswith("video/") and length is not None:
        # Read as a stream, it would begin again at its end, for ever.
        raise DmddError(f"{redacted(url)} is a video file, not a stream.", "Fetch it, and name the file.")
    if kind.startswith("text/"):
        raise DmddError(
            f"{redacted(url)} is a page ({kind}), not a stream.",
            "Take the address of the stream itself; the camera's manual names it.",
        )
    return FfmpegStream(url, timeout)


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
            raise DmddError(error.message, "Check the network, and how busy the camera is.") from None


class MjpegStream(_Pictures):
    """A row of JPEG pictures in one answer without an end (multipart/x-mixed-replace)."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, timeout)
        self._answer: HTTPResponse | None = None
        self._parts: PartReader | None = None

    def open(self, stop: threading.Event) -> None:
        """Ask for it."""
        reach(self._url, min(_CONNECT, self._timeout))
        answer = _ask(self._url, self._timeout)
        boundary = answer.headers.get_boundary()
        if answer.headers.get_content_maintype() != "multipart" or boundary is None:
            answer.close()
            raise DmddError(f"{self.name} sends {answer.headers.get_content_type()} now, no row of pictures.")
        self._answer, self._parts = answer, PartReader(answer, boundary, _MAX_BYTES)

    def grab(self, stop: threading.Event) -> None:
        """Read the next picture's bytes."""
        assert self._parts is not None
        try:
            self._data = self._parts.read()
        except (OSError, HTTPException, ValueError) as error:
            raise LostError(f"{self.name}: {_why(error, self._timeout)}") from None

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

    def open(self, stop: threading.Event) -> None:
        """Ask for a first one, to see whether it is to be had."""
        reach(self._url, min(_CONNECT, self._timeout))
        self._fetch()

    def grab(self, stop: threading.Event) -> None:
        """Ask for the next one, when it is time."""
        if stop.wait(max(0.0, self._next - time.monotonic())):
            return
        self._next = time.monotonic() + self._period
        try:
            self._fetch()
        except DmddError as error:
            raise LostError(error.message) from None

    def close(self) -> None:
        """Nothing is held between two pictures."""

    def detail(self) -> str:
        """How often it is asked for."""
        return f"single pictures, asked for {1 / self._period:g} times a second"

    def _fetch(self) -> None:
        try:
            with _ask(self._url, self._timeout) as answer:
                self._data = answer.read(_MAX_BYTES)
        except (OSError, HTTPException) as error:
            raise DmddError(f"{self.name}: {_why(error, self._timeout)}.") from None


def _ask(url: str, timeout: float) -> HTTPResponse:
    """Send a request, and read the head of the answer."""
    name = redacted(url)
    parts = split_address(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    # A camera stands in the plant's own network, where no proxy helps.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if parts.username is not None:
        logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        logins.add_password(None, bare, unquote(parts.username), unquote(parts.password or ""))
        handlers += [
            urllib.request.HTTPBasicAuthHandler(logins),
            urllib.request.HTTPDigestAuthHandler(logins),
        ]
    opener = urllib.request.build_opener(*handlers)
    try:
        return cast(HTTPResponse, opener.open(bare, timeout=timeout))
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(name, error.code, parts.username is not None) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise DmddError(
                f"{name}: no secure connection: {error.reason}.",
                "Have the camera's certificate trusted (SSL_CERT_FILE), or use http://.",
            ) from None
        raise DmddError(f"{name}: {_why(error.reason, timeout)}.", "Check the address.") from None
    except (OSError, HTTPException, ValueError) as error:
        raise DmddError(f"{name}: {_why(error, timeout)}.", "Check the address.") from None


def _refused(name: str, status: int, with_login: bool) -> DmddError:
    if status == 401 and not with_login:
        return DmddError(f"{name}: the server asks for a user name.", "Give http://USER:PASSWORD@HOST/PATH.")
    if status in (401, 403):
        return DmddError(
            f"{name}: the server does not let this user in ({status}).", "Check name and password."
        )
    if status == 404:
        return DmddError(f"{name}: the server has no such stream (404).", "Check the path of the address.")
    return DmddError(f"{name}: the server refuses ({status}).", "Check that a browser shows it.")


def _why(error: object, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {timeout:g} s"
    return f"the connection broke off ({redacted(str(error)) or type(error).__name__})"

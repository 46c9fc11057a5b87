"""Why an RTSP server rejects a stream: FFmpeg knows, but OpenCV does not pass it on."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from urllib.parse import urlunsplit

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.addresses import redacted, split_address

#: The fix for a stream that fails for an unknown reason.
PLAYS = "Check that it plays elsewhere, for example with ffplay."


def refusal(url: str, timeout: float) -> DmddError:
    """The error for a stream that FFmpeg cannot open although its server is reachable.

    Args:
        url: its address.
        timeout: seconds until the server must respond.
    """
    name = redacted(url)
    status = describe(url, min(timeout, 2.0)) if url.lower().startswith("rtsp://") else None
    if status == 401:
        # The status of a request without a password; a password that was given was rejected, too.
        if split_address(url).username is None:
            return SourceError(
                f"{name}: the server requires a user name.", "Use rtsp://USER:PASSWORD@HOST/PATH."
            )
        return SourceError(f"{name}: the server rejected this user name and password.", "Check both.")
    if status == 404:
        return SourceError(f"{name}: the server has no such stream (404).", "Check the path of the address.")
    if status is not None and status >= 400:
        return SourceError(f"{name}: the server rejected the stream ({status}).", PLAYS)
    return SourceError(f"{name}: no video within {timeout:g} s.", PLAYS)


def describe(url: str, timeout: float) -> int | None:
    """Request a stream's description without a password: the status, or None without a response."""
    parts = split_address(url)
    host = parts.hostname or ""
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    request = f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    with (
        suppress(OSError, UnicodeError),
        socket.create_connection((host, parts.port or 554), timeout) as server,
    ):
        server.settimeout(timeout)
        server.sendall(request.encode("ascii"))
        match = re.match(rb"RTSP/1\.\d (\d{3})", server.recv(1024))
        return int(match[1]) if match else None
    return None

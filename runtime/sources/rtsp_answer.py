"""Why an RTSP server does not give a stream: FFmpeg knows, and OpenCV does not pass it on."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from urllib.parse import urlunsplit

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.addresses import redacted, split_address

#: What to do about a stream that cannot be had for no reason that is known.
PLAYS = "Check that it plays elsewhere, for example with ffplay."


def refusal(url: str, timeout: float) -> DmddError:
    """The error of a stream that FFmpeg cannot open although its server can be reached.

    Args:
        url: its address.
        timeout: seconds that the server may take to answer.
    """
    name = redacted(url)
    status = describe(url, min(timeout, 2.0)) if url.lower().startswith("rtsp://") else None
    if status == 401:
        # Asked without a password; whoever gave one was turned away with it.
        if split_address(url).username is None:
            return SourceError(
                f"{name}: the server asks for a user name.", "Give rtsp://USER:PASSWORD@HOST/PATH."
            )
        return SourceError(f"{name}: the server does not take this user name and password.", "Check both.")
    if status == 404:
        return SourceError(f"{name}: the server has no such stream (404).", "Check the path of the address.")
    if status is not None and status >= 400:
        return SourceError(f"{name}: the server refuses the stream ({status}).", PLAYS)
    return SourceError(f"{name}: no video came within {timeout:g} s.", PLAYS)


def describe(url: str, timeout: float) -> int | None:
    """Ask an RTSP server for a stream's description, without a password: the status, None when none came."""
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
        found = re.match(rb"RTSP/1\.\d (\d{3})", server.recv(1024))
        return int(found[1]) if found else None
    return None

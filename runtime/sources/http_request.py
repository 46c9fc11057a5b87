"""Requests to cameras: logins, redirects, refusals, bodies, and what an error of the connection means."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
import zlib
from http.client import BadStatusLine, HTTPException, HTTPResponse
from typing import cast
from urllib.parse import unquote, urlunsplit

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.messages.addresses import redacted, split_address
from dmdd_edge.runtime.sources.proxy import proxy_address
from dmdd_edge.runtime.sources.timed_http import timed_handlers


def ask(url: str, timeout: float) -> HTTPResponse:
    """Send a request, follow redirects, and read the head of the answer.

    Args:
        url: http:// or https://, which may hold user name and password (basic or digest).
        timeout: seconds that connecting, the head of the answer, and then each piece of it may take.

    Raises:
        DmddError: the server cannot be reached or refuses.
    """
    name = redacted(url)
    parts = split_address(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    proxy = proxy_address()
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler(proxies), *timed_handlers()]
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
        raise _refused(name, error, parts.username is not None) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise SourceError(
                f"{name}: no secure connection: {error.reason}.",
                "Have the camera's certificate trusted (SSL_CERT_FILE), or use http://.",
            ) from None
        raise SourceError(f"{name}: {why(error.reason, timeout)}.", "Check the address.") from None
    except (OSError, HTTPException) as error:
        raise SourceError(f"{name}: {why(error, timeout)}.", "Check the address.") from None
    except Exception as error:  # urllib stumbles over what servers write in many ways, and a run must go on
        if isinstance(error, ValueError) and "igest" in str(error):  # no MD5 or SHA, neither basic nor digest
            raise SourceError(
                f"{name}: the server asks for a kind of login that is not supported.",
                "Set the camera to basic or digest (MD5) authentication.",
            ) from None
        raise SourceError(
            f"{name}: the answer has a damaged head ({redacted(str(error)) or type(error).__name__}).",
            "Check the camera's login and redirect settings, and the address.",
        ) from None


def read_body(answer: HTTPResponse, limit: int, seconds: float) -> bytes:
    """The body of an answer, unpacked when the server packed it unasked.

    Args:
        answer: its head was read.
        limit: bytes that are read at most, and that it may have when it is unpacked.
        seconds: in which the whole body must come.

    Raises:
        OSError: it did not come, or not in time.
        HTTPException: the connection ended before the length that the head names.
    """
    data, deadline = bytearray(), time.monotonic() + seconds
    while len(data) < limit and (piece := answer.read1(min(1 << 16, limit - len(data)))):
        data += piece
        if time.monotonic() > deadline:
            raise TimeoutError
    if answer.length:
        raise ConnectionError("the server ended the answer early")
    packed = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if packed in ("gzip", "x-gzip", "deflate"):
        try:
            return zlib.decompressobj(wbits=47 if "gzip" in packed else 15).decompress(bytes(data), limit)
        except zlib.error:
            raise ConnectionError(f"its {packed} compression is damaged") from None
    return bytes(data)


def _refused(name: str, error: urllib.error.HTTPError, with_login: bool) -> DmddError:
    status = error.code
    if status == 401 and not with_login:
        return SourceError(
            f"{name}: the server asks for a user name.", "Give http://USER:PASSWORD@HOST/PATH."
        )
    if status in (401, 403):
        return SourceError(
            f"{name}: the server does not let this user in ({status}).", "Check name and password."
        )
    if status == 404:
        return SourceError(f"{name}: the server has no such stream (404).", "Check the path of the address.")
    if 300 <= status < 400:
        return SourceError(
            f"{name}: the server redirects in a circle, or to an address that cannot be followed ({status}).",
            "Name the address where the pictures are.",
        )
    return SourceError(f"{name}: the server refuses ({status}).", "Check that a browser shows it.")


def why(error: object, timeout: float) -> str:
    """What an error of the connection means, for a message."""
    if isinstance(error, TimeoutError):
        return f"nothing came for {timeout:g} s"
    if isinstance(error, BadStatusLine) and not isinstance(error, OSError):  # RemoteDisconnected is both
        return "the answer is not HTTP"
    return f"the connection broke off ({redacted(str(error)) or type(error).__name__})"

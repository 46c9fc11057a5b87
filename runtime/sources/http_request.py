"""Requests to cameras: logins, redirects, rejections, bodies, and the meaning of connection errors."""

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
from dmdd_edge.proxy import proxy_address
from dmdd_edge.runtime.sources.timed_http import timed_handlers


def request(url: str, timeout: float) -> HTTPResponse:
    """Send a request, follow redirects, and read the header of the response.

    Args:
        url: http:// or https://, which may contain user name and password (basic or digest).
        timeout: seconds that connecting, the header, and then each piece of the body may take.

    Raises:
        DmddError: the server is unreachable or rejects the request.
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
                "Add the camera's certificate to the trusted ones (SSL_CERT_FILE), or use http://.",
            ) from None
        raise SourceError(f"{name}: {why(error.reason, timeout)}.", "Check the address.") from None
    except (OSError, HTTPException) as error:
        raise SourceError(f"{name}: {why(error, timeout)}.", "Check the address.") from None
    except Exception as error:  # urllib fails on malformed responses in many ways, and a run must continue
        if isinstance(error, ValueError) and "igest" in str(error):  # no MD5 or SHA
            raise SourceError(
                f"{name}: the server requires an unsupported kind of login.",
                "Set the camera to basic or digest (MD5) authentication.",
            ) from None
        raise SourceError(
            f"{name}: the response has a malformed header ({redacted(str(error)) or type(error).__name__}).",
            "Check the camera's login and redirect settings, and the address.",
        ) from None


def read_body(response: HTTPResponse, limit: int, seconds: float) -> bytes:
    """Read the body of a response, decompressed if the server compressed it unasked.

    Args:
        response: whose header was read.
        limit: most bytes, both read and decompressed.
        seconds: until the whole body must have arrived.

    Raises:
        OSError: it did not arrive, or not in time.
        HTTPException: the connection ended before the declared length.
    """
    data, deadline = bytearray(), time.monotonic() + seconds
    while len(data) < limit and (piece := response.read1(min(1 << 16, limit - len(data)))):
        data += piece
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:
        raise ConnectionError("the server ended the response early")
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed in ("gzip", "x-gzip", "deflate"):
        try:
            return zlib.decompressobj(wbits=47 if "gzip" in packed else 15).decompress(bytes(data), limit)
        except zlib.error:
            raise ConnectionError(f"its {packed} compression is damaged") from None
    return bytes(data)


def _refused(name: str, error: urllib.error.HTTPError, with_login: bool) -> DmddError:
    status = error.code
    if status == 401 and not with_login:
        return SourceError(f"{name}: the server requires a user name.", "Use http://USER:PASSWORD@HOST/PATH.")
    if status in (401, 403):
        return SourceError(
            f"{name}: the server denies this user access ({status}).", "Check user name and password."
        )
    if status == 404:
        return SourceError(f"{name}: the server has no such stream (404).", "Check the path of the address.")
    if 300 <= status < 400:
        return SourceError(
            f"{name}: the server redirects in a circle, or to an unsupported address ({status}).",
            "Use the final address of the images.",
        )
    return SourceError(
        f"{name}: the server rejected the request ({status}).", "Check that a browser shows it."
    )


def why(error: object, timeout: float) -> str:
    """The meaning of a connection error, for a message."""
    if isinstance(error, TimeoutError):
        return f"no data for {timeout:g} s"
    if isinstance(error, BadStatusLine) and not isinstance(error, OSError):  # RemoteDisconnected is both
        return "the response is not HTTP"
    return f"the connection was lost ({redacted(str(error)) or type(error).__name__})"

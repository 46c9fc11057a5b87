"""A web server as a store: read only, by plain requests with ranges, through no proxy that nobody chose."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, cast
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from dmdd_edge._version import __version__
from dmdd_edge.errors import DmddError, FleetError
from dmdd_edge.fleet.index import read_index
from dmdd_edge.fleet.store import Bytes, NotThere
from dmdd_edge.messages.addresses import redacted, split_address
from dmdd_edge.proxy import proxy_address

#: Seconds that connecting, the header, and then each piece of the body may take.
TIMEOUT = 30.0

_NOT_THERE = (404, 410)
_CHECK = "Check the address, and that the server is up."


class HttpStore:
    """A web server as a store. It cannot be listed: ``index.json`` says what there is.

    Args:
        url: http:// or https://, which may contain user name and password, and a query that each request
            repeats.

    Raises:
        DmddError: the address cannot be read.
    """

    def __init__(self, url: str) -> None:
        parts = split_address(url)
        self.name = redacted(urlunsplit(parts._replace(query="", fragment=""))).rstrip("/")
        if not parts.hostname:
            raise FleetError(f"{self.name} names no host.", "Write http://HOST/FOLDER.")
        self._parts = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
        proxy = proxy_address()
        proxies = {} if proxy is None else {"http": proxy, "https": proxy}
        logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if parts.username is not None:
            root = urlunsplit(self._parts._replace(path="/", query=""))
            logins.add_password(None, root, unquote(parts.username), unquote(parts.password or ""))
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies),
            urllib.request.HTTPBasicAuthHandler(logins),
            urllib.request.HTTPDigestAuthHandler(logins),
            _SameServer(),
        ).open

    def read(self, path: str, limit: int) -> bytes | None:
        """See ``Store``."""
        with self._request(path) as response:
            if response is None:
                return None
            data = _Reader(response, self._where(path)).read_all(limit + 1)
        if len(data) > limit:
            raise FleetError(f"{self._where(path)} is larger than {limit:,} bytes.", "Push it again.")
        return data

    @contextmanager
    def opened(self, path: str, start: int) -> Iterator[tuple[int, Bytes]]:
        """See ``Store``."""
        with self._request(path, start) as response:
            if response is None:
                raise NotThere(f"{self.name} does not have the file {path}.", "Push the version again.")
            partial = response.status == 206 and _begins_at(response, start)
            yield start if partial else 0, _Reader(response, self._where(path))

    def versions(self, category: str | None = None) -> dict[str, list[str]]:
        """See ``Store``."""
        found = read_index(self)
        if found is None:
            raise FleetError(
                f"{self.name} has no index.json, and a web server cannot be listed.",
                "Write it with `dmdd-edge models push` to the folder that the server shows, or name one "
                "category with --category.",
            )
        return {name: names for name, names in found.items() if category in (None, name)}

    def _where(self, path: str) -> str:
        return f"{self.name}/{path}"

    @contextmanager
    def _request(self, path: str, start: int = 0) -> Iterator[HTTPResponse | None]:
        url = urlunsplit(self._parts._replace(path=f"{self._parts.path.rstrip('/')}/{quote(path)}"))
        headers = {"User-Agent": f"dmdd-edge/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            response = cast(
                HTTPResponse, self._open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
            )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and start:  # the file is shorter now
                with self._request(path) as whole:
                    yield whole
                return
            if error.code not in _NOT_THERE:
                raise self._refused(path, error.code) from None
            yield None
            return
        except Exception as error:  # urllib fails on malformed responses in many ways
            raise self._lost(path, error) from None
        with response:
            yield response

    def _refused(self, path: str, status: int) -> DmddError:
        what = f"{self._where(path)} cannot be read: the server answers {status}"
        if status in (401, 403):
            return FleetError(f"{what}.", "Check user and password: http://USER:PASSWORD@HOST/FOLDER.")
        if 300 <= status < 400:
            return FleetError(f"{what}, a redirection to another server.", "Use the address of that server.")
        return FleetError(f"{what}.", _CHECK)

    def _lost(self, path: str, error: Exception) -> DmddError:
        return FleetError(f"{self._where(path)} cannot be read: {why(error)}.", _CHECK)


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only within the server: another one gets no password, and has no say."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Reader:
    def __init__(self, response: HTTPResponse, where: str) -> None:
        self._response, self._where = response, where

    def read(self, count: int, /) -> bytes:
        try:
            return self._response.read(count)
        except (OSError, HTTPException, ValueError) as error:
            raise FleetError(f"{self._where} cannot be read to its end: {why(error)}.", _CHECK) from None

    def read_all(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count and (piece := self.read(count - len(data))):
            data += piece
        return bytes(data)


def _begins_at(response: HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").replace("bytes=", "bytes ").startswith(f"bytes {start}-")


def why(error: BaseException) -> str:
    """The meaning of a connection error, for a message."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no data for {TIMEOUT:g} s"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message}); set SSL_CERT_FILE to trust yours"
    text = redacted(str(reason)).strip(" .")
    return f"the connection failed ({text or type(reason).__name__})"

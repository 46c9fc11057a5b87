"""Connections whose response must begin in time, even if its header arrives byte by byte."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from contextlib import suppress

#: Seconds for a connection without a timeout, which ``request`` never opens.
_PATIENCE = 60.0


class _Timed(http.client.HTTPConnection):
    """Times out when the header of the response is not complete within ``timeout``.

    A socket's own timeout restarts with each byte.
    """

    def getresponse(self) -> http.client.HTTPResponse:
        """Read the header of the response.

        Raises:
            TimeoutError: it did not arrive in time.
        """
        late, connected = threading.Event(), self.sock

        def cut() -> None:
            late.set()
            with suppress(OSError):
                # A TLS connection's own shutdown must not be called from another thread.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

        timer = threading.Timer(self.timeout or _PATIENCE, cut)
        timer.daemon = True
        timer.start()
        try:
            response = super().getresponse()
        except (OSError, http.client.HTTPException):
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        if late.is_set():  # a truncated header looks like a short one
            response.close()
            raise TimeoutError
        return response


class _TimedTls(_Timed, http.client.HTTPSConnection):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Timed, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TimedTls, request)


def timed_handlers() -> list[urllib.request.BaseHandler]:
    """The handlers that make an opener use such connections."""
    return [_Http(), _Https()]

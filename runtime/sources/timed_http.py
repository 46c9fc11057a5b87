"""Connections whose answer must begin in time, also where its head drips in byte by byte."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from contextlib import suppress

#: Seconds for a connection without a timeout, which ``ask`` never makes.
_PATIENCE = 60.0


class _Timed(http.client.HTTPConnection):
    """One that gives up when the head of the answer is not complete within ``timeout``.

    A socket's own timeout starts again with each byte.
    """

    def getresponse(self) -> http.client.HTTPResponse:
        """Read the head of the answer.

        Raises:
            TimeoutError: it did not come in time.
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
            answer = super().getresponse()
        except (OSError, http.client.HTTPException):
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        if late.is_set():  # a head that was cut looks like a short one
            answer.close()
            raise TimeoutError
        return answer


class _TimedTls(_Timed, http.client.HTTPSConnection):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Timed, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TimedTls, request)


def timed_handlers() -> list[urllib.request.BaseHandler]:
    """What makes an opener use such connections."""
    return [_Http(), _Https()]

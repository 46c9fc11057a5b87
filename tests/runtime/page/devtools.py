"""The DevTools protocol of Chromium over one web socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

#: The longest an answer takes, in seconds; a command asks nothing of the page's server.
ANSWER = 30.0


class Link:
    """Commands to the browser, or to one of its tabs.

    Args:
        address: of the web socket.
        note: called with the name and the parameters of each event.
    """

    def __init__(self, address: str, note: Callable[[str, dict[str, Any]], None] | None = None) -> None:
        from websockets.sync.client import connect

        self._note = note or (lambda method, params: None)
        self._number = 0
        # Nobody reads a tab while another one is looked at, so what it reports is kept, and no ping is sent:
        # its answer would wait behind the reports.
        self._socket = connect(
            address,
            compression=None,
            max_queue=None,
            max_size=None,
            ping_interval=None,
            open_timeout=ANSWER,
            close_timeout=1,
        )

    def send(self, method: str, **params: Any) -> int:
        """Send a command and return its number; its answer is passed over."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        return self._number

    def call(self, method: str, **params: Any) -> Any:
        """Send a command and wait for its result.

        Raises:
            TimeoutError: there is no answer within ``ANSWER`` seconds, whatever else the browser reports.
        """
        number = self.send(method, **params)
        end = time.monotonic() + ANSWER
        while True:
            try:
                message = json.loads(self._socket.recv(timeout=max(0.0, end - time.monotonic())))
            except TimeoutError:
                raise TimeoutError(f"no answer to {method} within {ANSWER:g} s") from None
            if "method" in message:
                self._note(message["method"], message.get("params", {}))
            elif message["id"] == number:
                assert "error" not in message, message
                return message["result"]

    def close(self) -> None:
        """Close the web socket."""
        self._socket.close()

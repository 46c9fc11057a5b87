"""A real mosquitto, a way to it that can be cut, and somebody who listens."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.runtime.delivery.delivery_results import wait_until

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage


def mosquitto(program: str = "mosquitto") -> str:
    """A program of mosquitto's; skips if it is not installed."""
    for name in (program, f"/usr/sbin/{program}"):
        if found := shutil.which(name):
            return found
    pytest.skip("no mosquitto: apt-get install mosquitto")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """mosquitto on its own port, which stays the same when it is killed and started again.

    Args:
        folder: for its configuration and log.
        settings: further lines of the configuration.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self._program = mosquitto()
        self.port = free_port()
        self._config, self._log = folder / "mosquitto.conf", folder / "mosquitto.log"
        lines = ["user root", f"listener {self.port} 127.0.0.1", *settings, "persistence false"]
        if not any(line.startswith("allow_anonymous") for line in lines):
            lines.append("allow_anonymous true")
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", self._config], stdout=log, stderr=log)
        wait_until(self._listens)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(kind)
            self._process.wait(60)
            self._process = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Wire:
    """A TCP connection's way to the broker: it can be closed, cut, and held so that nothing passes."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._passes = threading.Event()
        self._passes.set()
        self.open()

    def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(16)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Close what is open, and let nobody in."""
        if self._listener is not None:
            _end(self._listener)
            self._listener = None
        for connection in list(self._open):
            _end(connection)

    def hold(self) -> None:
        """Keep connections open, but let nothing through."""
        self._passes.clear()

    def let_go(self) -> None:
        self._passes.set()

    def close(self) -> None:
        self.let_go()
        self.cut()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target), 5)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                self._open |= {near, far}
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(a, b), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                self._passes.wait()
                target.sendall(data)
        for connection in (source, target):
            _end(connection)
            self._open.discard(connection)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class Listener:
    """Subscribes to everything, and remembers it in the order of arrival.

    At QoS 0 the broker hands a message on before it acknowledges it to the sender, so that what a killed
    broker acknowledged has been seen here.
    """

    def __init__(self, port: int, user: str = "", password: str = "") -> None:
        self.received: list[tuple[str, bytes, bool]] = []
        self._port, self._user, self._password = port, user, password
        self._client: Client | None = None
        self.connect()

    def connect(self) -> None:
        """Connect again, and return when subscribed."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.close()
        ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        if self._user:
            client.username_pw_set(self._user, self._password)
        client.on_message = self._on_message
        client.on_connect = lambda *_: client.subscribe("#", qos=0) and None
        client.on_subscribe = lambda *_: ready.set()
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        assert ready.wait(60)
        self._client = client

    def close(self) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def messages(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(body) for name, body, _ in list(self.received) if name == topic]

    def indices(self, topic: str) -> list[int]:
        return [message["index"] for message in self.messages(topic) if message["type"] == "result"]

    def _on_message(self, client: Client, data: object, message: MQTTMessage) -> None:
        self.received.append((message.topic, message.payload, message.retain))

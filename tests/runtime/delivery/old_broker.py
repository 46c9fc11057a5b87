"""A broker that knows MQTT 3.1.1 and nothing newer: just enough of it to take messages."""

from __future__ import annotations

import contextlib
import socket
import threading


class OldBroker:
    """Takes PUBLISH packets at QoS 1, and turns MQTT 5 away.

    Args:
        hang_up: turn it away by closing the connection; otherwise in the words of 3.1.1.
    """

    def __init__(self, hang_up: bool) -> None:
        self._hang_up = hang_up
        self.levels: list[int] = []
        self.published: list[tuple[str, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(EOFError, OSError), connection:
            while True:
                kind, packet = _packet(connection)
                if kind >> 4 == 1:  # CONNECT: 2 bytes length, "MQTT", the protocol's level
                    self.levels.append(packet[6])
                    if packet[6] > 4:
                        if not self._hang_up:
                            connection.sendall(b"\x20\x02\x00\x01")  # unacceptable protocol level
                        return
                    connection.sendall(b"\x20\x02\x00\x00")
                elif kind >> 4 == 3:  # PUBLISH: topic, identifier, body
                    length = int.from_bytes(packet[:2], "big")
                    self.published.append((packet[2 : 2 + length].decode(), packet[4 + length :]))
                    connection.sendall(b"\x40\x02" + packet[2 + length : 4 + length])
                elif kind >> 4 == 14:  # DISCONNECT
                    return


def _packet(connection: socket.socket) -> tuple[int, bytes]:
    kind = _read(connection, 1)[0]
    length = shift = 0
    while True:
        byte = _read(connection, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind, _read(connection, length)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data

"""Reject parts through a PLC: ``python plc_reject.py models/screw /dev/video0 192.168.0.10:2000``.

Sends one line per part to a TCP server in the PLC: ``OK 17`` or ``NOK 17``, with the number of the frame. A
part that cannot be judged (image black, saturated, blurred) is rejected like an anomalous one: only good
parts pass. If the connection is lost the program ends, so the PLC must stop the line when no line arrives in
time.
"""

import socket
import sys

from dmdd_edge import Detector


def main(bundle: str, source: str, plc: str) -> None:
    """Inspect until the source ends or Ctrl-C."""
    host, _, port = plc.rpartition(":")
    with (
        Detector.load(bundle) as detector,
        socket.create_connection((host, int(port)), timeout=2) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for result in detector.stream(source):
            verdict = "OK" if result.status == "good" else "NOK"
            connection.sendall(f"{verdict} {result.index}\r\n".encode("ascii"))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python plc_reject.py BUNDLE SOURCE HOST:PORT")
    main(*sys.argv[1:])

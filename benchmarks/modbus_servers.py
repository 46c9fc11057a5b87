"""Compare pymodbus and pyModbusTCP as the server of the PLC signals.

Each server runs in its own process and is driven over raw sockets, the same way for both:
latency from the start of a client's write to the callback in the server; reads of ten registers that a thread
of the server changes all the time (torn: not all equal); three requests in one TCP segment; 200 clients that
leave with a reset; a client that sends and never reads; CPU time with two silent clients.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import common

_REGISTERS = 10
_LIBRARIES = ["pymodbus", "pyModbusTCP"]
_Ready = Callable[[int], None]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shared:
    """What the server shows, and when it was written last."""

    def __init__(self) -> None:
        self.values = (0,) * _REGISTERS
        self.written = 0.0
        self.changing = threading.Event()
        threading.Thread(target=self._change, daemon=True).start()

    def _change(self) -> None:
        number = 0
        while True:
            self.changing.wait()
            number = (number + 1) & 0xFFFF
            self.values = (number,) * _REGISTERS
            if number % 50 == 0:
                time.sleep(0)


def serve_pymodbus(port: int, shared: Shared, ready: _Ready) -> None:
    """Run pymodbus; its registers are filled from the shared values at each read."""
    import asyncio

    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    async def action(
        function: int, start: int, address: int, count: int, current: list[int], values: Any
    ) -> None:
        if values is None:
            current[:_REGISTERS] = shared.values
        else:
            shared.written = time.perf_counter()

    async def run() -> None:
        registers = SimData(0, count=_REGISTERS, values=0, datatype=DataType.REGISTERS)
        device = SimDevice(0, simdata=[registers], action=action)
        server = ModbusTcpServer(device, address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        ready(port)
        await server.serving

    asyncio.run(run())


def serve_pymodbustcp(port: int, shared: Shared, ready: _Ready) -> None:
    """Run pyModbusTCP with a handler that answers from the shared values."""
    from pyModbusTCP.server import DataHandler, ModbusServer

    class Memory(DataHandler):  # type: ignore[misc]
        def read_h_regs(self, address: int, count: int, srv_info: Any) -> Any:
            values = shared.values
            return DataHandler.Return(0, list(values[address : address + count]))

        def write_h_regs(self, address: int, words_l: list[int], srv_info: Any) -> Any:
            shared.written = time.perf_counter()
            return DataHandler.Return(0)

    server = ModbusServer("127.0.0.1", port, no_block=True, data_hdl=Memory())
    server.start()
    ready(port)
    threading.Event().wait()


SERVERS = {"pymodbus": serve_pymodbus, "pyModbusTCP": serve_pymodbustcp}


def child(name: str, pipe: Connection) -> None:
    """The server's process: answers questions of the measuring process about itself."""
    shared = Shared()

    def answer() -> None:
        while True:
            question = pipe.recv()
            if question == "changing":
                shared.changing.set()
            elif question == "still":
                shared.changing.clear()
            facts = {
                "written": shared.written,
                "cpu": time.process_time(),
                "threads": threading.active_count(),
                "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            }
            pipe.send(facts)

    threading.Thread(target=answer, daemon=True).start()
    SERVERS[name](free_port(), shared, pipe.send)


class Client:
    """A Modbus client on a raw socket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        # Small, so that a client that does not read is felt by the server soon.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, pdu: bytes, transaction: int = 1) -> None:
        """Send a request."""
        self.socket.sendall(request(pdu, transaction))

    def answer(self) -> tuple[int, bytes]:
        """Transaction and PDU of the next answer."""
        transaction, _, length, _ = struct.unpack(">HHHB", self._take(7))
        return transaction, self._take(length - 1)

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            if not (more := self.socket.recv(count - len(data))):
                raise ConnectionError("the server has closed the connection")
            data += more
        return data

    def reset(self) -> None:
        """Leave without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(pdu: bytes, transaction: int) -> bytes:
    """A request with its header, for unit 1."""
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, 1) + pdu


READ = struct.pack(">BHH", 3, 0, _REGISTERS)
WRITE = struct.pack(">BHH", 6, 0, 1)


def measure(name: str, writes: int, reads: int, idle: float) -> dict[str, Any]:
    """Measure one server."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=child, args=(name, theirs), daemon=True)
    process.start()

    def ask(question: str = "") -> dict[str, Any]:
        pipe.send(question)
        facts: dict[str, Any] = pipe.recv()
        return facts

    port = pipe.recv()
    client = Client(port)
    to_callback, round_trip = [], []
    for number in range(writes):
        start = time.perf_counter()
        client.send(WRITE)
        client.answer()
        end = time.perf_counter()
        if number >= writes // 10:
            to_callback.append(1e6 * (ask()["written"] - start))
            round_trip.append(1e6 * (end - start))
    ask("changing")
    torn = 0
    for _ in range(reads):
        client.send(READ)
        values = struct.unpack(f">{_REGISTERS}H", client.answer()[1][2:])
        torn += len(set(values)) > 1
    ask("still")
    figures = {
        "write_to_callback_us": percentiles(to_callback),
        "write_round_trip_us": percentiles(round_trip),
        "reads": reads,
        "torn_reads": torn,
        "pipelined_answers_of_3": pipelined(port),
    }
    before = ask()
    for _ in range(200):
        gone = Client(port)
        gone.send(READ)
        gone.reset()
    time.sleep(2)
    after = ask()
    figures["left_after_200_resets"] = {key: after[key] - before[key] for key in ("threads", "files")}
    figures["round_trip_beside_a_deaf_client_us"] = beside_deaf(port, client)
    silent = Client(port)
    start = ask()["cpu"]
    time.sleep(idle)
    figures["cpu_percent_with_2_silent_clients"] = round(100 * (ask()["cpu"] - start) / idle, 4)
    silent.socket.close()
    process.kill()
    process.join()
    return figures


def pipelined(port: int) -> int:
    """How many of three requests in one segment are answered."""
    client = Client(port)
    client.socket.settimeout(1)
    client.socket.sendall(b"".join(request(READ, number) for number in (1, 2, 3)))
    answered: set[int] = set()
    with contextlib.suppress(TimeoutError, ConnectionError):
        while len(answered) < 3:
            answered.add(client.answer()[0])
    client.socket.close()
    return len(answered)


def beside_deaf(port: int, client: Client) -> dict[str, float]:
    """Round trips of a client while another one sends without reading."""
    deaf = Client(port)
    deaf.socket.settimeout(0.2)
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(200_000):
            deaf.send(READ)
    times = []
    for _ in range(500):
        start = time.perf_counter()
        client.send(READ)
        client.answer()
        times.append(1e6 * (time.perf_counter() - start))
    deaf.reset()
    return percentiles(times)


def percentiles(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    return {
        "median": round(statistics.median(values), 1),
        "p99": round(statistics.quantiles(values, n=100)[98], 1),
    }


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "modbus_servers")
    parser.add_argument("--writes", type=int, default=3000)
    parser.add_argument("--reads", type=int, default=10_000)
    parser.add_argument("--idle", type=float, default=10.0, help="seconds (default: %(default)s)")
    options = parser.parse_args()
    machine = common.begin()
    figures = {name: measure(name, options.writes, options.reads, options.idle) for name in SERVERS}
    for name, each in figures.items():
        print(name)
        for key, value in each.items():
            print(f"  {key:36} {value}")
    settings = {"writes": options.writes, "reads": options.reads, "idle_seconds": options.idle}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()

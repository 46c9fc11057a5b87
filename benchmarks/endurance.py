"""Endurance: inject faults into a live run and count what it loses.

Two runs process a drawn MJPEG camera. For the first, the results disk, the log disk, the broker and the
webhook receiver fail and recover, one after the other and sometimes together; for the second, the terminal
blocks and is finally closed. The camera itself stops, stalls and disappears. At the end both get SIGTERM,
and their promises are counted: every processed frame has its line, every line its message.

Needs root, to mount small file systems, and mosquitto.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import common
import cv2

from dmdd_edge.data.images import read_image

_BOUNDARY = "frame"
#: Frames per second of the camera.
_FPS = 5
_PRIVATE = "DMDD_ENDURANCE_PRIVATE"


class Camera:
    """An MJPEG stream of drawn plates on this machine.

    ``mode`` is "on", "stalled" (connected, sends nothing), "noise" (sends bytes that are no image) or "off".
    """

    def __init__(self, images: list[bytes]) -> None:
        camera = self
        self.mode = "on"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if camera.mode == "off":
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                self.end_headers()
                number = 0
                with suppress(OSError):
                    while camera.mode != "off":
                        time.sleep(1 / _FPS)
                        if camera.mode == "stalled":
                            continue
                        body = b"\0" * 500 if camera.mode == "noise" else images[number % len(images)]
                        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                        head += f"Content-Length: {len(body)}\r\n\r\n"
                        self.wfile.write(head.encode() + body + b"\r\n")
                        number += 1

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = _serve(Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        """End the stream."""
        self.mode = "off"
        self._server.shutdown()


class Receiver:
    """Receives the webhook's messages; ``mode`` is "on", "busy" (503), "gone" (404) or "hanging"."""

    def __init__(self) -> None:
        receiver = self
        self.mode = "on"
        self.got: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                while receiver.mode == "hanging":
                    time.sleep(0.1)
                code = {"busy": 503, "gone": 404}.get(receiver.mode, 200)
                if code == 200:
                    receiver.got.append(json.loads(body))
                with suppress(OSError):
                    self.send_response(code)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = _serve(Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        """Stop the server."""
        self.mode = "on"
        self._server.shutdown()


def _serve(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Broker:
    """A mosquitto that can be stopped and restarted, and what a subscriber receives from it."""

    def __init__(self, folder: Path) -> None:
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        with _free_port() as port:
            self.port = port
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nuser root\n"
        )
        self.got: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "endurance", clean_session=False)
        self._client.on_connect = lambda client, *rest: client.subscribe("line/results", 1)
        self._client.on_message = lambda client, data, message: self.got.append(json.loads(message.payload))
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def start(self) -> None:
        """Start the broker with its persistent state."""
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            sys.exit("mosquitto is not installed.\nInstall it: sudo apt install mosquitto")
        self._process = subprocess.Popen(
            [program, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(1)

    def stop(self) -> None:
        """Stop the broker; it saves its state, as at a restart."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def close(self) -> None:
        """End subscriber and broker."""
        self._client.loop_stop()
        self._client.disconnect()
        self.stop()


@contextmanager
def _free_port() -> Iterator[int]:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Memory:
    """Samples the resident memory of processes, by name."""

    def __init__(self, processes: dict[str, subprocess.Popen[Any]]) -> None:
        self.samples: dict[str, list[float]] = {name: [] for name in processes}
        self._processes, self._ended = processes, threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while not self._ended.wait(2):
            for name, process in self._processes.items():
                with suppress(OSError):
                    self.samples[name].append(common.resident_mib(process.pid))

    def figures(self) -> dict[str, dict[str, float]]:
        """Medians of the second fifth and of the last fifth of the run, in MiB."""
        self._ended.set()
        medians = {}
        for name, values in self.samples.items():
            fifth = max(len(values) // 5, 1)
            early, late = statistics.median(values[fifth : 2 * fifth]), statistics.median(values[-fifth:])
            medians[name] = {"early_mib": round(early, 1), "late_mib": round(late, 1)}
        return medians


def fill(disk: Path) -> None:
    """Fill a small file system."""
    with suppress(OSError), (disk / "taken").open("wb") as stream:
        while True:
            stream.write(b"\0" * 4096)
            stream.flush()


def free(disk: Path) -> None:
    """Free the space that ``fill`` took."""
    (disk / "taken").unlink(missing_ok=True)


def small_disk(folder: Path, size: str) -> Path:
    """Mount a file system of this size."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    return folder


def measure(options: Namespace) -> dict[str, Any]:
    """Inject faults for the requested time, then count."""
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        images = [
            cv2.imencode(".jpg", read_image(path))[1].tobytes()
            for path in sorted(options.source.rglob("*.png"))
            if "ground_truth" not in path.parts
        ][:40]
        camera, receiver, broker = Camera(images), Receiver(), Broker(folder)
        for part in (camera, receiver, broker):
            stack.callback(part.close)
        results, logs = small_disk(folder / "results", "64m"), small_disk(folder / "logs", "256k")
        stack.callback(lambda: subprocess.run(["umount", results, logs], check=True))
        command = [*common.PROGRAM, "run", "--model", options.model, "--source", camera.url]
        command += ["--stream-timeout", "3"]
        deliveries = ["--mqtt", f"mqtt://127.0.0.1:{broker.port}/line/results", "--webhook", receiver.url]
        files = ["--jsonl", str(results / "results.jsonl"), "--spool", str(folder / "spool")]
        log = stack.enter_context((logs / "run.log").open("ab"))
        first = subprocess.Popen([*command, *files, *deliveries], stderr=log)
        terminal, slave = os.openpty()
        second = subprocess.Popen([*command, "--jsonl", folder / "second.jsonl"], stderr=slave)
        os.close(slave)
        reading = threading.Event()
        reading.set()
        threading.Thread(target=_read, args=(terminal, reading), daemon=True).start()

        def mode(part: Camera | Receiver, value: str) -> Callable[[], None]:
            return lambda: setattr(part, "mode", value)

        faults: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "results disk full": (lambda: fill(results), lambda: free(results)),
            "log disk full": (lambda: fill(logs), lambda: free(logs)),
            "broker stopped": (broker.stop, broker.start),
            "receiver answers 503": (mode(receiver, "busy"), mode(receiver, "on")),
            "receiver answers 404": (mode(receiver, "gone"), mode(receiver, "on")),
            "receiver hangs": (mode(receiver, "hanging"), mode(receiver, "on")),
            "terminal blocks": (reading.clear, reading.set),
            "camera gone": (mode(camera, "off"), mode(camera, "on")),
            "camera stalls": (mode(camera, "stalled"), mode(camera, "on")),
            "camera sends noise": (mode(camera, "noise"), mode(camera, "on")),
        }
        memory = Memory({"first": first, "second": second})
        taken = _inject(faults, draw, options.minutes, [first, second])
        os.close(terminal)  # the second run's terminal closes for good
        time.sleep(20)
        for process in (first, second):
            process.send_signal(signal.SIGTERM)
        codes = {"first": first.wait(120), "second": second.wait(120)}
        # The next run delivers what waits in the spool first: here, one over a single image.
        image = folder / "next.jpg"
        image.write_bytes(images[0])
        again = [*common.PROGRAM, "run", "--model", options.model, "--source", image, "--spool"]
        subprocess.run([*again, folder / "spool", *deliveries], check=True, stderr=subprocess.DEVNULL)
        time.sleep(3)
        return {
            "taken_away": taken,
            "exit_codes": codes,
            "memory": memory.figures(),
            "first": _count(results / "results.jsonl")
            | {"webhook": _messages(receiver.got), "mqtt": _messages(broker.got)},
            "second": _count(folder / "second.jsonl"),
        }


def _read(terminal: int, reading: threading.Event) -> None:
    with suppress(OSError):
        while True:
            reading.wait()
            os.read(terminal, 1 << 16)


def _inject(
    faults: dict[str, tuple[Callable[[], None], Callable[[], None]]],
    draw: random.Random,
    minutes: float,
    processes: list[subprocess.Popen[Any]],
) -> dict[str, int]:
    """Inject each fault at least once, then random ones, up to two at a time, until the time is over."""
    ends = time.monotonic() + 60 * minutes
    waiting = draw.sample(list(faults), len(faults))
    counts = dict.fromkeys(faults, 0)
    time.sleep(15)
    while time.monotonic() < ends and all(process.poll() is None for process in processes):
        names = [waiting.pop()] if waiting else draw.sample(list(faults), draw.choice((1, 1, 2)))
        for name in names:
            faults[name][0]()
            counts[name] += 1
        time.sleep(draw.uniform(4, 20))
        for name in names:
            faults[name][1]()
        time.sleep(draw.uniform(3, 10))
    return counts


def _count(file: Path) -> dict[str, Any]:
    """Compare the lines of a results file with its summary."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    results = [line for line in lines if line["type"] == "result"]
    summary = lines[-1] if lines else {}
    if summary.get("type") != "summary":
        return {"lines": len(results), "ended": "without a summary"}
    return {
        "frames": summary["frames"],
        "lines": len(results),
        "lines_twice": len(results) - len({line["index"] for line in results}),
        "in_order": [line["index"] for line in results] == sorted(line["index"] for line in results),
        "skipped": summary["skipped"],
        "dropped_by_the_camera": summary["dropped"],
    }


def _messages(got: list[dict[str, Any]]) -> dict[str, Any]:
    """Count the result messages that arrived: different ones, all, and whether they first came in order."""
    first: dict[int, None] = {}
    for message in got:
        if message["type"] == "result" and message["source"].startswith("http"):
            first.setdefault(message["index"])
    return {"different": len(first), "all": len(got), "in_order": list(first) == sorted(first)}


def main() -> None:
    """Measure and write the result."""
    parser = common.parser(__doc__, "endurance")
    parser.add_argument("--model", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--source", type=Path, required=True, help="folder of images for the camera")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if _PRIVATE not in os.environ:
        # Mounts that no other process sees, and that end with this one.
        command = ["unshare", "-m", sys.executable, *sys.argv]
        os.execvpe(command[0], command, {**os.environ, _PRIVATE: "1"})
    machine = common.begin()
    figures = measure(options)
    print(json.dumps(figures, indent=2))
    settings = {"minutes": options.minutes, "seed": options.seed, "camera_fps": _FPS}
    common.write_result(
        options.out, machine, settings, figures, ["onnxruntime", "opencv-python", "paho-mqtt"]
    )


if __name__ == "__main__":
    main()

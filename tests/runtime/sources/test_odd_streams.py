"""Streams that do not say what they are, say it wrong, or send much and no image."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.proxy import proxy_address
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source, SourceOptions, grabber, multipart, open_source
from dmdd_edge.runtime.sources.ffmpeg import set_up_ffmpeg
from dmdd_edge.runtime.sources.http_request import request
from dmdd_edge.runtime.sources.live import LiveSource
from dmdd_edge.runtime.sources.multipart import NoImageError, PartReader
from dmdd_edge.runtime.sources.thinning import Thinner
from tests.runtime.sources.camera_server import jpeg, number
from tests.runtime.sources.reading import Reader
from tests.runtime.sources.scripted import Scripted

Read = Callable[[Source], Reader]
ROW = "multipart/x-mixed-replace; boundary="
PNG = cv2.imencode(".png", np.full((48, 64, 3), 35, np.uint8))[1].tobytes()


def row(mark: bytes, count: int = 3, head: bytes = b"Content-Type: image/jpeg\r\n") -> bytes:
    """Images 0, 1, 2 ... as parts."""
    return (
        b"".join(mark + b"\r\n" + head + b"\r\n" + jpeg(5 * n) + b"\r\n" for n in range(count))
        + mark
        + b"\r\n"
    )


class OddServer:
    """Answers each path with the head and body in ``answers``; again and again if it is ``endless``."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[dict[str, str], bytes]] = {}
        self.endless: set[str] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                head, body = server.answers[self.path]
                self.send_response(200)
                for name, value in head.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                    while self.path in server.endless and not server.closing.wait(0.005):
                        self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, body: bytes, endless: bool = False, **head: str) -> str:
        """The address of a new answer; ``Content_Type`` is written with a dash."""
        path = f"/{len(self.answers)}"
        self.answers[path] = ({name.replace("_", "-"): value for name, value in head.items()}, body)
        self.endless |= {path} if endless else set()
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def stepping_clock(step: float) -> SimpleNamespace:
    """A module ``time`` in which each look at the clock is this number of seconds after the one before."""
    seconds = itertools.count(0, step)
    return SimpleNamespace(
        time=time.time, perf_counter=time.perf_counter, monotonic=lambda: float(next(seconds))
    )


@pytest.fixture
def server() -> Iterator[OddServer]:
    server = OddServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (jpeg(35), {}),
        (jpeg(35), {"Content_Type": "text/plain"}),
        (jpeg(35), {"Content_Type": "application/octet-stream"}),
        (PNG, {"Content_Type": "text/html"}),
        (gzip.compress(jpeg(35)), {"Content_Type": "image/jpeg", "Content_Encoding": "gzip"}),
    ],
)
def test_a_picture_is_known_by_its_bytes(
    server: OddServer, read: Read, body: bytes, head: dict[str, str]
) -> None:
    frames = read(open_source(server.serve(body, **head))).wait_for(2)
    assert [number(frame.image) for frame in frames[:2]] == [7, 7]


@pytest.mark.parametrize("kind", [None, "text/plain", "image/jpeg", "multipart/x-mixed-replace"])
def test_a_row_is_known_by_its_bytes(server: OddServer, read: Read, kind: str | None) -> None:
    head = {} if kind is None else {"Content_Type": kind}
    frames = read(open_source(server.serve(row(b"--x", 1), endless=True, **head))).wait_for(2)
    assert number(frames[0].image) == 0


@pytest.mark.parametrize(
    ("body", "head", "message"),
    [
        (b"  <html>log in</html>", {}, "is a page"),
        (b'{"error": 1}', {"Content_Type": "application/json"}, "is a page"),
        (b"\x1f\x8b", {"Content_Type": ROW + "x", "Content_Encoding": "gzip"}, "gzip compression"),
    ],
)
def test_what_is_no_picture_says_so(
    server: OddServer, body: bytes, head: dict[str, str], message: str
) -> None:
    with pytest.raises(DmddError, match=message) as caught:
        open_source(server.serve(body, **head))
    assert caught.value.fix


def test_data_without_a_picture_are_not_a_connection(server: OddServer, read: Read) -> None:
    url = server.serve(row(b"--other"), endless=True, Content_Type=ROW + "frame")
    reader = read(open_source(url, SourceOptions(stream_timeout=0.3)))
    reader.wait_for_end()
    assert isinstance(reader.error, DmddError)
    assert "receives data but no image" in reader.error.message
    assert "begin with '--other', but its header declares 'frame'" in reader.error.message
    assert reader.error.fix


def test_pictures_that_never_decode_are_not_a_connection(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setattr(grabber, "BACK_OFF", (0.001, 0.01))
    monkeypatch.setattr(grabber, "time", stepping_clock(2))
    device = Scripted()
    source = LiveSource(device, Thinner(), drain=False, patience=5)
    said: list[str] = []
    source.say = said.append
    reader = read(source)
    device.give(1)
    reader.wait_for(1)
    device.give(*[DmddError("x")] * 6)
    assert device.opened == 2
    assert said == ["scripted camera: receives data but no image: a damaged frame; reconnecting."]
    device.give(2)
    reader.until(lambda: any(isinstance(frame, Frame) and frame.index for frame in reader.frames))
    assert source.state().reconnects == 1
    assert "reconnected after" in said[1]
    assert any(isinstance(frame, BrokenFrame) for frame in reader.frames)


@pytest.mark.parametrize(
    ("boundary", "body"),
    [
        ("frame", row(b"frame")),  # no dashes in the body
        ("--frame", row(b"--frame")),  # dashes in the head
        ("frame", row(b"--frame").replace(b"\r\n--", b"--")),  # no line break before a mark
        (None, row(b"--frame")),  # no boundary in the head
        ("frame", row(b"--frame", head=b"Content-Length: \r\n")),
        ("frame", row(b"--frame", head=b"Content-Length: many\r\n")),
        ("\u20ac", row("--\u20ac".encode())),  # beyond latin-1
        ("frame", row(b"--frame").replace(b"\r\n\r\n", b"\n\n")),
    ],
)
def test_marks_and_lengths_of_many_kinds(boundary: str | None, body: bytes) -> None:
    parts = PartReader(io.BytesIO(body), boundary, 1 << 20)
    for n in range(3):
        assert parts.read() == jpeg(5 * n)


def test_a_wrong_length_is_not_trusted_twice() -> None:
    whole = len(jpeg(0))
    for wrong in (whole - 9, whole + 40):
        body = row(b"--frame", 6, head=b"Content-Length: %d\r\n" % wrong)
        parts = PartReader(io.BytesIO(body), "frame", 1 << 20)
        read = [parts.read() for _ in range(4)]
        assert all(data in [jpeg(5 * n) for n in range(6)] for data in read[1:])


def test_parts_of_another_kind_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"--frame\r\nContent-Type: text/plain\r\n\r\ntemperature 40\r\n"
    sound = b"--frame\r\nContent-Type: audio/basic\r\nContent-Length: 4\r\n\r\nabcd\r\n"
    empty = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 0\r\n\r\n\r\n"
    parts = PartReader(io.BytesIO(text + sound + empty + row(b"--frame", 2)), "frame", 1 << 20)
    assert [parts.read(), parts.read()] == [jpeg(0), jpeg(5)]
    monkeypatch.setattr(multipart, "time", stepping_clock(1))
    with pytest.raises(NoImageError, match="parts of text/plain"):
        PartReader(io.BytesIO(text * 100), "frame", 1 << 20, patience=50).read()


def test_bytes_that_drip_in_without_a_line_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dripping:
        """A part that begins, and then a byte a second for ever."""

        begun = False

        def read1(self, amount: int = -1, /) -> bytes:
            begin, self.begun = not self.begun, True
            return b"--frame\r\n\r\n" if begin else b"x"

    monkeypatch.setattr(multipart, "time", stepping_clock(1))
    with pytest.raises(NoImageError, match="in 50 s"):
        PartReader(Dripping(), "frame", 1 << 20, patience=50).read()


def test_a_head_that_drips_in_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def drip() -> None:
            with listening.accept()[0] as client, suppress(OSError):
                client.sendall(b"HTTP/1.1 200 OK\r\n")
                while not done.wait(0.02):
                    client.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with pytest.raises(DmddError, match=r"no data for 0\.3 s"):
            request(f"http://127.0.0.1:{listening.getsockname()[1]}/", 0.3)
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("status", "head", "part"),
    [
        (302, b"Location: http://[::1", "malformed header"),
        (401, b"WWW-Authenticate: Digest realm=", "malformed header"),
        (401, b'WWW-Authenticate: Digest realm="x", nonce="y", algorithm=ROT13', "kind of login"),
        (401, b"WWW-Authenticate: Negotiate", "kind of login"),
    ],
)
def test_a_head_that_cannot_be_understood_is_one_message(status: int, head: bytes, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with listening.accept()[0] as client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n%s\r\n\r\n" % (status, head))

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(DmddError, match=part):
            request(f"http://user:secret@127.0.0.1:{listening.getsockname()[1]}/", 30)


def test_a_single_picture_that_fails_once_is_asked_for_again(server: OddServer, read: Read) -> None:
    """What opening asks for is the first frame; what fails then is a stream that was lost."""
    asked: list[int] = []

    class Flaky(dict[str, tuple[dict[str, str], bytes]]):
        def __getitem__(self, path: str) -> tuple[dict[str, str], bytes]:
            asked.append(len(asked))
            damaged = {"Content-Encoding": "gzip"} if asked[-1] == 2 else {}
            return {"Content-Type": "image/jpeg", **damaged}, jpeg(5)

    url = server.serve(b"")
    server.answers = Flaky()
    source = open_source(url)
    read(source).wait_for(2)
    assert source.state().reconnects == 1


def test_no_proxy_is_used_unless_asked_for(
    server: OddServer, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    read(open_source(server.serve(jpeg(35)))).wait_for(1)
    set_up_ffmpeg()
    assert "http_proxy;none" in os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"].split("|")
    monkeypatch.setenv("DMDD_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp")
    set_up_ffmpeg()
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;udp|http_proxy;http://127.0.0.1:9"
    with pytest.raises(DmddError, match=r"127\.0\.0\.1 refused the connection to port 9"):
        open_source(server.serve(jpeg(35)))
    monkeypatch.setenv("DMDD_PROXY", "proxy:3128")
    with pytest.raises(DmddError, match="DMDD_PROXY is not an http:// address"):
        proxy_address()

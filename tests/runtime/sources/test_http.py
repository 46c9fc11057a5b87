"""Images over http: streams of them and single ones, logins, refusals, a server that goes and comes back."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source, SourceOptions, grabber, open_source
from dmdd_edge.runtime.sources.multipart import PartReader
from tests.runtime.sources.camera_server import CameraServer, jpeg, number
from tests.runtime.sources.reading import Reader, until

Read = Callable[[Source], Reader]


@pytest.fixture
def server() -> Iterator[CameraServer]:
    server = CameraServer()
    yield server
    server.close()


@pytest.mark.parametrize("path", ["row", "row_without_lengths", "row_with_dashes"])
def test_a_row_of_pictures(server: CameraServer, read: Read, path: str) -> None:
    source = open_source(server.url(path))
    assert source.live
    reader = read(source)
    frames = reader.wait_for(3)
    assert frames[0].image.shape == (48, 64, 3)
    state = source.state()
    assert state.name == server.url(path)
    assert (state.width, state.height, state.connected) == (64, 48, True)
    # Each image that was sent was delivered, or dropped and counted, from the first one handed out on.
    for before, after in pairwise(frames):
        assert (number(after.image) - number(before.image)) % 50 == after.dropped + 1


def test_the_newest_picture_is_taken_although_nobody_took_the_ones_before(server: CameraServer) -> None:
    source = open_source(server.url("row"))
    frames = iter(source)
    first = next(frames)
    assert isinstance(first, Frame)
    sent = server.sent
    until(lambda: server.sent > sent + 10)
    second = next(frames)
    assert isinstance(second, Frame)
    assert number(second.image) == (number(first.image) + 1 + second.dropped) % 50
    assert second.dropped >= 5
    source.stop()


def test_damaged_pictures_in_a_row(server: CameraServer, read: Read) -> None:
    reader = read(open_source(server.url("broken_row")))
    reader.until(
        lambda: (
            any(isinstance(frame, BrokenFrame) for frame in reader.frames)
            and any(isinstance(frame, Frame) for frame in reader.frames[1:])
        )
    )
    broken = next(frame for frame in reader.frames if isinstance(frame, BrokenFrame))
    assert "a damaged frame" in broken.error.message


@pytest.mark.parametrize("path", ["snap.jpg", "moved"])
def test_single_pictures_are_asked_for_again_and_again(server: CameraServer, read: Read, path: str) -> None:
    source = open_source(server.url(path), SourceOptions(fps=50))
    reader = read(source)
    frames = reader.wait_for(4)
    assert len({number(frame.image) for frame in frames}) == len(frames), "each response is a separate frame"
    assert source.state().detail == "single images, 50 requests/s"


def test_logins(server: CameraServer, read: Read) -> None:
    for path in ("basic", "digest"):
        source = open_source(server.url(path, "line:secret%20word@"))
        assert source.state().name == f"http://***@127.0.0.1:{server.port}/{path}"
        reader = read(source)
        frames = reader.wait_for(1)
        assert "secret" not in f"{frames[0].name} {frames[0].source} {source.state()}"
        reader.stop()
        with pytest.raises(DmddError, match="requires a user name"):
            open_source(server.url(path))
        with pytest.raises(DmddError, match="denies this user access") as caught:
            open_source(server.url(path, "line:wrong-secret@"))
        assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", r"no such stream \(404\)"),
        ("page", r"is a page \(text/html\), not a stream"),
        ("line.mp4", "is a video file, not a stream"),
        ("silent", "no data for 0.3 s"),
    ],
)
def test_what_is_no_stream(server: CameraServer, path: str, message: str) -> None:
    with pytest.raises(DmddError, match=message) as caught:
        open_source(server.url(path + "?pwd=secret"), SourceOptions(stream_timeout=0.3))
    assert "secret" not in str(caught.value)


def test_servers_that_are_not_there(server: CameraServer) -> None:
    port = server.port
    server.close()
    with pytest.raises(DmddError, match=f"127.0.0.1 refused the connection to port {port}") as caught:
        open_source(f"http://u:secret@127.0.0.1:{port}/row")
    assert "secret" not in str(caught.value)
    with pytest.raises(DmddError, match=r"unknown host camera\.invalid"):
        open_source("http://camera.invalid/row")
    with pytest.raises(DmddError, match="is not a valid address"):
        open_source("http://127.0.0.1:port/row")
    with pytest.raises(DmddError, match="has no host"):
        open_source("http:///row")


def test_a_certificate_that_nobody_vouches_for(server: CameraServer) -> None:
    # Plain http where a handshake is expected fails in the same place as a certificate that is not trusted.
    with pytest.raises(DmddError, match="no secure connection"):
        open_source(server.url("row").replace("http:", "https:"))


def test_the_run_goes_on_when_the_server_comes_back(
    server: CameraServer, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grabber, "BACK_OFF", (0.01, 0.05))
    source = open_source(server.url("row"), SourceOptions(stream_timeout=5.0))
    reader = read(source)
    for times in range(1, 4):
        reader.wait_for(len(reader.frames) + 2)
        port = server.port
        server.close()
        until(lambda: "refused the connection" in source.state().message)
        state = source.state()
        assert not state.connected
        seen = len(reader.frames)
        server.__init__(port)  # type: ignore[misc]
        reader.wait_for(seen + 1)
        until(lambda times=times: source.state().reconnects == times)  # type: ignore[misc]
        assert source.state().message == ""


def test_a_server_that_falls_silent_is_taken_for_lost(server: CameraServer, read: Read) -> None:
    source = open_source(server.url("row"), SourceOptions(stream_timeout=0.3))
    reader = read(source)
    reader.wait_for(2)
    server.gate.clear()
    until(lambda: "no data for 0.3 s" in source.state().message)
    server.gate.set()
    reader.wait_for(len(reader.frames) + 1)


def test_stop_ends_the_wait_for_a_silent_server(server: CameraServer, read: Read) -> None:
    reader = read(open_source(server.url("row"), SourceOptions(stream_timeout=2.0)))
    reader.wait_for(1)
    server.gate.clear()
    reader.stop()
    assert reader.error is None
    server.gate.set()


def test_a_row_without_an_end_of_its_pictures_does_not_grow(server: CameraServer) -> None:
    endless = io.BytesIO(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + b"x\n" * 5000)
    with pytest.raises(ValueError, match="an image of more than 1000 bytes"):
        PartReader(endless, "frame", 1000).read()
    with pytest.raises(ValueError, match="images without a separator"):
        PartReader(io.BytesIO(b"x\n" * 5000), "frame", 1000).read()
    with pytest.raises(ValueError, match="an image of 2000 bytes"):
        PartReader(io.BytesIO(b"--frame\r\ncontent-length: 2000\r\n\r\n"), "frame", 1000).read()


@pytest.mark.parametrize("ending", [b"\r\n--frame--\r\n", b"\r\n--frame\r\n\r\n"])
def test_the_parts_of_a_row(ending: bytes) -> None:
    picture = jpeg(7) + b"\r\n-- \n\n"
    body = (
        b"preamble\r\n--frame\r\nX: y\r\n\r\n"
        + picture
        + b"\r\n--frame\r\nContent-Length: 3\r\n\r\nabc"
        + ending
    )
    parts = PartReader(io.BytesIO(body), "frame", 1 << 20)
    assert parts.read() == picture
    assert parts.read() == b"abc"
    with pytest.raises(OSError, match="ended the stream"):
        parts.read()

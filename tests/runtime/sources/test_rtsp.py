"""A real RTSP server on loopback: frames, refusals, and a server that is killed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.sources import Source, SourceOptions, open_source
from tests.runtime.sources.reading import Reader, until

Read = Callable[[Source], Reader]

_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).parent / "rtsp_server.py"
_NEEDED = "apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,ugly}"


class RtspServer:
    """The server, as a separate process.

    Attributes:
        port: where it listens, the same after each start.
    """

    def __init__(self, login: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._environment = {**os.environ, "DMDD_RTSP_LOGIN": login}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [_PYTHON, _SCRIPT, str(self.port)], env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def url(self, path: str = "line", login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}/{path}"


@pytest.fixture(scope="module")
def available() -> None:
    check = (
        "import gi\n"
        "gi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer\n"
        "Gst.init(None)\n"
        "names = ('videotestsrc', 'x264enc', 'rtph264pay', 'rtpbin')\n"
        "missing = [name for name in names if Gst.ElementFactory.find(name) is None]\n"
        "raise SystemExit(f'no {missing}' if missing else 0)\n"
    )
    try:
        done = subprocess.run([_PYTHON, "-c", check], capture_output=True, text=True, timeout=60, check=False)
        reason = done.stderr.strip().splitlines()[-1] if done.returncode else ""
    except OSError as error:
        reason = str(error)
    if reason:
        pytest.skip(f"no RTSP server is available ({reason}): {_NEEDED}")


@pytest.fixture
def server(available: None) -> Iterator[RtspServer]:
    server = RtspServer()
    server.start()
    yield server
    server.kill()


def test_frames_over_tcp_with_a_state(server: RtspServer, read: Read) -> None:
    source = open_source(server.url(login="line:secret@"))
    assert source.live
    reader = read(source)
    frames = reader.wait_for(5)
    assert frames[0].image.shape == (240, 320, 3)
    assert frames[0].image.max() > 200, "the white ball on black"
    assert frames[0].name.startswith("127.0.0.1/20")
    state = source.state()
    assert state.name == f"rtsp://***@127.0.0.1:{server.port}/line"
    assert (state.width, state.height, state.connected, state.message) == (320, 240, True, "")
    assert _connections("udp") == 0
    assert _connections("tcp", server.port) >= 1
    reader.stop()
    until(lambda: _connections("tcp", server.port) == 0)


def test_what_the_server_does_not_have(server: RtspServer) -> None:
    with pytest.raises(DmddError, match=r"the server has no such stream \(404\)") as caught:
        open_source(server.url("nowhere", "u:secret@"))
    assert "secret" not in str(caught.value)
    server.kill()
    with pytest.raises(DmddError, match=f"refused the connection to port {server.port}"):
        open_source(server.url())


def test_a_login(available: None, read: Read) -> None:
    server = RtspServer("line:secret")
    server.start()
    try:
        read(open_source(server.url(login="line:secret@"))).wait_for(2)
        with pytest.raises(DmddError, match="requires a user name"):
            open_source(server.url())
        with pytest.raises(DmddError, match="rejected this user name and password") as caught:
            open_source(server.url(login="line:wrong-secret@"))
        assert "wrong-secret" not in str(caught.value)
    finally:
        server.kill()


def test_a_server_that_answers_nothing() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"rtsp://u:secret@127.0.0.1:{listener.getsockname()[1]}/line"
        with pytest.raises(DmddError, match=r"no video within 0.5 s") as caught:
            open_source(url, SourceOptions(stream_timeout=0.5))
    assert "secret" not in str(caught.value)


def test_a_server_that_falls_silent_is_noticed_and_the_run_goes_on(server: RtspServer, read: Read) -> None:
    source = open_source(server.url(), SourceOptions(stream_timeout=1.0))
    reader = read(source)
    reader.wait_for(2)
    server.signal(signal.SIGSTOP)
    until(lambda: not source.state().connected)
    server.signal(signal.SIGCONT)
    reader.wait_for(len(reader.frames) + 2)
    until(lambda: source.state().connected)


def test_neither_library_writes_the_password_anywhere(server: RtspServer) -> None:
    code = (
        "import sys\n"
        "from dmdd_edge import DmddError\n"
        "from dmdd_edge.runtime.sources import open_source\n"
        "for path in ('nowhere', 'line'):\n"
        "    try:\n"
        "        next(iter(open_source(sys.argv[1] + path)))\n"
        "    except DmddError as error:\n"
        "        print(error)\n"
    )
    done = _program(code, server.url("", "u:se-cret@"))
    assert done.returncode == 0, done.stderr
    assert "404" in done.stdout
    assert done.stderr == ""
    assert "se-cret" not in done.stdout


def test_a_read_that_hangs_does_not_keep_the_program_from_ending(server: RtspServer) -> None:
    code = (
        "import os, signal, sys, time\n"
        "from dmdd_edge.runtime.sources import SourceOptions, open_source\n"
        "source = open_source(sys.argv[1], SourceOptions(stream_timeout=1000.0))\n"
        "frames = iter(source)\n"
        "next(frames)\n"
        "print('reading', flush=True)\n"
        "sys.stdin.readline()\n"  # the server is stopped now
        "time.sleep(0.3)\n"
        "if sys.argv[2] == 'stop': source.stop()\n"
        "print(len(list(frames)) if sys.argv[2] == 'stop' else 'end')\n"
    )
    for manner in ("stop", "just end"):
        program = subprocess.Popen(
            [sys.executable, "-c", code, server.url(), manner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "reading\n"
        server.signal(signal.SIGSTOP)
        out, errors = program.communicate("\n", timeout=60)
        server.signal(signal.SIGCONT)
        assert (program.returncode, errors) == (0, ""), manner
        assert out in ("0\n", "end\n")


@pytest.mark.slow
def test_the_server_is_killed_and_started_again_ten_times(server: RtspServer, read: Read) -> None:
    source = open_source(server.url())
    reader = read(source)
    reader.wait_for(30)
    took, sizes = [], []
    for times in range(1, 11):
        server.kill()
        until(lambda: not source.state().connected)
        # Away for longer and longer, so that the back-off reaches its longest pause.
        time.sleep(0.5 * times)
        seen = len(reader.frames)
        assert source.state().message != ""
        server.start()
        start = time.monotonic()
        reader.wait_for(seen + 1)
        took.append(time.monotonic() - start)
        until(lambda times=times: source.state().reconnects == times)  # type: ignore[misc]
        reader.wait_for(seen + 30)
        reader.let_go(30)
        sizes.append(_resident())
    print("back after", ", ".join(f"{seconds:.2f}" for seconds in took), "s; MiB", sizes)
    assert [frame.index for frame in reader.frames] == list(range(len(reader.frames)))
    assert source.state().frames == len(reader.frames)
    assert sizes[-1] - sizes[1] < 5, f"memory grew: {sizes} MiB"


def _program(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def _connections(protocol: str, port: int | None = None) -> int:
    """How many sockets of this protocol this process holds, to a server's port if one is given."""
    own = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            own.add(str(link.readlink()))
    lines = Path(f"/proc/self/net/{protocol}").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    towards = [f for f in fields if port is None or int(f[2].rpartition(":")[2], 16) == port]
    return sum(f"socket:[{f[9]}]" in own for f in towards)


def _resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

"""A web server as a store: ranges, logins, redirections, and servers that do not end what they began."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.fleet import http_store
from dmdd_edge.fleet.address import open_store, open_to_write
from dmdd_edge.fleet.pull import Pulled
from dmdd_edge.fleet.push import Pushed
from tests.core.fleet.conftest import FILES, tree

LENGTH = sum(map(len, FILES.values()))


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder as its server says, and notes what is requested."""

    server: Any

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        behavior, path = self.server.behavior, Path(self.translate_path(self.path))
        self.server.requests.append((self.path, dict(self.headers)))
        if behavior.get("login") and self.headers.get("Authorization") != behavior["login"]:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="fleet"')
            self.end_headers()
            return
        if "redirect" in behavior and not self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", behavior["redirect"] + self.path)
            self.end_headers()
            return
        if not path.is_file():
            path = Path(self.translate_path(self.path.removeprefix("/moved")))
        if not path.is_file():
            self.send_error(404)
            return
        data, start = path.read_bytes(), 0
        if (given := self.headers.get("Range")) and behavior.get("ranges", True):
            start = int(given.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        body = data[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: behavior.get("cut", len(body))])


class Server(ThreadingHTTPServer):
    """A server of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.behavior: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(lab: Callable[..., Bundle], send: Callable[..., Pushed], tmp_path: Path) -> Iterator[Server]:
    """A server of a store with one version."""
    lab()
    send(tmp_path / "store")
    with Server(tmp_path / "store") as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_pull_from_a_server(server: Server, take: Callable[..., Pulled], tmp_path: Path) -> None:
    pulled = take(server.url + "/")
    assert pulled.fetched == LENGTH
    assert tree(pulled.bundle.path) == tree(tmp_path / "store" / "screw" / pulled.bundle.version)
    assert open_store(server.url).versions() == {"screw": [pulled.bundle.version]}
    assert open_store(server.url).versions("bottle") == {}


def test_a_query_is_repeated(server: Server, take: Callable[..., Pulled], tmp_path: Path) -> None:
    url = server.url + "?sig=abc123&x=%2F"
    assert open_store(url).name == server.url
    take(url)
    assert all(path.endswith("?sig=abc123&x=%2F") for path, _ in server.requests)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_ends_early_is_continued(
    ranges: bool, server: Server, take: Callable[..., Pulled]
) -> None:
    server.behavior = {"cut": 200_000, "ranges": ranges}
    if ranges:
        assert take(server.url).fetched == LENGTH
        return
    with pytest.raises(DmddError, match="ended after 200,000 of 300,000 bytes"):
        take(server.url)
    server.behavior = {"ranges": False}
    assert Bundle.load(take(server.url).bundle.path)


def test_a_login(server: Server, take: Callable[..., Pulled]) -> None:
    server.behavior = {"login": "Basic " + base64.b64encode(b"line:p w/1").decode()}
    with pytest.raises(DmddError, match="answers 401"):
        take(server.url)
    with_login = server.url.replace("://", "://line:p%20w%2F1@")
    assert take(with_login).fetched == LENGTH
    wrong = server.url.replace("://", "://line:wrongsecret@")
    with pytest.raises(DmddError, match="answers 401") as caught:
        take(wrong, station="other")
    assert "wrongsecret" not in str(caught.value)


def test_redirections_stay_on_the_server(server: Server, take: Callable[..., Pulled], tmp_path: Path) -> None:
    server.behavior = {"redirect": server.url + "/moved"}
    assert take(server.url).fetched == LENGTH
    with Server(tmp_path) as other:
        server.behavior = {"redirect": other.url}
        with pytest.raises(DmddError, match="redirection to another server"):
            take(server.url, station="other")
        assert not other.requests
    for target in ("file:///etc", "ftp://127.0.0.1", "https://127.0.0.1:1"):
        server.behavior = {"redirect": target}
        with pytest.raises(DmddError):
            take(server.url, station="other")


def test_no_proxy_is_used(
    server: Server, take: Callable[..., Pulled], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert take(server.url).fetched == LENGTH
    monkeypatch.setenv("DMDD_PROXY", "http://127.0.0.1:1")
    with pytest.raises(DmddError, match="connection failed"):
        take(server.url, station="other")


def test_without_an_index(server: Server, take: Callable[..., Pulled], tmp_path: Path) -> None:
    (tmp_path / "store" / "index.json").unlink()
    with pytest.raises(DmddError, match=r"no index\.json"):
        open_store(server.url).versions()
    assert take(server.url).fetched == LENGTH, "CURRENT is enough"
    for content in (b"{", b"[]", b'{"schema_version": 1, "categories": {"../x": ["a"]}}', b" " * (5 << 20)):
        (tmp_path / "store" / "index.json").write_bytes(content)
        with pytest.raises(DmddError) as caught:
            open_store(server.url).versions()
        assert caught.value.fix


@pytest.mark.parametrize("path", ["manifest.json", "model.fp32.onnx"])
def test_a_file_that_is_not_there(
    path: str, server: Server, take: Callable[..., Pulled], tmp_path: Path
) -> None:
    next((tmp_path / "store" / "screw").glob(f"*/{path}")).unlink()
    with pytest.raises(DmddError, match=r"was not pushed|does not have the file"):
        take(server.url)


def test_a_server_that_does_not_answer(take: Callable[..., Pulled], monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(http_store, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DmddError, match=r"no data for 0\.2 s"):
            take(f"http://127.0.0.1:{port}")
    with pytest.raises(DmddError, match="connection failed"):
        take(f"http://user:topsecret@127.0.0.1:{port}")


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("", " ", "simplecache::s3://x", "file://other/x", "http://", "nosuch://x"):
        with pytest.raises(DmddError) as caught:
            open_store(url)
        assert caught.value.fix
    for url in ("https://u:topsecret@host/x", "s3://x/y"):
        with pytest.raises(DmddError) as caught:
            open_to_write(url)
        assert "topsecret" not in str(caught.value)
        if url.startswith("s3"):
            assert "pip install s3fs" in caught.value.fix
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_to_write("~/store") == tmp_path / "store"
    assert open_to_write("file:///a%20b") == Path("/a b")
    assert open_to_write("a::b") == Path("a::b"), "a folder may be named so"

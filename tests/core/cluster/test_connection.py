"""The connection to a cluster: addresses, machines that cannot be used, and Ray that is not installed."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmdd_edge._version import __version__
from dmdd_edge.cluster.board import Board
from dmdd_edge.cluster.connection import check_address, connected, node_error, problem_of
from dmdd_edge.cluster.node_check import Seen, look
from dmdd_edge.errors import BackendError, OptionError


@pytest.mark.parametrize("address", ["auto", "10.0.0.4:6379", "head:6379", "[fd00::2]:6379"])
def test_addresses_of_clusters(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", ["", "head", "head:", ":6379", "ray://head:10001", "head:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="not the address of a cluster"):
        check_address(address)


def test_without_ray_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendError, match="The package ray is needed") as caught, connected("auto"):
        pass
    assert "[cluster]" in caught.value.fix


def test_an_address_where_nothing_answers_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        pytest.fail("Ray would wait for minutes")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BackendError, match="Connection refused") as caught, connected(f"127.0.0.1:{port}"):
        pass
    assert f"no Ray cluster at 127.0.0.1:{port}" in caught.value.message
    with (
        pytest.raises(BackendError, match=r"no Ray cluster at 127\.0\.0\.1:99999"),
        connected("127.0.0.1:99999"),
    ):
        pass


def test_what_answers_but_is_no_head_is_told_without_rays_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise RuntimeError(
            "Failed to connect to GCS. Last connection error: Traceback (most recent call last)"
        )

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    with pytest.raises(BackendError, match="does not answer as the head") as caught, connected("auto"):
        pass
    assert "Traceback" not in caught.value.message


def test_a_node_says_what_it_does_not_see(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.touch()
    seen = look([str(here), str(tmp_path / "gone")])
    assert seen == Seen(__version__, [str(tmp_path / "gone")])
    problem = problem_of("box2", seen)
    assert problem is not None
    assert problem.message == f"box2 does not see {tmp_path / 'gone'} of this machine."
    assert problem_of("box2", look([str(here)])) is None
    older = problem_of("box2", Seen("0.0.1", []))
    assert older is not None
    assert older.message == f"box2 has dmdd-edge 0.0.1, and this machine {__version__}."


def test_a_node_without_the_package_is_named() -> None:
    error = node_error("box2", RuntimeError("Traceback\nModuleNotFoundError: No module named 'dmdd_edge'\n"))
    assert error.message == "box2 cannot run dmdd-edge: ModuleNotFoundError: No module named 'dmdd_edge'."
    assert sys.executable in error.fix


def test_the_board_gives_each_note_once_and_says_when_it_ends() -> None:
    board = Board()
    assert board.begin("a", 1)
    board.stop()
    assert not board.begin("c", 3), "it must not begin, and nobody waits for its end"
    assert board.post("b", 2) is True
    assert board.stopping()
    assert board.take() == [("a", 1), ("b", 2)]
    assert board.take() == []

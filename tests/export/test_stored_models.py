"""A bundle that is exported to the address of a store: a pull takes it, and one that is not sent is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="no fsspec: pip install '.[fleet]'")

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import FleetError
from dmdd_edge.export import stored_models
from dmdd_edge.fleet.address import open_store
from dmdd_edge.fleet.fsspec_store import FsspecStore
from dmdd_edge.fleet.pull import pull
from dmdd_edge.messages.reporter import Reporter
from tests.export.small_bundle import write_bundle

ADDRESS = "memory://plant/models"


@pytest.fixture(autouse=True)
def empty_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    monkeypatch.setattr(stored_models, "PATIENCE", -1.0)
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "graph").write_bytes(b"graph")
    return write_bundle(tmp_path / "mirror", {"model.fp32.onnx": tmp_path / "graph"})


def test_a_pull_takes_what_was_sent(bundle: Bundle, tmp_path: Path) -> None:
    stored_models.send_version(ADDRESS, bundle, use=True, work=Reporter())
    pulled = pull(open_store(ADDRESS), "screw", tmp_path / "station")
    assert (pulled.bundle.version, pulled.in_use) == (bundle.version, True)
    assert pulled.bundle.file("model.fp32.onnx").read_bytes() == b"graph"


def test_a_version_that_cannot_be_sent_is_named_with_the_command_that_sends_it(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(*values: object, **options: object) -> bool:
        raise FleetError("the store is off.")

    monkeypatch.setattr(FsspecStore, "create", off)
    with pytest.raises(FleetError, match="the store is off") as error:
        stored_models.send_version(ADDRESS, bundle, use=True, work=Reporter())
    assert str(bundle.path) in error.value.message
    named = f"models push {ADDRESS} --category screw --version {bundle.version}"
    assert f"{named} --models-dir {tmp_path / 'mirror'}" in error.value.fix

"""A page on a free port, over a station that the tests control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dmdd_edge.runtime.page import router
from dmdd_edge.runtime.station.page import StationPage, open_station_page
from tests.runtime.page.asking import Answer, send
from tests.runtime.station.page.a_station import FakeStation

TOKEN = "correct-horse-battery"


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeStation:
    monkeypatch.setattr(router, "WRONG_TOKEN_DELAY", 0.0)
    monkeypatch.setattr("dmdd_edge.runtime.station.page.snapshot.KEPT_SECONDS", 0.0)
    return FakeStation(tmp_path)


@pytest.fixture
def page(station: FakeStation) -> Iterator[StationPage]:
    page = open_station_page("127.0.0.1:0", station.settings, TOKEN)
    page.show(station.view())
    yield page
    page.close()


@pytest.fixture
def ask(page: StationPage) -> Callable[..., Answer]:
    """Send one request to the page."""
    return partial(send, page.url)


@pytest.fixture
def token() -> str:
    return TOKEN

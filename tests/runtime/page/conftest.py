"""A page on a free port, over a run that the tests control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from dmdd_edge.runtime.page import Page, open_page
from tests.runtime.page.a_run import FakeControl
from tests.runtime.page.asking import Answer, send

TOKEN = "correct-horse-battery"


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def page(control: FakeControl) -> Iterator[Page]:
    page = open_page("127.0.0.1:0", control, TOKEN)
    yield page
    page.close()


@pytest.fixture
def ask(page: Page) -> Callable[..., Answer]:
    """Send one request to the page."""
    return partial(send, page.url)


@pytest.fixture
def token() -> str:
    return TOKEN

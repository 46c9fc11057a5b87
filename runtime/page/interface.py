"""What the page needs to know of the run that it shows, and what it may change."""

from __future__ import annotations

from typing import Protocol

from dmdd_edge.runtime.summary import Summary


class SourceView(Protocol):
    """How the source is doing at one moment.

    Attributes:
        name: what a person calls it, without a password.
        live: a camera or a stream, not files.
        connected: frames can come.
        width, height: of its frames, in pixels, once known.
        fps: frames a second that it promises, if it does.
        frames, dropped, reconnects: counts since the start.
        frame_age: seconds since the last frame, None before the first.
        message: what is wrong now; empty when all is well.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def live(self) -> bool: ...  # noqa: D102
    @property
    def connected(self) -> bool: ...  # noqa: D102
    @property
    def width(self) -> int | None: ...  # noqa: D102
    @property
    def height(self) -> int | None: ...  # noqa: D102
    @property
    def fps(self) -> float | None: ...  # noqa: D102
    @property
    def frames(self) -> int: ...  # noqa: D102
    @property
    def dropped(self) -> int: ...  # noqa: D102
    @property
    def reconnects(self) -> int: ...  # noqa: D102
    @property
    def frame_age(self) -> float | None: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


class Control(Protocol):
    """A run while it goes on; may be called from any thread.

    Attributes:
        category, version: of the bundle in use.
        backend: what runs the graph.
        threshold: of the score, 0..1, in use now.
        message: the last note of the run, for example a bundle that could not be loaded; may be empty.
    """

    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def backend(self) -> str: ...  # noqa: D102
    @property
    def threshold(self) -> float: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102

    def set_threshold(self, value: float) -> None:
        """Compare from the next frame on with another threshold.

        Raises:
            DmddError: it lies outside 0..1.
        """
        ...

    def summary(self) -> Summary:
        """The counts up to now."""
        ...

    def source_state(self) -> SourceView:
        """How the source is doing now."""
        ...

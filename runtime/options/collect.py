"""The options of ``collect``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from dmdd_edge.errors import OptionError
from dmdd_edge.options import Option, Options, Rule, UsageError, needs
from dmdd_edge.runtime.options.source import CameraOptions, EveryOption, StripOption, WatchOptions, not_empty

#: How images are taken; ``auto`` chooses by the source.
WAYS = ("auto", "all", "key", "interval", "trigger", "change")
#: What ``--accept`` may name, as ``runtime.collect.faults`` does.
KEEPABLE = ("dark", "bright", "blurred", "moved", "repeated")
#: Bits that a camera's 16-bit files may use, as ``data.images.BITS`` has them.
_BITS = (10, 12, 14, 16)
_TAKING, _WATCHING = "Which images", "Watching"


def _check_bits(bits: int) -> None:
    if bits not in _BITS:
        listed = ", ".join(map(str, _BITS))
        raise OptionError(f"--bits is {bits}; it must be one of {listed}.", f"Choose one of {listed}.")


@dataclass(frozen=True, kw_only=True)
class _Set(Options):
    """Where images come from, and where they go."""

    source: Annotated[
        str | None,
        Option("Camera, stream, folder, glob in quotes or video with good parts, as for run.", number=True),
    ] = None
    watch: Annotated[
        str | None,
        Option(
            "Instead of a source: a folder that other software drops images into.",
            check=not_empty,
        ),
    ] = None
    into: Annotated[Path | None, Option("Folder of the set; one that exists is continued.")] = None
    target: Annotated[int, Option("End when the set has this many images.", minimum=1, maximum=999_999)] = 200

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("source", "watch"),)
    RULES: ClassVar[tuple[Rule, ...]] = (needs(("watch_existing", "watch_settle"), "watch"),)


@dataclass(frozen=True, kw_only=True)
class _Taking(Options):
    """Which frames become images."""

    take: Annotated[
        Literal["auto", "all", "key", "interval", "trigger", "change"],
        Option(
            "When an image is taken: all frames, by key, by interval, by the camera's trigger, or when the "
            "image changed and came to rest. auto: of files and triggered cameras all, else by key.",
            panel=_TAKING,
            parse=str,
        ),
    ] = "auto"
    interval: Annotated[
        float | None, Option("Seconds between two images of --take interval.", panel=_TAKING, above=0)
    ] = None
    accept: Annotated[
        tuple[str, ...],
        Option(
            "Keep images that are dark, bright, blurred, moved or repeated; one kind, may be given again.",
            panel=_TAKING,
            choices=KEEPABLE,
        ),
    ] = ()
    bits: Annotated[
        int,
        Option(
            "Bits that the camera's 16-bit files use: 10, 12, 14 or 16.", panel=_TAKING, check=_check_bits
        ),
    ] = 16
    allow_auto: Annotated[
        bool,
        Option("Take images although the camera sets exposure, gain or colors by itself.", panel=_TAKING),
    ] = False
    duration: Annotated[float | None, Option("End after this many seconds.", panel=_TAKING, above=0)] = None


@dataclass(frozen=True, kw_only=True)
class _Page(Options):
    """How it is watched."""

    serve: Annotated[
        str | None,
        Option("Show it in a browser, with a button: 8080, or 127.0.0.1:8080.", panel=_WATCHING, number=True),
    ] = None
    serve_token_env: Annotated[
        str | None,
        Option("Environment variable with the token that may take images there.", panel=_WATCHING),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (needs(("serve_token_env",), "serve"),)


@dataclass(frozen=True, kw_only=True)
class CollectOptions(_Page, CameraOptions, WatchOptions, StripOption, EveryOption, _Taking, _Set):
    """Where images of good parts come from, which are taken, and where they go; see ``collect_images``.

    ``into`` and one of ``source`` and ``watch`` are needed.
    """

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("interval",),
            lambda values: values["take"] == "interval",
            "has no effect without --take interval",
            "add --take interval",
        ),
    )

    def check(self) -> None:
        """Raise an ``OptionError`` where something is missing."""
        super().check()
        if self.source is None and self.watch is None:
            raise UsageError("A source is missing.", "Name it with --source, or give --watch.")
        if self.into is None:
            raise UsageError("A folder is missing.", "Name it: --into parts/bracket_good.")

"""The manifest: everything the runtime needs to know about a bundle, as a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmdd_edge.errors import DmddError
from dmdd_edge.preprocess import Preprocess
from dmdd_edge.quality import FrameLimits
from dmdd_edge.threshold import Threshold

#: Raised whenever a reader of the older form could misread a bundle; mere additions do not raise it.
SCHEMA_VERSION = 1

MANIFEST_NAME = "manifest.json"


class InputSpec(BaseModel):
    """The graph's input: uint8 N x S x S x 3, BGR as OpenCV delivers it."""

    model_config = ConfigDict(frozen=True)

    name: str = "image"
    shape: tuple[int | str, ...]
    dtype: str = "uint8"
    color_order: str = "BGR"


class OutputSpec(BaseModel):
    """One output of the graph; a name instead of a number in ``shape`` is a free dimension."""

    model_config = ConfigDict(frozen=True)

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"


class Licences(BaseModel):
    """Under what each part of a bundle may be used; three parts, since they differ."""

    model_config = ConfigDict(frozen=True)

    code: str
    weights: str
    data: str


class Manifest(BaseModel):
    """The contents of ``manifest.json``; never changed after export.

    Attributes:
        files: path inside the bundle (with ``/``) -> SHA-256 in hex, for every file but the manifest.
        sizes: path -> bytes, which tells a file that was cut short from one that was altered.
        metrics: what training measured on the category's test images, if it was given.
        parity: how the exported graphs compare with what was trained, as export measured it.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    category: str
    version: str
    backbone: str
    image_size: int = Field(gt=0)
    input: InputSpec
    outputs: tuple[OutputSpec, ...]
    threshold: Threshold
    preprocess: Preprocess = Field(default_factory=Preprocess)
    frame_limits: FrameLimits | None = None
    parity: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str]
    sizes: dict[str, int] = Field(default_factory=dict)
    licences: Licences
    created_with: dict[str, Any] = Field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest as it is written: indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def graph_specs(image_size: int) -> tuple[InputSpec, tuple[OutputSpec, OutputSpec]]:
    """Input and outputs of the fused graph at S = ``image_size``; N is free."""
    size = image_size
    return (
        InputSpec(shape=("N", size, size, 3)),
        (OutputSpec(name="anomaly_map", shape=("N", size, size)), OutputSpec(name="score", shape=("N",))),
    )


def read_manifest(path: Path) -> Manifest:
    """Read and check a ``manifest.json``.

    Raises:
        DmddError: it is not there, not JSON, from a newer schema, or fields are missing or wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DmddError(
            f"{path.parent} is not a bundle: it has no {MANIFEST_NAME}.",
            "Name a folder that `dmdd-edge export` wrote, or export again.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DmddError(f"{path} cannot be read: {error}.", "Copy the bundle again.") from error
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise DmddError(
            f"{path} is not valid JSON (line {error.lineno}: {error.msg}).",
            "Copy the bundle again from where it was exported; a manifest is never edited by hand.",
        ) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("schema_version"), int):
        raise DmddError(f"{path} names no schema_version.", "Copy the bundle again, or export it again.")
    if raw["schema_version"] > SCHEMA_VERSION:
        # Before anything else: a newer form may have other fields, and that is not the file's fault.
        raise DmddError(
            f"{path}: schema version {raw['schema_version']}; this dmdd-edge reads up to {SCHEMA_VERSION}.",
            "Update dmdd-edge on this machine, or export with the version installed here.",
        )
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DmddError(
            f"{path}: field `{where}`: {first['msg']}.", "Copy the bundle again, or export it again."
        ) from error

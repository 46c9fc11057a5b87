"""The manifest: everything the runtime needs to know about a bundle, as a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.data.look import Look
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.quality import FrameLimits
from dmdd_edge.errors import BundleError
from dmdd_edge.failures import unreadable
from dmdd_edge.fields import Bytes, FileName, Name, Sha256, Side, Sparse, Text
from dmdd_edge.outside_files import COPY_AGAIN, MOST_FILES, read_bounded
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: Raised whenever a reader of the older form could misread a bundle; mere additions do not raise it.
SCHEMA_VERSION = 1

MANIFEST_NAME = "manifest.json"
#: A detached signature of the manifest, in minisign's format; the manifest holds the hash of each other file.
SIGNATURE_NAME = "manifest.json.minisig"

#: The largest manifest that is read, in bytes.
LARGEST = 8 << 20

#: The precisions that have a separate threshold.
OwnThreshold = Literal["int8"]

Axis = Annotated[int, Field(ge=1, le=8192)] | Name


class NewerSchema(NotStrict):
    """A later release wrote the file."""


class InputSpec(BaseModel):
    """The graph's input: uint8 N x S x S x 3, BGR as OpenCV delivers it."""

    model_config = ConfigDict(frozen=True)

    name: Literal["image"] = "image"
    shape: tuple[Axis, Axis, Axis, Axis]
    dtype: Literal["uint8"] = "uint8"
    color_order: Literal["BGR"] = "BGR"


class OutputSpec(BaseModel):
    """One output of the graph; a name instead of a number in ``shape`` is a free dimension."""

    model_config = ConfigDict(frozen=True)

    name: Name
    shape: tuple[Axis, ...] = Field(max_length=8)
    dtype: Literal["float32"] = "float32"


class Licenses(BaseModel):
    """Under what each part of a bundle may be used; three parts, since they differ."""

    model_config = ConfigDict(frozen=True)

    code: Text
    weights: Text
    data: Text


class Manifest(Sparse):
    """The contents of ``manifest.json``; never changed after export.

    A bundle comes from somewhere else, so each field has its type, pattern and range. The free fields
    (``parity``, ``metrics``, ``created_with``) are bounded as a whole: see ``strict_json``.

    Attributes:
        files: path inside the bundle (with ``/``) -> SHA-256 in hex, for every file but the manifest.
        sizes: path -> bytes, which tells a file that was cut short from one that was altered.
        metrics: what training measured on the category's test images, if it was given.
        parity: how the exported graphs compare with what was trained, as export measured it.
        look: what the training images looked like; None in bundles of earlier releases.
        thresholds: precision -> its threshold, where the scores are not those of the other precisions.
    """

    SPARSE = ("thresholds",)

    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    category: Name
    version: Name
    backbone: Text
    image_size: Side
    input: InputSpec
    outputs: tuple[OutputSpec, ...] = Field(min_length=2, max_length=8)
    threshold: Threshold
    thresholds: dict[OwnThreshold, Threshold] = Field(default={})
    preprocess: Preprocess = Field(default_factory=Preprocess)
    frame_limits: FrameLimits | None = None
    look: Look | None = None
    parity: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    files: dict[FileName, Sha256] = Field(max_length=MOST_FILES)
    sizes: dict[FileName, Bytes] = Field(default_factory=dict, max_length=MOST_FILES)
    licences: Licenses
    created_with: dict[str, Any] = Field(default_factory=dict)

    @field_validator("input")
    @classmethod
    def _input_fits(cls, value: InputSpec, info: ValidationInfo) -> InputSpec:
        size = info.data.get("image_size")  # missing when it is wrong itself
        if size is not None and value.shape[1:] != (size, size, 3):
            raise ValueError(f"its shape is not N x {size} x {size} x 3")
        return value

    @field_validator("outputs")
    @classmethod
    def _outputs_fit(cls, value: tuple[OutputSpec, ...], info: ValidationInfo) -> tuple[OutputSpec, ...]:
        size = info.data.get("image_size")
        shapes = {output.name: output.shape[1:] for output in value if output.shape}
        if size is not None and (shapes.get("anomaly_map"), shapes.get("score")) != ((size, size), ()):
            raise ValueError(f"they are not `anomaly_map` (N x {size} x {size}) and `score` (N)")
        return value

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

    Args:
        path: followed where it is a link; see ``outside_files.inside``.

    Raises:
        DmddError: it is not there, not a regular file, too large, not JSON, from a newer schema, or a field
            is missing or wrong; names the field.
    """
    try:
        data = read_bounded(path, LARGEST)
    except FileNotFoundError:
        raise BundleError(
            f"{path.parent} is not a bundle: it has no {MANIFEST_NAME}.",
            "Name a folder that `dmdd-edge export` wrote, or export again.",
        ) from None
    except OSError as error:
        raise unreadable(error, path, COPY_AGAIN) from error
    try:
        return parse_manifest(data)
    except NewerSchema as error:
        raise BundleError(
            f"{path}: {error}; this dmdd-edge reads up to {SCHEMA_VERSION}.",
            "Update dmdd-edge on this machine, or export with the version installed here.",
        ) from None
    except NotStrict as error:
        raise BundleError(f"{path}: {error}.", f"{COPY_AGAIN} A manifest is never edited by hand.") from None


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in the text of a ``manifest.json``.

    Raises:
        NewerSchema: a later release wrote it.
        NotStrict: it is malformed, or a field is missing or wrong; names the field.
    """
    raw = parse_object(data)
    schema = raw.get("schema_version")
    if type(schema) is not int:  # a boolean is an int to isinstance
        raise NotStrict("field `schema_version`: there is no schema_version, or it is not an integer")
    if schema > SCHEMA_VERSION:
        # Before anything else: a newer form may have other fields, and that is not the file's fault.
        raise NewerSchema(f"schema version {schema}")
    return validate(Manifest, raw)

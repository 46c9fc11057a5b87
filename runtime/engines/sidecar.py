"""An engine on disk: a plain ``.engine``, readable by trtexec and Triton, and its JSON sidecar."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dmdd_edge.errors import BackendError
from dmdd_edge.failures import storage_error
from dmdd_edge.fields import Bytes, Count, Name, Sha256, Side, Sparse, Text
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.storage import write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate

Flavour = Literal["tensorrt", "rtx"]

#: The product of a flavor, for messages.
PRODUCT = {"tensorrt": "TensorRT", "rtx": "TensorRT-RTX"}

SCHEMA_VERSION = 1

#: The largest sidecar that is read, in bytes.
_LARGEST = 1 << 20

#: A compute capability, such as ``sm87``.
Sm = Annotated[str, StringConstraints(pattern=r"^sm[1-9][0-9]{1,2}[a-z]?$")]


class BatchProfile(BaseModel):
    """The batch sizes that an engine supports, and the one it is tuned for."""

    model_config = ConfigDict(frozen=True)

    minimum: int = Field(default=1, ge=1, le=9999)
    optimum: int = Field(default=1, ge=1, le=9999)
    maximum: int = Field(default=1, ge=1, le=9999)

    @model_validator(mode="after")
    def _ordered(self) -> BatchProfile:
        if not self.minimum <= self.optimum <= self.maximum:
            raise ValueError(f"{self} is not in rising order")
        return self

    @classmethod
    def parse(cls, text: str) -> BatchProfile:
        """Parse ``1`` (that size only), ``1:8`` (1 to 8, tuned for 8) or ``1:4:8`` (tuned for 4).

        Raises:
            DmddError: the text is none of these.
        """
        parts = text.split(":")
        if 1 <= len(parts) <= 3 and all(re.fullmatch(r"[1-9]\d{0,3}", part) for part in parts):
            sizes = [int(part) for part in parts]
            low, high = sizes[0], sizes[-1]
            best = sizes[1] if len(sizes) == 3 else high
            if low <= best <= high:
                return cls(minimum=low, optimum=best, maximum=high)
        raise BackendError(
            f"--batch: {text!r} is not a batch size or a range of them.",
            "Give one size (1), smallest:largest (1:8) or smallest:tuned for:largest (1:4:8).",
        )

    def __str__(self) -> str:
        if self.minimum == self.maximum:
            return str(self.maximum)
        middle = "" if self.optimum == self.maximum else f":{self.optimum}"
        return f"{self.minimum}{middle}:{self.maximum}"


class EngineSidecar(Sparse):
    """The contents of ``<engine>.json``.

    Attributes:
        flavour: ``tensorrt`` (built on the GPU it runs on) or ``rtx`` (TensorRT-RTX, built anywhere).
        library_version: of TensorRT or TensorRT-RTX; engines run on exactly this version.
        gpu: the name of the GPU it was built on; None if built without a GPU.
        sms: the compute capabilities it runs on, such as ``sm87``.
        hardware_compatible: whether it was built for GPUs from ``sm80`` on.
        driver, cuda: of the machine it was built on; None without a GPU.
        convolutions, half_convolutions: number outside the fp32 islands, and how many of those are fp16.
        island_convolutions: number inside the islands.
        int8_convolutions: of those outside, how many compute INT8 inputs and weights.
        parity: its deviation from the fp32 graph, if measured on the device.
    """

    SPARSE = ("int8_convolutions",)

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    flavour: Flavour
    engine_sha256: Sha256
    engine_bytes: int = Field(gt=0, le=1 << 40)
    onnx_sha256: Sha256
    library_version: Name
    precision: Literal["fp32", "fp16", "int8"]
    image_size: Side
    batch: BatchProfile
    gpu: Text | None = None
    sms: tuple[Sm, ...] = Field(min_length=1, max_length=32)
    hardware_compatible: bool = False
    driver: Text | None = None
    cuda: Text | None = None
    convolutions: Count
    half_convolutions: Count
    island_convolutions: Count = 0
    int8_convolutions: Count = 0
    workspace_bytes: Bytes | None = None
    opt_level: int = Field(ge=0, le=9)
    build_seconds: float = Field(ge=0, allow_inf_nan=False)
    parity: dict[Text, float] = Field(default_factory=dict, max_length=100)
    created: Text
    created_with: Text

    @property
    def half_share(self) -> float:
        """The fp16 share of the convolutions outside the islands, 0..1; 0 without any."""
        return self.half_convolutions / self.convolutions if self.convolutions else 0.0

    @property
    def int8_share(self) -> float:
        """The INT8 share of the convolutions outside the islands, 0..1; 0 without any."""
        return self.int8_convolutions / self.convolutions if self.convolutions else 0.0

    @property
    def library(self) -> str:
        """Product and version, such as ``TensorRT 10.3.0``."""
        return f"{PRODUCT[self.flavour]} {self.library_version}"


def sidecar_path(engine: Path) -> Path:
    """The path of an engine's sidecar."""
    return engine.with_name(engine.name + ".json")


def write_engine(engine: Path, data: bytes, sidecar: EngineSidecar) -> None:
    """Write an engine, then its sidecar: without a sidecar it is not used.

    Raises:
        DmddError: the folder cannot be written.
    """
    part = engine.with_name(f".{engine.name}.{os.getpid()}.part")
    try:
        engine.parent.mkdir(mode=0o755, parents=True, exist_ok=True)  # whatever the umask: see is_private
        sidecar_path(engine).unlink(missing_ok=True)
        part.write_bytes(data)
        part.replace(engine)
        write_atomically(sidecar_path(engine), sidecar.model_dump_json(indent=2) + "\n")
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise storage_error(
            error, engine, "written", "Free some space, or name another folder: --engine-cache DIR."
        ) from error


def read_sidecar(engine: Path) -> EngineSidecar:
    """Read an engine's sidecar.

    Raises:
        DmddError: it is missing, malformed, or of a newer schema.
    """
    path = sidecar_path(engine)
    try:
        raw = parse_object(read_bounded(path, _LARGEST))
        schema = raw.get("schema_version", SCHEMA_VERSION)
        if type(schema) is int and schema > SCHEMA_VERSION:  # its fields may differ
            raise BackendError(
                f"{path} has schema version {schema}; this version of dmdd-edge supports {SCHEMA_VERSION}.",
                "Update dmdd-edge on this machine.",
            )
        return validate(EngineSidecar, raw)
    except FileNotFoundError:
        raise BackendError(
            f"{engine} has no sidecar {path.name}, so what it was built for is unknown."
        ) from None
    except (OSError, NotStrict) as error:
        reason = getattr(error, "strerror", None) or error
        raise BackendError(f"{path} is not a readable sidecar of an engine ({reason}).") from error

"""An exported ONNX file: opened with the runtime's options, and run on images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.runtime.backends.onnxruntime_session import import_onnxruntime, session_options
from dmdd_edge.storage import sha256_of

onnxruntime = import_onnxruntime("cpu")  # not a plain import: this one keeps telemetry off

#: Outputs for an image: map, S x S, and score.
Found = tuple[NDArray[np.float32], float]


@dataclass(frozen=True)
class Form:
    """Input format and names of a file.

    Attributes:
        size: side of the input, in pixels.
        input, anomaly_map, score: names.
        raw: input is uint8 1 x S x S x 3 BGR; else float32 1 x 3 x S x S RGB in 0..1, as anomalib's.
    """

    size: int
    input: str
    anomaly_map: str
    score: str
    raw: bool

    def to_input(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """The input for a prepared image (uint8 S' x S' x 3 BGR), resized when S' is not S."""
        if image.shape[0] != self.size:
            image = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        if self.raw:
            return image[None]
        planes = image[..., ::-1].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(planes[None])


def own_form(size: int) -> Form:
    """dmdd-edge's fused graph."""
    return Form(size, "image", "anomaly_map", "score", raw=True)


def peer_form(size: int) -> Form:
    """anomalib's exported model."""
    return Form(size, "input", "anomaly_map", "pred_score", raw=False)


@dataclass(frozen=True)
class File:
    """A measured file.

    Attributes:
        path: the ONNX file; large tensors may be in files next to it.
        form: its input format.
    """

    path: Path
    form: Form

    @property
    def parts(self) -> list[Path]:
        """The ONNX file and its external data."""
        beside = sorted(self.path.parent.glob(f"{self.path.name}.*"))
        return [self.path, *beside]

    @property
    def bytes(self) -> int:
        """Total size."""
        return sum(part.stat().st_size for part in self.parts)

    @property
    def digest(self) -> str:
        """Digest of all parts."""
        return "+".join(sha256_of(part) for part in self.parts)

    def open(self, threads: int) -> Any:
        """An ONNX Runtime session on the CPU with the options that dmdd-edge runs with.

        Raises:
            DmddError: it cannot be opened, or its inputs and outputs have other names.
        """
        options = session_options(onnxruntime, threads)
        try:
            session = onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has a dozen exception types
            message = (str(error).splitlines() or [type(error).__name__])[0]
            raise DmddError(
                f"{self.path} cannot be opened: {message}.", "Make it again: run with --again."
            ) from error
        inputs = {item.name for item in session.get_inputs()}
        outputs = {item.name for item in session.get_outputs()}
        if inputs != {self.form.input} or not {self.form.anomaly_map, self.form.score} <= outputs:
            raise DmddError(
                f"{self.path} has inputs {sorted(inputs)} and outputs {sorted(outputs)}; expected are "
                f"{self.form.input}, {self.form.anomaly_map} and {self.form.score}.",
                "Make it again, with the versions in requirements.txt: run with --again.",
            )
        return session

    def call(self, session: Any, given: NDArray[Any]) -> list[NDArray[Any]]:
        """The bare call, which is timed: map and score as the file returns them."""
        found: list[NDArray[Any]] = session.run(
            [self.form.anomaly_map, self.form.score], {self.form.input: given}
        )
        return found

    def predictor(self, threads: int) -> Callable[[NDArray[np.uint8]], Found]:
        """A function that infers one prepared image; see ``outputs_of``."""
        session = self.open(threads)
        return lambda image: outputs_of(self.call(session, self.form.to_input(image)), image.shape[0])

    def batch_predictor(self, threads: int) -> Predictor:
        """As ``predictor``, for several prepared images one after the other."""
        predict_one = self.predictor(threads)

        def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            pairs = [predict_one(image) for image in images]
            return np.stack([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs], np.float32)

        return predict


def outputs_of(outputs: list[NDArray[Any]], size: int) -> Found:
    """Map and score of one image; a smaller map is enlarged to the image's size.

    Args:
        outputs: map of 1 x (1 x) H x W, score of one value.
        size: side of the returned map.
    """
    anomaly_map = np.asarray(outputs[0], np.float32).squeeze()
    if anomaly_map.shape != (size, size):
        anomaly_map = cv2.resize(anomaly_map, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return anomaly_map, float(np.asarray(outputs[1]).item())

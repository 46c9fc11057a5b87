"""A server that speaks Triton's protocol for one ONNX model of a repository, by its own message types."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, model: Path) -> None:
        text = (model / "config.pbtxt").read_text()
        self._config = text_format.Parse(text, model_config_pb2.ModelConfig())
        self._session = onnxruntime.InferenceSession(model / "1" / "model.onnx")

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return service_pb2.ModelConfigResponse(config=self._config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        (image,) = request.inputs
        pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(image.shape)
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        for name, values in zip(
            ("anomaly_map", "score"),
            self._session.run(["anomaly_map", "score"], {image.name: pixels}),
            strict=True,
        ):
            # The configuration reshapes the score to N x 1.
            shape = values.shape if values.ndim > 1 else (len(values), 1)
            response.outputs.add(name=name, datatype="FP32", shape=shape)
            response.raw_output_contents.append(values.tobytes())
        return response


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Serve a model of a repository; gives the server's address."""
    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(model), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)

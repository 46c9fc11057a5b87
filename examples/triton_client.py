"""Inspect an image with NVIDIA Triton: ``python triton_client.py localhost:8001 screw part.png``.

``dmdd-edge export --category screw --target onnx,triton`` writes the model repository, and
``tritonserver --model-repository triton`` serves it. The client needs ``tritonclient[grpc]`` and OpenCV, but
neither dmdd-edge nor the bundle.
"""

import json
import sys

import cv2
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput


def main(server: str, model: str, path: str) -> None:
    """Send one image and print its verdict."""
    client = InferenceServerClient(server)
    config = client.get_model_config(model).config
    facts = {name: value.string_value for name, value in config.parameters.items()}
    preprocess = json.loads(facts["preprocess"])
    if preprocess["roi"] or preprocess["rotate"]:
        sys.exit("This bundle has a region of interest or a rotation: apply it to the image first.")

    size = config.input[0].dims[0]
    image = cv2.imread(path)
    if image is None:
        sys.exit(f"{path} cannot be read.")
    # Shrink by averaging areas, enlarge by interpolation, as dmdd-edge does.
    how = cv2.INTER_AREA if min(image.shape[:2]) >= size else cv2.INTER_LINEAR
    pixels = np.asarray(cv2.resize(image, (size, size), interpolation=how), np.uint8)
    tensor = InferInput("image", [1, size, size, 3], "UINT8")
    tensor.set_data_from_numpy(pixels[None])
    score = float(client.infer(model, [tensor]).as_numpy("score").reshape(-1)[0])

    threshold = float(facts["threshold"])
    verdict = "anomalous" if score > threshold else "good"
    print(f"{path}: {verdict}, score {score:.3f} (threshold {threshold:.3f})")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python triton_client.py HOST:PORT MODEL IMAGE")
    main(*sys.argv[1:])

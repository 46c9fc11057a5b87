"""Engines on the device: find a matching one and run it, without torch or onnx."""

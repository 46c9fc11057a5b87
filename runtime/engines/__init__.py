"""Engines on the device: finding one that fits, running it; nothing here imports torch or onnx."""

"""Builds engines from a written ONNX file: TensorRT on this GPU, TensorRT-RTX on any machine.

This package imports neither torch nor onnx: an engine is built on the edge box, which has neither.
"""

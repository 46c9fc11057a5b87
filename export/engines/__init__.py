"""From a written ONNX file to engines: TensorRT on this GPU, TensorRT-RTX on any machine.

Nothing here imports torch or onnx: an engine is built on the edge box, which has neither.
"""

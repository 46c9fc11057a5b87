"""Runtime stage: bundle and frames to results. Needs neither torch nor onnx."""

"""Export stage: checkpoint to bundle. Needs torch and onnx."""

"""What INT8 costs: fp16, plain INT8 and ours against fp32, and the curve of loss against share."""

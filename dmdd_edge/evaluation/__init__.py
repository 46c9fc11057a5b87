"""Evaluation of a detector: test sets, metrics, decisions at the threshold, and the paper's figures."""

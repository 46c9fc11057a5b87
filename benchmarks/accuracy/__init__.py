"""Accuracy study: declared experiments, a queue that trains and measures them, and their tables."""

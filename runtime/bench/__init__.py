"""Measure a bundle: latency, throughput and accuracy, with the interference of other processes."""

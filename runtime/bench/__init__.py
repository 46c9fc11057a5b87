"""Measuring a bundle on this machine: latency, throughput, accuracy, and what was going on meanwhile."""

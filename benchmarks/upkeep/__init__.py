"""Benchmarks of upkeep: what a detector needs after its first day."""

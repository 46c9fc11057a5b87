"""Whole stations as processes, with simulated cameras and a PLC, under load and under faults."""

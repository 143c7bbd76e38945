"""Benchmarks on networks that are too large for one core: their layers, and the zeros recorded while they were trained."""

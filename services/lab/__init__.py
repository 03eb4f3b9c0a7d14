"""Benchmarks and soak tests. Not part of the production image."""

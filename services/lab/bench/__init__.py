"""Benchmarks of the kernel, pipeline, feed and store."""

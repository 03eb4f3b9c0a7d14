"""Commands of the group Develop: benchmarks, soak tests, the fake exchange."""

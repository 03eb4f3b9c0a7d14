"""The simulated venue: matching and fills."""

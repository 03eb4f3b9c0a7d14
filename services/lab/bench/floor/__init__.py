"""Pass-through services, one module each, so that a benchmark can start them."""

"""Written market situations, played through the real stages, with what is expected of each."""

"""The same market under other settings: which decisions would have been others."""

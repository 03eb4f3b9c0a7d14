"""The seven risk layers: what each measures and its limit."""

"""The settings model: values, sources, secrets."""

"""Proof from the record: verify, validate, and replays under other settings."""

"""Commands of the group Prove: verify, validate, replay, export."""

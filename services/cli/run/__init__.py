"""Commands of the group Run: what starts and ends a run."""

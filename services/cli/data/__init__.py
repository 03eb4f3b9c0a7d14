"""Commands of the group Data: record, list, check, import, fetch."""

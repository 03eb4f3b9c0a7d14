"""cdb_core: the signal engine."""

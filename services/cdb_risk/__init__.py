"""cdb_risk: the risk manager."""

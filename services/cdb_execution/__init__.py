"""cdb_execution: orders in, simulated fills out."""

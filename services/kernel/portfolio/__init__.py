"""The portfolio as one fold: positions, ledger, equity, checksums."""

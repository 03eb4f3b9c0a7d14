"""The bus: one total order of events, journal, snapshots, lock-step."""

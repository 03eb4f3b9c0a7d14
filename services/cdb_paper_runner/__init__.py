"""cdb_paper_runner: the paper-trading orchestrator and its console."""

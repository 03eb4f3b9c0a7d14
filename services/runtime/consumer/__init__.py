"""The loop around a stage: receive, handle, commit."""

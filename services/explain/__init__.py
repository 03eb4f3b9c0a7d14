"""Answers from the record: why this happened, and why that did not."""

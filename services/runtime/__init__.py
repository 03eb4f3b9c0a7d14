"""Shared I/O around the kernel: bus, database, settings, HTTP, lifecycle."""

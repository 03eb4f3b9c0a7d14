"""Publishes market data: events, clocks, position, back-pressure."""

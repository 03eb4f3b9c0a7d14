"""WebSocket connections to the venue: pool, reconnection, polling."""

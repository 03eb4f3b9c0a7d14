"""Publishing market data: events, position, backpressure."""

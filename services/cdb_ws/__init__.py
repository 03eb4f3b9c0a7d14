"""Market data in, and time: the service that every other one hears first."""

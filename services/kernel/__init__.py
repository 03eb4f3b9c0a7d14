"""The kernel: every trading decision, as pure functions of events. No I/O, no clock, no chance."""

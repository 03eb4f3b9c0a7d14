"""The state of each listened symbol: its feed, its ticks, its socket."""

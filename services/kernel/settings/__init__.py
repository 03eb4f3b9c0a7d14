"""Trading settings: parameters, ranges, consistency."""

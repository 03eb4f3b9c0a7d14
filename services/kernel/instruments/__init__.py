"""Contract specifications, margin formulas, rounding."""

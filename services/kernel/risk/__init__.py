"""Risk: seven layers as a table, the market's health per symbol, alerts that mark changes."""

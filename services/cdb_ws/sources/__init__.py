"""Where market data comes from: recorded files, a seeded synthetic market, outside, MEXC."""

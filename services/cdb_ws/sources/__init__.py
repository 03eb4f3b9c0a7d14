"""Sources of market data: recorded files, a synthetic market, external messages, MEXC."""

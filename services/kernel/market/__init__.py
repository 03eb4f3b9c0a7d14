"""Market state: order book, prices, bars, volatility."""

"""Trade integrity of one symbol: each trade once, in order, with what is missing named."""

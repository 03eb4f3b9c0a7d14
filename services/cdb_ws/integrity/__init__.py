"""Trade integrity: each trade once, in order, or inside a reported gap."""

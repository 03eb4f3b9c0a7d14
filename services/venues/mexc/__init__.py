"""MEXC perpetual futures: protocol, REST client, contracts, rate limits."""

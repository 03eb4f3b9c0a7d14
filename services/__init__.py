"""Claire de Binare: paper trading for crypto perpetual futures."""

__version__ = "0.1.0"

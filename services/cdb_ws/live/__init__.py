"""The live market: the feed engine and its symbols."""

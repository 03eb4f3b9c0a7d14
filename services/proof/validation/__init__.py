"""Whether a record can be true: its chain, its order, its causes, and what must be conserved."""

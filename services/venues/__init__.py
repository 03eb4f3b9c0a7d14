"""Venues: one folder each, with its protocol, REST client and contracts."""

"""Publishes a recorded or a live market at its pace."""

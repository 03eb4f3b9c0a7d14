"""Execution: the last guard before an order, and what becomes of it afterwards."""

"""The record in PostgreSQL: how events become rows, and how rows become events again."""

"""The markets that the fake exchange trades."""

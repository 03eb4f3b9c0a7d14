"""The shell of a service: lifecycle, HTTP, health, metrics, logging."""

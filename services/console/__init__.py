"""The web console: see what the desk does and why, and stop it. A process of its own."""

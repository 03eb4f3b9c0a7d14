"""What risk remembers between two events: orders, symbol health, trading states."""

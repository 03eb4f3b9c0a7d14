"""Access to PostgreSQL: addresses, connections, migrations."""

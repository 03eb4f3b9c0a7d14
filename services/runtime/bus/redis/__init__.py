"""Redis behind the bus: connection, access rules, server-side scripts."""

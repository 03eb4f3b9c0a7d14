-- The web console reads the record with a role of its own. The program creates it.

GRANT USAGE ON SCHEMA public TO cdb_console;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cdb_console;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cdb_console;

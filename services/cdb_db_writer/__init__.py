"""cdb_db_writer: the record of everything but orders and trades."""

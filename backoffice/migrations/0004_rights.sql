-- Who may do what: one writer per table, everybody else reads. The program creates the roles.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO cdb_db_writer, cdb_execution, cdb_paper_runner, claire_grafana;
GRANT SELECT ON ALL TABLES IN SCHEMA public
    TO cdb_db_writer, cdb_execution, cdb_paper_runner, claire_grafana;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT ON TABLES TO cdb_db_writer, cdb_execution, cdb_paper_runner, claire_grafana;

GRANT INSERT ON events, market_data, signals, risk_decisions, trading_state_changes,
    funding_payments, portfolio_snapshots, alerts TO cdb_db_writer;
GRANT INSERT, UPDATE ON db_writer_cursor, runs, positions TO cdb_db_writer;
GRANT INSERT, UPDATE, DELETE ON state_snapshots TO cdb_db_writer;
GRANT EXECUTE ON FUNCTION ensure_market_data_day(date) TO cdb_db_writer;

GRANT INSERT, UPDATE ON orders, execution_cursor TO cdb_execution;
GRANT INSERT ON trades TO cdb_execution;

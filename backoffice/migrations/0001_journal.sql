-- The record: every event in the one total order, and what its followers remember.

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'The record is never changed; publish an event that corrects it.';
END
$$;

-- Everything but ticks and clock. A row of type tick_batch closes the ticks and clocks since the
-- row of that type before it, and carries their digest; so one chain over this table, in the order
-- of seq, covers both tables.
CREATE TABLE events (
    seq bigint PRIMARY KEY CHECK (seq > 0),
    topic text NOT NULL,
    topic_seq bigint NOT NULL,
    event_id text NOT NULL UNIQUE,
    type text NOT NULL,
    producer text NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    causation_id text,
    correlation_id text,
    schema_version integer NOT NULL,
    external boolean NOT NULL,
    body json NOT NULL,
    chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32)
);
COMMENT ON COLUMN events.body IS 'The exact text that was published.';
COMMENT ON COLUMN events.chain_hash IS
    'SHA-256 of the chain_hash before it, seq as eight bytes (big-endian), and body.';
CREATE INDEX events_correlation ON events (correlation_id, seq) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_causation ON events (causation_id, seq) WHERE causation_id IS NOT NULL;
CREATE INDEX events_run ON events (run_id, type, seq);
CREATE TRIGGER events_append_only
    BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_no_truncate
    BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Ticks and clock (kind clock), one partition per UTC day.
CREATE TABLE market_data (
    seq bigint NOT NULL,
    topic_seq bigint NOT NULL,
    event_id text NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    kind text NOT NULL,
    symbol text,
    price numeric,
    volume numeric,
    bid numeric,
    ask numeric,
    mark_price numeric,
    funding_rate numeric,
    backfill boolean NOT NULL,
    body json NOT NULL,
    PRIMARY KEY (seq, "timestamp")
) PARTITION BY RANGE ("timestamp");
COMMENT ON COLUMN market_data.body IS 'The exact text that was published.';
CREATE TRIGGER market_data_append_only
    BEFORE UPDATE OR DELETE ON market_data
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Partitions belong to the owner, so the writer may add rows to them and nothing else.
CREATE FUNCTION ensure_market_data_day(day date) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := 'market_data_' || to_char(day, 'YYYYMMDD');
    lower_bound timestamptz := day::timestamp AT TIME ZONE 'UTC';
    upper_bound timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass('public.' || quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_market_data_day'));
    IF to_regclass('public.' || quote_ident(name)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Made beside and then attached, because that does not block those who read the table.
    EXECUTE format('CREATE TABLE public.%I (LIKE public.market_data INCLUDING ALL)', name);
    EXECUTE format(
        'ALTER TABLE public.market_data ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        name, lower_bound, upper_bound
    );
END
$$;
REVOKE ALL ON FUNCTION ensure_market_data_day(date) FROM PUBLIC;

-- How far the writer has come, with what it needs to go on: in the same transaction as its rows.
CREATE TABLE db_writer_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL,
    epoch text,
    chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32),
    topic_seqs json NOT NULL,
    state bytea NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN db_writer_cursor.chain_hash IS 'Head of the hash chain of table events.';
COMMENT ON COLUMN db_writer_cursor.state IS 'State of the fold that the projections come from.';

-- Copies of the stages' snapshots, so that a lost Redis can be given them back.
CREATE TABLE state_snapshots (
    service text NOT NULL,
    cursor bigint NOT NULL,
    epoch text NOT NULL,
    checksum text NOT NULL,
    state bytea NOT NULL,
    context bytea NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, cursor)
);

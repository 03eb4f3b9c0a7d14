-- Generated from backoffice/migrations by `python -m services.persistence.schema_dump`.
-- Do not edit: a test fails when this file is not what the migrations make.

CREATE OR REPLACE FUNCTION public.ensure_market_data_day(day date)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$;
GRANT EXECUTE ON FUNCTION ensure_market_data_day(date) TO cdb_db_writer;

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog'
AS $function$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'The record is never changed; publish an event that corrects it.';
END
$function$;

CREATE TABLE alerts (
    event_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    producer text NOT NULL,
    level text NOT NULL,
    code text NOT NULL,
    phase text NOT NULL,
    count bigint NOT NULL,
    message text NOT NULL,
    symbol text,
    layer integer,
    context jsonb NOT NULL,
    external boolean NOT NULL,
    CONSTRAINT alerts_pkey PRIMARY KEY (event_id),
    CONSTRAINT alerts_seq_key UNIQUE (seq),
    CONSTRAINT alerts_level_check CHECK ((level = ANY (ARRAY['INFO'::text, 'WARNING'::text, 'CRITICAL'::text])))
);
CREATE INDEX alerts_time ON public.alerts USING btree ("timestamp");
GRANT SELECT ON alerts TO cdb_console;
GRANT INSERT, SELECT ON alerts TO cdb_db_writer;
GRANT SELECT ON alerts TO cdb_execution;
GRANT SELECT ON alerts TO cdb_paper_runner;
GRANT SELECT ON alerts TO claire_grafana;

CREATE TABLE db_writer_cursor (
    only_row boolean NOT NULL DEFAULT true,
    seq bigint NOT NULL,
    epoch text,
    chain_hash bytea NOT NULL,
    topic_seqs json NOT NULL,
    state bytea NOT NULL,
    committed_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT db_writer_cursor_pkey PRIMARY KEY (only_row),
    CONSTRAINT db_writer_cursor_chain_hash_check CHECK ((octet_length(chain_hash) = 32)),
    CONSTRAINT db_writer_cursor_only_row_check CHECK (only_row)
);
COMMENT ON COLUMN db_writer_cursor.chain_hash IS 'Head of the hash chain of table events.';
COMMENT ON COLUMN db_writer_cursor.state IS 'State of the fold that the projections come from.';
GRANT SELECT ON db_writer_cursor TO cdb_console;
GRANT INSERT, SELECT, UPDATE ON db_writer_cursor TO cdb_db_writer;
GRANT SELECT ON db_writer_cursor TO cdb_execution;
GRANT SELECT ON db_writer_cursor TO cdb_paper_runner;
GRANT SELECT ON db_writer_cursor TO claire_grafana;

CREATE TABLE events (
    seq bigint NOT NULL,
    topic text NOT NULL,
    topic_seq bigint NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    producer text NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    causation_id text,
    correlation_id text,
    schema_version integer NOT NULL,
    external boolean NOT NULL,
    body json NOT NULL,
    chain_hash bytea NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (seq),
    CONSTRAINT events_event_id_key UNIQUE (event_id),
    CONSTRAINT events_chain_hash_check CHECK ((octet_length(chain_hash) = 32)),
    CONSTRAINT events_seq_check CHECK ((seq > 0))
);
COMMENT ON COLUMN events.body IS 'The exact text that was published.';
COMMENT ON COLUMN events.chain_hash IS 'SHA-256 of the chain_hash before it, seq as eight bytes (big-endian), and body.';
CREATE INDEX events_causation ON public.events USING btree (causation_id, seq) WHERE (causation_id IS NOT NULL);
CREATE INDEX events_correlation ON public.events USING btree (correlation_id, seq) WHERE (correlation_id IS NOT NULL);
CREATE INDEX events_run ON public.events USING btree (run_id, type, seq);
CREATE TRIGGER events_append_only BEFORE DELETE OR UPDATE ON public.events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT ON events TO cdb_console;
GRANT INSERT, SELECT ON events TO cdb_db_writer;
GRANT SELECT ON events TO cdb_execution;
GRANT SELECT ON events TO cdb_paper_runner;
GRANT SELECT ON events TO claire_grafana;

CREATE TABLE execution_cursor (
    only_row boolean NOT NULL DEFAULT true,
    seq bigint NOT NULL,
    state bytea NOT NULL,
    committed_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT execution_cursor_pkey PRIMARY KEY (only_row),
    CONSTRAINT execution_cursor_only_row_check CHECK (only_row)
);
COMMENT ON COLUMN execution_cursor.state IS 'Open positions, from which closed trades follow.';
GRANT SELECT ON execution_cursor TO cdb_console;
GRANT SELECT ON execution_cursor TO cdb_db_writer;
GRANT INSERT, SELECT, UPDATE ON execution_cursor TO cdb_execution;
GRANT SELECT ON execution_cursor TO cdb_paper_runner;
GRANT SELECT ON execution_cursor TO claire_grafana;

CREATE TABLE funding_payments (
    run_id text NOT NULL,
    symbol text NOT NULL,
    settlement_time timestamp with time zone NOT NULL,
    seq bigint NOT NULL,
    quantity numeric NOT NULL,
    mark_price numeric NOT NULL,
    funding_rate numeric NOT NULL,
    amount numeric NOT NULL,
    CONSTRAINT funding_payments_pkey PRIMARY KEY (run_id, symbol, settlement_time)
);
COMMENT ON COLUMN funding_payments.seq IS 'The clock that settled it.';
COMMENT ON COLUMN funding_payments.amount IS 'What the account received; negative: paid.';
CREATE INDEX funding_payments_seq ON public.funding_payments USING btree (seq);
GRANT SELECT ON funding_payments TO cdb_console;
GRANT INSERT, SELECT ON funding_payments TO cdb_db_writer;
GRANT SELECT ON funding_payments TO cdb_execution;
GRANT SELECT ON funding_payments TO cdb_paper_runner;
GRANT SELECT ON funding_payments TO claire_grafana;

CREATE TABLE market_data (
    seq bigint NOT NULL,
    topic_seq bigint NOT NULL,
    event_id text NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
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
    CONSTRAINT market_data_pkey PRIMARY KEY (seq, "timestamp")
) PARTITION BY RANGE ("timestamp");
COMMENT ON COLUMN market_data.body IS 'The exact text that was published.';
CREATE TRIGGER market_data_append_only BEFORE DELETE OR UPDATE ON public.market_data FOR EACH ROW EXECUTE FUNCTION refuse_change();
GRANT SELECT ON market_data TO cdb_console;
GRANT INSERT, SELECT ON market_data TO cdb_db_writer;
GRANT SELECT ON market_data TO cdb_execution;
GRANT SELECT ON market_data TO cdb_paper_runner;
GRANT SELECT ON market_data TO claire_grafana;

CREATE TABLE orders (
    order_id text NOT NULL,
    event_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    signal_id text,
    origin text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    order_type text NOT NULL,
    reduce_only boolean NOT NULL,
    stop_loss_price numeric,
    leverage numeric NOT NULL,
    approved_by text,
    external boolean NOT NULL,
    status text NOT NULL,
    reason text,
    filled_quantity numeric NOT NULL DEFAULT 0,
    filled_price numeric,
    filled_value numeric NOT NULL DEFAULT 0,
    fees numeric NOT NULL DEFAULT 0,
    slippage_bps numeric,
    latency_ms bigint,
    submitted_at timestamp with time zone NOT NULL,
    filled_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    updated_seq bigint NOT NULL,
    correlation_id text,
    trigger_price numeric,
    time_in_force text NOT NULL DEFAULT 'GTC'::text,
    post_only boolean NOT NULL DEFAULT false,
    filled_base numeric NOT NULL DEFAULT 0,
    CONSTRAINT orders_pkey PRIMARY KEY (order_id),
    CONSTRAINT orders_event_id_key UNIQUE (event_id),
    CONSTRAINT orders_seq_key UNIQUE (seq),
    CONSTRAINT orders_side_check CHECK ((side = ANY (ARRAY['BUY'::text, 'SELL'::text]))),
    CONSTRAINT orders_status_check CHECK ((status = ANY (ARRAY['PENDING'::text, 'PARTIALLY_FILLED'::text, 'FILLED'::text, 'REJECTED'::text, 'CANCELLED'::text, 'FAILED'::text]))),
    CONSTRAINT orders_time_in_force_check CHECK ((time_in_force = ANY (ARRAY['GTC'::text, 'IOC'::text, 'FOK'::text])))
);
COMMENT ON COLUMN orders.filled_price IS 'Average over all fills: value over base.';
COMMENT ON COLUMN orders.filled_value IS 'What was filled is worth, in quote.';
COMMENT ON COLUMN orders.slippage_bps IS 'Of the average price: that of all fills, weighted by base. Of a refused order: what it would have been.';
COMMENT ON COLUMN orders.latency_ms IS 'From the order to its last fill, event time.';
COMMENT ON COLUMN orders.filled_base IS 'What was filled, in base; coins in an inverse contract.';
CREATE INDEX orders_signal_id ON public.orders USING btree (signal_id);
CREATE INDEX orders_submitted_at ON public.orders USING btree (submitted_at);
GRANT SELECT ON orders TO cdb_console;
GRANT SELECT ON orders TO cdb_db_writer;
GRANT INSERT, SELECT, UPDATE ON orders TO cdb_execution;
GRANT SELECT ON orders TO cdb_paper_runner;
GRANT SELECT ON orders TO claire_grafana;

CREATE TABLE portfolio_snapshots (
    event_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    equity numeric NOT NULL,
    cash numeric NOT NULL,
    realised_profit numeric NOT NULL,
    unrealised_profit numeric NOT NULL,
    fees numeric NOT NULL,
    funding numeric NOT NULL,
    gross_exposure numeric NOT NULL,
    exposure_pct numeric,
    peak_equity numeric NOT NULL,
    day_start_equity numeric NOT NULL,
    daily_drawdown_pct numeric,
    drawdown_pct numeric,
    max_drawdown_pct numeric NOT NULL,
    worst_day_pct numeric NOT NULL,
    positions jsonb NOT NULL,
    checksum text NOT NULL,
    initial_margin numeric NOT NULL DEFAULT 0,
    maintenance_margin numeric NOT NULL DEFAULT 0,
    available_margin numeric NOT NULL DEFAULT 0,
    symbols jsonb NOT NULL DEFAULT '[]'::jsonb,
    CONSTRAINT portfolio_snapshots_pkey PRIMARY KEY (event_id),
    CONSTRAINT portfolio_snapshots_seq_key UNIQUE (seq)
);
COMMENT ON COLUMN portfolio_snapshots.exposure_pct IS 'Over equity; null without equity.';
CREATE INDEX portfolio_snapshots_time ON public.portfolio_snapshots USING btree ("timestamp");
GRANT SELECT ON portfolio_snapshots TO cdb_console;
GRANT INSERT, SELECT ON portfolio_snapshots TO cdb_db_writer;
GRANT SELECT ON portfolio_snapshots TO cdb_execution;
GRANT SELECT ON portfolio_snapshots TO cdb_paper_runner;
GRANT SELECT ON portfolio_snapshots TO claire_grafana;

CREATE TABLE positions (
    run_id text NOT NULL,
    symbol text NOT NULL,
    quantity numeric NOT NULL,
    entry_price numeric,
    mark_price numeric,
    notional numeric NOT NULL,
    unrealised_profit numeric NOT NULL,
    stop_loss_price numeric,
    leverage numeric,
    opened_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    updated_seq bigint NOT NULL,
    inverse boolean NOT NULL DEFAULT false,
    margin numeric NOT NULL DEFAULT 0,
    maintenance_margin numeric NOT NULL DEFAULT 0,
    liquidation_price numeric,
    priced_at timestamp with time zone,
    CONSTRAINT positions_pkey PRIMARY KEY (run_id, symbol)
);
COMMENT ON COLUMN positions.priced_at IS 'When mark_price was traded or announced; null: not in this run.';
GRANT SELECT ON positions TO cdb_console;
GRANT INSERT, SELECT, UPDATE ON positions TO cdb_db_writer;
GRANT SELECT ON positions TO cdb_execution;
GRANT SELECT ON positions TO cdb_paper_runner;
GRANT SELECT ON positions TO claire_grafana;

CREATE TABLE risk_decisions (
    event_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    decision_id text NOT NULL,
    signal_id text,
    order_id text,
    origin text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    reduce_only boolean NOT NULL,
    verdict text NOT NULL,
    reason text,
    binding_limit text,
    requested_quantity numeric NOT NULL,
    quantity numeric NOT NULL,
    price numeric,
    stop_loss_price numeric,
    leverage numeric NOT NULL,
    equity numeric NOT NULL,
    trading_state text NOT NULL,
    sizing jsonb NOT NULL,
    layers jsonb NOT NULL,
    causation_id text,
    correlation_id text,
    price_source text,
    CONSTRAINT risk_decisions_pkey PRIMARY KEY (event_id),
    CONSTRAINT risk_decisions_seq_key UNIQUE (seq),
    CONSTRAINT risk_decisions_price_source_check CHECK ((price_source = ANY (ARRAY['mark'::text, 'last'::text]))),
    CONSTRAINT risk_decisions_side_check CHECK ((side = ANY (ARRAY['BUY'::text, 'SELL'::text]))),
    CONSTRAINT risk_decisions_verdict_check CHECK ((verdict = ANY (ARRAY['APPROVED'::text, 'TRIMMED'::text, 'REJECTED'::text])))
);
CREATE INDEX risk_decisions_decision_id ON public.risk_decisions USING btree (decision_id);
CREATE INDEX risk_decisions_order_id ON public.risk_decisions USING btree (order_id);
CREATE INDEX risk_decisions_signal_id ON public.risk_decisions USING btree (signal_id);
CREATE INDEX risk_decisions_time ON public.risk_decisions USING btree ("timestamp");
GRANT SELECT ON risk_decisions TO cdb_console;
GRANT INSERT, SELECT ON risk_decisions TO cdb_db_writer;
GRANT SELECT ON risk_decisions TO cdb_execution;
GRANT SELECT ON risk_decisions TO cdb_paper_runner;
GRANT SELECT ON risk_decisions TO claire_grafana;

CREATE TABLE runs (
    run_id text NOT NULL,
    seq bigint NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    end_reason text,
    source text NOT NULL,
    seed bigint NOT NULL,
    code_version text NOT NULL,
    settings jsonb NOT NULL,
    account jsonb NOT NULL,
    CONSTRAINT runs_pkey PRIMARY KEY (run_id),
    CONSTRAINT runs_seq_key UNIQUE (seq)
);
GRANT SELECT ON runs TO cdb_console;
GRANT INSERT, SELECT, UPDATE ON runs TO cdb_db_writer;
GRANT SELECT ON runs TO cdb_execution;
GRANT SELECT ON runs TO cdb_paper_runner;
GRANT SELECT ON runs TO claire_grafana;

CREATE TABLE schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version)
);
GRANT SELECT ON schema_migrations TO cdb_console;
GRANT SELECT ON schema_migrations TO cdb_db_writer;
GRANT SELECT ON schema_migrations TO cdb_execution;
GRANT SELECT ON schema_migrations TO cdb_paper_runner;
GRANT SELECT ON schema_migrations TO claire_grafana;

CREATE TABLE signals (
    event_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    signal_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    direction text NOT NULL,
    reduce_only boolean NOT NULL,
    strength numeric NOT NULL,
    price numeric NOT NULL,
    quantity numeric,
    reason text NOT NULL,
    indicators jsonb NOT NULL,
    external boolean NOT NULL,
    causation_id text,
    correlation_id text,
    order_type text NOT NULL DEFAULT 'MARKET'::text,
    limit_price numeric,
    trigger_price numeric,
    time_in_force text NOT NULL DEFAULT 'GTC'::text,
    post_only boolean NOT NULL DEFAULT false,
    CONSTRAINT signals_pkey PRIMARY KEY (event_id),
    CONSTRAINT signals_seq_key UNIQUE (seq),
    CONSTRAINT signals_direction_check CHECK ((direction = ANY (ARRAY['BUY'::text, 'SELL'::text]))),
    CONSTRAINT signals_time_in_force_check CHECK ((time_in_force = ANY (ARRAY['GTC'::text, 'IOC'::text, 'FOK'::text])))
);
CREATE INDEX signals_signal_id ON public.signals USING btree (signal_id);
CREATE INDEX signals_time ON public.signals USING btree ("timestamp");
GRANT SELECT ON signals TO cdb_console;
GRANT INSERT, SELECT ON signals TO cdb_db_writer;
GRANT SELECT ON signals TO cdb_execution;
GRANT SELECT ON signals TO cdb_paper_runner;
GRANT SELECT ON signals TO claire_grafana;

CREATE TABLE state_snapshots (
    service text NOT NULL,
    cursor bigint NOT NULL,
    epoch text NOT NULL,
    checksum text NOT NULL,
    state bytea NOT NULL,
    context bytea NOT NULL,
    taken_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT state_snapshots_pkey PRIMARY KEY (service, cursor)
);
GRANT SELECT ON state_snapshots TO cdb_console;
GRANT DELETE, INSERT, SELECT, UPDATE ON state_snapshots TO cdb_db_writer;
GRANT SELECT ON state_snapshots TO cdb_execution;
GRANT SELECT ON state_snapshots TO cdb_paper_runner;
GRANT SELECT ON state_snapshots TO claire_grafana;

CREATE TABLE trades (
    trade_id text NOT NULL,
    order_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    quantity numeric NOT NULL,
    entry_price numeric NOT NULL,
    exit_price numeric NOT NULL,
    profit_loss numeric NOT NULL,
    slippage_bps numeric,
    opened_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone NOT NULL,
    correlation_id text,
    gross_profit numeric NOT NULL,
    fees_open numeric NOT NULL,
    fees_close numeric NOT NULL,
    funding numeric NOT NULL,
    slippage_cost numeric NOT NULL,
    spread_cost numeric NOT NULL,
    impact_cost numeric NOT NULL,
    exit_reason text NOT NULL,
    CONSTRAINT trades_pkey PRIMARY KEY (trade_id),
    CONSTRAINT trades_seq_key UNIQUE (seq),
    CONSTRAINT trades_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders(order_id),
    CONSTRAINT trades_quantity_check CHECK ((quantity > (0)::numeric)),
    CONSTRAINT trades_side_check CHECK ((side = ANY (ARRAY['BUY'::text, 'SELL'::text])))
);
COMMENT ON COLUMN trades.side IS 'Side of the position that was closed: BUY is a long.';
COMMENT ON COLUMN trades.entry_price IS 'Average entry price of the part closed.';
COMMENT ON COLUMN trades.profit_loss IS 'Net, in quote currency: gross_profit - fees_open - fees_close + funding.';
COMMENT ON COLUMN trades.gross_profit IS 'From the prices of the fills, before fees and funding.';
COMMENT ON COLUMN trades.fees_open IS 'The closed part''s share of the fees of opening.';
COMMENT ON COLUMN trades.funding IS 'The closed part''s share of what was received; negative: paid.';
COMMENT ON COLUMN trades.slippage_cost IS 'Contained in gross_profit: both fills against the prices decided at; negative is better.';
COMMENT ON COLUMN trades.spread_cost IS 'The part of slippage_cost that is half-spreads.';
COMMENT ON COLUMN trades.impact_cost IS 'The part of slippage_cost beyond the touch.';
COMMENT ON COLUMN trades.exit_reason IS 'Origin of the closing order; opposite_entry: an entry of the other side closed it.';
CREATE INDEX trades_closed_at ON public.trades USING btree (closed_at);
CREATE INDEX trades_order_id ON public.trades USING btree (order_id);
GRANT SELECT ON trades TO cdb_console;
GRANT SELECT ON trades TO cdb_db_writer;
GRANT INSERT, SELECT ON trades TO cdb_execution;
GRANT SELECT ON trades TO cdb_paper_runner;
GRANT SELECT ON trades TO claire_grafana;

CREATE TABLE trading_state_changes (
    event_id text NOT NULL,
    seq bigint NOT NULL,
    run_id text NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    symbol text,
    previous text NOT NULL,
    state text NOT NULL,
    layer integer,
    reason text NOT NULL,
    message text NOT NULL,
    "values" jsonb NOT NULL,
    causation_id text,
    correlation_id text,
    CONSTRAINT trading_state_changes_pkey PRIMARY KEY (event_id),
    CONSTRAINT trading_state_changes_seq_key UNIQUE (seq)
);
CREATE INDEX trading_state_changes_time ON public.trading_state_changes USING btree ("timestamp");
GRANT SELECT ON trading_state_changes TO cdb_console;
GRANT INSERT, SELECT ON trading_state_changes TO cdb_db_writer;
GRANT SELECT ON trading_state_changes TO cdb_execution;
GRANT SELECT ON trading_state_changes TO cdb_paper_runner;
GRANT SELECT ON trading_state_changes TO claire_grafana;

-- Projections of the record that cdb_db_writer makes; each can be made again from it.

CREATE TABLE runs (
    run_id text PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text,
    source text NOT NULL,
    seed bigint NOT NULL,
    code_version text NOT NULL,
    settings jsonb NOT NULL,
    account jsonb NOT NULL
);

CREATE TABLE signals (
    event_id text PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    signal_id text NOT NULL,
    strategy_id text NOT NULL,
    symbol text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('BUY', 'SELL')),
    reduce_only boolean NOT NULL,
    strength numeric NOT NULL,
    price numeric NOT NULL,
    quantity numeric,
    reason text NOT NULL,
    indicators jsonb NOT NULL,
    external boolean NOT NULL,
    causation_id text,
    correlation_id text
);
CREATE INDEX signals_signal_id ON signals (signal_id);
CREATE INDEX signals_time ON signals ("timestamp");

CREATE TABLE risk_decisions (
    event_id text PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    decision_id text NOT NULL,
    signal_id text,
    order_id text,
    origin text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    reduce_only boolean NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('APPROVED', 'TRIMMED', 'REJECTED')),
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
    correlation_id text
);
CREATE INDEX risk_decisions_decision_id ON risk_decisions (decision_id);
CREATE INDEX risk_decisions_signal_id ON risk_decisions (signal_id);
CREATE INDEX risk_decisions_order_id ON risk_decisions (order_id);
CREATE INDEX risk_decisions_time ON risk_decisions ("timestamp");

CREATE TABLE trading_state_changes (
    event_id text PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    symbol text,
    previous text NOT NULL,
    state text NOT NULL,
    layer integer,
    reason text NOT NULL,
    message text NOT NULL,
    "values" jsonb NOT NULL,
    causation_id text,
    correlation_id text
);
CREATE INDEX trading_state_changes_time ON trading_state_changes ("timestamp");

-- One row per symbol of a run; quantity 0 when it was closed.
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
    opened_at timestamptz,
    updated_at timestamptz NOT NULL,
    updated_seq bigint NOT NULL,
    PRIMARY KEY (run_id, symbol)
);

CREATE TABLE funding_payments (
    run_id text NOT NULL,
    symbol text NOT NULL,
    settlement_time timestamptz NOT NULL,
    seq bigint NOT NULL,
    quantity numeric NOT NULL,
    mark_price numeric NOT NULL,
    funding_rate numeric NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (run_id, symbol, settlement_time)
);
COMMENT ON COLUMN funding_payments.seq IS 'The clock that settled it.';
COMMENT ON COLUMN funding_payments.amount IS 'What the account received; negative: paid.';

CREATE TABLE portfolio_snapshots (
    event_id text PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    equity numeric NOT NULL,
    cash numeric NOT NULL,
    realised_profit numeric NOT NULL,
    unrealised_profit numeric NOT NULL,
    fees numeric NOT NULL,
    funding numeric NOT NULL,
    gross_exposure numeric NOT NULL,
    exposure_pct numeric NOT NULL,
    peak_equity numeric NOT NULL,
    day_start_equity numeric NOT NULL,
    daily_drawdown_pct numeric NOT NULL,
    drawdown_pct numeric NOT NULL,
    max_drawdown_pct numeric NOT NULL,
    worst_day_pct numeric NOT NULL,
    positions jsonb NOT NULL,
    checksum text NOT NULL
);
CREATE INDEX portfolio_snapshots_time ON portfolio_snapshots ("timestamp");

CREATE TABLE alerts (
    event_id text PRIMARY KEY,
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    producer text NOT NULL,
    level text NOT NULL CHECK (level IN ('INFO', 'WARNING', 'CRITICAL')),
    code text NOT NULL,
    phase text NOT NULL,
    count bigint NOT NULL,
    message text NOT NULL,
    symbol text,
    layer integer,
    context jsonb NOT NULL,
    external boolean NOT NULL
);
CREATE INDEX alerts_time ON alerts ("timestamp");

-- Projections of the record that cdb_execution makes: its orders, and what closing them earned.

CREATE TABLE orders (
    order_id text PRIMARY KEY,
    event_id text NOT NULL UNIQUE,
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    signal_id text,
    origin text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    order_type text NOT NULL,
    reduce_only boolean NOT NULL,
    stop_loss_price numeric,
    leverage numeric NOT NULL,
    approved_by text,
    external boolean NOT NULL,
    status text NOT NULL CHECK (
        status IN ('PENDING', 'PARTIALLY_FILLED', 'FILLED', 'REJECTED', 'CANCELLED', 'FAILED')
    ),
    reason text,
    filled_quantity numeric NOT NULL DEFAULT 0,
    filled_price numeric,
    filled_value numeric NOT NULL DEFAULT 0,
    fees numeric NOT NULL DEFAULT 0,
    slippage_bps numeric,
    latency_ms bigint,
    submitted_at timestamptz NOT NULL,
    filled_at timestamptz,
    updated_at timestamptz NOT NULL,
    updated_seq bigint NOT NULL,
    correlation_id text
);
COMMENT ON COLUMN orders.filled_price IS 'Average over all fills.';
CREATE INDEX orders_signal_id ON orders (signal_id);
CREATE INDEX orders_submitted_at ON orders (submitted_at);

-- One row per closing fill; trade_id is the event_id of that order_result.
CREATE TABLE trades (
    trade_id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders (order_id),
    seq bigint NOT NULL UNIQUE,
    run_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    quantity numeric NOT NULL CHECK (quantity > 0),
    entry_price numeric NOT NULL,
    exit_price numeric NOT NULL,
    profit_loss numeric NOT NULL,
    fees numeric NOT NULL,
    slippage_bps numeric,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz NOT NULL,
    correlation_id text
);
COMMENT ON COLUMN trades.side IS 'Side of the position that was closed: BUY is a long.';
COMMENT ON COLUMN trades.entry_price IS 'Average entry price of the part closed.';
COMMENT ON COLUMN trades.profit_loss IS 'Gross, in quote currency; fees are those of the exit.';
CREATE INDEX trades_order_id ON trades (order_id);
CREATE INDEX trades_closed_at ON trades (closed_at);

CREATE TABLE execution_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL,
    state bytea NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN execution_cursor.state IS 'Open positions, from which closed trades follow.';

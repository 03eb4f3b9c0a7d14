-- What an order's fills came to, weighted by base volume in both kinds of contract.
-- Rows of earlier versions are those of linear contracts; `claire db rebuild` makes all of them anew.

ALTER TABLE orders ADD COLUMN filled_base numeric NOT NULL DEFAULT 0;
UPDATE orders SET filled_base = filled_quantity;

COMMENT ON COLUMN orders.filled_value IS 'What was filled is worth, in quote.';
COMMENT ON COLUMN orders.filled_base IS 'What was filled, in base; coins in an inverse contract.';
COMMENT ON COLUMN orders.filled_price IS 'Average over all fills: value over base.';
COMMENT ON COLUMN orders.slippage_bps IS
    'Of the average price: that of all fills, weighted by base. Of a refused order: what it would have been.';
COMMENT ON COLUMN orders.latency_ms IS 'From the order to its last fill, event time.';

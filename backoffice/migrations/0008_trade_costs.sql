-- What a closed trade cost: profit_loss is net of both fees and funding, and every cost has a column.
-- How old the price of a position is.
-- The rows are made again: cdb_execution reads its cursor's 0 and follows the record from the start.

DELETE FROM trades;
ALTER TABLE trades
    DROP COLUMN fees,
    ADD COLUMN gross_profit numeric NOT NULL,
    ADD COLUMN fees_open numeric NOT NULL,
    ADD COLUMN fees_close numeric NOT NULL,
    ADD COLUMN funding numeric NOT NULL,
    ADD COLUMN slippage_cost numeric NOT NULL,
    ADD COLUMN spread_cost numeric NOT NULL,
    ADD COLUMN impact_cost numeric NOT NULL,
    ADD COLUMN exit_reason text NOT NULL;
UPDATE execution_cursor SET seq = 0, state = '';

COMMENT ON COLUMN trades.profit_loss IS
    'Net, in quote currency: gross_profit - fees_open - fees_close + funding.';
COMMENT ON COLUMN trades.gross_profit IS 'From the prices of the fills, before fees and funding.';
COMMENT ON COLUMN trades.fees_open IS 'The closed part''s share of the fees of opening.';
COMMENT ON COLUMN trades.funding IS 'The closed part''s share of what was received; negative: paid.';
COMMENT ON COLUMN trades.slippage_cost IS
    'Contained in gross_profit: both fills against the prices decided at; negative is better.';
COMMENT ON COLUMN trades.spread_cost IS 'The part of slippage_cost that is half-spreads.';
COMMENT ON COLUMN trades.impact_cost IS 'The part of slippage_cost beyond the touch.';
COMMENT ON COLUMN trades.exit_reason IS
    'Origin of the closing order; opposite_entry: an entry of the other side closed it.';

ALTER TABLE positions ADD COLUMN priced_at timestamptz;
COMMENT ON COLUMN positions.priced_at IS
    'When mark_price was traded or announced; null: not in this run.';

CREATE INDEX funding_payments_seq ON funding_payments (seq);

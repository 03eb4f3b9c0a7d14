-- Margin, liquidation and each symbol's part of the account.

ALTER TABLE positions
    ADD COLUMN inverse boolean NOT NULL DEFAULT false,
    ADD COLUMN margin numeric NOT NULL DEFAULT 0,
    ADD COLUMN maintenance_margin numeric NOT NULL DEFAULT 0,
    ADD COLUMN liquidation_price numeric;

ALTER TABLE portfolio_snapshots
    ADD COLUMN initial_margin numeric NOT NULL DEFAULT 0,
    ADD COLUMN maintenance_margin numeric NOT NULL DEFAULT 0,
    ADD COLUMN available_margin numeric NOT NULL DEFAULT 0,
    ADD COLUMN symbols jsonb NOT NULL DEFAULT '[]';

-- What an order asks for beside side and quantity, and which price an exit worked on.

ALTER TABLE orders
    ADD COLUMN trigger_price numeric,
    ADD COLUMN time_in_force text NOT NULL DEFAULT 'GTC'
        CHECK (time_in_force IN ('GTC', 'IOC', 'FOK')),
    ADD COLUMN post_only boolean NOT NULL DEFAULT false;

ALTER TABLE signals
    ADD COLUMN order_type text NOT NULL DEFAULT 'MARKET',
    ADD COLUMN limit_price numeric,
    ADD COLUMN trigger_price numeric,
    ADD COLUMN time_in_force text NOT NULL DEFAULT 'GTC'
        CHECK (time_in_force IN ('GTC', 'IOC', 'FOK')),
    ADD COLUMN post_only boolean NOT NULL DEFAULT false;

ALTER TABLE risk_decisions
    ADD COLUMN price_source text CHECK (price_source IN ('mark', 'last'));

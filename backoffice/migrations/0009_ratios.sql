-- Ratios of an account without equity are null.

ALTER TABLE portfolio_snapshots
    ALTER COLUMN exposure_pct DROP NOT NULL,
    ALTER COLUMN daily_drawdown_pct DROP NOT NULL,
    ALTER COLUMN drawdown_pct DROP NOT NULL;
COMMENT ON COLUMN portfolio_snapshots.exposure_pct IS 'Over equity; null without equity.';

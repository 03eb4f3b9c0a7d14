"""A fake exchange: MEXC's protocol over a recorded or synthetic market, with faults on demand."""

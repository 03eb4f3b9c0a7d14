"""Recording a market: what was received and what was published, by day and symbol."""

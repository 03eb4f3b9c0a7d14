"""Tests: unit, integration (real servers), e2e (containers), local."""

"""The live source: MEXC perpetual futures by WebSocket, with REST for details and history."""

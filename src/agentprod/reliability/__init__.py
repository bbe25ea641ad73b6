"""Layers that keep calls going: retry, timeouts, breaker, limits, fallback."""

"""Sync and async behind one interface: clocks, timers, the driver, waiters."""

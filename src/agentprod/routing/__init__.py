"""Choosing the model that answers a call."""

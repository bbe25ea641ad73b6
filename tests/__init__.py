"""Tests of agentprod; the folders mirror the package."""

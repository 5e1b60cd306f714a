"""Planted faults, as data."""

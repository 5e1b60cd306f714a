"""Data sets, and what reads them."""

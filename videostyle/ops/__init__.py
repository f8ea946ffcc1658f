"""Pure functions on pictures and flows."""

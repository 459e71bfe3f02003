"""State of the adapters that survives restarts, in small private files."""

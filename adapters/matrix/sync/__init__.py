"""Follows what happens in rooms, over gaps and restarts."""

"""Syncs with the homeserver: receives the events of rooms, over gaps and restarts."""

"""Asks the homeserver, over HTTP."""

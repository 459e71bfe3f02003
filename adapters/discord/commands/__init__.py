"""Slash commands, the context menu of messages, and buttons."""

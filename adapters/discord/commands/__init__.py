"""Slash commands, the message menu and button presses."""

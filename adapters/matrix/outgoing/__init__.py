"""Answers in rooms, at the pace that the homeserver allows."""

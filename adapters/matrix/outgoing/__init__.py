"""Replies in rooms: transport, layout, and the account's rate limit."""

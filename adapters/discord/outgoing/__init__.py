"""Replies on Discord: transports, layout, buttons, rate limits."""

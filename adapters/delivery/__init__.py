"""Delivery of replies on any platform: live edits, splitting, rate limits, citations."""

"""Incoming messages: which are questions, and their context."""

"""Verification by emoji, for admins."""
